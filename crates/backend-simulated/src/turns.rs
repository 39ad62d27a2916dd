//! Two roles that take turns: the other one acts as the first, one has the password, and the other rests.

use async_trait::async_trait;
use claviger_backend::{
    Error, ErrorKind, Likeness, Operation, Pairing, Result, Sessions, Sibling, Turn, Turns, Verdict,
};
use claviger_core::{id::OperationKey, reference::Ref, secret::SecretValue};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, Password, Role},
    issuer::{absent, no_issuer, role_verdict, salt},
    target::Target,
};

/// What the other role's name ends with.
const SUFFIX: &str = "_alt";

#[async_trait]
impl Turns for SimulatedBackend {
    async fn pair(&self, active: &Ref) -> Result<Turn> {
        self.look("pair", active, |estate, target, _| {
            let Target::Role(name) = &target else { return Err(no_issuer("pair", active)) };
            let refused = |code, text: String| Ok(Turn::Refused(code, text));
            let roles = &estate.database.roles;
            let Some(role) = roles.get(name) else {
                return refused("already-gone", format!("role `{name}` does not exist any more: scan again"));
            };
            let standby = partner(name, role);
            let other = roles.get(&standby);
            for (name, role) in [(name, Some(role)), (&standby, other)] {
                if role.is_some_and(|role| role.superuser) {
                    return refused("superuser", format!("role `{name}` is a superuser"));
                }
                if role.is_some_and(|role| role.valid_until.is_some()) {
                    return refused(
                        "valid-until",
                        format!("the password of role `{name}` ends by VALID UNTIL"),
                    );
                }
            }
            match other {
                None if role.acts_as.is_some() => {
                    return refused("no-first-role", format!("role `{standby}` does not exist"));
                }
                Some(other) if !takes_turns(name, role, &standby, other) => {
                    return refused(
                        "name-taken",
                        format!("there is a role `{standby}` that claviger has not made"),
                    );
                }
                Some(other) if other.password.is_some() || !other.nologin => {
                    return refused("standby-works", format!("role `{standby}` should rest and may log in"));
                }
                _ => {}
            }
            Ok(Turn::To(Pairing {
                standby: self.at(["db", "role", &standby]),
                name: standby,
                exists: other.is_some(),
                notes: Vec::new(),
            }))
        })
        .await
    }

    async fn wake(&self, op: &Operation, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<()> {
        let key = op.key.to_string();
        let Target::Role(from) = Target::parse("wake", active)? else {
            return Err(no_issuer("wake", active));
        };
        self.mutate("wake", op, standby, |estate, target, now| {
            let Target::Role(name) = target else { return Err(no_issuer("wake", standby)) };
            let refused = estate.settings.refused_characters.as_bytes();
            if value.expose().iter().any(|byte| refused.contains(byte)) {
                let message = format!("{standby}: the value holds a character that the target refuses");
                return Err(Error::new(ErrorKind::Invalid, "wake", message));
            }
            let first = estate.database.roles.get(&from).ok_or_else(|| absent("wake", active))?.clone();
            let password = Password::scram(value.expose(), &salt(estate.key.expose(), &key));
            let version = estate.revision + 1;
            let other = estate.database.roles.get(name);
            let conflict =
                |why: &str| Err(Error::new(ErrorKind::Conflict, "wake", format!("{standby} {why}")));
            if other.is_some_and(|other| !takes_turns(&from, &first, name, other)) {
                return conflict("is not the one that takes turns with it");
            }
            let role = match other {
                None if first.acts_as.is_some() => return Err(absent("wake", standby)),
                None => Role {
                    acts_as: Some(from.clone()),
                    made_by: Some(key.clone()),
                    created_at: now,
                    sessions: Vec::new(),
                    last_used_at: None,
                    ..first
                },
                Some(other) => match &other.password {
                    Some(held) if !held.accepts(name, value.expose()) => {
                        return conflict("has a password that somebody else has set");
                    }
                    Some(_) if !other.nologin => return Ok(Change::nothing(())),
                    _ => other.clone(),
                },
            };
            let role = Role { password: Some(password), nologin: false, version, rotated_at: now, ..role };
            estate.database.roles.insert(name.clone(), role);
            estate.revision = version;
            Ok(Change::made(()))
        })
        .await
    }

    async fn unwake(
        &self,
        op: &Operation,
        standby: &Ref,
        value: &SecretValue,
        made_by: OperationKey,
    ) -> Result<String> {
        let key = made_by.to_string();
        self.mutate("unwake", op, standby, |estate, target, _| {
            let Target::Role(name) = target else { return Err(no_issuer("unwake", standby)) };
            let version = estate.revision + 1;
            let Some(role) = estate.database.roles.get_mut(name) else {
                return Ok(Change::nothing(format!("role `{name}` is not there")));
            };
            if role.password.as_ref().is_some_and(|password| !password.accepts(name, value.expose())) {
                return Ok(Change::nothing(format!(
                    "role `{name}` has a password that somebody else has set"
                )));
            }
            if role.made_by.as_ref() == Some(&key) {
                estate.database.roles.remove(name);
                estate.revision = version;
                return Ok(Change::made(format!("role `{name}` is dropped: this rotation made it")));
            }
            let text = format!("role `{name}` rests: NOLOGIN, and no password");
            if role.nologin && role.password.is_none() {
                return Ok(Change::nothing(text));
            }
            (role.nologin, role.password, role.version) = (true, None, version);
            estate.revision = version;
            Ok(Change::made(text))
        })
        .await
    }

    async fn compare(&self, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<Likeness> {
        let Target::Role(from) = Target::parse("compare", active)? else {
            return Err(no_issuer("compare", active));
        };
        self.look("compare", standby, |estate, target, now| {
            let Target::Role(name) = &target else { return Err(no_issuer("compare", standby)) };
            let roles = &estate.database.roles;
            let one = roles.get(&from).ok_or_else(|| absent("compare", active))?;
            let other = roles.get(name).ok_or_else(|| absent("compare", standby))?;
            if role_verdict(estate, name, value.expose(), now) != Verdict::Accepted {
                return Ok(Likeness::Unknown(format!("no login as `{name}`")));
            }
            let rights = |role: &Role| (role.superuser, role.createrole, role.replication);
            if !takes_turns(&from, one, name, other) || rights(one) != rights(other) {
                return Ok(Likeness::Differs(format!("`{name}` has other rights than `{from}`")));
            }
            Ok(Likeness::Same(format!("`{name}` is to the server what `{from}` is")))
        })
        .await
    }

    async fn sessions(&self, user: &Ref) -> Result<Option<Sessions>> {
        self.look("sessions", user, |estate, target, now| {
            let Target::Role(name) = &target else { return Err(no_issuer("sessions", user)) };
            let Some(role) = estate.database.roles.get(name) else { return Ok(Some(Sessions::default())) };
            let live: Vec<_> = role.sessions.iter().filter(|session| session.ends_at > now).collect();
            Ok(Some(Sessions {
                live: live.len() as u64,
                newest: live.iter().map(|session| session.begun_at).max(),
                from: live.iter().map(|session| session.from.clone()).collect(),
            }))
        })
        .await
    }
}

impl SimulatedBackend {
    /// The role, and the one that it takes turns with.
    pub(crate) fn turning(&self, estate: &Estate, name: &str) -> Vec<Sibling> {
        let roles = &estate.database.roles;
        let Some(role) = roles.get(name) else { return Vec::new() };
        let standby = partner(name, role);
        let other = roles.get(&standby).filter(|other| takes_turns(name, role, &standby, other));
        let found = [(name, Some(role)), (standby.as_str(), other)];
        let found = found.into_iter().filter_map(|(name, role)| Some((name, role?)));
        found
            .map(|(name, role)| Sibling {
                at: self.at(["db", "role", name]),
                public_half: name.to_owned(),
                created_at: Some(role.created_at),
                active: !role.nologin && role.password.is_some(),
            })
            .collect()
    }
}

fn partner(name: &str, role: &Role) -> String {
    role.acts_as.clone().unwrap_or_else(|| format!("{name}{SUFFIX}"))
}

/// One of them acts as the other.
fn takes_turns(name: &str, role: &Role, standby: &str, other: &Role) -> bool {
    role.acts_as.as_deref() == Some(standby) || other.acts_as.as_deref() == Some(name)
}
