use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::credential::{UnknownWord, words};

words!(
    /// How much a grant allows, coarsely: enough to sort identities by what they can do. Ordered from most to least.
    PrivilegeLevel {
        /// Everything within its reach, or the power to grant it to oneself.
        Admin = "admin",
        /// Can read secrets or act as others.
        Sensitive = "sensitive",
        /// Can change things.
        Write = "write",
        /// Can only read.
        Read = "read",
        /// Not known.
        Unknown = "unknown",
    }
);
