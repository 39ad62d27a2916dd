//! Which account and region, and who we are there.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;

/// How to reach one AWS account in one region.
#[derive(Default)]
pub struct AwsConfig {
    /// Such as `eu-central-1`. `None`: as the SDK's chain says (`AWS_REGION`, the profile).
    pub region: Option<String>,
    /// URL of a compatible server. `None`: AWS.
    pub endpoint: Option<String>,
    /// Profile of the shared configuration files, where no key is given.
    pub profile: Option<String>,
    /// Access key id; with `secret_access_key`, or neither: then the SDK's own chain (environment, profile, web identity, instance).
    pub access_key_id: Option<SecretValue>,
    /// Secret access key.
    pub secret_access_key: Option<SecretValue>,
    /// Session token of temporary credentials.
    pub session_token: Option<SecretValue>,
    /// How long, in seconds, IAM may take to tell all its servers of a new or an ended key. `None`: as AWS does, 10 for a new one and 30 for an
    /// ended one.
    pub propagation_seconds: Option<u32>,
}

impl AwsConfig {
    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// `Config`.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let refuse = |what: &str, hint: &str| {
            Err(Error::new(ErrorKind::Config, "connect", format!("backends.{name}: {what}")).with_hint(hint))
        };
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return refuse(
                "one half of an access key is missing",
                "set both access_key_id and secret_access_key, or neither to use the SDK's own chain",
            );
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return refuse(
                "a session token without its access key",
                "set access_key_id and secret_access_key too",
            );
        }
        for part in [&self.access_key_id, &self.secret_access_key, &self.session_token].into_iter().flatten()
        {
            if part.is_empty() || part.expose_text().is_none_or(|text| text.contains(char::is_whitespace)) {
                return refuse(
                    "the access key is empty or has white space in it",
                    "check where it comes from",
                );
            }
        }
        if self.access_key_id.is_some() && self.region.is_none() {
            return refuse(
                "there is no region",
                "set region = \"eu-central-1\" or where the account's secrets are",
            );
        }
        if let Some(endpoint) = &self.endpoint {
            let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
            if host.is_none_or(|host| host.is_empty() || host.contains('@')) {
                return refuse(
                    "endpoint is no http:// or https:// address without user",
                    "leave it out for AWS itself",
                );
            }
        }
        Ok(())
    }

    /// Where it is, for people.
    pub(crate) fn endpoint_text(&self) -> String {
        match (&self.endpoint, &self.region) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => format!("https://aws.amazon.com ({region})"),
            (None, None) => "https://aws.amazon.com".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<SecretValue> {
        Some(SecretValue::from_text(text.to_owned()))
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_key() {
        let region = || Some("eu-central-1".to_owned());
        let half = AwsConfig { region: region(), access_key_id: key("AKIACANARY"), ..AwsConfig::default() };
        let blank = AwsConfig {
            region: region(),
            access_key_id: key("AKIACANARY"),
            secret_access_key: key("x\n"),
            ..AwsConfig::default()
        };
        let nowhere = AwsConfig {
            access_key_id: key("AKIACANARY"),
            secret_access_key: key("x"),
            ..AwsConfig::default()
        };
        let odd = AwsConfig {
            region: region(),
            endpoint: Some("http://CANARY:pw@h".to_owned()),
            ..AwsConfig::default()
        };
        for (config, word) in [(half, "half"), (blank, "white space"), (nowhere, "region"), (odd, "endpoint")]
        {
            let error = config.check("aws").expect_err("refused");
            assert!(error.message().contains(word), "{error}");
            assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Config, true));
            assert!(!format!("{error:?}").contains("CANARY"));
        }
        assert!(AwsConfig::default().check("aws").is_ok(), "everything from the SDK's chain");
    }
}
