//! Logging in with a value, and saying only what that shows.

use claviger_backend::{Probe, Verdict};
use claviger_core::secret::SecretValue;

use crate::{
    backend::PostgresqlBackend,
    failure::Failure,
    issuer::opens,
    role::{Role, Stored},
    session::{Login, open},
};

impl PostgresqlBackend {
    /// Logs in as the role, through the same address and TLS as everybody.
    pub(crate) async fn probe(&self, name: &str, value: &SecretValue) -> Probe {
        // Which database takes this role is asked first: one that does not would hide whether the password is right.
        let database = match self.find("verify", name).await {
            Ok((client, Some(role))) => self.database_for(&client, &role).await.ok().flatten(),
            _ => None,
        };
        let target = &self.session.target;
        let database = database.or_else(|| target.database.clone()).unwrap_or_else(|| target.user.clone());
        let path = format!(
            "login as `{name}` to postgres://{}/{database}, sslmode={}, until ready for queries",
            target.address(),
            target.tls.word()
        );
        let login = Login { user: name, password: Some(value.expose()), database: Some(&database) };
        let verdict = match open(target, &self.session.tls, &login).await {
            Ok(client) => {
                drop(client);
                self.was_it_asked_for(name, &database).await
            }
            Err(Failure::Server(answer)) if answer.code == "28P01" => {
                self.was_it_the_password(name, value).await
            }
            Err(failure) => Verdict::Inconclusive(said(&failure)),
        };
        Probe { verdict, path }
    }

    /// A server that trusts the network lets anybody in: then a login says nothing about the password.
    async fn was_it_asked_for(&self, name: &str, database: &str) -> Verdict {
        let login = Login { user: name, password: None, database: Some(database) };
        match open(&self.session.target, &self.session.tls, &login).await {
            Err(Failure::PasswordWanted) => Verdict::Accepted,
            Ok(_) => Verdict::Inconclusive(
                "the server lets this role in without a password (trust, peer or cert in pg_hba.conf)"
                    .to_owned(),
            ),
            Err(failure) => Verdict::Inconclusive(format!(
                "whether a password was asked for could not be seen: {}",
                said(&failure)
            )),
        }
    }

    /// 28P01 also answers for roles that do not exist and for those that have expired: our own connection tells.
    async fn was_it_the_password(&self, name: &str, value: &SecretValue) -> Verdict {
        const CODE: &str = "SQLSTATE 28P01";
        let role = match self.find("verify", name).await {
            Ok((_, Some(role))) => role,
            Ok((_, None)) => return Verdict::Inconclusive(format!("{CODE}, and the role does not exist")),
            Err(error) => {
                return Verdict::Inconclusive(format!(
                    "{CODE}, and the role could not be looked at ({})",
                    error.message()
                ));
            }
        };
        match doubt(&role, value) {
            Some(doubt) => Verdict::Inconclusive(format!("{CODE}, but {doubt}")),
            None => {
                Verdict::Refused(format!("{CODE} (invalid password) from {}", self.session.target.address()))
            }
        }
    }
}

/// Why a refusal of this role may not be about the password.
fn doubt(role: &Role, value: &SecretValue) -> Option<&'static str> {
    if role.expired {
        return Some("the role's VALID UNTIL is over: any password is refused");
    }
    // The password is looked at first; one that is not there is refused whatever else holds of the role.
    if !role.can_login && !matches!(role.stored, Stored::None) {
        return Some("the role has NOLOGIN");
    }
    match &role.stored {
        Stored::Verifier(stored) if opens(stored, &role.name, value) => Some(
            "the server holds this very password: it may want another method than the one it is stored for",
        ),
        _ => None,
    }
}

fn said(failure: &Failure) -> String {
    let Failure::Server(answer) = failure else { return failure.to_string() };
    let meaning = match answer.code.as_str() {
        "28000" => "the role may not log in, or not from here",
        "53300" => "no connection is free for this role or database",
        "3D000" => "the database does not exist",
        "42501" => "the role may not connect to this database",
        "57P03" => "the server is starting or stopping",
        _ => "the server answered with an error that is no refusal of the password",
    };
    format!("SQLSTATE {}: {meaning}", answer.code)
}
