//! The root credential of a connection of the secret store's database engine: the engine makes, sets and holds it, and shows it to nobody.

use claviger_backend::{
    Account, Error, ErrorKind, Issued, Offer, Operation, Overlap, Probe, Prospect, Result, ValueForm,
    ValueOrigin, Verdict,
};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Password, Planted},
    issuer::{absent, no_issuer, role_verdict},
    static_role::drawn,
    target::Target,
};

pub(crate) fn offer() -> Offer {
    Offer {
        origin: ValueOrigin::Hidden,
        form: ValueForm::NotOurs,
        ..Offer::set_by_us(Overlap::None, ValueForm::Password)
    }
}

impl SimulatedBackend {
    pub(crate) async fn root_prospect(&self, subject: &Ref, name: &str) -> Result<Prospect> {
        self.look("prospect", subject, |estate, _, _| {
            Ok(match estate.secret_store.connections.get(name) {
                None => Prospect::refuse("already-gone", "its issuer no longer has it: scan again"),
                Some(held) => Prospect {
                    account: Some(Account::Known(self.at(["db", "role", &held.role]))),
                    ..Prospect::default()
                },
            })
        })
        .await
    }

    /// Another password, which the engine sets at the database, logged in with the one that it holds.
    pub(crate) async fn change_root(
        &self,
        op: &Operation,
        subject: &Ref,
        value: Option<&SecretValue>,
    ) -> Result<Issued> {
        if value.is_some() {
            let message = format!("{subject}: the engine makes the password itself");
            return Err(Error::new(ErrorKind::Invalid, "issue", message));
        }
        let key = op.key.to_string();
        self.mutate("issue", op, subject, |estate, target, now| {
            let Target::Connection(name) = target else { return Err(no_issuer("issue", subject)) };
            let (fresh, salt) = drawn(estate, &key);
            let version = estate.revision + 1;
            let held = estate.secret_store.connections.get(name).ok_or_else(|| absent("issue", subject))?;
            let (account, present) = (held.role.clone(), held.value.clone());
            if role_verdict(estate, &account, present.expose(), now) != Verdict::Accepted {
                let message = format!("{subject}: the engine is not let in as {account}");
                return Err(Error::new(ErrorKind::Denied, "issue", message));
            }
            let role = estate.database.roles.get_mut(&account).ok_or_else(|| absent("issue", subject))?;
            role.password = Some(Password::scram(fresh.expose(), &salt));
            (role.version, role.rotated_at) = (version, now);
            if let Some(held) = estate.secret_store.connections.get_mut(name) {
                held.value = Planted::from_secret(&fresh);
            }
            estate.revision = version;
            Ok(Change::made(Issued { at: subject.clone(), minted: None, public_half: None }))
        })
        .await
    }

    pub(crate) async fn engine_logs_in(&self, subject: &Ref) -> Result<Probe> {
        self.look("connects", subject, |estate, target, now| {
            let Target::Connection(name) = &target else { return Err(no_issuer("connects", subject)) };
            let held =
                estate.secret_store.connections.get(name).ok_or_else(|| absent("connects", subject))?;
            let verdict = role_verdict(estate, &held.role, held.value.expose(), now);
            Ok(Probe { verdict, path: format!("the engine's login at {}", subject.path()) })
        })
        .await
    }
}
