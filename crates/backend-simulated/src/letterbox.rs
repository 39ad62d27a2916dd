//! Secrets of the estate's forge: they take a value and show none. As at real forges there is no compare-and-set: what is expected is looked at
//! right before the write, and a write that is delivered twice is made twice.

use async_trait::async_trait;
use claviger_backend::{Error, ErrorKind, Expect, Letterbox, Marked, Operation, Result, StoreState};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, ForgeMarker, ForgeSecret, Planted},
    target::Target,
};

/// What the forge tells of a secret. Without a marker of ours that is the time at which its name was made, whoever has written it since.
pub(crate) fn marked(secret: &ForgeSecret) -> Marked {
    let marker = secret.marker.as_ref();
    Marked {
        version: marker.map_or_else(
            || format!("unmarked-{}", secret.created_at.timestamp()),
            |marker| marker.key.clone(),
        ),
        written_by: marker.map(|marker| marker.key.clone()),
        written_at: marker.map(|marker| marker.at),
    }
}

fn secret<'e>(
    estate: &'e Estate,
    operation: &'static str,
    at: &Ref,
    target: &Target,
) -> Result<Option<&'e ForgeSecret>> {
    let Target::ForgeSecret { repository, name } = target else {
        let text = format!("{at} is no secret of the estate's forge");
        return Err(Error::new(ErrorKind::Unsupported, operation, text));
    };
    Ok(estate.forge.repositories.get(repository).and_then(|secrets| secrets.get(name)))
}

#[async_trait]
impl Letterbox for SimulatedBackend {
    fn takes(&self, at: &Ref) -> bool {
        matches!(Target::parse("takes", at), Ok(Target::ForgeSecret { .. }))
    }

    async fn marked(&self, at: &Ref) -> Result<Option<Marked>> {
        self.look("marked", at, |estate, target, _| Ok(secret(estate, "marked", at, &target)?.map(marked)))
            .await
    }

    async fn open(&self, at: &Ref) -> Result<StoreState> {
        self.look("open", at, |estate, target, _| {
            Ok(match secret(estate, "open", at, &target)? {
                Some(_) => StoreState::Writable,
                None => StoreState::Refused("it is not there".to_owned()),
            })
        })
        .await
    }

    async fn post(&self, op: &Operation, at: &Ref, value: &SecretValue, expect: &Expect) -> Result<Marked> {
        let found = self.marked(at).await?;
        let holds = match (&found, expect) {
            (None, Expect::Absent) => true,
            (Some(found), Expect::Version(version)) => found.version == *version,
            _ => false,
        };
        if !holds {
            let text = format!("{at}: what stands there is not what was expected");
            return Err(Error::new(ErrorKind::Conflict, "post", text));
        }
        let (key, value) = (op.key.to_string(), Planted::from_secret(value));
        self.mutate("post", op, at, |estate, target, now| {
            let Target::ForgeSecret { repository, name } = target else {
                let text = format!("{at} is no secret of the estate's forge");
                return Err(Error::new(ErrorKind::Unsupported, "post", text));
            };
            let secrets = estate.forge.repositories.get_mut(repository).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "post", format!("{at}: there is no such repository"))
            })?;
            let (created_at, writes) =
                secrets.get(name).map_or((now, 0), |secret| (secret.created_at, secret.writes));
            let written = ForgeSecret {
                value: value.clone(),
                created_at,
                writes: writes + 1,
                marker: Some(ForgeMarker { key: key.clone(), at: now }),
            };
            let marked = marked(&written);
            secrets.insert(name.clone(), written);
            estate.next_revision();
            Ok(Change::made(marked))
        })
        .await
    }
}
