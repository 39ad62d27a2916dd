//! What chains are followed by: who may read a place, and what lies in one.

use chrono::{DateTime, Utc};
use claviger_core::{
    chain::{OPENS, Pattern},
    id::CredentialId,
    reference::Ref,
    view::{CredentialDetail, GrantView},
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _};
use uuid::Uuid;

use super::super::{
    super::{SeaStore, sql, text::from_json},
    facts::PrivilegeFacts,
    kept::SORT,
    key,
};
use crate::{Result, entity::credential};

#[derive(FromQueryResult)]
struct Lying {
    at: String,
    credential_id: Uuid,
}

#[derive(FromQueryResult)]
struct Granted {
    at: String,
    facts: String,
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

impl SeaStore {
    pub(in super::super) async fn some_subjects(
        &self,
        now: DateTime<Utc>,
        ids: &[CredentialId],
    ) -> Result<Vec<CredentialDetail>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut found = Vec::new();
        for list in sql::lists(&ids) {
            let query = credential::Entity::find().filter(credential::Column::Id.is_in(list));
            let rows = query.all(&self.database.read).await?;
            found.extend(self.details_of(now, &rows, false).await?);
        }
        found.sort_by(|one: &CredentialDetail, other| one.credential.at.cmp(&other.credential.at));
        Ok(found)
    }

    pub(in super::super) async fn lying_within(
        &self,
        pattern: Pattern<'_>,
        limit: u64,
    ) -> Result<(Vec<(Ref, CredentialId)>, bool)> {
        let beginning: String = pattern.beginning().chars().take(512).collect();
        // No character of a ref is after this one.
        let end = format!("{beginning}\u{10ffff}");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "select at, credential_id from credential_copy where gone_at is null and stage = 'current' \
             and credential_id is not null and {SORT} >= $1 and {SORT} < $2 and at like $3 escape '!' \
             order by {SORT} limit $4"
        );
        let values = vec![beginning.into(), end.into(), like(pattern).into(), limit.into()];
        let rows: Vec<Lying> = sql::rows(&self.database.read, sql, values).await?;
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit;
        let lying = rows.into_iter().map(|row| (Ref::from_text(row.at), CredentialId(row.credential_id)));
        Ok((lying.filter(|(at, _)| pattern.covers(at)).collect(), is_full))
    }

    pub(in super::super) async fn list_openings(&self, backends: &[&str]) -> Result<Vec<GrantView>> {
        let mut found = Vec::new();
        let text = format!("%\"{OPENS}\":[\"%");
        for backend in backends {
            let sql =
                "select at, facts from privilege where gone_at is null and backend = $1 and facts like $2";
            let values = vec![(*backend).into(), text.clone().into()];
            for row in sql::rows::<Granted, _>(&self.database.read, sql, values).await? {
                let facts: PrivilegeFacts = from_json("privilege", &row.facts)?;
                found.push(GrantView {
                    identity: facts.identity,
                    source: Ref::from_text(row.at),
                    privilege: facts.privilege,
                    reach: facts.reach,
                    level: facts.level,
                    attributes: facts.attributes,
                });
            }
        }
        Ok(found)
    }

    pub(in super::super) async fn held_by(&self, identities: &[Ref]) -> Result<Vec<CredentialId>> {
        let keys: Vec<Uuid> = identities.iter().map(key::identity).collect();
        let rows: Vec<Id> = sql::rows_for(&self.database.read, &keys, &[], |ids| {
            format!(
                "select c.id from issued_credential i join credential c on c.issuer_key = i.id \
                 where c.gone_at is null and i.identity_key in ({ids})"
            )
        })
        .await?;
        Ok(rows.into_iter().map(|row| CredentialId(row.id)).collect())
    }

    pub(in super::super) async fn without_value(&self) -> Result<Vec<CredentialId>> {
        let sql = "select distinct k.id from credential_copy c join credential k on k.id = c.credential_id \
                   where c.gone_at is null and c.stage = 'current' and c.fingerprint is null \
                   and k.gone_at is null and k.issuer_key is null";
        let rows: Vec<Id> = sql::rows(&self.database.read, sql, Vec::new()).await?;
        Ok(rows.into_iter().map(|row| CredentialId(row.id)).collect())
    }
}

/// For `like … escape '!'`: at least what the pattern covers, fields included.
fn like(pattern: Pattern<'_>) -> String {
    let mut text = String::new();
    for letter in pattern.as_str().chars() {
        match letter {
            '*' => text.push('%'),
            '!' | '%' | '_' => text.extend(['!', letter]),
            other => text.push(other),
        }
    }
    // The object itself, or a field of it.
    if !text.ends_with('%') {
        text.push('%');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_become_wildcards_and_nothing_else_does() {
        for (pattern, expected) in [
            ("prod/*/Secret/*", "prod/%/Secret/%"),
            ("prod/a_b/Secret/100%!", "prod/a!_b/Secret/100!%!!%"),
            ("vault/kv/app*", "vault/kv/app%"),
        ] {
            assert_eq!(like(Pattern::new(pattern)), expected);
        }
    }
}
