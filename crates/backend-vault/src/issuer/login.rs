//! Tokens that logins with a secret-id gave: they live on when it is destroyed.
//!
//! A server keeps no link from a token to the secret-id. It puts the secret-id's metadata, and the role's name, into the metadata of each token
//! that a login with it gives (AppRole's `login` path; measured on OpenBao 2.7.2), and that is what they are known by. Secret-ids of one role
//! with the same metadata cannot be told apart by their tokens: then all of them are ended, which a plan says beforehand. A secret-id that
//! claviger makes carries the operation's key in its metadata, so that its tokens can be told from those of the one before it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use claviger_backend::{
    Derived, Descent, Effect, Ended, Ending, Error, ErrorKind, Offspring, Operation, Result,
};
use claviger_core::{model::Labels, reference::Ref};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{
    secret_id_by_accessor, token_by_accessor,
    whole::{Whole, whole},
};
use crate::{
    backend::VaultBackend,
    inventory::own_token,
    names::{Names, Subject},
};

const ACCESSORS: &str = "auth/token/accessors";
/// Lookups made at the same time.
const CONCURRENCY: usize = 8;
/// What AppRole adds to the metadata.
const ROLE_NAME: &str = "role_name";
/// Looks at the list before it is given up: each finds only what came since the one before.
const ROUNDS: usize = 5;

/// Where each token that was looked at came from, by accessor: this never changes. `None`: not from a login with a role.
pub(crate) type Origins = BTreeMap<String, Option<Origin>>;

/// A login's token.
#[derive(Clone)]
pub(crate) struct Origin {
    path: String,
    meta: Labels,
    made: i64,
}

/// By what the tokens of a secret-id are known.
#[derive(Serialize, Deserialize)]
struct Mark {
    mount: String,
    role: String,
    metadata: Labels,
}

#[derive(Deserialize)]
struct RoleKind {
    #[serde(default)]
    token_type: String,
}

impl Mark {
    fn knows(&self, origin: &Origin) -> bool {
        let mut meta = origin.meta.clone();
        origin.path == format!("{}/login", self.mount)
            && meta.remove(ROLE_NAME).as_deref() == Some(self.role.as_str())
            && meta == self.metadata
    }
}

impl VaultBackend {
    pub(super) fn ending_of(&self, subject: &Ref) -> Ending {
        match Names::subject(subject) {
            Subject::SecretId { .. } => Ending { outlived_by: Some("tokens"), ..Ending::default() },
            Subject::Token { .. } => Ending {
                notes: vec![
                    "child tokens and leases that were obtained with it end with it; the server does not say which there are"
                        .to_owned(),
                ],
                ..Ending::default()
            },
            Subject::StaticRole { .. } => Ending::refuse(
                "held-by-engine",
                "the database engine holds this password and shows it to whoever may read it: rotate it, the old one is refused at once",
            ),
            Subject::Root { .. } => Ending::refuse(
                "held-by-engine",
                "the database engine alone logs in with it: rotate it, the old one is refused at once",
            ),
            Subject::Path { .. } => Ending::refuse("no-issuer", "only places are known that hold it"),
        }
    }

    /// Accessors of the tokens that the mark knows, without our own; the second: ours is one of them.
    async fn login_tokens(
        &self,
        operation: &'static str,
        mark: &Mark,
    ) -> Result<(Vec<(String, Origin)>, bool)> {
        let listed = self.api.list(operation, ACCESSORS).await.map_err(|error| match error.kind() {
            ErrorKind::Denied => error
                .with_hint("the tokens of its logins are found by `list` and `sudo` on auth/token/accessors"),
            _ => error,
        })?;
        let listed: BTreeSet<String> = listed.into_iter().collect();
        let mut origins = self.origins.lock().await;
        origins.retain(|accessor, _| listed.contains(accessor));
        let unseen: Vec<String> =
            listed.iter().filter(|accessor| !origins.contains_key(*accessor)).cloned().collect();
        let mut looked = stream::iter(unseen)
            .map(|accessor| async move {
                let token = token_by_accessor(&self.api, operation, &accessor).await;
                (accessor, token)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((accessor, token)) = looked.next().await {
            // One that ended after it was listed needs no more thought.
            let Some(token) = token? else { continue };
            let meta = token.meta.clone().unwrap_or_default();
            let origin = meta.contains_key(ROLE_NAME).then(|| Origin {
                path: token.path.clone(),
                meta,
                made: token.creation_time,
            });
            origins.insert(accessor, origin);
        }
        let own = own_token(&self.api, operation).await?.map(|own| own.accessor);
        let known = origins.iter().filter_map(|(accessor, origin)| Some((accessor, origin.as_ref()?)));
        let found: Vec<_> = known
            .filter(|(_, origin)| mark.knows(origin))
            .map(|(accessor, origin)| (accessor.clone(), origin.clone()))
            .collect();
        let ours = |accessor: &String| own.as_ref() == Some(accessor);
        let is_among = found.iter().any(|(accessor, _)| ours(accessor));
        Ok((found.into_iter().filter(|(accessor, _)| !ours(accessor)).collect(), is_among))
    }

    /// Does another secret-id of the role have the same metadata?
    async fn is_alone(&self, mark: &Mark, accessor: &str) -> Result<bool> {
        let Mark { mount, role, metadata } = mark;
        let others = self.api.list("derived", &format!("{mount}/role/{role}/secret-id")).await?;
        for other in others.iter().filter(|other| *other != accessor) {
            let found = secret_id_by_accessor(&self.api, "derived", mount, role, other).await?;
            if found.is_some_and(|found| found.metadata.unwrap_or_default() == *metadata) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn notes_of(&self, mark: &Mark, alone: bool, ours: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !alone {
            notes.push(
                "another secret-id of the role has the same metadata: tokens of its logins cannot be told from those of this one, and end too; whoever has them logs in again"
                    .to_owned(),
            );
        }
        if ours {
            notes.push("claviger itself logged in with it: that token is left".to_owned());
        }
        let path = format!("{}/role/{}", mark.mount, mark.role);
        let kind = self.api.get::<RoleKind>("derived", &path).await.ok().flatten();
        if kind.is_some_and(|kind| kind.token_type.contains("batch")) {
            notes.push(
                "the role gives batch tokens, which no server lists or revokes: those that are out live until their TTL is over"
                    .to_owned(),
            );
        }
        notes
    }

    fn derived_token(&self, accessor: &str, origin: &Origin, certain: bool) -> Derived {
        let since = chrono::DateTime::from_timestamp(origin.made, 0).map_or_else(
            || "at an unknown time".to_owned(),
            |at| at.format("at %Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        Derived { at: self.names.token(accessor), what: format!("token of a login {since}"), certain }
    }
}

#[async_trait]
impl Offspring for VaultBackend {
    fn whole(&self, subject: &Ref) -> Option<&'static str> {
        whole(subject).map(|whole| match whole {
            Whole::Leases(_) => "all leases below it",
            Whole::Entity(_) => "its logins and its tokens",
        })
    }

    async fn derived(&self, subject: &Ref) -> Result<Descent> {
        if let Some(whole) = whole(subject) {
            return self.whole_descent(subject, whole).await;
        }
        let Subject::SecretId { mount, role, accessor } = Names::subject(subject) else {
            return Ok(Descent::default());
        };
        let found = secret_id_by_accessor(&self.api, "derived", &mount, &role, &accessor).await?;
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "derived", format!("{subject} does not exist any more"))
        })?;
        let mark = Mark { mount, role, metadata: found.metadata.unwrap_or_default() };
        let alone = self.is_alone(&mark, &accessor).await?;
        let (tokens, ours) = self.login_tokens("derived", &mark).await?;
        let text = serde_json::to_string(&mark).map_err(|_| {
            Error::new(ErrorKind::Unexpected, "derived", "its metadata cannot be written as JSON")
        })?;
        Ok(Descent {
            mark: text,
            derived: tokens.iter().map(|(at, origin)| self.derived_token(at, origin, alone)).collect(),
            notes: self.notes_of(&mark, alone, ours).await,
        })
    }

    async fn end_derived(&self, op: &Operation, subject: &Ref, mark: &str) -> Result<Ended> {
        if whole(subject).is_some() {
            return match tokio::time::timeout(op.deadline, self.end_whole(subject, mark)).await {
                Ok(done) => done,
                Err(_) => Err(late(subject)),
            };
        }
        let mark: Mark = serde_json::from_str(mark).map_err(|_| {
            let text = format!("{subject}: what its tokens were known by cannot be read");
            Error::new(ErrorKind::Invalid, "end_derived", text)
        })?;
        let work = async {
            let mut ended = Vec::new();
            for _ in 0..ROUNDS {
                let (tokens, ours) = self.login_tokens("end_derived", &mark).await?;
                if tokens.is_empty() {
                    let left = if ours { "; claviger's own login is left" } else { "" };
                    let evidence = format!("the server lists no token of its logins any more{left}");
                    return Ok(Ended { ended, evidence });
                }
                for (accessor, origin) in tokens {
                    self.end_token(&accessor).await?;
                    ended.push(self.derived_token(&accessor, &origin, true));
                }
            }
            let text = format!("{subject}: new tokens of its logins appear all the time");
            Err(Error::new(ErrorKind::Unavailable, "end_derived", text).with_effect(Effect::Unknown))
        };
        match tokio::time::timeout(op.deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(late(subject)),
        }
    }
}

fn late(subject: &Ref) -> Error {
    let text = format!("{subject}: no answer by the deadline");
    Error::new(ErrorKind::Unavailable, "end_derived", text).with_effect(Effect::Unknown)
}

impl VaultBackend {
    /// Revokes a token by its accessor. One that has ended meanwhile is no error.
    pub(super) async fn end_token(&self, accessor: &str) -> Result<()> {
        let held = self.api.held().await?;
        let call = self.api.call("end_derived", "POST auth/token/revoke-accessor", true);
        match self.api.typed(call, vaultrs::token::revoke_accessor(&held.typed, accessor)).await {
            Ok(()) => Ok(()),
            Err(error) => match token_by_accessor(&self.api, "end_derived", accessor).await {
                Ok(None) => Ok(()),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_logins_metadata_and_by_no_less() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mark = Mark {
            mount: "auth/approle".to_owned(),
            role: "ci".to_owned(),
            metadata: labels(&[("owner", "dana")]),
        };
        for (path, meta, known) in [
            ("auth/approle/login", labels(&[("role_name", "ci"), ("owner", "dana")]), true),
            ("auth/approle/login", labels(&[("role_name", "ci")]), false),
            ("auth/approle/login", labels(&[("role_name", "cd"), ("owner", "dana")]), false),
            ("auth/other/login", labels(&[("role_name", "ci"), ("owner", "dana")]), false),
            ("auth/approle/login", labels(&[("role_name", "ci"), ("owner", "dana"), ("x", "y")]), false),
        ] {
            let origin = Origin { path: path.to_owned(), meta, made: 0 };
            assert_eq!(mark.knows(&origin), known, "{path} {:?}", origin.meta);
        }
    }
}
