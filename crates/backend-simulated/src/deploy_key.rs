//! Deploy keys of the estate's forge: the public halves. A private half is let in where its public one is registered, and a forge takes each only once.

use claviger_backend::{Error, ErrorKind, Issued, Offer, Operation, Overlap, Result, ValueForm, Verdict};
use claviger_core::{reference::Ref, secret::SecretValue, ssh_key};
use sha2::{Digest, Sha256};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{DeployKey, Estate},
    issuer::{absent, no_issuer},
    target::Target,
};

pub(crate) fn offer() -> Offer {
    Offer::set_by_us(Overlap::Dual, ValueForm::SshKey)
}

/// Where this public half is registered: repository and name.
fn place<'e>(estate: &'e Estate, public: &str) -> Option<(&'e str, &'e str)> {
    let keys = estate.forge.deploy_keys.iter();
    let mut all =
        keys.flat_map(|(at, keys)| keys.iter().map(move |(id, key)| (at.as_str(), id.as_str(), key)));
    all.find(|(_, _, key)| key.public == public).map(|(at, id, _)| (at, id))
}

/// What the SSH server says.
pub(crate) fn verdict(estate: &Estate, repository: &str, value: &SecretValue) -> Verdict {
    let Some(public) = ssh_key::public_line(value) else {
        return Verdict::Refused("no private key".to_owned());
    };
    match place(estate, &public) {
        Some((at, _)) if at == repository => Verdict::Accepted,
        Some(_) => Verdict::Inconclusive("it is let in, and not to this repository".to_owned()),
        None => Verdict::Refused("Permission denied (publickey)".to_owned()),
    }
}

impl SimulatedBackend {
    /// A second key that may do what the first may.
    pub(crate) async fn add_deploy_key(
        &self,
        op: &Operation,
        subject: &Ref,
        value: &SecretValue,
    ) -> Result<Issued> {
        let public = ssh_key::public_line(value).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "issue", format!("{subject}: the value is no private key"))
        })?;
        let id = hex::encode(&Sha256::digest(op.key.to_string().as_bytes())[..8]);
        self.mutate("issue", op, subject, |estate, target, now| {
            let Target::DeployKey { repository, id: beside } = target else {
                return Err(no_issuer("issue", subject));
            };
            let issued = |id: &str| Issued {
                at: self.at(["forge", repository, "deploy-keys", id]),
                minted: None,
                public_half: None,
            };
            let keys = estate.forge.deploy_keys.get(repository);
            let mut key =
                keys.and_then(|keys| keys.get(beside)).ok_or_else(|| absent("issue", subject))?.clone();
            if let Some((at, known)) = place(estate, &public) {
                if at == repository {
                    return Ok(Change::nothing(issued(known)));
                }
                let text = format!("{subject}: the key is registered elsewhere");
                return Err(Error::new(ErrorKind::Conflict, "issue", text));
            }
            (key.public, key.created_at) = (public.clone(), now);
            estate.forge.deploy_keys.entry(repository.clone()).or_default().insert(id.clone(), key);
            estate.next_revision();
            Ok(Change::made(issued(&id)))
        })
        .await
    }

    /// The key that was added with this value.
    pub(crate) fn deploy_key_of(
        &self,
        estate: &Estate,
        repository: &str,
        value: &SecretValue,
    ) -> Option<Ref> {
        let (at, id) = place(estate, &ssh_key::public_line(value)?)?;
        (at == repository).then(|| self.at(["forge", repository, "deploy-keys", id]))
    }
}

pub(crate) fn find<'e>(estate: &'e Estate, repository: &str, id: &str) -> Option<&'e DeployKey> {
    estate.forge.deploy_keys.get(repository)?.get(id)
}
