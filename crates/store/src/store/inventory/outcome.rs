//! What rotations and revocations leave in the inventory, before the next scan sees it.

use chrono::{DateTime, Utc};
use claviger_core::{
    fingerprint::Fingerprint,
    id::CredentialId,
    model::{CopyStage, CredentialState},
    reference::Ref,
};
use sea_orm::{DatabaseTransaction, EntityTrait as _, IntoActiveModel as _, Value, sea_query::OnConflict};

use super::{
    super::{
        SeaStore, sql,
        text::{from_json, micros, to_json},
    },
    facts::{CopyFacts, rank},
    history, key, returned, successor,
};
use crate::{
    Error, LinkEvidence, Result, RotationEnd,
    entity::{copy, credential, credential_fingerprint},
};

impl SeaStore {
    pub(super) async fn note_rotation(
        &self,
        at: DateTime<Utc>,
        id: CredentialId,
        copies: Vec<(Ref, Option<String>, Fingerprint)>,
        end: RotationEnd,
    ) -> Result<()> {
        let at = micros(at);
        let change = match end {
            RotationEnd::Rotated { .. } => "rotated",
            RotationEnd::RolledBack => "rolled-back",
        };
        let transaction = self.database.begin().await?;
        self.require_fingerprint_key(&transaction).await?;
        let row = find(&transaction, id).await?;
        let rotated = matches!(end, RotationEnd::Rotated { .. });
        let successor = match end {
            RotationEnd::Rotated { successor: Some(place) } if place.as_str() != row.at => {
                Some((successor::admit(&transaction, self, at, &row, &place).await?, place))
            }
            _ => None,
        };
        let holder = successor.as_ref().map_or(id.0, |(holder, _)| *holder);
        let mut group = None;
        let mut entries = Vec::new();
        let written = copies.len();
        for (place, version, fingerprint) in copies {
            let copy_id = key::copy(&place, CopyStage::Current, None);
            let known = credential_fingerprint::Model {
                fingerprint: fingerprint.0.to_vec(),
                credential_id: holder,
                first_seen: at,
            };
            credential_fingerprint::Entity::insert(known.into_active_model())
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .try_insert()
                .exec_without_returning(&transaction)
                .await?;
            group = Some(key::value_group(&fingerprint));
            let Some(copy) = copy::Entity::find_by_id(copy_id).one(&transaction).await? else { continue };
            history::close(&transaction, "credential_copy", at, vec![copy_id]).await?;
            let mut facts: CopyFacts = from_json("credential_copy", &copy.facts)?;
            let detail = match (&facts.version, &version) {
                (Some(before), Some(after)) => format!("version {before} -> {after}"),
                _ => String::new(),
            };
            facts.version = version;
            facts.fingerprint = Some(fingerprint.to_string());
            facts.strong = true;
            let (mut issuer, mut strength) = (copy.issuer, copy.issuer_rank);
            if let Some((_, place)) = &successor {
                // Its issuer has just made it: no better evidence is to be had.
                facts.issuer = Some(place.clone());
                facts.evidence = Some(LinkEvidence::Issuer.as_str().to_owned());
                (issuer, strength) = (Some(place.as_str().to_owned()), Some(rank(LinkEvidence::Issuer)));
            }
            let facts = to_json(&facts);
            let values: Vec<Value> = vec![
                copy_id.into(),
                fingerprint.0.to_vec().into(),
                group.into(),
                key::digest(&facts).into(),
                facts.into(),
                holder.into(),
                issuer.into(),
                strength.into(),
            ];
            // Marked, so that the next linking looks at it even if the next scan finds just this.
            let sql = "update credential_copy set fingerprint = $2, group_key = $3, digest = $4, facts = $5, strong = true, \
                 credential_id = $6, issuer = $7, issuer_rank = $8, dirty = true where id = $1";
            sql::run(&transaction, sql, values).await?;
            entries.push(history::entry(at, "copy", copy_id, place.as_str(), change, detail));
        }
        // A group without an issuer is its value's: it goes on under the new one, if nobody else has that.
        if successor.is_none()
            && row.group_key.is_some()
            && let Some(group) = group
        {
            let sql = "update credential set group_key = $2 where id = $1 and not exists \
                 (select 1 from credential o where o.group_key = $2)";
            sql::run(&transaction, sql, vec![id.0.into(), group.into()]).await?;
        }
        if rotated {
            let sql = "update credential set rotated_at = $2 where id = $1";
            sql::run(&transaction, sql, vec![id.0.into(), at.into()]).await?;
        }
        let detail = if written == 1 { "1 copy".to_owned() } else { format!("{written} copies") };
        entries.push(history::entry(at, "credential", id.0, &row.at, change, detail));
        history::insert(&transaction, entries).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn note_validity(
        &self,
        places: &[Ref],
        made: DateTime<Utc>,
        ends: DateTime<Utc>,
    ) -> Result<()> {
        let transaction = self.database.begin().await?;
        for place in places {
            let copy_id = key::copy(place, CopyStage::Current, None);
            let Some(copy) = copy::Entity::find_by_id(copy_id).one(&transaction).await? else { continue };
            let mut facts: CopyFacts = from_json("credential_copy", &copy.facts)?;
            (facts.created_at, facts.expires_at) = (Some(made), Some(ends));
            let facts = to_json(&facts);
            let values: Vec<Value> = vec![copy_id.into(), key::digest(&facts).into(), facts.into()];
            let sql = "update credential_copy set digest = $2, facts = $3, dirty = true where id = $1";
            sql::run(&transaction, sql, values).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn note_state(
        &self,
        at: DateTime<Utc>,
        id: CredentialId,
        state: CredentialState,
        detail: &str,
    ) -> Result<()> {
        let at = micros(at);
        let transaction = self.database.begin().await?;
        let row = find(&transaction, id).await?;
        let values: Vec<Value> = vec![id.0.into(), state.as_str().into(), at.into()];
        sql::run(&transaction, "update credential set state = $2, state_at = $3 where id = $1", values)
            .await?;
        let revoked = matches!(
            state,
            CredentialState::RevokedProven
                | CredentialState::RevokedAttested
                | CredentialState::RevokedUnproven
        );
        if revoked {
            returned::note_leftovers(&transaction, id).await?;
        }
        let change = if revoked { "revoked" } else { "changed" };
        let detail = if detail.is_empty() { state.to_string() } else { format!("{state}: {detail}") };
        history::insert(&transaction, vec![history::entry(at, "credential", id.0, &row.at, change, detail)])
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn find(transaction: &DatabaseTransaction, id: CredentialId) -> Result<credential::Model> {
    let row = credential::Entity::find_by_id(id.0).one(transaction).await?;
    row.ok_or_else(|| Error::inconsistent("credential", format!("there is no credential {id}")))
}
