//! Variables whose value is shown: read, and written with an expectation that is looked at right before. A write of somebody else in between is lost.

use async_trait::async_trait;
use claviger_backend::{Error, ErrorKind, Expect, Field, Operation, Result, Store, StoreState, StoredValue};
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    backend::GitlabBackend,
    names::{Names, Subject, VariableName},
    variable::{Put, unfit},
};

fn must(at: &Ref, operation: &'static str) -> Result<VariableName> {
    match Names::subject(at) {
        Subject::Variable(name) => Ok(name),
        _ => {
            let text = format!("{at} is no variable whose value GitLab shows");
            Err(Error::new(ErrorKind::Unsupported, operation, text))
        }
    }
}

/// It was made again as a hidden one: the ref is another one then.
fn hidden(at: &Ref, operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, format!("{at} is hidden now: scan again"))
}

#[async_trait]
impl Store for GitlabBackend {
    async fn read(&self, at: &Ref) -> Result<Option<StoredValue>> {
        let name = must(at, "read")?;
        let Some((_, found)) = self.variable("read", &name).await? else { return Ok(None) };
        if found.hidden {
            return Err(hidden(at, "read"));
        }
        let text = found.value.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "read", format!("{at}: GitLab gave no value"))
        })?;
        let value = SecretValue::from_text(text);
        let version = self.version_of(&value);
        // Nothing there says who wrote it.
        Ok(Some(StoredValue { value, version, written_by: None }))
    }

    async fn writable(&self, at: &Ref) -> Result<StoreState> {
        let name = must(at, "writable")?;
        let Some((_, found)) = self.variable("writable", &name).await? else {
            return Ok(StoreState::Refused("it is not there, or not shown to us".to_owned()));
        };
        if found.hidden {
            return Ok(StoreState::Refused(hidden(at, "writable").message().to_owned()));
        }
        Ok(self.may_write("writable").await?.map_or(StoreState::Writable, StoreState::Refused))
    }

    async fn write(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<String> {
        let name = must(at, "write")?;
        let conflict = || {
            let text = format!("{at}: what stands there is not what was expected");
            Error::new(ErrorKind::Conflict, "write", text)
        };
        let (home, found) = match (self.variable("write", &name).await?, expect) {
            (Some((home, found)), Expect::Version(version)) => {
                let held = found.value.clone().map(SecretValue::from_text);
                if found.hidden || held.is_none_or(|held| self.version_of(&held) != *version) {
                    return Err(conflict());
                }
                (home, found)
            }
            (None, Expect::Absent) => {
                let text = format!("{at} is not there, and claviger makes no variables");
                return Err(Error::new(ErrorKind::NotFound, "write", text));
            }
            _ => return Err(conflict()),
        };
        let refused = |why: String| Error::new(ErrorKind::Invalid, "write", why);
        let text = value.expose_text().ok_or_else(|| refused(format!("{at}: a variable is a text")))?;
        if let Some(why) = unfit(at, &found, text) {
            return Err(refused(why));
        }
        let put = Put { value: text, description: None };
        self.put_variable(op, "write", (at, &home, &name), &put).await?;
        Ok(self.version_of(value))
    }

    async fn write_together(&self, op: &Operation, fields: &[Field<'_>], expect: &Expect) -> Result<String> {
        match fields {
            [field] => self.write(op, field.at, field.value, expect).await,
            _ => {
                let text = "variables are written one by one: a job could be given one of two";
                Err(Error::new(ErrorKind::Unsupported, "write_together", text))
            }
        }
    }
}
