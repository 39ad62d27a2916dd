//! What outlives a credential: sessions of a login role, and session credentials that an access key obtained.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_backend::{Derived, Descent, Ended, Ending, Offspring, Operation, Result, Suspension};
use claviger_core::reference::Ref;

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, ObjectKind, VaultToken},
    issuer::{absent, no_issuer},
    target::Target,
};

impl SimulatedBackend {
    /// How the issuers of the estate end a credential.
    pub(crate) fn ending_of(&self, subject: &Ref) -> Ending {
        match Target::parse("ending", subject) {
            Ok(Target::Role(_)) => Ending {
                suspension: Suspension::Shut,
                outlived_by: Some("sessions"),
                notes: vec![format!(
                    "{subject} stays, without a password and with NOLOGIN: it may own objects"
                )],
                ..Ending::default()
            },
            Ok(Target::AccessKey { .. }) => Ending {
                suspension: Suspension::Refused,
                outlived_by: Some("session credentials"),
                ..Ending::default()
            },
            Ok(Target::Token(_) | Target::DeployKey { .. }) => Ending::default(),
            Ok(Target::Object { object, key: None, .. }) if object.kind == ObjectKind::Secret => {
                Ending { suspension: Suspension::Refused, ..Ending::default() }
            }
            Ok(Target::StaticRole(_)) => Ending::refuse(
                "held-by-engine",
                "its engine holds the password and would set another one: rotate it, the old one is refused then",
            ),
            _ => Ending::refuse("no-issuer", "only its copies are known"),
        }
    }
}

/// What goes on now that was obtained with the credential.
fn living(estate: &Estate, subject: &Ref, target: &Target, now: DateTime<Utc>) -> Option<Vec<Derived>> {
    let derived = |what: String| Derived { at: subject.clone(), what, certain: true };
    match target {
        Target::Role(name) => {
            let sessions = &estate.database.roles.get(name)?.sessions;
            let live = sessions.iter().filter(|session| session.ends_at > now);
            Some(live.map(|session| derived(format!("session from {}", session.from))).collect())
        }
        Target::AccessKey { user, id } => {
            let user = estate.cloud.users.get(user)?;
            let denied = |at: DateTime<Utc>| user.sessions_denied_before.is_some_and(|before| at < before);
            let live =
                user.sessions.iter().filter(|session| session.key == *id && !denied(session.issued_at));
            Some(live.map(|session| derived(format!("session issued at {}", session.issued_at))).collect())
        }
        Target::Entity(name) => {
            let id = &estate.secret_store.entities.get(name)?.id;
            let theirs = estate.secret_store.tokens.iter();
            let theirs = theirs.filter(|(_, token)| token.entity.as_deref() == Some(id));
            let live = theirs.filter(|(_, token)| token.expires_at.is_none_or(|ends| ends > now));
            let derived = |accessor: &str, token: &VaultToken| Derived {
                at: Ref::new(subject.backend(), ["auth", "token", "accessor", accessor]),
                what: format!("token of {}", token.display_name),
                certain: true,
            };
            Some(live.map(|(accessor, token)| derived(accessor, token)).collect())
        }
        _ => Some(Vec::new()),
    }
}

#[async_trait]
impl Offspring for SimulatedBackend {
    fn whole(&self, subject: &Ref) -> Option<&'static str> {
        match Target::parse("whole", subject).ok()? {
            Target::Entity(_) => Some("the tokens of an entity"),
            _ => None,
        }
    }

    async fn derived(&self, subject: &Ref) -> Result<Descent> {
        self.look("derived", subject, |estate, target, now| {
            let derived = living(estate, subject, &target, now).ok_or_else(|| absent("derived", subject))?;
            Ok(Descent { derived, ..Descent::default() })
        })
        .await
    }

    async fn end_derived(&self, op: &Operation, subject: &Ref, _mark: &str) -> Result<Ended> {
        self.mutate("end_derived", op, subject, |estate, target, now| {
            let ended = living(estate, subject, target, now).unwrap_or_default();
            let answer = Ended { evidence: "none is left".to_owned(), ended };
            let shut = |name: &String| estate.secret_store.entities.get(name).is_none_or(|one| one.disabled);
            if answer.ended.is_empty() && !matches!(target, Target::Entity(name) if !shut(name)) {
                return Ok(Change::nothing(answer));
            }
            match target {
                Target::Role(name) => {
                    let sessions = estate.database.roles.get_mut(name).map(|role| &mut role.sessions);
                    let live = sessions.into_iter().flatten().filter(|session| session.ends_at > now);
                    live.for_each(|session| session.ends_at = now);
                }
                Target::AccessKey { user, .. } => {
                    if let Some(user) = estate.cloud.users.get_mut(user) {
                        user.sessions_denied_before = Some(now);
                    }
                }
                Target::Entity(name) => {
                    let store = &mut estate.secret_store;
                    let Some(entity) = store.entities.get_mut(name) else {
                        return Ok(Change::nothing(answer));
                    };
                    entity.disabled = true;
                    store.tokens.retain(|_, token| token.entity.as_ref() != Some(&entity.id));
                }
                _ => return Err(no_issuer("end_derived", subject)),
            }
            estate.next_revision();
            Ok(Change::made(answer))
        })
        .await
    }
}
