use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    id::{IncidentId, Seq},
    incident::{Incident, Note, Noted},
    view::DrillView,
};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, FromQueryResult, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, TransactionTrait as _, sea_query::LockType,
};

use super::{
    SeaStore, audit, sql,
    text::{from_json, micros, text, to_json},
};
use crate::{
    Incidents, NewIncident, Result,
    entity::{incident, incident_note},
};

const NOTE: &str = "incident_note";
const DRILL: &str = "drill";

#[async_trait]
impl Incidents for SeaStore {
    async fn open_incident(&self, new: &NewIncident, notes: Vec<(Note, AuditDraft)>) -> Result<()> {
        let call = async {
            let now = micros(self.clock.now());
            let transaction = self.database.begin().await?;
            let row = incident::Model {
                id: new.id.0,
                title: text(&new.title),
                exposed_at: new.exposed_at.map(micros),
                opened_at: now,
                opened_by: text(&new.actor),
            };
            incident::Entity::insert(row.into_active_model()).exec_without_returning(&transaction).await?;
            insert(&transaction, now, new.id, &new.actor, notes).await?;
            transaction.commit().await?;
            Ok(())
        };
        self.database.watched(call).await
    }

    async fn note_incident(
        &self,
        id: IncidentId,
        actor: &str,
        notes: Vec<(Note, AuditDraft)>,
    ) -> Result<Option<Vec<Seq>>> {
        let call = async {
            let now = micros(self.clock.now());
            let transaction = self.database.begin().await?;
            // With its lock, whoever closes it at the same time waits, and then finds it closed.
            let row = incident::Entity::find_by_id(id.0).lock(LockType::Update).one(&transaction).await?;
            let closed = incident_note::Entity::find()
                .filter(incident_note::Column::IncidentId.eq(id.0))
                .filter(incident_note::Column::Kind.eq("closed"))
                .one(&transaction)
                .await?;
            if row.is_none() || closed.is_some() {
                transaction.rollback().await?;
                return Ok(None);
            }
            let numbers = insert(&transaction, now, id, actor, notes).await?;
            transaction.commit().await?;
            Ok(Some(numbers))
        };
        self.database.watched(call).await
    }

    async fn incidents(&self) -> Result<Vec<Incident>> {
        let call = async {
            let reader = self.database.read.begin().await?;
            let rows = incident::Entity::find()
                .order_by_desc(incident::Column::OpenedAt)
                .order_by_desc(incident::Column::Id)
                .all(&reader)
                .await?;
            let notes = incident_note::Entity::find()
                .order_by_asc(incident_note::Column::AuditSeq)
                .all(&reader)
                .await?;
            reader.rollback().await?;
            let mut by_incident: HashMap<uuid::Uuid, Vec<Noted>> = HashMap::new();
            for row in notes {
                let noted = Noted {
                    at: row.at,
                    actor: row.actor,
                    audit_seq: Seq(row.audit_seq),
                    note: from_json(NOTE, &row.note)?,
                };
                by_incident.entry(row.incident_id).or_default().push(noted);
            }
            let incidents = rows.into_iter().map(|row| Incident {
                id: IncidentId(row.id),
                title: row.title,
                exposed_at: row.exposed_at,
                opened_at: row.opened_at,
                opened_by: row.opened_by,
                notes: by_incident.remove(&row.id).unwrap_or_default(),
            });
            Ok(incidents.collect())
        };
        self.database.watched(call).await
    }

    async fn record_drill(&self, drill: &DrillView, draft: AuditDraft) -> Result<Seq> {
        let call = async {
            let transaction = self.database.begin().await?;
            let seq = audit::chain_one(&transaction, micros(self.clock.now()), draft).await?;
            let sql = "insert into drill (audit_seq, drill_id, drill) values ($1, $2, $3)";
            let values = vec![seq.0.into(), drill.drill_id.into(), to_json(drill).into()];
            sql::run(&transaction, sql, values).await?;
            transaction.commit().await?;
            Ok(seq)
        };
        self.database.watched(call).await
    }

    async fn drills(&self) -> Result<Vec<DrillView>> {
        let call = async {
            let sql = "select drill from drill order by audit_seq desc";
            let rows: Vec<DrillRow> = sql::rows(&self.database.read, sql, Vec::new()).await?;
            rows.iter().map(|row| from_json(DRILL, &row.drill)).collect()
        };
        self.database.watched(call).await
    }
}

#[derive(FromQueryResult)]
struct DrillRow {
    drill: String,
}

async fn insert(
    transaction: &DatabaseTransaction,
    now: DateTime<Utc>,
    id: IncidentId,
    actor: &str,
    notes: Vec<(Note, AuditDraft)>,
) -> Result<Vec<Seq>> {
    let (notes, drafts): (Vec<_>, Vec<_>) = notes.into_iter().unzip();
    let numbers = audit::chain(transaction, now, drafts).await?;
    for (note, seq) in notes.iter().zip(&numbers) {
        let row = incident_note::Model {
            audit_seq: seq.0,
            incident_id: id.0,
            kind: note.word().to_owned(),
            at: now,
            actor: text(actor),
            note: to_json(note),
        };
        incident_note::Entity::insert(row.into_active_model()).exec_without_returning(transaction).await?;
    }
    Ok(numbers)
}
