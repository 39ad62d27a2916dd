//! Reading groups, and writing what was decided.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use claviger_core::{id::CredentialId, reference::Ref};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, FromQueryResult, Value};
use uuid::Uuid;

use super::{
    super::{
        super::{SeaStore, sql},
        facts::rank,
        history, key,
    },
    group::{Member, Verdict, decide, kind_of},
};
use crate::{
    LinkEvidence, MergeSummary, Result,
    entity::{credential, credential_fingerprint},
};

mod ids;

use self::ids::Ids;

/// Marked copies of one page.
const PAGE: u64 = 2_000;

#[derive(FromQueryResult)]
struct Marked {
    id: Uuid,
    group_key: Uuid,
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    group_key: Uuid,
    at: String,
    stage: String,
    kind: String,
    fingerprint: Option<Vec<u8>>,
    issuer: Option<String>,
    issuer_rank: Option<i16>,
    credential_id: Option<Uuid>,
    evidence: Option<String>,
    named: Option<String>,
    follows: bool,
    lost: Option<String>,
}

const ROWS: &str = "select c.id, c.group_key, c.at, c.stage, c.kind, c.fingerprint, c.issuer, c.issuer_rank, \
     c.credential_id, c.evidence, cur.id is not null as follows, lost.at as lost, \
     case when c.handle is null then null else (select i.at from issued_credential i where i.handle = c.handle \
     order by (i.gone_at is not null), i.at limit 1) end as named \
     from credential_copy c \
     left join credential_copy cur on cur.id = c.current_id and cur.gone_at is null and c.stage <> 'current' \
     left join credential p on p.id = c.credential_id \
     left join issued_credential lost on lost.id = p.issuer_key and lost.gone_at is not null and exists \
     (select 1 from credential_fingerprint f where f.fingerprint = c.fingerprint and f.credential_id = p.id) \
     where c.gone_at is null and ";

impl Row {
    fn member(self) -> Member {
        let linked = self.issuer.zip(self.issuer_rank);
        let named = self.named.map(|issuer| (issuer, rank(LinkEvidence::Handle)));
        // The stronger of the two; a link to another issuer by a claim does not stand against the public name.
        let own = match (linked, named) {
            (Some(linked), Some(named)) => Some(if linked.1 <= named.1 { linked } else { named }),
            (linked, named) => linked.or(named),
        };
        Member {
            id: self.id,
            at: self.at,
            current: self.stage == "current",
            follows: self.follows,
            kind: self.kind,
            fingerprint: self.fingerprint,
            own,
            before: self.credential_id,
            evidence: self.evidence,
            lost: self.lost,
        }
    }
}

/// Assigns the groups of one page of marked copies behind `after`; gives where it ended, or `None` at the end. Groups are read whole,
/// also what is in them beyond the page, so nothing hangs on where a page ends.
pub(super) async fn page(
    transaction: &DatabaseTransaction,
    store: &SeaStore,
    at: DateTime<Utc>,
    after: Option<Uuid>,
) -> Result<(MergeSummary, Option<Uuid>)> {
    let after = after.unwrap_or_else(Uuid::nil);
    let sql = format!(
        "select id, group_key from credential_copy where dirty and gone_at is null and id > $1 order by id limit {PAGE}"
    );
    let marked: Vec<Marked> = sql::rows(transaction, sql, vec![after.into()]).await?;
    let Some(last) = marked.last().map(|row| row.id) else { return Ok((MergeSummary::default(), None)) };
    let keys: BTreeSet<Uuid> = marked.into_iter().map(|row| row.group_key).collect();
    let keys: Vec<Uuid> = keys.into_iter().collect();
    let rows: Vec<Row> =
        sql::rows_for(transaction, &keys, &[], |ids| format!("{ROWS} c.group_key in ({ids}) order by c.id"))
            .await?;
    // In the order in which the page met them: what lies together is written together.
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let mut groups: Vec<(Uuid, Vec<Member>)> = Vec::new();
    for row in rows {
        let place = *places.entry(row.group_key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((row.group_key, Vec::new()));
        }
        groups[place].1.push(row.member());
    }
    let decided: Vec<(Uuid, Vec<Member>, Vec<Verdict>)> = groups
        .into_iter()
        .map(|(group, members)| {
            let verdicts = decide(&members);
            (group, members, verdicts)
        })
        .collect();
    let mut ids = Ids::load(transaction, &decided).await?;
    let mut moves = Moves::default();
    for (group, members, verdicts) in &decided {
        for (member, verdict) in members.iter().zip(verdicts) {
            let (credential, evidence) = match verdict {
                Verdict::Place => continue,
                Verdict::Issuer(issuer, evidence) => {
                    (ids.of_issuer(issuer, *group, members, store, at), evidence)
                }
                Verdict::Group(evidence) => (ids.of_group(*group, members, store, at), evidence),
            };
            moves.add(member, credential, evidence, ids.is_settled(credential));
        }
    }
    let sum = ids.write(transaction, at).await?;
    moves.write(transaction, at).await?;
    Ok((sum, Some(last)))
}

/// Versions that are not current follow their place.
pub(super) async fn former(transaction: &DatabaseTransaction, at: DateTime<Utc>) -> Result<()> {
    let place = "from credential_copy c join credential_copy cur on cur.id = c.current_id and cur.gone_at is null \
         where c.dirty and cur.credential_id is not null";
    let marks = format!(
        "update credential set dirty = true where not dirty and (id in (select cur.credential_id {place}) \
         or id in (select c.credential_id {place}))"
    );
    sql::run(transaction, marks, Vec::new()).await?;
    let known = format!(
        "insert into credential_fingerprint (fingerprint, credential_id, first_seen) \
         select distinct c.fingerprint, cur.credential_id, $1 {place} and c.fingerprint is not null \
         on conflict (fingerprint, credential_id) do nothing"
    );
    sql::run(transaction, known, vec![at.into()]).await?;
    let follow = "update credential_copy set credential_id = cur.credential_id, evidence = 'place', dirty = false \
         from credential_copy cur where cur.id = credential_copy.current_id and cur.gone_at is null \
         and cur.credential_id is not null and credential_copy.dirty";
    sql::run(transaction, follow, Vec::new()).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Bare {
    id: Uuid,
    at: String,
    kind: String,
}

/// Credentials that their issuer lists and that have no copy yet; gives how many were made.
pub(super) async fn without_copies(
    transaction: &DatabaseTransaction,
    store: &SeaStore,
    at: DateTime<Utc>,
) -> Result<usize> {
    let sql = format!(
        "select i.id, i.at, i.kind from issued_credential i left join credential c on c.issuer_key = i.id \
         where i.dirty and i.gone_at is null and c.id is null order by i.id limit {PAGE}"
    );
    let bare: Vec<Bare> = sql::rows(transaction, sql, Vec::new()).await?;
    if bare.is_empty() {
        sql::run(transaction, "update issued_credential set dirty = false where dirty", Vec::new()).await?;
        return Ok(0);
    }
    let made = bare.len();
    let rows = bare
        .into_iter()
        .map(|issued| new_credential(store, at, &issued.at, &issued.kind, Some(issued.id), None));
    insert(transaction, rows.collect()).await?;
    Ok(made)
}

pub(in super::super) fn new_credential(
    store: &SeaStore,
    at: DateTime<Utc>,
    place: &str,
    kind: &str,
    issuer_key: Option<Uuid>,
    group_key: Option<Uuid>,
) -> credential::Model {
    credential::Model {
        id: CredentialId::generate(store.clock.as_ref(), store.random.as_ref()).0,
        at: place.to_owned(),
        backend: Ref::from_text(place).backend().to_owned(),
        kind: kind.to_owned(),
        issuer_key,
        group_key,
        state: None,
        state_at: None,
        rotated_at: None,
        dirty: false,
        first_seen: at,
        gone_at: None,
    }
}

pub(in super::super) async fn insert(
    transaction: &DatabaseTransaction,
    rows: Vec<credential::Model>,
) -> Result<()> {
    sql::insert::<credential::Entity, _>(transaction, rows, &[], "").await
}

/// Keeps what fingerprints credentials have.
pub(super) async fn insert_fingerprints(
    transaction: &DatabaseTransaction,
    at: DateTime<Utc>,
    fingerprints: Vec<(Vec<u8>, Uuid)>,
) -> Result<()> {
    let rows = fingerprints.into_iter().map(|(fingerprint, credential_id)| credential_fingerprint::Model {
        fingerprint,
        credential_id,
        first_seen: at,
    });
    let known = "on conflict (fingerprint, credential_id) do nothing";
    sql::insert::<credential_fingerprint::Entity, _>(transaction, rows.collect(), &[], known).await
}

/// What is written about copies after a page.
#[derive(Default)]
struct Moves {
    rows: Vec<(Uuid, Uuid, &'static str)>,
    fingerprints: BTreeSet<(Vec<u8>, Uuid)>,
    /// Credentials that won or lost a copy.
    touched: BTreeSet<Uuid>,
}

impl Moves {
    fn add(&mut self, member: &Member, credential: Uuid, evidence: &'static str, settled: bool) {
        self.rows.push((member.id, credential, evidence));
        if let Some(fingerprint) = &member.fingerprint {
            self.fingerprints.insert((fingerprint.clone(), credential));
        }
        if member.before != Some(credential) {
            self.touched.extend(member.before);
            if !settled {
                self.touched.insert(credential);
            }
        }
    }

    async fn write(self, transaction: &DatabaseTransaction, at: DateTime<Utc>) -> Result<()> {
        for piece in sql::pieces(self.rows) {
            let mut values: Vec<Value> = Vec::with_capacity(piece.len() * 3);
            let tuples = sql::tuples(transaction.get_database_backend(), piece.len(), 3);
            for (id, credential, evidence) in piece {
                values.extend([id.into(), credential.into(), evidence.into()]);
            }
            // Both databases name the columns of VALUES so.
            let statement = format!(
                "update credential_copy set credential_id = v.column2, evidence = v.column3, dirty = false \
                 from (values {tuples}) as v where credential_copy.id = v.column1"
            );
            sql::run(transaction, statement, values).await?;
        }
        insert_fingerprints(transaction, at, self.fingerprints.into_iter().collect()).await?;
        let touched: Vec<Uuid> = self.touched.into_iter().collect();
        sql::run_for(transaction, &touched, &[], |ids| {
            format!("update credential set dirty = true where not dirty and id in ({ids})")
        })
        .await?;
        Ok(())
    }
}
