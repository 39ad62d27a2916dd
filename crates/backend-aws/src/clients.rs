//! The SDK's clients, made at the first call: where credentials come from the SDK's chain, finding them needs I/O.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials, provider::ProvideCredentials as _, provider::SharedCredentialsProvider,
};
use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use tokio::sync::OnceCell;

use crate::{config::AwsConfig, failure};

const CONNECT: Duration = Duration::from_secs(5);
pub(crate) const REQUEST: Duration = Duration::from_secs(30);

/// Who we are, as STS says.
pub(crate) struct Caller {
    /// Our ARN.
    pub(crate) arn: String,
    /// The id of the access key that we sign with.
    pub(crate) key_id: Option<String>,
}

impl Caller {
    /// The account's root user: no policy binds it.
    pub(crate) fn root(&self) -> bool {
        self.arn.ends_with(":root")
    }

    /// Whose policies decide about us; `None` for root and for what has none of its own.
    pub(crate) fn principal(&self) -> Option<String> {
        if self.arn.contains(":user/") {
            return Some(self.arn.clone());
        }
        // arn:aws:sts::<account>:assumed-role/<role>/<session>; the role's path is not told, so this is right for roles without one.
        let (head, rest) = self.arn.split_once(":assumed-role/")?;
        let role = rest.split('/').next()?;
        Some(format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1)))
    }
}

/// One client per service.
pub(crate) struct Clients {
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) secrets: aws_sdk_secretsmanager::Client,
    pub(crate) parameters: aws_sdk_ssm::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    base: SdkConfig,
}

impl Clients {
    async fn make(config: &AwsConfig) -> Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(REQUEST)
            .operation_timeout(REQUEST)
            .operation_attempt_timeout(REQUEST)
            .build();
        let base = match (&config.access_key_id, &config.secret_access_key) {
            (Some(id), Some(secret)) => {
                let mut builder = SdkConfig::builder()
                    .behavior_version(BehaviorVersion::v2026_01_12())
                    .region(config.region.clone().map(Region::new))
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(timeouts)
                    .credentials_provider(credentials(id, secret, config.session_token.as_ref()));
                builder.set_endpoint_url(config.endpoint.clone());
                builder.build()
            }
            _ => {
                let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
                    .retry_config(RetryConfig::disabled())
                    .timeout_config(timeouts);
                if let Some(region) = &config.region {
                    loader = loader.region(Region::new(region.clone()));
                }
                if let Some(endpoint) = &config.endpoint {
                    loader = loader.endpoint_url(endpoint);
                }
                if let Some(profile) = &config.profile {
                    loader = loader.profile_name(profile);
                }
                loader.load().await
            }
        };
        if base.region().is_none() {
            return Err(Error::new(ErrorKind::Config, "connect", "AWS: there is no region")
                .with_hint("set region = \"eu-central-1\", or AWS_REGION, or one in the profile"));
        }
        Ok(Self {
            iam: aws_sdk_iam::Client::new(&base),
            secrets: aws_sdk_secretsmanager::Client::new(&base),
            parameters: aws_sdk_ssm::Client::new(&base),
            sts: aws_sdk_sts::Client::new(&base),
            base,
        })
    }

    /// The same clients, signing with another key, or with a session where there is a session's token.
    pub(crate) fn signed(&self, id: &str, secret: &SecretValue, session: Option<&SecretValue>) -> Self {
        let id = SecretValue::from_text(id.to_owned());
        let base = self.base.to_builder().credentials_provider(credentials(&id, secret, session)).build();
        Self {
            iam: aws_sdk_iam::Client::new(&base),
            secrets: aws_sdk_secretsmanager::Client::new(&base),
            parameters: aws_sdk_ssm::Client::new(&base),
            sts: aws_sdk_sts::Client::new(&base),
            base,
        }
    }

    /// The region that calls are made in.
    pub(crate) fn region(&self) -> Option<String> {
        self.base.region().map(ToString::to_string)
    }

    /// STS at the same endpoint with another key.
    pub(crate) fn sts_with(&self, id: &str, secret: &SecretValue) -> aws_sdk_sts::Client {
        let id = SecretValue::from_text(id.to_owned());
        let builder = aws_sdk_sts::config::Builder::from(&self.base);
        aws_sdk_sts::Client::from_conf(builder.credentials_provider(credentials(&id, secret, None)).build())
    }
}

fn credentials(
    id: &SecretValue,
    secret: &SecretValue,
    session: Option<&SecretValue>,
) -> SharedCredentialsProvider {
    let text = |value: &SecretValue| String::from_utf8_lossy(value.expose()).into_owned();
    SharedCredentialsProvider::new(Credentials::new(
        text(id),
        text(secret),
        session.map(text),
        None,
        "claviger",
    ))
}

/// The clients and who we are, each found out once.
pub(crate) struct Account {
    config: AwsConfig,
    endpoint: String,
    clients: OnceCell<Clients>,
    caller: OnceCell<Caller>,
}

impl Account {
    pub(crate) fn new(config: AwsConfig) -> Self {
        let endpoint = config.endpoint_text();
        Self { config, endpoint, clients: OnceCell::new(), caller: OnceCell::new() }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// AWS itself, not a compatible server.
    pub(crate) fn genuine(&self) -> bool {
        self.config.endpoint.is_none()
    }

    pub(crate) async fn clients(&self) -> Result<&Clients> {
        self.clients.get_or_try_init(|| Clients::make(&self.config)).await
    }

    /// Asks STS who we are, which no policy can forbid: the one question that tells a wrong key from a missing right.
    ///
    /// # Errors
    /// `Unauthenticated`, `Unavailable`.
    pub(crate) async fn caller(&self, operation: &'static str) -> Result<&Caller> {
        self.caller
            .get_or_try_init(|| async {
                let clients = self.clients().await?;
                let answer = clients.sts.get_caller_identity().send().await;
                let identity = answer.map_err(|error| {
                    failure::of(operation, &self.endpoint, "sts:GetCallerIdentity", &error)
                })?;
                let provider = clients.base.credentials_provider();
                let key_id = match provider {
                    Some(provider) => {
                        provider.provide_credentials().await.ok().map(|it| it.access_key_id().to_owned())
                    }
                    None => None,
                };
                Ok(Caller { arn: identity.arn.unwrap_or_default(), key_id })
            })
            .await
    }

    /// Asks STS once more who we are: does it accept us at this moment? A server that refuses everybody says nothing of a key.
    ///
    /// # Errors
    /// It does not, or gives no answer.
    pub(crate) async fn accepted_now(&self, operation: &'static str) -> Result<()> {
        let answer = self.clients().await?.sts.get_caller_identity().send().await;
        answer
            .map(drop)
            .map_err(|error| failure::of(operation, &self.endpoint, "sts:GetCallerIdentity", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principal_is_whose_policies_count() {
        let principal = |arn: &str| Caller { arn: arn.to_owned(), key_id: None }.principal();
        assert_eq!(principal("arn:aws:iam::1:user/ci").as_deref(), Some("arn:aws:iam::1:user/ci"));
        assert_eq!(
            principal("arn:aws:sts::1:assumed-role/scan/i-0").as_deref(),
            Some("arn:aws:iam::1:role/scan")
        );
        assert_eq!(principal("arn:aws:iam::1:root"), None);
    }
}
