use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::credential::{UnknownWord, words};

words!(
    /// How a consumer reads a copy.
    ConsumerHow {
        /// One field as an environment variable: a change needs a restart.
        Env = "env",
        /// A whole object as environment variables: a change needs a restart.
        EnvFrom = "env-from",
        /// A file from a Secret or ConfigMap volume.
        Volume = "volume",
        /// A projected volume: a bound token, or a Secret within it.
        Projected = "projected",
        /// Used by the kubelet to pull images.
        ImagePull = "image-pull",
        /// Runs as this ServiceAccount.
        ServiceAccount = "service-account",
        /// Holds the value itself.
        Literal = "literal",
    }
);
