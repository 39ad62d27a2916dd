//! Hidden variables: they take a value, and GitLab shows it to nobody. The marker stands in their description.

use async_trait::async_trait;
use claviger_backend::{Error, ErrorKind, Expect, Letterbox, Marked, Operation, Result, StoreState};
use claviger_core::{reference::Ref, secret::SecretValue};

use super::{
    backend::GitlabBackend,
    names::{Names, Subject, VariableName},
    variable::{Put, unfit},
    wire::Variable,
};
use crate::marker::{self, Marker};

/// Longest description that GitLab keeps, in characters (its documents on group and instance variables).
const DESCRIPTION: usize = 255;

fn must(at: &Ref, operation: &'static str) -> Result<VariableName> {
    match Names::subject(at) {
        Subject::Hidden(name) => Ok(name),
        _ => {
            let text = format!("{at} is no hidden variable");
            Err(Error::new(ErrorKind::Unsupported, operation, text))
        }
    }
}

/// What stands beside the value.
pub(super) fn marked(variable: &Variable) -> Marked {
    let said = variable.description.as_deref().unwrap_or_default();
    let (_, marker) = marker::read(said);
    Marked {
        version: marker::version(said, ""),
        written_by: marker.as_ref().map(|marker| marker.key.clone()),
        written_at: marker.map(|marker| marker.at),
    }
}

#[async_trait]
impl Letterbox for GitlabBackend {
    fn takes(&self, at: &Ref) -> bool {
        matches!(Names::subject(at), Subject::Hidden(_))
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        let name = must(at, "marked")?;
        let found = self.variable("marked", &name).await?.map(|(_, found)| found);
        // One that was made again and is shown is another place.
        Ok(found.filter(|found| found.hidden).as_ref().map(marked))
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        let name = must(at, "open")?;
        match self.variable("open", &name).await? {
            None => Ok(StoreState::Refused("it is not there, or not shown to us".to_owned())),
            Some((_, found)) if !found.hidden => {
                Ok(StoreState::Refused("it is not hidden any more: scan again".to_owned()))
            }
            Some(_) => Ok(self.may_write("open").await?.map_or(StoreState::Writable, StoreState::Refused)),
        }
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let name = must(at, "post")?;
        let found = self.variable("post", &name).await?;
        let (home, found) = match (found, expect) {
            (Some((home, found)), Expect::Version(version))
                if found.hidden && marked(&found).version == *version =>
            {
                (home, found)
            }
            _ => {
                let text = format!("{at}: what stands there is not what was expected");
                return Err(Error::new(ErrorKind::Conflict, "post", text));
            }
        };
        let refused = |why: String| Error::new(ErrorKind::Invalid, "post", why);
        let text = value.expose_text().ok_or_else(|| refused(format!("{at}: a variable is a text")))?;
        if let Some(why) = unfit(at, &found, text) {
            return Err(refused(why));
        }
        let marker = Marker { key: op.key.to_string(), at: self.clock.now() };
        let said = found.description.as_deref().unwrap_or_default();
        let description = marker::write(said, &marker, DESCRIPTION);
        let put = Put { value: text, description: Some(&description) };
        self.put_variable(op, "post", (at, &home, &name), &put).await?;
        Ok(marked(&Variable { description: Some(description), ..found }))
    }
}
