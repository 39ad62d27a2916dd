//! Identities with their grants.

use std::collections::HashMap;

use claviger_core::{
    id::IdentityId,
    model::PrivilegeLevel,
    reference::Ref,
    view::{GrantView, IdentityView},
};
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait as _, FromQueryResult, QueryFilter as _};
use uuid::Uuid;

use super::super::{
    super::{sql, text::from_json},
    facts::{IdentityFacts, PrivilegeFacts},
};
use crate::{
    Result,
    entity::{identity, privilege},
};

#[derive(FromQueryResult)]
struct Number {
    identity_key: Uuid,
    n: i64,
}

/// The views of some identities, in their order.
pub(super) async fn views(
    connection: &DatabaseConnection,
    rows: Vec<identity::Model>,
) -> Result<Vec<IdentityView>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut grants: HashMap<Uuid, Vec<GrantView>> = HashMap::new();
    for list in sql::lists(&ids) {
        let found = privilege::Entity::find()
            .filter(privilege::Column::IdentityKey.is_in(list))
            .filter(privilege::Column::GoneAt.is_null());
        for row in found.all(connection).await? {
            let facts: PrivilegeFacts = from_json("privilege", &row.facts)?;
            grants.entry(row.identity_key).or_default().push(GrantView {
                identity: facts.identity,
                source: Ref::from_text(row.at),
                privilege: facts.privilege,
                reach: facts.reach,
                level: facts.level,
                attributes: facts.attributes,
            });
        }
    }
    let numbers: Vec<Number> = sql::rows_for(connection, &ids, &[], |ids| {
        format!(
            "select i.identity_key, count(*) as n from issued_credential i join credential c on c.issuer_key = i.id \
             where c.gone_at is null and i.identity_key in ({ids}) group by i.identity_key"
        )
    })
    .await?;
    let numbers: HashMap<Uuid, i64> =
        numbers.into_iter().map(|number| (number.identity_key, number.n)).collect();
    rows.into_iter()
        .map(|row| {
            let facts: IdentityFacts = from_json("identity", &row.facts)?;
            let mut grants = grants.remove(&row.id).unwrap_or_default();
            grants.sort_by(|left, right| {
                let key = |grant: &GrantView| {
                    (grant.level, grant.privilege.clone(), grant.reach.clone(), grant.source.clone())
                };
                key(left).cmp(&key(right))
            });
            let owner = facts
                .owners
                .iter()
                .max_by(|left, right| (left.weight, &right.owner).cmp(&(right.weight, &left.owner)));
            let mut attributes = facts.attributes;
            if facts.disabled {
                attributes.insert("disabled".to_owned(), true.into());
            }
            Ok(IdentityView {
                id: IdentityId(row.id),
                at: Ref::from_text(row.at),
                kind: facts.kind,
                owner: owner.map(|evidence| evidence.owner.clone()),
                privilege: grants.first().map_or(PrivilegeLevel::Unknown, |grant| grant.level),
                credentials: u32::try_from(numbers.get(&row.id).copied().unwrap_or(0)).unwrap_or(u32::MAX),
                grants,
                labels: facts.labels,
                attributes,
                created_at: facts.created_at,
                last_used_at: row.last_used_at,
            })
        })
        .collect()
}
