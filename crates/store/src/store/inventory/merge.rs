//! One page: a bounded number of statements, whatever its size.

mod comparison;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use claviger_core::{
    fingerprint::{Fingerprint, Form},
    id::ScanId,
    reference::Ref,
};
use sea_orm::{DatabaseTransaction, FromQueryResult};
use uuid::Uuid;

use self::comparison::Compared;
use super::{
    super::{
        SeaStore, sql,
        text::{from_json, micros},
    },
    facts::{CopyFacts, ranked},
    item::{self, Items, Stamp},
    kept::Kept,
    key,
    link::newcomer,
    rekey, scan,
};
use crate::{CopyLink, MergeSummary, MergedCopy, MergedPage, Result, entity::copy};

impl SeaStore {
    pub(super) async fn merge_page(
        &self,
        scan: ScanId,
        at: DateTime<Utc>,
        page: MergedPage,
    ) -> Result<MergeSummary> {
        let at = micros(at);
        let stamp =
            Stamp { epoch: 0, at, scope: key::scope(&page.backend, &page.scope), backend: page.backend };
        let items = Items::sort(page.items);
        let transaction = self.database.begin().await?;
        self.require_fingerprint_key(&transaction).await?;
        rekey::page(&transaction, &items, &page.former).await?;
        let stamp = Stamp { epoch: scan::epoch(&transaction, scan).await?, ..stamp };
        scan::begin_scope(&transaction, &stamp, &page.scope).await?;
        let mut copies = items.copies;
        keep_ledger(&transaction, &mut copies).await?;
        keep_links(&transaction, &mut copies).await?;
        let mut sum = MergeSummary::default();
        let identities = items.identities.into_iter().map(|(id, seen)| item::identity_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::identity::Entity>(&transaction, &stamp, identities.collect()).await?,
        );
        let issued = items.issued.into_iter().map(|(id, seen)| item::issued_row(id, seen, &stamp));
        add(&mut sum, merge::<crate::entity::issued::Entity>(&transaction, &stamp, issued.collect()).await?);
        let copies = copies.into_iter().map(|(id, seen)| item::copy_row(id, seen, &stamp)).collect();
        add(&mut sum, self.merge_copies(&transaction, &stamp, copies).await?);
        let consumers = items.consumers.into_iter().map(|(id, seen)| item::consumer_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::consumer::Entity>(&transaction, &stamp, consumers.collect()).await?,
        );
        let grants = items.grants.into_iter().map(|(id, seen)| item::privilege_row(id, seen, &stamp));
        add(
            &mut sum,
            merge::<crate::entity::privilege::Entity>(&transaction, &stamp, grants.collect()).await?,
        );
        transaction.commit().await?;
        Ok(sum)
    }

    async fn merge_copies(
        &self,
        transaction: &DatabaseTransaction,
        stamp: &Stamp,
        models: Vec<copy::Model>,
    ) -> Result<MergeSummary> {
        if models.is_empty() {
            return Ok(MergeSummary::default());
        }
        let mut groups: HashMap<Uuid, usize> = HashMap::new();
        for model in &models {
            *groups.entry(model.group_key).or_default() += 1;
        }
        let mut compared = Compared::<copy::Entity>::new(transaction, stamp, models).await?;
        let credentials = newcomer::admit(transaction, self, stamp.at, &mut compared.fresh, &groups).await?;
        compared.entries.extend(credentials);
        compared.write(transaction, stamp).await
    }
}

async fn merge<E: Kept>(
    transaction: &DatabaseTransaction,
    stamp: &Stamp,
    models: Vec<E::Model>,
) -> Result<MergeSummary> {
    if models.is_empty() {
        return Ok(MergeSummary::default());
    }
    let compared = Compared::<E>::new(transaction, stamp, models).await?;
    compared.write(transaction, stamp).await
}

pub(super) fn add(sum: &mut MergeSummary, more: MergeSummary) {
    sum.appeared += more.appeared;
    sum.changed += more.changed;
    sum.vanished += more.vanished;
    sum.unchanged += more.unchanged;
}

#[derive(FromQueryResult)]
struct Link {
    id: Uuid,
    fingerprint: Option<Vec<u8>>,
    issuer: Option<String>,
    issuer_rank: Option<i16>,
}

#[derive(FromQueryResult)]
struct Written {
    id: Uuid,
    facts: String,
    fingerprint: Option<Vec<u8>>,
}

/// A place that shows no value holds what we put there as long as the marker of that write stands: the ledger goes on saying which value that is.
/// Another marker, or none, and nobody knows.
async fn keep_ledger(
    transaction: &DatabaseTransaction,
    copies: &mut std::collections::BTreeMap<Uuid, MergedCopy>,
) -> Result<()> {
    let blind = copies.iter().filter(|(_, copy)| {
        copy.fingerprint.is_none() && copy.version.is_some() && copy.attributes.contains_key(WRITE_ONLY)
    });
    let blind: Vec<Uuid> = blind.map(|(id, _)| *id).collect();
    let known: Vec<Written> = sql::rows_for(transaction, &blind, &[], |ids| {
        format!("select id, facts, fingerprint from credential_copy where fingerprint is not null and id in ({ids})")
    })
    .await?;
    for row in known {
        let facts: CopyFacts = from_json("credential_copy", &row.facts)?;
        let Some(copy) = copies.get_mut(&row.id).filter(|copy| copy.version == facts.version) else {
            continue;
        };
        let bytes = row.fingerprint.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        // What is put there is a bare value, never a key pair.
        copy.fingerprint = bytes.map(|bytes| (Form::Text, Fingerprint(bytes)));
        copy.strong = facts.strong;
        copy.attributes.insert("held".to_owned(), "written by us, not read back".into());
    }
    Ok(())
}

/// The attribute by which a backend says that a place shows its value to nobody.
const WRITE_ONLY: &str = "write_only";

/// Where an issuer could not be asked, the link of an earlier scan stands as long as the value does.
async fn keep_links(
    transaction: &DatabaseTransaction,
    copies: &mut std::collections::BTreeMap<Uuid, MergedCopy>,
) -> Result<()> {
    let unsure = copies.iter().filter(|(_, copy)| copy.link.is_none() && copy.keep_link);
    let unsure: Vec<Uuid> = unsure.map(|(id, _)| *id).collect();
    let known: Vec<Link> = sql::rows_for(transaction, &unsure, &[], |ids| {
        format!("select id, fingerprint, issuer, issuer_rank from credential_copy where issuer is not null and id in ({ids})")
    })
    .await?;
    for link in known {
        let (Some(issuer), Some(evidence)) = (link.issuer, link.issuer_rank.and_then(ranked)) else {
            continue;
        };
        let Some(copy) = copies.get_mut(&link.id) else { continue };
        let now = copy.fingerprint.as_ref().map(|(_, Fingerprint(bytes))| bytes.to_vec());
        if now == link.fingerprint && !copy.refuted.iter().any(|refuted| refuted.as_str() == issuer) {
            copy.link = Some(CopyLink { issuer: Ref::from_text(issuer), evidence });
        }
    }
    Ok(())
}
