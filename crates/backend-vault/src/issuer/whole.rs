//! What ends at once for many: all leases below a prefix, and an entity with its tokens.
//!
//! A server revokes what lies below a prefix by itself (`sys/leases/revoke-prefix`). A disabled entity logs in nowhere, and its tokens are
//! answered with 403, which says nothing about a token; so they are revoked too, each by its accessor.

use std::collections::BTreeSet;

use claviger_backend::{Derived, Descent, Effect, Ended, Error, ErrorKind, Result};
use claviger_core::reference::Ref;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::token_by_accessor;
use crate::{
    backend::VaultBackend,
    inventory::{TokenInfo, own_token},
    names::{Names, Subject},
};

const ACCESSORS: &str = "auth/token/accessors";
/// Lookups made at the same time.
const CONCURRENCY: usize = 8;
/// Folders of leases that are listed at most.
const FOLDERS: usize = 2000;
/// Looks before it is given up.
const ROUNDS: usize = 5;

/// What a ref stands for, if it is one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Whole {
    /// Leases below this prefix, without a slash at its end.
    Leases(String),
    /// An entity by its id, or by its name as long as nobody has asked.
    Entity(String),
}

#[derive(Deserialize)]
struct Entity {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    disabled: bool,
}

pub(super) fn whole(subject: &Ref) -> Option<Whole> {
    let Subject::Path { path, key } = Names::subject(subject) else { return None };
    if !key.is_empty() {
        return None;
    }
    if let Some(prefix) = path.strip_prefix("sys/leases/") {
        let prefix = prefix.trim_end_matches('/');
        return (!prefix.is_empty()).then(|| Whole::Leases(prefix.to_owned()));
    }
    let entity =
        path.strip_prefix("identity/entity/").filter(|name| !name.is_empty() && !name.contains('/'))?;
    Some(Whole::Entity(entity.to_owned()))
}

/// Does a lease or token of this path lie below the prefix?
fn is_below(path: &str, prefix: &str) -> bool {
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

impl VaultBackend {
    pub(super) async fn whole_descent(&self, subject: &Ref, whole: Whole) -> Result<Descent> {
        let (mark, derived, notes) = match whole {
            Whole::Leases(prefix) => {
                self.spares_ours(subject, |own| is_below(&own.path, &prefix)).await?;
                let notes = vec![
                    "whoever holds one of them loses it at once, and gets another one where it still may: what comes from now on is not ended"
                        .to_owned(),
                ];
                let derived = self.below("derived", &prefix).await?;
                (Whole::Leases(prefix), derived, notes)
            }
            Whole::Entity(named) => {
                let entity = self.entity("derived", subject, &named).await?;
                self.spares_ours(subject, |own| own.entity_id == entity.id).await?;
                let derived = self.tokens_where("derived", |token| token.entity_id == entity.id).await?;
                let mut notes = vec![
                    format!("entity {} ({}) logs in nowhere any more, by none of its aliases, until somebody enables it again", entity.name, entity.id),
                    "batch tokens are not listed: those that it has are answered with 403 as long as it is disabled".to_owned(),
                ];
                if entity.disabled {
                    notes.push("it is disabled already".to_owned());
                }
                (Whole::Entity(entity.id), derived, notes)
            }
        };
        let mark = serde_json::to_string(&mark)
            .map_err(|_| Error::new(ErrorKind::Unexpected, "derived", "it cannot be written as JSON"))?;
        Ok(Descent { mark, derived, notes })
    }

    pub(super) async fn end_whole(&self, subject: &Ref, mark: &str) -> Result<Ended> {
        let unread = || {
            let text = format!("{subject}: what it was known by cannot be read");
            Error::new(ErrorKind::Invalid, "end_derived", text)
        };
        let whole: Whole = serde_json::from_str(mark).map_err(|_| unread())?;
        match whole {
            Whole::Leases(prefix) => self.end_leases(subject, &prefix).await,
            Whole::Entity(id) => self.end_entity(subject, &id).await,
        }
    }

    async fn end_leases(&self, subject: &Ref, prefix: &str) -> Result<Ended> {
        self.spares_ours(subject, |own| is_below(&own.path, prefix)).await?;
        let before = self.below("end_derived", prefix).await?;
        if before.is_empty() {
            let evidence = "the server lists none below the prefix".to_owned();
            return Ok(Ended { ended: Vec::new(), evidence });
        }
        let path = format!("sys/leases/revoke-prefix/{prefix}");
        let what = format!("POST {path}");
        let call = self.api.call("end_derived", &what, true);
        self.api.post("end_derived", &path, &json!({ "sync": true }), true).await?.good(call)?;
        let now = self.below("end_derived", prefix).await?;
        let left = now.iter().filter(|one| before.contains(one)).count();
        if left > 0 {
            let text = format!("{left} of {} leases below {prefix} are still there", before.len());
            return Err(Error::new(ErrorKind::Unavailable, "end_derived", text)
                .with_effect(Effect::Unknown)
                .with_hint("the server may be unable to reach what gave them: its log says why"));
        }
        let evidence = match now.len() {
            0 => format!("the server listed {} below the prefix before and none now", before.len()),
            since => format!(
                "the server listed {} below the prefix before and none of them now; {since} were given since",
                before.len()
            ),
        };
        Ok(Ended { ended: before, evidence })
    }

    async fn end_entity(&self, subject: &Ref, id: &str) -> Result<Ended> {
        self.spares_ours(subject, |own| own.entity_id == id).await?;
        let path = format!("identity/entity/id/{id}");
        let what = format!("POST {path}");
        let call = self.api.call("end_derived", &what, true);
        self.api.post("end_derived", &path, &json!({ "disabled": true }), true).await?.good(call)?;
        let unknown = |text: String| {
            Error::new(ErrorKind::Unavailable, "end_derived", text).with_effect(Effect::Unknown)
        };
        if !self.entity("end_derived", subject, id).await?.disabled {
            return Err(unknown(format!("{subject} is still enabled")));
        }
        let mut ended = Vec::new();
        for _ in 0..ROUNDS {
            let tokens = self.tokens_where("end_derived", |token| token.entity_id == id).await?;
            if tokens.is_empty() {
                let evidence = "the server says that it is disabled, and lists no token of it".to_owned();
                return Ok(Ended { ended, evidence });
            }
            for token in tokens {
                let accessor = token.at.path().rsplit('/').next().unwrap_or_default().to_owned();
                self.end_token(&accessor).await?;
                ended.push(token);
            }
        }
        Err(unknown(format!("{subject}: new tokens of it appear all the time")))
    }

    /// By its id, else by its name.
    async fn entity(&self, operation: &'static str, subject: &Ref, named: &str) -> Result<Entity> {
        for by in ["id", "name"] {
            let path = format!("identity/entity/{by}/{named}");
            if let Some(found) = self.api.get::<Entity>(operation, &path).await? {
                return Ok(found);
            }
        }
        Err(Error::new(ErrorKind::NotFound, operation, format!("{subject} does not exist")))
    }

    /// What lies below a prefix: tokens where logins gave them, else leases.
    async fn below(&self, operation: &'static str, prefix: &str) -> Result<Vec<Derived>> {
        if is_below(prefix, "auth") {
            return self.tokens_where(operation, |token| is_below(&token.path, prefix)).await;
        }
        let (mut found, mut waiting, mut asked) = (Vec::new(), vec![format!("{prefix}/")], 0);
        while let Some(folder) = waiting.pop() {
            asked += 1;
            if asked > FOLDERS {
                let text =
                    format!("more than {FOLDERS} folders of leases below {prefix}: name a longer prefix");
                return Err(Error::new(ErrorKind::Invalid, operation, text));
            }
            let names = self.api.list(operation, &format!("sys/leases/lookup/{folder}")).await?;
            let (folders, leases): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.ends_with('/'));
            waiting.extend(folders.into_iter().map(|inner| format!("{folder}{inner}")));
            found.extend(leases.into_iter().map(|lease| Derived {
                at: self.names.object(&format!("sys/leases/{folder}{lease}")),
                what: "lease".to_owned(),
                certain: true,
            }));
        }
        found.sort_by(|left, right| left.at.cmp(&right.at));
        Ok(found)
    }

    async fn tokens_where(
        &self,
        operation: &'static str,
        is: impl Fn(&TokenInfo) -> bool,
    ) -> Result<Vec<Derived>> {
        let listed: BTreeSet<String> = self.api.list(operation, ACCESSORS).await?.into_iter().collect();
        let mut looked = stream::iter(listed)
            .map(|accessor| async move {
                let token = token_by_accessor(&self.api, operation, &accessor).await;
                (accessor, token)
            })
            .buffer_unordered(CONCURRENCY);
        let mut found = Vec::new();
        while let Some((accessor, token)) = looked.next().await {
            // One that ended after it was listed needs no more thought.
            let Some(token) = token?.filter(&is) else { continue };
            let what = format!("token of {}", token.display_name);
            found.push(Derived { at: self.names.token(&accessor), what, certain: true });
        }
        found.sort_by(|left, right| left.at.cmp(&right.at));
        Ok(found)
    }

    /// Refuses what would end our own token.
    async fn spares_ours(&self, subject: &Ref, is: impl Fn(&TokenInfo) -> bool) -> Result<()> {
        match own_token(&self.api, "derived").await? {
            Some(own) if is(&own) => {
                let text = format!(
                    "{subject}: claviger's own token is among what would end, which would lock claviger out"
                );
                Err(Error::new(ErrorKind::Invalid, "derived", text))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(is_below("auth/approle/login", "auth/approle") && is_below("auth/approle", "auth/approle"));
        assert!(!is_below("auth/approle2/login", "auth/approle") && !is_below("auth", "auth/approle"));
    }

    #[test]
    fn refs_of_prefixes_and_entities_and_of_nothing_else() {
        let of = |text: &str| whole(&Ref::from_text(text));
        assert_eq!(
            of("vault/sys/leases/database/creds/app/"),
            Some(Whole::Leases("database/creds/app".into()))
        );
        assert_eq!(of("vault/identity/entity/ci"), Some(Whole::Entity("ci".into())));
        for none in
            ["vault/sys/leases/", "vault/sys/leases", "vault/identity/entity/a/b", "vault/secret/app#key"]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
