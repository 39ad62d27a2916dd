//! What belongs to a page of credentials, in a fixed number of queries.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::{reference::Ref, view::HistoryView};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _,
};
use uuid::Uuid;

use super::{
    super::{
        super::{sql, text::from_json},
        facts::{ConsumerFacts, CopyFacts, IssuedFacts},
        history, key,
    },
    copy::{CopyRow, copies},
};
use crate::{
    Result,
    entity::{consumer, credential, identity, issued},
};

/// A row with its facts.
pub(super) struct Read<M, F> {
    pub(super) row: M,
    pub(super) facts: F,
}

/// Everything that belongs to some credentials.
pub(super) struct Loaded {
    pub(super) issued: HashMap<Uuid, Read<issued::Model, IssuedFacts>>,
    /// By credential; those that are there, in the order of their refs, the current one first.
    pub(super) copies: HashMap<Uuid, Vec<Read<CopyRow, CopyFacts>>>,
    /// By the object that is read.
    pub(super) consumers: HashMap<Uuid, Vec<Read<consumer::Model, ConsumerFacts>>>,
    pub(super) identities: HashMap<Uuid, identity::Model>,
    /// By the object that was read: consumers that are gone.
    pub(super) lost: HashMap<Uuid, Vec<Lost>>,
    /// Slugs by subject; empty where they were not wanted.
    pub(super) findings: HashMap<Uuid, BTreeSet<String>>,
}

/// A consumer that is gone.
#[derive(FromQueryResult)]
pub(super) struct Lost {
    object_key: Uuid,
    at: String,
    reads: String,
    gone_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Slug {
    subject_key: Uuid,
    slug: String,
}

#[derive(FromQueryResult)]
struct CopyId {
    id: Uuid,
    credential_id: Uuid,
}

pub(super) async fn load(
    connection: &DatabaseConnection,
    credentials: &[credential::Model],
    with_findings: bool,
) -> Result<Loaded> {
    let issuers: Vec<Uuid> = credentials.iter().filter_map(|credential| credential.issuer_key).collect();
    let mut issued = HashMap::new();
    for list in sql::lists(&issuers) {
        let found = issued::Entity::find().filter(issued::Column::Id.is_in(list));
        for row in found.all(connection).await? {
            let facts = from_json("issued_credential", &row.facts)?;
            issued.insert(row.id, Read { row, facts });
        }
    }
    let ids: Vec<Uuid> = credentials.iter().map(|credential| credential.id).collect();
    let copies = copies(connection, &ids).await?;
    let objects = copies.values().flatten().map(|copy| copy.row.object_key);
    let objects: BTreeSet<Uuid> = objects.collect();
    let objects: Vec<Uuid> = objects.into_iter().collect();
    let gone: Vec<Lost> = sql::rows_for(connection, &objects, &[], |ids| {
        format!("select object_key, at, reads, gone_at from consumer where gone_at is not null and object_key in ({ids})")
    })
    .await?;
    let mut lost: HashMap<Uuid, Vec<Lost>> = HashMap::new();
    for consumer in gone {
        lost.entry(consumer.object_key).or_default().push(consumer);
    }
    let consumers = consumers(connection, objects).await?;
    let keys: BTreeSet<Uuid> = issued.values().filter_map(|issued| issued.row.identity_key).collect();
    let keys: Vec<Uuid> = keys.into_iter().collect();
    let mut identities = HashMap::new();
    for list in sql::lists(&keys) {
        let found = identity::Entity::find().filter(identity::Column::Id.is_in(list));
        identities.extend(found.all(connection).await?.into_iter().map(|row| (row.id, row)));
    }
    let findings = match with_findings {
        true => findings(connection, credentials, &copies).await?,
        false => HashMap::new(),
    };
    Ok(Loaded { issued, copies, consumers, identities, lost, findings })
}

async fn findings(
    connection: &DatabaseConnection,
    credentials: &[credential::Model],
    copies: &HashMap<Uuid, Vec<Read<CopyRow, CopyFacts>>>,
) -> Result<HashMap<Uuid, BTreeSet<String>>> {
    let subjects = credentials.iter().map(|credential| key::subject(&credential.at));
    let subjects = subjects.chain(copies.values().flatten().map(|copy| key::subject(&copy.row.at)));
    let subjects: BTreeSet<Uuid> = subjects.collect();
    let subjects: Vec<Uuid> = subjects.into_iter().collect();
    let slugs: Vec<Slug> = sql::rows_for(connection, &subjects, &[], |ids| {
        format!("select subject_key, slug from finding where closed_at is null and subject_key in ({ids})")
    })
    .await?;
    let mut findings: HashMap<Uuid, BTreeSet<String>> = HashMap::new();
    for slug in slugs {
        findings.entry(slug.subject_key).or_default().insert(slug.slug);
    }
    Ok(findings)
}

async fn consumers(
    connection: &DatabaseConnection,
    objects: Vec<Uuid>,
) -> Result<HashMap<Uuid, Vec<Read<consumer::Model, ConsumerFacts>>>> {
    let mut consumers: HashMap<Uuid, Vec<_>> = HashMap::new();
    for list in sql::lists(&objects) {
        let found = consumer::Entity::find()
            .filter(consumer::Column::ObjectKey.is_in(list))
            .filter(consumer::Column::GoneAt.is_null())
            .order_by_asc(consumer::Column::At)
            .order_by_asc(consumer::Column::Id);
        for row in found.all(connection).await? {
            let facts = from_json("consumer", &row.facts)?;
            consumers.entry(row.object_key).or_default().push(Read { row, facts });
        }
    }
    Ok(consumers)
}

impl Loaded {
    /// The consumers of a credential's current copies, each once.
    pub(super) fn consumers_of(&self, credential: Uuid) -> Vec<&Read<consumer::Model, ConsumerFacts>> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for copy in self.copies.get(&credential).into_iter().flatten() {
            if copy.row.stage != "current" {
                continue;
            }
            for consumer in self.consumers.get(&copy.row.object_key).into_iter().flatten() {
                if reads(&consumer.row.reads, &copy.row.at, &copy.facts.field_at)
                    && seen.insert(consumer.row.id)
                {
                    found.push(consumer);
                }
            }
        }
        found.sort_by(|left, right| (&left.row.at, left.row.id).cmp(&(&right.row.at, right.row.id)));
        found
    }

    /// When the consumers of a credential's current copies went that are no more.
    pub(super) fn losses(&self, credential: Uuid) -> Vec<HistoryView> {
        let mut losses = Vec::new();
        for copy in self.copies.get(&credential).into_iter().flatten() {
            let lost = self.lost.get(&copy.row.object_key).into_iter().flatten();
            for lost in lost.filter(|lost| reads(&lost.reads, &copy.row.at, &copy.facts.field_at)) {
                losses.push(HistoryView {
                    at: lost.gone_at,
                    entity: "consumer".to_owned(),
                    subject: Ref::from_text(lost.at.as_str()),
                    change: "vanished".to_owned(),
                    detail: String::new(),
                });
            }
        }
        losses.sort_by(|left, right| (right.at, &left.subject).cmp(&(left.at, &right.subject)));
        losses.dedup();
        losses
    }

    /// What happened to each credential, its issuer's row, its identity and its copies, gone ones included; newest first.
    pub(super) async fn history(
        &self,
        connection: &DatabaseConnection,
        credentials: &[credential::Model],
    ) -> Result<HashMap<Uuid, Vec<HistoryView>>> {
        let ids: Vec<Uuid> = credentials.iter().map(|credential| credential.id).collect();
        let copies: Vec<CopyId> = sql::rows_for(connection, &ids, &[], |ids| {
            format!("select id, credential_id from credential_copy where credential_id in ({ids})")
        })
        .await?;
        let mut things: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for copy in copies {
            things.entry(copy.credential_id).or_default().push(copy.id);
        }
        for credential in credentials {
            let mine = things.entry(credential.id).or_default();
            mine.push(credential.id);
            mine.extend(credential.issuer_key);
            let issued = credential.issuer_key.and_then(|key| self.issued.get(&key));
            mine.extend(issued.and_then(|issued| issued.row.identity_key));
            mine.extend(self.consumers_of(credential.id).iter().map(|consumer| consumer.row.id));
        }
        let all: BTreeSet<Uuid> = things.values().flatten().copied().collect();
        let rows = history::of_things(connection, &all.into_iter().collect::<Vec<_>>()).await?;
        let mut found = HashMap::new();
        for (credential, things) in things {
            let mut mine: Vec<_> = things.iter().filter_map(|id| rows.get(id)).flatten().cloned().collect();
            mine.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
            let mut mine: Vec<HistoryView> = mine.into_iter().map(history::view).collect();
            mine.extend(self.losses(credential));
            // Stable: what happened at one time stays in the order of its rows.
            mine.sort_by_key(|change| std::cmp::Reverse(change.at));
            found.insert(credential, mine);
        }
        Ok(found)
    }
}

/// Does a consumer that reads `reads` read this copy? It may name the copy, its field, or the whole object.
pub(super) fn reads(reads: &str, at: &str, field_at: &Ref) -> bool {
    reads == at || reads == field_at.as_str() || reads == Ref::from_text(at).object().as_str()
}
