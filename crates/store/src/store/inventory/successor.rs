//! What takes an old credential's place under a name of its own, before a scan has seen it.

use chrono::{DateTime, Utc};
use claviger_core::{
    model::{Attributes, CredentialState},
    reference::Ref,
};
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{
    super::{
        SeaStore,
        text::{from_json, to_json},
    },
    facts::IssuedFacts,
    history, key,
    link::{insert, new_credential},
};
use crate::{
    Result,
    entity::{credential, issued},
};

/// The id of the successor's credential; made where there is none. It has the identity, labels and owners of what it follows, and its age
/// begins now. What only its issuer can tell (expiry, public name, attributes) is unknown until the next scan.
pub(super) async fn admit(
    transaction: &DatabaseTransaction,
    store: &SeaStore,
    at: DateTime<Utc>,
    old: &credential::Model,
    place: &Ref,
) -> Result<Uuid> {
    let id = key::issued(place.as_str());
    let listed = issued::Entity::find_by_id(id).one(transaction).await?;
    if listed.is_none()
        && let Some(before) = old.issuer_key
        && let Some(before) = issued::Entity::find_by_id(before).one(transaction).await?
    {
        let facts: IssuedFacts = from_json("issued_credential", &before.facts)?;
        let facts = to_json(&IssuedFacts {
            state: CredentialState::Active,
            created_at: Some(at),
            rotated_at: None,
            expires_at: None,
            handle: None,
            verifier: None,
            attributes: Attributes::default(),
            ..facts
        });
        let row = issued::Model {
            id,
            at: place.as_str().to_owned(),
            handle: None,
            dirty: true,
            value_changed_at: None,
            digest: key::digest(&facts),
            facts,
            last_used_at: None,
            first_seen: at,
            last_seen: at,
            gone_at: None,
            ..before
        };
        super::super::sql::insert::<issued::Entity, _>(transaction, vec![row], &[], "").await?;
    }
    let known =
        credential::Entity::find().filter(credential::Column::IssuerKey.eq(id)).one(transaction).await?;
    if let Some(known) = known {
        return Ok(known.id);
    }
    let made = new_credential(store, at, place.as_str(), &old.kind, Some(id), None);
    let (new, follows) = (made.id, format!("follows {}", old.at));
    insert(transaction, vec![made]).await?;
    history::insert(
        transaction,
        vec![history::entry(at, "credential", new, place.as_str(), "appeared", follows)],
    )
    .await?;
    Ok(new)
}
