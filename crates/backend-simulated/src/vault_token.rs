//! The secret store as issuer of its own tokens: there may be any number that may do the same. It takes our value, or makes one itself, tells it
//! once, and keeps the operation key with it.

use claviger_backend::{
    Effect, Error, ErrorKind, Issued, Offer, Operation, Overlap, Prospect, Result, ValueForm, ValueOrigin,
};
use claviger_core::{reference::Ref, secret::SecretValue};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, Planted},
    issuer::{absent, no_issuer},
    target::Target,
};

impl SimulatedBackend {
    pub(crate) fn token_offer(&self) -> Offer {
        let ours = Offer::set_by_us(Overlap::Dual, ValueForm::Uuid);
        let told = Offer { origin: ValueOrigin::MintedMarked, form: ValueForm::NotOurs, ..ours };
        if self.tells { told } else { ours }
    }

    pub(crate) async fn token_prospect(&self, subject: &Ref, accessor: &str) -> Result<Prospect> {
        self.look("prospect", subject, |estate, _, _| {
            let Some(token) = estate.secret_store.tokens.get(accessor) else {
                return Ok(Prospect::refuse("already-gone", "its issuer no longer has it: scan again"));
            };
            let root = self.tells && token.policies.iter().any(|policy| policy == "root");
            Ok(match root {
                true => Prospect::refuse("root-token", "a root token is not made by another token"),
                false => Prospect::default(),
            })
        })
        .await
    }

    /// A second token that may do what the first may, with our value.
    pub(crate) async fn add_token(
        &self,
        op: &Operation,
        subject: &Ref,
        value: &SecretValue,
    ) -> Result<Issued> {
        let key = op.key.to_string();
        self.mutate("issue", op, subject, |estate, target, now| {
            let Target::Token(accessor) = target else { return Err(no_issuer("issue", subject)) };
            let tokens = &mut estate.secret_store.tokens;
            if let Some((known, _)) = tokens.iter().find(|(_, token)| token.value.is(value.expose())) {
                return Ok(Change::nothing(self.told_as(known, None)));
            }
            let mut token = tokens.get(accessor).ok_or_else(|| absent("issue", subject))?.clone();
            (token.value, token.created_at) = (Planted::from_secret(value), now);
            let accessor = hex::encode(&Sha256::digest(key.as_bytes())[..12]);
            tokens.insert(accessor.clone(), token);
            estate.next_revision();
            Ok(Change::made(self.told_as(&accessor, None)))
        })
        .await
    }

    /// A second token that may do what the first may, with a value that is told now and never again.
    pub(crate) async fn tell_token(
        &self,
        op: &Operation,
        subject: &Ref,
        value: Option<&SecretValue>,
    ) -> Result<Issued> {
        if value.is_some() {
            let message = format!("{subject}: the store makes the token itself");
            return Err(Error::new(ErrorKind::Invalid, "issue", message));
        }
        let key = op.key.to_string();
        let issued = self.mutate("issue", op, subject, |estate, target, now| {
            let Target::Token(accessor) = target else { return Err(no_issuer("issue", subject)) };
            let (fresh, value) = drawn(estate, &key);
            let tokens = &mut estate.secret_store.tokens;
            let mut token = tokens.get(accessor).ok_or_else(|| absent("issue", subject))?.clone();
            (token.value, token.created_at) = (Planted::from_secret(&value), now);
            token.made_by = Some(key.clone());
            tokens.insert(fresh.clone(), token);
            estate.next_revision();
            Ok(Change::made(self.told_as(&fresh, Some(value))))
        });
        let issued = issued.await?;
        // A request that is delivered twice makes two, and only one answer comes.
        if self.tokens_of(&self.survey("issue").await?, &op.key.to_string()).len() > 1 {
            let message = format!("{subject}: the request was carried out more than once");
            return Err(Error::new(ErrorKind::Unexpected, "issue", message).with_effect(Effect::Unknown));
        }
        Ok(issued)
    }

    /// Tokens that this operation had made.
    pub(crate) fn tokens_of(&self, estate: &Estate, key: &str) -> Vec<Ref> {
        let tokens = estate.secret_store.tokens.iter();
        let ours = tokens.filter(|(_, token)| token.made_by.as_deref() == Some(key));
        ours.map(|(accessor, _)| self.told_as(accessor, None).at).collect()
    }

    fn told_as(&self, accessor: &str, minted: Option<SecretValue>) -> Issued {
        Issued { at: self.at(["auth", "token", "accessor", accessor]), minted, public_half: None }
    }
}

/// A function of estate, operation and revision: the same run gives the same file, and the same operation never the same token again.
fn drawn(estate: &Estate, key: &str) -> (String, SecretValue) {
    let digest = |what: &str| {
        let hash = Sha256::new().chain_update(estate.key.expose()).chain_update(key.as_bytes());
        hash.chain_update(estate.revision.to_be_bytes()).chain_update(what.as_bytes()).finalize()
    };
    let accessor = hex::encode(&digest("accessor")[..12]);
    (accessor, SecretValue::from_text(["hvs.", &hex::encode(digest("token"))].concat()))
}
