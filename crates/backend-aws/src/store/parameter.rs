//! SSM as a store. It has no compare-and-set: the version is looked at right before the write, and the version that comes back shows whether
//! somebody else wrote in between.

use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterType};
use claviger_backend::{Effect, Error, ErrorKind, Expect, Operation, Result, StoreState, StoredValue};
use claviger_core::secret::SecretValue;

use crate::{
    backend::AwsBackend,
    failure::{of, of_change},
};

impl AwsBackend {
    pub(super) async fn read_parameter(&self, name: &str) -> Result<Option<StoredValue>> {
        let parameters = &self.account.clients().await?.parameters;
        match parameters.get_parameter().name(name).with_decryption(true).send().await {
            Ok(answer) => Ok(answer.parameter.map(|parameter| StoredValue {
                value: SecretValue::from_text(parameter.value.unwrap_or_default()),
                version: parameter.version.to_string(),
                written_by: None,
            })),
            Err(error) => match of("read", self.account.endpoint(), "ssm:GetParameter", &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn described(&self, operation: &'static str, name: &str) -> Result<Option<ParameterMetadata>> {
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
        let filter = filter.map_err(|_| {
            Error::new(ErrorKind::Invalid, operation, format!("{name} is no parameter's name"))
        })?;
        let call = self.account.clients().await?.parameters.describe_parameters().parameter_filters(filter);
        let answer = call.send().await;
        let answer = answer
            .map_err(|error| of(operation, self.account.endpoint(), "ssm:DescribeParameters", &error))?;
        Ok(answer.parameters.unwrap_or_default().into_iter().find(|it| it.name.as_deref() == Some(name)))
    }

    pub(super) async fn parameter_writable(&self, name: &str) -> Result<StoreState> {
        let described = match self.described("writable", name).await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                return Ok(StoreState::Refused(error.message().to_owned()));
            }
            other => other?,
        };
        let Some(described) = described else {
            return Ok(StoreState::Refused("it does not exist".to_owned()));
        };
        Ok(match self.forbidden(&["ssm:PutParameter"], described.arn.as_deref().unwrap_or("*")).await? {
            Some(reason) => StoreState::Refused(reason),
            None => StoreState::Writable,
        })
    }

    pub(super) async fn write_parameter(
        &self,
        op: &Operation,
        name: &str,
        value: &SecretValue,
        expect: &Expect,
    ) -> Result<String> {
        let endpoint = self.account.endpoint();
        let conflict =
            |what: &str| Error::new(ErrorKind::Conflict, "write", format!("{endpoint}: {name}: {what}"));
        let text = value.expose_text().filter(|text| !text.is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "write", "a parameter's value is text of at least one character")
        })?;
        let present = self.read_parameter(name).await?;
        let call = self.account.clients().await?.parameters.put_parameter().name(name).value(text);
        let (call, before) = match (expect, present) {
            // Without overwriting, the service itself refuses when somebody was faster.
            (Expect::Absent, None) => (call.r#type(ParameterType::SecureString).overwrite(false), 0),
            (Expect::Absent, Some(_)) => return Err(conflict("it is there already")),
            (Expect::Version(_), None) => return Err(conflict("it does not exist")),
            (Expect::Version(_), Some(present)) if present.value.expose() == value.expose() => {
                return Ok(present.version);
            }
            (Expect::Version(expected), Some(present)) if *expected != present.version => {
                return Err(conflict("another version is current"));
            }
            (Expect::Version(_), Some(present)) => {
                let before = present.version.parse().unwrap_or(0);
                // Left out, the key would silently become the account's default one.
                let described = self.described("write", name).await?;
                let key = described.as_ref().and_then(|it| it.key_id.clone());
                let kind = described.and_then(|it| it.r#type);
                let key = key.filter(|_| kind.as_ref() == Some(&ParameterType::SecureString));
                (call.set_type(kind).set_key_id(key).overwrite(true), before)
            }
        };
        let answer = self.before(op, "write", call.send()).await?;
        let answer = answer.map_err(|error| of_change("write", endpoint, "ssm:PutParameter", &error))?;
        if answer.version != before + 1 {
            return Err(
                conflict("somebody wrote at the same time, and ours came after").with_effect(Effect::Applied)
            );
        }
        Ok(answer.version.to_string())
    }
}
