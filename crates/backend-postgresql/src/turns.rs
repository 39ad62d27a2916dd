//! Two roles that take turns: one has the password, the other rests with NOLOGIN and none.

use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Error, ErrorKind, Likeness, Operation, Pairing, Result, Sessions, Sibling, Turn, Turns,
};
use claviger_core::{id::OperationKey, reference::Ref, scram, secret::SecretValue};
use tokio_postgres::{Client, types::Type};

use crate::{
    backend::PostgresqlBackend,
    inventory,
    issuer::{opens, salt},
    pair::{self, LONGEST_NAME, User, other_name},
    role::{Role, Server, Stored, role_of, role_ref},
    session::{Login, open},
    statement::{self, identifier},
    turns::right::missing_right,
};

mod right;

/// Where one role's sessions come from: so many are named.
const NAMED: usize = 5;

#[async_trait]
impl Turns for PostgresqlBackend {
    async fn pair(&self, active: &Ref) -> Result<Turn> {
        let name = role_of(&self.info.name, "pair", active)?;
        let looked = Looked::at(self, "pair").await?;
        if !looked.server.verifiers {
            return Ok(refused("verifiers", inventory::missing_grant(&self.session)));
        }
        let Some(user) = looked.user(self, name).await? else {
            return Ok(refused("already-gone", format!("role `{name}` does not exist any more: scan again")));
        };
        if !works(&user.role) {
            return Ok(refused(
                "not-active",
                format!("role `{name}` has NOLOGIN or no password: it rests; scan again"),
            ));
        }
        let first = user.first().map(str::to_owned);
        let standby = first.clone().unwrap_or_else(|| other_name(name));
        let other = looked.user(self, &standby).await?;
        let role = if first.is_some() { other.as_ref() } else { Some(&user) };
        let Some(role) = role else {
            return Ok(refused(
                "no-first-role",
                format!(
                    "role `{standby}`, with which `{name}` takes turns, does not exist: make it, or rotate by `replace`"
                ),
            ));
        };
        if let Some(reason) = unfit(&user).or_else(|| other.as_ref().and_then(unfit)) {
            return Ok(reason);
        }
        if standby.len() > LONGEST_NAME {
            return Ok(refused(
                "name-too-long",
                format!(
                    "`{standby}` would be longer than the {LONGEST_NAME} bytes of a role's name: give the role a shorter one"
                ),
            ));
        }
        if let (None, Some(other)) = (&first, &other)
            && other.first() != Some(name)
        {
            return Ok(refused(
                "name-taken",
                format!(
                    "there is a role `{standby}` that claviger has not made: rename it, or if it is to be the other of the two: COMMENT ON ROLE {} IS {}",
                    identifier(&standby),
                    crate::setting::literal(&pair::mark(name)).trim_start_matches('E')
                ),
            ));
        }
        if let Some(other) = &other
            && (other.role.can_login || !matches!(other.role.stored, Stored::None))
        {
            return Ok(refused(
                "standby-works",
                format!(
                    "role `{standby}` should rest and may log in or has a password: if nobody uses it, {}",
                    statement::rest(&standby)
                ),
            ));
        }
        if let Some(reason) = missing_right(self, &looked, role).await? {
            return Ok(refused("missing-right", reason));
        }
        let mut notes = match (&other, first.is_some()) {
            (None, _) => vec![format!(
                "role `{standby}` is made as a member of `{name}`, with its attributes and settings; its sessions are `{name}` from their start, so that what they make belongs to `{name}`"
            )],
            (Some(other), false) => pair::notes(&user, other, false),
            (Some(first), true) => pair::notes(first, &user, true),
        };
        notes.push(format!("pg_hba.conf and a pooler's list of users must let `{standby}` in as they do `{name}`: a login shows it before anything is written; `session_user` is the name that logs in"));
        Ok(Turn::To(Pairing {
            standby: role_ref(&self.info.name, &standby),
            name: standby,
            exists: other.is_some(),
            notes,
        }))
    }

    async fn wake(&self, op: &Operation, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<()> {
        let (active, name) = self.names("wake", active, standby)?;
        let looked = Looked::at(self, "wake").await?;
        let Some(user) = looked.user(self, active).await? else { return Err(self.missing("wake", active)) };
        let other = looked.user(self, name).await?;
        let mine = |role: &Role| matches!(&role.stored, Stored::Verifier(stored) if opens(stored, &role.name, value));
        let conflict =
            |why: &str| Err(Error::new(ErrorKind::Conflict, "wake", format!("role `{name}` {why}")));
        let mut statements = if user.first() == Some(name) {
            if other.is_none() {
                return Err(self.missing("wake", name));
            }
            Vec::new()
        } else {
            if name != other_name(active) || other.as_ref().is_some_and(|other| other.first() != Some(active))
            {
                return conflict("is not the one that takes turns with it");
            }
            let member = match &other {
                Some(other) => looked.is_member(self, &user, other).await?,
                None => false,
            };
            pair::equal(&user, other.as_ref(), member, looked.server, &op.key.to_string())
        };
        let ready = match other.as_ref().map(|other| &other.role) {
            Some(role) if role.own => return conflict("is the one that claviger itself logs in as"),
            Some(role) if mine(role) => role.can_login,
            Some(Role { stored: Stored::None, .. }) | None => false,
            Some(_) => return conflict("has a password that somebody else has set"),
        };
        if !ready {
            let verifier = scram::build(value, &salt(op.key, name), scram::ITERATIONS);
            statements.extend(statement::let_in(name, &verifier));
        }
        if statements.is_empty() {
            return Ok(());
        }
        // Several statements in one message are one transaction.
        self.change_role(&looked.client, "wake", op, &statements.join("; ")).await
    }

    async fn unwake(
        &self,
        op: &Operation,
        standby: &Ref,
        value: &SecretValue,
        made_by: OperationKey,
    ) -> Result<String> {
        let name = role_of(&self.info.name, "unwake", standby)?;
        let looked = Looked::at(self, "unwake").await?;
        let Some(user) = looked.user(self, name).await? else {
            return Ok(format!("role `{name}` is not there"));
        };
        if matches!(&user.role.stored, Stored::Verifier(stored) if !opens(stored, name, value)) {
            return Ok(format!("role `{name}` has a password that somebody else has set: left as it is"));
        }
        if user.made_by(&made_by.to_string()) && user.is_bare() {
            let sql = format!("DROP ROLE {}", identifier(name));
            self.change_role(&looked.client, "unwake", op, &sql).await?;
            return Ok(format!("role `{name}` is dropped: this rotation made it"));
        }
        if user.role.can_login || !matches!(user.role.stored, Stored::None) {
            self.change_role(&looked.client, "unwake", op, &statement::rest(name)).await?;
        }
        Ok(format!("role `{name}` rests: NOLOGIN, and no password"))
    }

    async fn compare(&self, active: &Ref, standby: &Ref, value: &SecretValue) -> Result<Likeness> {
        let (active, name) = self.names("compare", active, standby)?;
        let looked = Looked::at(self, "compare").await?;
        let Some(user) = looked.user(self, active).await? else {
            return Err(self.missing("compare", active));
        };
        let Some(other) = looked.user(self, name).await? else { return Err(self.missing("compare", name)) };
        let waking_first = user.first() == Some(name);
        let (first, second) = if waking_first { (&other, &user) } else { (&user, &other) };
        let member = looked.is_member(self, first, second).await?;
        let lacking = pair::equal(first, Some(second), member, looked.server, "");
        if !waking_first && !lacking.is_empty() {
            return Ok(Likeness::Differs(format!(
                "role `{name}` lacks {} of what `{active}` has",
                lacking.len()
            )));
        }
        let Some(database) = self.database_for(&looked.client, &other.role).await? else {
            return Ok(Likeness::Differs(format!("role `{name}` may connect to no database")));
        };
        let login = Login { user: name, password: Some(value.expose()), database: Some(&database) };
        let target = &self.session.target;
        let client = match open(target, &self.session.tls, &login).await {
            Ok(client) => client,
            Err(failure) => return Ok(Likeness::Unknown(format!("no login as `{name}`: {failure}"))),
        };
        let rows = self.session.query(&client, "compare", "SELECT current_user::text", &[]).await?;
        let is: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
        let expected = first.acts_as(&database);
        if is != expected {
            return Ok(Likeness::Differs(format!("a session of `{name}` is `{is}` and not `{expected}`")));
        }
        Ok(Likeness::Same(format!(
            "a session of `{name}` in database `{database}` is `{is}`, as one of `{active}`"
        )))
    }

    /// Whose sessions there are everybody may see; when they were begun, and from where, takes `pg_read_all_stats`.
    async fn sessions(&self, user: &Ref) -> Result<Option<Sessions>> {
        const SQL: &str = "SELECT count(*), max(backend_start),
                coalesce(array_agg(DISTINCT coalesce(nullif(application_name, ''), '?') || coalesce(' at ' || host(client_addr), '')), ARRAY[]::text[])
            FROM pg_stat_activity WHERE usename::text = $1 AND pid <> pg_backend_pid()
                AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender')";
        let name = role_of(&self.info.name, "sessions", user)?;
        let client = self.session.client("sessions").await?;
        let rows = self.session.query(&client, "sessions", SQL, &[(&name, Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        // A program names itself as it likes.
        let plain =
            |text: String| text.chars().map(|c| if c.is_control() { '?' } else { c }).take(80).collect();
        let from: Vec<String> = row.get(2);
        Ok(Some(Sessions {
            live: u64::try_from(row.get::<_, i64>(0)).unwrap_or(0),
            newest: row.get(1),
            from: from.into_iter().take(NAMED).map(plain).collect(),
        }))
    }
}

/// Our connection and what the server is.
pub(crate) struct Looked {
    pub(crate) client: Arc<Client>,
    pub(crate) server: Server,
    operation: &'static str,
}

impl Looked {
    async fn at(backend: &PostgresqlBackend, operation: &'static str) -> Result<Self> {
        let client = backend.session.client(operation).await?;
        let server = Server::ask(&backend.session, &client, operation).await?;
        Ok(Self { client, server, operation })
    }

    async fn user(&self, backend: &PostgresqlBackend, name: &str) -> Result<Option<User>> {
        User::find(&backend.session, &self.client, self.operation, self.server, name).await
    }

    async fn is_member(&self, backend: &PostgresqlBackend, first: &User, other: &User) -> Result<bool> {
        pair::is_member(&backend.session, &self.client, self.operation, self.server, first, other).await
    }
}

impl PostgresqlBackend {
    /// The role and the one that it takes turns with, if there is one; none where the role does not exist.
    pub(crate) async fn turning(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<(Arc<Client>, Vec<User>)> {
        let looked = Looked::at(self, operation).await?;
        let Some(user) = looked.user(self, name).await? else { return Ok((looked.client, Vec::new())) };
        let other = match user.first() {
            Some(first) => looked.user(self, first).await?,
            None => looked.user(self, &other_name(name)).await?.filter(|other| other.first() == Some(name)),
        };
        Ok((looked.client, [Some(user), other].into_iter().flatten().collect()))
    }

    pub(crate) fn sibling(&self, user: &User) -> Sibling {
        Sibling {
            at: role_ref(&self.info.name, &user.role.name),
            public_half: user.role.name.clone(),
            created_at: None,
            active: works(&user.role),
        }
    }

    fn names<'a>(
        &self,
        operation: &'static str,
        active: &'a Ref,
        standby: &'a Ref,
    ) -> Result<(&'a str, &'a str)> {
        Ok((role_of(&self.info.name, operation, active)?, role_of(&self.info.name, operation, standby)?))
    }
}

/// It may log in, and has a password.
fn works(role: &Role) -> bool {
    role.can_login && !matches!(role.stored, Stored::None)
}

fn refused(code: &'static str, reason: impl Into<String>) -> Turn {
    Turn::Refused(code, reason.into())
}

/// Why this role can be none of the two.
fn unfit(user: &User) -> Option<Turn> {
    let name = &user.role.name;
    if user.role.superuser {
        let text = format!(
            "role `{name}` is a superuser, which a membership does not give on: give its consumers a role that is none, or rotate by `replace`"
        );
        return Some(refused("superuser", text));
    }
    if user.role.own {
        return Some(refused(
            "self-lock",
            format!("role `{name}` is the one that claviger itself logs in as"),
        ));
    }
    user.ends().then(|| {
        let text = format!("the password of role `{name}` ends by VALID UNTIL, and the other role's would not: ALTER ROLE {} VALID UNTIL 'infinity' first, or rotate by `replace`", identifier(name));
        refused("valid-until", text)
    })
}
