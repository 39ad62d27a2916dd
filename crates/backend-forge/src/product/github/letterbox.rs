//! Secrets of Actions, Dependabot and Codespaces: a name, two times, and a value that nobody is shown.
//!
//! There is nowhere to leave a word of ours. What a write leaves is the time of the last one, to the second: that is the version, and the ledger keeps which
//! value went under it. Whoever writes after us changes it, so that is noticed; whether an interrupted write of ours was what changed it, nobody can say.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{Effect, Error, ErrorKind, Expect, Letterbox, Marked, Operation, Result, StoreState};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Serialize;

use super::{
    backend::GithubBackend,
    names::{Family, Names, Owner, Subject},
    sealed,
    wire::{PublicKey, Repositories, Repository, Secret, time},
};
use crate::client::{Answer, As, Request, shown};

/// A name that no secret can have, as GitHub keeps names with this beginning for itself. Asking to write it shows whether we might write others.
const NO_NAME: &str = "GITHUB_CLAVIGER_PERMISSION_CHECK";
/// How far apart the clocks of the server's parts may be.
const SLACK: TimeDelta = TimeDelta::seconds(2);
/// Longest wait for the second of the last write to be over.
const LONGEST: Duration = Duration::from_secs(3);

/// A secret's place.
struct Place {
    owner: Owner,
    family: Family,
    name: String,
}

fn place(at: &Ref) -> Option<Place> {
    match Names::subject(at) {
        Subject::Secret(owner, family, name) => Some(Place { owner, family, name }),
        _ => None,
    }
}

impl Place {
    fn of(at: &Ref, operation: &'static str) -> Result<Self> {
        place(at).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, operation, format!("{at} is no secret of this forge"))
        })
    }

    fn path<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let mut path = self.owner.segments(self.family, "secrets");
        path.push(name);
        path
    }

    fn is_organisations(&self) -> bool {
        matches!(self.owner, Owner::Organisation(_))
    }
}

/// A secret as it stands, and the server's clock.
struct Seen {
    secret: Secret,
    now: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Put<'a> {
    encrypted_value: &'a str,
    key_id: &'a str,
    /// Who reads an organisation's secret stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_repository_ids: Option<&'a [u64]>,
}

fn marked(secret: &Secret) -> Marked {
    Marked { version: secret.updated_at.clone(), written_by: None, written_at: time(&secret.updated_at) }
}

#[async_trait]
impl Letterbox for GithubBackend {
    fn takes(&self, at: &Ref) -> bool {
        place(at).is_some()
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        let place = Place::of(at, "marked")?;
        Ok(self.secret("marked", &place).await?.map(|seen| marked(&seen.secret)))
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        let place = Place::of(at, "open")?;
        self.may_post(&place.owner, place.family).await
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let place = Place::of(at, "post")?;
        let work = self.put(at, &place, value, expect);
        match tokio::time::timeout(op.deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, "post", format!("{at}: no answer by the deadline"))
                    .with_effect(Effect::Unknown))
            }
        }
    }
}

impl GithubBackend {
    async fn secret(&self, operation: &'static str, place: &Place) -> Result<Option<Seen>> {
        let path = place.path(&place.name);
        let request = Request::get(&path);
        let what = shown(request);
        let call = self.access.call(operation, &what, false);
        let answer = self.access.send(call, request).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let answer = answer.good(call)?;
        Ok(Some(Seen { secret: answer.json(call)?, now: answer.date() }))
    }

    /// Might we write secrets there? A write of a name that no secret can have is refused in any case: by our rights first.
    pub(super) async fn may_post(&self, owner: &Owner, family: Family) -> Result<StoreState> {
        let place = Place { owner: owner.clone(), family, name: NO_NAME.to_owned() };
        let nothing = SecretValue::from_text("nothing".to_owned());
        let key = match self.key("open", &place).await {
            Ok(key) => key,
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => {
                return Ok(StoreState::Refused(
                    "it is not there, or our credential may not even see its public key".to_owned(),
                ));
            }
            Err(error) => return Err(error),
        };
        let visibility = place.is_organisations().then_some("private");
        let (what, answer) =
            self.send_sealed(("open", false), &place, &key, &nothing, (visibility, None)).await?;
        let call = self.access.call("open", &what, false);
        match answer.status {
            422 => Ok(StoreState::Writable),
            404 => Ok(StoreState::Refused("it is not there, or our credential may not write secrets there".to_owned())),
            _ => match answer.good(call) {
                Err(error) if error.kind() == ErrorKind::Denied => Ok(StoreState::Refused(
                    "our credential may not write secrets there: it needs the permission to write secrets (`secrets`, `organization_secrets`, `dependabot_secrets`, `codespaces_secrets` or `environments`), or the scope `repo`".to_owned(),
                )),
                Err(error) => Err(error),
                Ok(_) => Err(call.unreadable()),
            },
        }
    }

    async fn key(&self, operation: &'static str, place: &Place) -> Result<PublicKey> {
        self.access.one(operation, Request::get(&place.path("public-key"))).await
    }

    /// What was asked, and the answer.
    async fn send_sealed(
        &self,
        (operation, writes): (&'static str, bool),
        place: &Place,
        key: &PublicKey,
        value: &SecretValue,
        (visibility, selected): (Option<&str>, Option<&[u64]>),
    ) -> Result<(String, Answer)> {
        let path = place.path(&place.name);
        let request = Request { method: &Method::PUT, path: &path, query: &[], who: As::Us, body: None };
        let what = shown(request);
        let call = self.access.call(operation, &what, writes);
        let sealed = sealed::seal(key, value, &*self.random)
            .ok_or_else(|| call.error(ErrorKind::Unexpected, "the place's public key is none"))?;
        let put = Put {
            encrypted_value: &sealed,
            key_id: &key.key_id,
            visibility,
            selected_repository_ids: selected,
        };
        let body = serde_json::to_vec(&put)
            .map_err(|_| call.error(ErrorKind::Invalid, "the value cannot be sent"))?;
        let answer = self.access.send(call, Request { body: Some(&body), ..request }).await?;
        Ok((what, answer))
    }

    async fn put(&self, at: &Ref, place: &Place, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let present = self.secret("post", place).await?;
        let holds = match (&present, expect) {
            (None, Expect::Absent) => true,
            (Some(seen), Expect::Version(version)) => seen.secret.updated_at == *version,
            _ => false,
        };
        if !holds {
            let text = format!("{at}: what stands there is not what was expected");
            return Err(Error::new(ErrorKind::Conflict, "post", text));
        }
        if let Some(seen) = &present {
            rest(seen).await;
        }
        let before = present.as_ref().map(|seen| &seen.secret);
        let selected = self.readers(place, before).await?;
        let visibility = match before {
            Some(before) => before.visibility.as_deref(),
            None => place.is_organisations().then_some("private"),
        };
        let who = (visibility, selected.as_deref());
        let key = self.key("post", place).await?;
        let (mut what, mut answer) = self.send_sealed(("post", true), place, &key, value, who).await?;
        if answer.status == 422 {
            // The key was replaced since it was read; what was sealed for the former one is not opened any more.
            let fresh = self.key("post", place).await?;
            if fresh.key_id != key.key_id {
                (what, answer) = self.send_sealed(("post", true), place, &fresh, value, who).await?;
            }
        }
        let call = self.access.call("post", &what, true);
        let written = answer.good(call)?.date();
        let after = self.secret("post", place).await.map_err(|error| error.with_effect(Effect::Unknown))?;
        let unseen = |why: &str| {
            Error::new(ErrorKind::Unavailable, "post", format!("{at}: it was taken, and {why}"))
                .with_effect(Effect::Unknown)
        };
        let after = after.ok_or_else(|| unseen("is not there any more"))?.secret;
        if before.is_some_and(|before| before.updated_at == after.updated_at) {
            return Err(unseen("its time of the last write is still the former one"));
        }
        let by_others =
            time(&after.updated_at).zip(written).is_some_and(|(at, written)| at > written + SLACK);
        if by_others {
            return Err(Error::new(
                ErrorKind::Conflict,
                "post",
                format!("{at}: somebody else wrote it right after"),
            ));
        }
        Ok(marked(&after))
    }

    /// The repositories that read an organisation's secret, where they are named one by one: whoever writes it says so anew.
    async fn readers(&self, place: &Place, before: Option<&Secret>) -> Result<Option<Vec<u64>>> {
        let selected = before.and_then(|before| before.visibility.as_deref()) == Some("selected");
        if !selected {
            return Ok(None);
        }
        let mut path = place.path(&place.name);
        path.push("repositories");
        let all = self.access.all::<Repository, Repositories>("post", Request::get(&path)).await?;
        Ok(Some(all.into_iter().map(|one| one.id).collect()))
    }
}

/// Waits until the second of the last write is over by the server's clock: two writes in one second could not be told apart.
async fn rest(seen: &Seen) {
    let Some((last, now)) = time(&seen.secret.updated_at).zip(seen.now) else { return };
    let wait = (last + TimeDelta::seconds(1) - now).to_std().unwrap_or_default();
    if !wait.is_zero() {
        tokio::time::sleep(wait.min(LONGEST)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_and_nothing_else_is() {
        for (at, taken) in [
            ("forge/acme/shop/actions/secrets/X", true),
            ("forge/acme/shop/dependabot/secrets/X", true),
            ("forge/acme/shop/codespaces/secrets/X", true),
            ("forge/acme/shop/environments/live/secrets/X", true),
            ("forge/orgs/acme/actions/secrets/X", true),
            ("forge/users/dana/actions/secrets/X", false),
            ("forge/acme/shop/actions/variables/X", false),
            ("forge/acme/shop/deploy-keys/3", false),
        ] {
            assert_eq!(place(&Ref::from_text(at)).is_some(), taken, "{at}");
        }
    }
}
