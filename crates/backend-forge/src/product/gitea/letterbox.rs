//! Actions secrets of repositories and organisations: a name, a description, and a value that nobody is shown.
//!
//! A user's own secrets can be written and not listed, so that no marker could be seen: they are no letterboxes of ours.

use async_trait::async_trait;
use claviger_backend::{Effect, Error, ErrorKind, Expect, Letterbox, Marked, Operation, Result, StoreState};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use zeroize::Zeroizing;

use super::{
    backend::GiteaBackend,
    names::{Names, Owner, Subject},
    store::actions,
    wire::Secret,
};
use crate::{
    client::{As, Request, shown},
    marker::{self, Marker},
};

/// Longest description that Gitea keeps, in characters (`SecretDescriptionMaxLength`).
const DESCRIPTION: usize = 4096;
/// A name that no secret can have, as Gitea keeps names with this beginning for itself. Asking to write it shows whether we might write others.
const NO_NAME: &str = "GITEA_CLAVIGER_PERMISSION_CHECK";

/// A secret's owner and name.
fn place(at: &Ref) -> Option<(Owner, String)> {
    match Names::subject(at) {
        Subject::Secret(owner, name) if !matches!(owner, Owner::User(_)) => Some((owner, name)),
        _ => None,
    }
}

impl GiteaBackend {
    fn must(at: &Ref, operation: &'static str) -> Result<(Owner, String)> {
        place(at).ok_or_else(|| {
            let text = format!("{at} is no secret of a repository or an organisation");
            Error::new(ErrorKind::Unsupported, operation, text)
        })
    }

    /// The secret as it is listed: there is no call for one.
    async fn secret(&self, operation: &'static str, owner: &Owner, name: &str) -> Result<Option<Secret>> {
        let path = actions(owner, "secrets");
        let all: Vec<Secret> = self.api.all(operation, Request::get(&path)).await?;
        Ok(all.into_iter().find(|secret| secret.name.eq_ignore_ascii_case(name)))
    }

    /// Might we write secrets there? A write of a name that no secret can have, without a value, is refused in any case: by our rights first.
    pub(super) async fn may_post(&self, owner: &Owner) -> Result<StoreState> {
        let mut path = actions(owner, "secrets");
        path.push(NO_NAME);
        let request = Request {
            method: &Method::PUT,
            path: &path,
            query: &[],
            who: As::Us,
            body: Some(br#"{"data":""}"#),
        };
        let what = shown(request);
        let call = self.api.call("open", &what, false);
        let answer = self.api.send(call, request).await?;
        match answer.status {
            400 | 422 => Ok(StoreState::Writable),
            403 => Ok(StoreState::Refused(
                "our token may not write secrets there: it needs `write:repository` and, of an organisation, `write:organization`, and its user must own the place".to_owned(),
            )),
            404 => Ok(StoreState::Refused("it is not there, or not shown to us".to_owned())),
            _ => Err(answer.good(call).err().unwrap_or_else(|| call.unreadable())),
        }
    }
}

fn marked(secret: &Secret) -> Marked {
    let (_, marker) = marker::read(&secret.description);
    Marked {
        version: marker::version(&secret.description, &secret.created_at),
        written_by: marker.as_ref().map(|marker| marker.key.clone()),
        written_at: marker.map(|marker| marker.at),
    }
}

#[async_trait]
impl Letterbox for GiteaBackend {
    fn takes(&self, at: &Ref) -> bool {
        place(at).is_some()
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        let (owner, name) = Self::must(at, "marked")?;
        Ok(self.secret("marked", &owner, &name).await?.as_ref().map(marked))
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        let (owner, _) = Self::must(at, "open")?;
        self.may_post(&owner).await
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let (owner, name) = Self::must(at, "post")?;
        let work = self.put(op, (at, &owner, &name), value, expect);
        match tokio::time::timeout(op.deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, "post", format!("{at}: no answer by the deadline"))
                    .with_effect(Effect::Unknown))
            }
        }
    }
}

impl GiteaBackend {
    async fn put(
        &self,
        op: &Operation,
        (at, owner, name): (&Ref, &Owner, &str),
        value: &SecretValue,
        expect: &Expect,
    ) -> Result<Marked> {
        let present = self.secret("post", owner, name).await?;
        let holds = match (&present, expect) {
            (None, Expect::Absent) => true,
            (Some(secret), Expect::Version(version)) => marked(secret).version == *version,
            _ => false,
        };
        if !holds {
            let text = format!("{at}: what stands there is not what was expected");
            return Err(Error::new(ErrorKind::Conflict, "post", text));
        }
        let unfit = || Error::new(ErrorKind::Invalid, "post", format!("{at}: a secret there is a text"));
        let text = value.expose_text().ok_or_else(unfit)?;
        let said = present.as_ref().map_or("", |secret| secret.description.as_str());
        let marker = Marker { key: op.key.to_string(), at: self.clock.now() };
        let description = marker::write(said, &marker, DESCRIPTION);
        let body = Zeroizing::new(
            serde_json::to_vec(&Put { data: text, description: &description }).map_err(|_| unfit())?,
        );
        let mut path = actions(owner, "secrets");
        path.push(name);
        let request =
            Request { method: &Method::PUT, path: &path, query: &[], who: As::Us, body: Some(&body) };
        let what = shown(request);
        let call = self.api.call("post", &what, true);
        self.api.send(call, request).await?.good(call)?;
        let created_at = present.map(|secret| secret.created_at).unwrap_or_default();
        Ok(marked(&Secret { name: name.to_owned(), description, created_at }))
    }
}

#[derive(serde::Serialize)]
struct Put<'a> {
    data: &'a str,
    description: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_users_are_not_taken_as_nobody_sees_their_marker() {
        for (at, taken) in [
            ("forge/acme/shop/actions/secrets/X", true),
            ("forge/orgs/acme/actions/secrets/X", true),
            ("forge/users/dana/actions/secrets/X", false),
            ("forge/acme/shop/actions/variables/X", false),
            ("forge/acme/shop/deploy-keys/3", false),
        ] {
            assert_eq!(place(&Ref::from_text(at)).is_some(), taken, "{at}");
        }
    }
}
