//! Variables, which are shown to whoever may read them. They have no compare-and-set, so they are read and never written.

use async_trait::async_trait;
use claviger_backend::{Error, ErrorKind, Expect, Field, Operation, Result, Store, StoreState, StoredValue};
use claviger_core::{reference::Ref, secret::SecretValue};
use sha2::{Digest as _, Sha256};

use super::{
    backend::GithubBackend,
    names::{Family, Names, Subject},
    wire::Variable,
};
use crate::client::Request;

fn unsupported(operation: &'static str, at: &Ref) -> Error {
    let text =
        format!("{at}: variables of this forge have no compare-and-set, so claviger does not write them");
    Error::new(ErrorKind::Unsupported, operation, text).with_hint("keep credentials in secrets")
}

#[async_trait]
impl Store for GithubBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        let Subject::Variable(owner, name) = Names::subject(at) else {
            let text = format!("{at}: the forge shows its value to nobody");
            return Err(Error::new(ErrorKind::Unsupported, "read", text));
        };
        let mut path = owner.segments(Family::Actions, "variables");
        path.push(&name);
        let found: Option<Variable> = self.access.maybe("read", Request::get(&path)).await?;
        Ok(found.map(|found| {
            let value = SecretValue::from_text(found.value);
            let digest = Sha256::digest(value.expose());
            let version = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            StoredValue { value, version, written_by: None }
        }))
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        Ok(StoreState::Refused(unsupported("writable", at).message().to_owned()))
    }

    async fn write(&self, _: &Operation, at: &Ref, _: &SecretValue, _: &Expect) -> Result<String> {
        Err(unsupported("write", at))
    }

    async fn write_together(&self, _: &Operation, fields: &[Field<'_>], _: &Expect) -> Result<String> {
        let first = fields.first().map_or_else(|| Ref::from_text(""), |field| field.at.clone());
        Err(unsupported("write_together", &first))
    }
}
