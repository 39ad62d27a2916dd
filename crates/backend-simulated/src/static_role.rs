//! The secret store's database engine as issuer: it makes, sets and shows the password of a login role. It is asked to change it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claviger_backend::{
    Error, ErrorKind, Held, Issued, Offer, Operation, Overlap, Prospect, Result, ValueForm, ValueOrigin,
};
use claviger_core::{
    model::{CopyStage, CredentialKind, Place},
    observation::Observation,
    reference::Ref,
    scram::SALT_BYTES,
    secret::SecretValue,
};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, Password, Planted},
    issuer::{absent, no_issuer},
    target::Target,
};

pub(crate) fn offer() -> Offer {
    Offer {
        origin: ValueOrigin::Asked,
        form: ValueForm::NotOurs,
        ..Offer::set_by_us(Overlap::None, ValueForm::Password)
    }
}

/// What the engine shows of a static role.
pub(crate) fn held(estate: &Estate, name: &str) -> Option<Held> {
    let role = estate.secret_store.static_roles.get(name)?;
    Some(Held { value: role.value.secret(), version: role.rotations.to_string() })
}

impl SimulatedBackend {
    pub(crate) async fn static_prospect(&self, subject: &Ref, name: &str) -> Result<Prospect> {
        self.look("prospect", subject, |estate, _, _| {
            Ok(match held(estate, name) {
                None => Prospect::refuse("already-gone", "its issuer no longer has it: scan again"),
                Some(_) => Prospect { shown_at: Some(self.shown_at(name)), ..Prospect::default() },
            })
        })
        .await
    }

    /// Another password, which the engine sets at the database and keeps.
    pub(crate) async fn change_static(
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
            let Target::StaticRole(name) = target else { return Err(no_issuer("issue", subject)) };
            let (fresh, salt) = drawn(estate, &key);
            let version = estate.revision + 1;
            let held = estate.secret_store.static_roles.get_mut(name);
            let held = held.ok_or_else(|| absent("issue", subject))?;
            let role = estate.database.roles.get_mut(&held.role).ok_or_else(|| absent("issue", subject))?;
            role.password = Some(Password::scram(fresh.expose(), &salt));
            (role.version, role.rotated_at) = (version, now);
            (held.value, held.rotated_at) = (Planted::from_secret(&fresh), now);
            held.rotations += 1;
            estate.revision = version;
            Ok(Change::made(Issued { at: subject.clone(), minted: Some(fresh), public_half: None }))
        })
        .await
    }

    fn shown_at(&self, name: &str) -> Ref {
        self.at(["database", "static-creds", name]).field("password")
    }

    /// The fields in which the engine shows the passwords.
    pub(crate) fn shown_fields(&self, estate: &Estate) -> Vec<Observation> {
        let shown = |(name, role): (&String, &crate::estate::StaticRole)| {
            let at = self.at(["database", "static-roles", name]);
            let mut copy =
                crate::inventory::copy(self.shown_at(name), "password", Place::SecretStore, &role.value);
            copy.stage = CopyStage::Current;
            copy.kind = Some(CredentialKind::Password);
            copy.bundle.user = Some(role.role.clone());
            copy.updated_at = Some(role.rotated_at);
            copy.attributes.insert("shown_for".to_owned(), at.as_str().into());
            copy.issuer = Some(at);
            Observation::Copy(copy)
        };
        estate.secret_store.static_roles.iter().map(shown).collect()
    }
}

/// A function of estate, operation and revision: the same run gives the same file, and the same operation never the same password again.
pub(crate) fn drawn(estate: &Estate, key: &str) -> (SecretValue, [u8; SALT_BYTES]) {
    let digest = |what: &str| {
        let hash = Sha256::new().chain_update(estate.key.expose()).chain_update(key.as_bytes());
        hash.chain_update(estate.revision.to_be_bytes()).chain_update(what.as_bytes()).finalize()
    };
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&digest("salt")[..SALT_BYTES]);
    (SecretValue::from_text(URL_SAFE_NO_PAD.encode(digest("password"))), salt)
}
