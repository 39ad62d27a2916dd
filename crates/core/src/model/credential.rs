use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every variant, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that is printed and stored.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownWord(text.to_owned())) }
            }
        }
    };
}
pub(super) use words;

/// A word that is none of the contract's.
#[derive(Debug, thiserror::Error)]
#[error("unknown word `{0}`")]
pub struct UnknownWord(pub String);

words!(
    /// Kind of credential (`kind=` in selectors).
    CredentialKind {
        /// A password of a login role or user.
        Password = "password",
        /// A vendor's API key or token that stands for an application.
        ApiKey = "api-key",
        /// A long-lived Kubernetes ServiceAccount token in a Secret.
        ServiceAccountToken = "service-account-token",
        /// A Kubernetes token bound to a pod, node or Secret, with an expiry.
        BoundToken = "bound-token",
        /// A cloud access key pair.
        AccessKey = "access-key",
        /// A secret manager's or forge's token.
        Token = "token",
        /// An AppRole secret-id.
        SecretId = "secret-id",
        /// An X.509 certificate with its private key.
        Certificate = "certificate",
        /// A private key without a certificate.
        PrivateKey = "private-key",
        /// An SSH private key.
        SshKey = "ssh-key",
        /// A container registry's user and password.
        Registry = "registry",
        /// A key that signs webhooks.
        WebhookSecret = "webhook-secret",
        /// A kubeconfig that carries its own credential.
        Kubeconfig = "kubeconfig",
        /// A secret whose form is not known.
        Opaque = "opaque",
    }
);

words!(
    /// State of a credential: NIST SP 800-57 part 1 states in the field's words, plus what rotation and revocation need.
    CredentialState {
        /// In use.
        Active = "active",
        /// A newer value took its place and it is not retired yet.
        Superseded = "superseded",
        /// Reversibly disabled before deletion.
        Quarantined = "quarantined",
        /// Disabled at its issuer by somebody.
        Suspended = "suspended",
        /// Past its expiry.
        Expired = "expired",
        /// Known to be leaked.
        Compromised = "compromised",
        /// Cannot be revoked; its privileges were cut.
        Mitigated = "mitigated",
        /// A login with it was refused after a positive control.
        RevokedProven = "revoked-proven",
        /// The issuer says that it is gone; nobody held the value to try.
        RevokedAttested = "revoked-attested",
        /// Revocation was carried out and could not be proven.
        RevokedUnproven = "revoked-unproven",
        /// A complete scan of its scope no longer shows it.
        Gone = "gone",
    }
);

words!(
    /// What a handle's text means.
    HandleScheme {
        /// An AWS access key id (`AKIA…`).
        AwsAccessKeyId = "aws-access-key-id",
        /// `<namespace>/<secret name>/<service account uid>` of a legacy Kubernetes token.
        KubernetesLegacyToken = "kubernetes-legacy-token",
        /// SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex.
        SpkiSha256 = "spki-sha256",
        /// OpenSSH `SHA256:…` fingerprint of the public key.
        SshFingerprint = "ssh-fingerprint",
        /// A Vault or OpenBao accessor, of a token or of a secret-id.
        VaultAccessor = "vault-accessor",
    }
);

/// A public name of a credential that both its issuer and a copy can show: it links the two without the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Handle {
    /// What the text means.
    pub scheme: HandleScheme,
    /// The text.
    pub value: String,
}

impl Handle {
    /// A handle.
    pub fn new(scheme: HandleScheme, value: impl Into<String>) -> Self {
        Self { scheme, value: value.into() }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.value)
    }
}
