//! The lists of the port.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::{
    fingerprint::Fingerprint,
    id::CredentialId,
    reference::Ref,
    view::{ConsumerView, CopyView, Counts, CredentialDetail, CredentialView, IdentityView},
};
use sea_orm::{EntityTrait as _, FromQueryResult};
use uuid::Uuid;

use super::{
    super::{
        super::{SeaStore, sql, text::from_json},
        facts::CopyFacts,
    },
    credential as views, identity as identities,
    load::{self, Read},
    pages,
};
use crate::{
    Result, Selection,
    entity::{consumer, copy, credential, identity},
};

#[derive(FromQueryResult)]
struct Found {
    fingerprint: Vec<u8>,
    credential_id: Uuid,
}

#[derive(FromQueryResult)]
struct Place {
    credential_id: Uuid,
    at: String,
    object_key: Uuid,
    facts: String,
}

#[derive(FromQueryResult)]
struct Number {
    n: i64,
}

impl SeaStore {
    pub(in super::super) async fn list_credentials(
        &self,
        now: DateTime<Utc>,
        selection: &Selection,
    ) -> Result<Vec<CredentialView>> {
        let mut found = Vec::new();
        pages!(self, credential, selection, |rows| {
            let loaded = load::load(&self.database.read, &rows, true).await?;
            for row in &rows {
                found.push(views::view(now, row, &loaded)?);
            }
        });
        Ok(found)
    }

    /// With `whole` unset, only what rules look at.
    pub(in super::super) async fn list_details(
        &self,
        now: DateTime<Utc>,
        selection: &Selection,
        whole: bool,
    ) -> Result<Vec<CredentialDetail>> {
        let mut found = Vec::new();
        pages!(self, credential, selection, |rows| {
            found.extend(self.details_of(now, &rows, whole).await?);
        });
        Ok(found)
    }

    pub(in super::super) async fn one_credential(
        &self,
        now: DateTime<Utc>,
        id: CredentialId,
    ) -> Result<Option<CredentialDetail>> {
        let row = credential::Entity::find_by_id(id.0).one(&self.database.read).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(self.details_of(now, &[row], true).await?.pop())
    }

    pub(super) async fn details_of(
        &self,
        now: DateTime<Utc>,
        rows: &[credential::Model],
        whole: bool,
    ) -> Result<Vec<CredentialDetail>> {
        let connection = &self.database.read;
        let loaded = load::load(connection, rows, whole).await?;
        let mut history = match whole {
            true => loaded.history(connection, rows).await?,
            false => rows.iter().map(|row| (row.id, loaded.losses(row.id))).collect(),
        };
        let owners: Vec<identity::Model> = loaded.identities.values().cloned().collect();
        let known = identities::views(connection, owners).await?;
        let known: HashMap<Uuid, IdentityView> =
            known.into_iter().map(|identity| (identity.id.0, identity)).collect();
        rows.iter()
            .map(|row| {
                let issued = row.issuer_key.and_then(|key| loaded.issued.get(&key));
                let copies = loaded.copies.get(&row.id).into_iter().flatten().map(views::copy_view);
                let copies: Vec<Option<CopyView>> = copies.collect::<Result<_>>()?;
                let id = CredentialId(row.id);
                let consumers = loaded.consumers_of(row.id).into_iter();
                Ok(CredentialDetail {
                    credential: views::view(now, row, &loaded)?,
                    identity: issued.and_then(|issued| known.get(&issued.row.identity_key?).cloned()),
                    owners: views::owners(row, &loaded)?,
                    copies: copies.into_iter().flatten().collect(),
                    consumers: consumers.map(|consumer| views::consumer_view(consumer, Some(id))).collect(),
                    history: history.remove(&row.id).unwrap_or_default(),
                })
            })
            .collect()
    }

    pub(in super::super) async fn list_identities(&self, selection: &Selection) -> Result<Vec<IdentityView>> {
        let mut found = Vec::new();
        pages!(self, identity, selection, |rows| {
            found.extend(identities::views(&self.database.read, rows).await?);
        });
        Ok(found)
    }

    pub(in super::super) async fn list_copies(&self, selection: &Selection) -> Result<Vec<CopyView>> {
        let mut found = Vec::new();
        pages!(self, copy, selection, |rows| {
            for row in rows {
                found.extend(views::copy_view(&Read::new(row.into())?)?);
            }
        });
        Ok(found)
    }

    /// One row per consumer and field that it reads and that is a credential; one without a credential where it reads none.
    pub(in super::super) async fn list_consumers(&self, selection: &Selection) -> Result<Vec<ConsumerView>> {
        let mut found = Vec::new();
        pages!(self, consumer, selection, |rows| {
            let objects: BTreeSet<Uuid> = rows.iter().map(|row| row.object_key).collect();
            let objects: Vec<Uuid> = objects.into_iter().collect();
            let places: Vec<Place> = sql::rows_for(&self.database.read, &objects, &[], |ids| {
                format!(
                    "select credential_id, at, object_key, facts from credential_copy where gone_at is null \
                     and stage = 'current' and credential_id is not null and object_key in ({ids})"
                )
            })
            .await?;
            let mut by_object: HashMap<Uuid, Vec<(Uuid, String, Ref)>> = HashMap::new();
            for place in places {
                let facts: CopyFacts = from_json("credential_copy", &place.facts)?;
                let entry = (place.credential_id, place.at, facts.field_at);
                by_object.entry(place.object_key).or_default().push(entry);
            }
            for row in rows {
                let places = by_object.get(&row.object_key).into_iter().flatten();
                let read = places.filter(|(_, at, field_at)| load::reads(&row.reads, at, field_at));
                // A consumer of a whole object reads each of its fields that is a credential.
                let copies: BTreeSet<(Uuid, &Ref)> =
                    read.map(|(credential, _, field_at)| (*credential, field_at)).collect();
                let facts = from_json("consumer", &row.facts)?;
                let consumer = Read { row, facts };
                if copies.is_empty() {
                    found.push(views::consumer_view(&consumer, None));
                }
                for (credential, field_at) in copies {
                    let mut view = views::consumer_view(&consumer, Some(CredentialId(credential)));
                    view.copy = field_at.clone();
                    found.push(view);
                }
            }
        });
        Ok(found)
    }

    pub(in super::super) async fn find_fingerprints(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<(Fingerprint, CredentialId)>> {
        self.expect_fingerprint_key().await?;
        let mut found = Vec::new();
        for piece in fingerprints.chunks(sql::IDS) {
            let values = piece.iter().map(|fingerprint| fingerprint.0.to_vec().into()).collect();
            let marks = sql::marks(1, piece.len());
            let sql = format!(
                "select fingerprint, credential_id from credential_fingerprint where fingerprint in ({marks}) \
                 order by fingerprint, credential_id"
            );
            for row in sql::rows::<Found, _>(&self.database.read, sql, values).await? {
                let bytes = row.fingerprint.try_into();
                let bytes = bytes
                    .map_err(|_| crate::Error::inconsistent("credential_fingerprint", "not 32 bytes"))?;
                found.push((Fingerprint(bytes), CredentialId(row.credential_id)));
            }
        }
        Ok(found)
    }

    pub(in super::super) async fn count_backend(&self, backend: &str) -> Result<Counts> {
        let of_scopes = "scope_id in (select id from scope where backend = $1)";
        let count = async |table: &str, more: &str| -> Result<u64> {
            let sql = format!("select count(*) as n from {table} where gone_at is null and {more}");
            let rows: Vec<Number> = sql::rows(&self.database.read, sql, vec![backend.into()]).await?;
            Ok(rows.first().map_or(0, |row| u64::try_from(row.n).unwrap_or(0)))
        };
        Ok(Counts {
            identities: count("identity", of_scopes).await?,
            credentials: count("credential", "backend = $1").await?,
            copies: count("credential_copy", &format!("stage <> 'former' and {of_scopes}")).await?,
            consumers: count("consumer", of_scopes).await?,
            grants: count("privilege", of_scopes).await?,
        })
    }
}
