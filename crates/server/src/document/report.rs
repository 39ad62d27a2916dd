//! `report` and `GET /api/v1/reports/…`: what is gathered, and how it is written.

use std::io::Write;

use claviger_core::{
    chain::{Estate, Limits},
    incident::IncidentView,
};
use claviger_engine::{
    Engine, exception,
    fault::{Fault, Kind as FaultKind},
    policy,
};
use claviger_report::{Chains, IncidentReport, InventoryReport, ListFormat, ReportFormat};
use claviger_store::Selection;
use serde_json::{Value, json};

use super::{Result, incident};

pub use claviger_report::ReportFormat as Format;

/// Chains that a report draws.
const CHAINS: usize = 40;
/// Lines of history that a report shows.
const HISTORY: u64 = 200;

/// Of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// All credentials.
    Inventory,
    /// What is wrong with them.
    Findings,
    /// One incident, by its id or the beginning of it; the newest where there is none.
    Incident(Option<String>),
}

impl Kind {
    /// The kind of this word. `id` belongs to incidents alone.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn parse(word: &str, id: Option<String>) -> Result<Self> {
        match word {
            "inventory" => Ok(Self::Inventory),
            "findings" => Ok(Self::Findings),
            "incident" => Ok(Self::Incident(id)),
            _ => Err(Fault::new(622, FaultKind::Absent, format!("there is no report `{word}`"))
                .hint("`inventory`, `findings` and `incident`")),
        }
    }
}

/// A report that is ready to be written.
pub struct Report {
    content: Content,
    format: Format,
}

enum Content {
    Inventory(Box<InventoryReport>),
    Findings(Box<InventoryReport>),
    Incident(Box<IncidentReport>),
}

/// Gathers what a report says.
///
/// # Errors
/// The database, there is no such incident, or it cannot be written like this.
pub async fn gather(engine: &Engine, kind: Kind, format: Format) -> Result<Report> {
    let content = match kind {
        Kind::Inventory => {
            let mut report = inventory(engine).await?;
            report.chains = chains(engine, &report).await?;
            Content::Inventory(Box::new(report))
        }
        Kind::Findings => Content::Findings(Box::new(inventory(engine).await?)),
        Kind::Incident(_) if format == Format::Csv => {
            return Err(Fault::new(
                34,
                FaultKind::Usage,
                "an incident is no table: it is not written as CSV",
            )
            .hint("`--format html` or `--format json`"));
        }
        Kind::Incident(id) => Content::Incident(Box::new(of_incident(engine, id).await?)),
    };
    Ok(Report { content, format })
}

impl Report {
    /// What the audit log says of it.
    pub fn told(&self) -> Value {
        match &self.content {
            Content::Inventory(report) | Content::Findings(report) => {
                json!({ "credentials": report.credentials.len(), "findings": report.findings.len() })
            }
            Content::Incident(report) => json!({ "incident": report.incident.incident.id }),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written there.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        let written = match &self.content {
            Content::Inventory(report) => claviger_report::inventory::render(self.format, report, out),
            Content::Findings(report) => claviger_report::findings::render(self.format, report, out),
            Content::Incident(report) if self.format == ReportFormat::Json => {
                let document = incident::document(&report.incident)?;
                claviger_report::render_document(ListFormat::Json, &document, out)
            }
            Content::Incident(report) => claviger_report::incident::render(report, out),
        };
        written
            .map_err(|error| Fault::new(12, FaultKind::Failed, format!("cannot write the report: {error}")))
    }
}

async fn of_incident(engine: &Engine, id: Option<String>) -> Result<IncidentReport> {
    let found = match &id {
        Some(id) => engine.incident(id).await?,
        None => {
            let newest = engine.ports.incidents.incidents().await?.into_iter().next();
            newest.ok_or_else(|| {
                Fault::new(420, FaultKind::Absent, "there is no incident")
                    .hint("`claviger incident open --title TEXT` opens one")
            })?
        }
    };
    let view: IncidentView = engine.incident_view(found).await?;
    let (seq, hash) = engine.ports.audit.head().await?;
    Ok(IncidentReport {
        generated_at: engine.clock.now(),
        incident: view,
        audit_head: (seq.0, hash.to_string()),
    })
}

/// Out of what the report holds anyway.
async fn chains(engine: &Engine, report: &InventoryReport) -> Result<Chains> {
    let unread = engine.ports.inventory.unread().await?.len();
    let grants = report.identities.iter().flat_map(|identity| &identity.grants);
    let estate = Estate::new(&report.credentials, grants, &report.coverage).with_unread(unread);
    let (drawn, more) = estate.chains(CHAINS, Limits::BRIEF);
    Ok(Chains { drawn, more })
}

async fn inventory(engine: &Engine) -> Result<InventoryReport> {
    let now = engine.clock.now();
    let inventory = &engine.ports.inventory;
    let mut credentials = inventory.details(now, &Selection::default()).await?;
    credentials.iter_mut().for_each(|detail| policy::apply(&engine.estate, &mut detail.credential, now));
    let mut findings = inventory.findings().await?;
    let rows: Vec<_> = credentials.iter().map(|detail| detail.credential.clone()).collect();
    exception::waive(&engine.estate.exceptions, &mut findings, &rows, now);
    let (seq, hash) = engine.ports.audit.head().await?;
    Ok(InventoryReport {
        generated_at: now,
        title: "Machine credentials".to_owned(),
        coverage: inventory.coverage().await?,
        credentials,
        identities: inventory.identities(&Selection::default()).await?,
        chains: Chains::default(),
        findings,
        history: inventory.history(None, HISTORY).await?,
        audit_head: Some((seq.0, hash.to_string())),
    })
}
