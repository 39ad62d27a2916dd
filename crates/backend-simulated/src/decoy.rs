//! Decoys: login roles that own nothing and may do nothing.

use async_trait::async_trait;
use claviger_backend::{DECOY, Decoys, Error, ErrorKind, Operation, Result};
use claviger_core::{reference::Ref, secret::SecretValue};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Password, Role},
    target::Target,
};

impl SimulatedBackend {
    fn decoy(&self, name: &str) -> Ref {
        Ref::new(&self.info.name, ["db", "role", name])
    }
}

#[async_trait]
impl Decoys for SimulatedBackend {
    async fn plant(&self, op: &Operation, value: &SecretValue) -> Result<Ref> {
        let key = op.key.0.simple().to_string();
        let at = self.decoy(&format!("{DECOY}{}", &key[..12]));
        self.mutate("plant", op, &at, |estate, target, now| {
            let Target::Role(name) = target else { return Ok(Change::nothing(())) };
            if estate.database.roles.contains_key(name) {
                return Ok(Change::nothing(()));
            }
            let role = Role {
                password: Some(Password::scram(value.expose(), op.key.0.as_bytes())),
                version: 1,
                created_at: now,
                rotated_at: now,
                last_used_at: None,
                valid_until: None,
                nologin: false,
                superuser: false,
                createrole: false,
                replication: false,
                acts_as: None,
                made_by: Some(op.key.to_string()),
                sessions: Vec::new(),
            };
            estate.database.roles.insert(name.clone(), role);
            estate.next_revision();
            Ok(Change::made(()))
        })
        .await?;
        Ok(at)
    }

    async fn decoys(&self) -> Result<Vec<Ref>> {
        let estate = self.survey("decoys").await?;
        let names = estate.database.roles.keys().filter(|name| name.starts_with(DECOY));
        Ok(names.map(|name| self.decoy(name)).collect())
    }

    async fn clear(&self, op: &Operation, at: &Ref) -> Result<()> {
        self.mutate("clear", op, at, |estate, target, _| match target {
            Target::Role(name) if name.starts_with(DECOY) => {
                if estate.database.roles.remove(name).is_none() {
                    return Ok(Change::nothing(()));
                }
                estate.next_revision();
                Ok(Change::made(()))
            }
            _ => Err(Error::new(ErrorKind::Invalid, "clear", format!("{at} is no decoy"))),
        })
        .await
    }
}
