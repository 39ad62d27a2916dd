use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::credential::{UnknownWord, words};

words!(
    /// Kind of non-human principal.
    IdentityKind {
        /// A Kubernetes ServiceAccount.
        KubernetesServiceAccount = "kubernetes-service-account",
        /// A Kubernetes user or group that exists only in bindings, kubeconfigs or certificates.
        KubernetesUser = "kubernetes-user",
        /// An AWS IAM user.
        AwsUser = "aws-user",
        /// An AWS IAM role.
        AwsRole = "aws-role",
        /// A Vault or OpenBao AppRole.
        VaultAppRole = "vault-approle",
        /// A role of a Vault or OpenBao login by somebody else's token.
        VaultRole = "vault-role",
        /// A Vault or OpenBao token's display name, where no other identity is known.
        VaultToken = "vault-token",
        /// An issuer of tokens that a cloud trusts, with what it asks of them.
        FederationProvider = "federation-provider",
        /// A database login role.
        DatabaseRole = "database-role",
        /// A certificate's subject.
        CertificateSubject = "certificate-subject",
        /// A forge's user or app.
        ForgeUser = "forge-user",
    }
);
