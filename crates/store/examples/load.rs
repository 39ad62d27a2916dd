//! How fast the inventory is: `cargo run --release -p claviger-store --example load -- [COPIES] [DATABASE-URL]`.
//!
//! Merges an estate of COPIES copies (20,000 without an argument), of which every fourth shares its value with another one, links it, scans
//! it a second time unchanged and a third time with one copy in a hundred changed, and lists it. Prints the rates and the peak of resident
//! memory. The database must be new; without an address it is a SQLite file that is removed in the end.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use claviger_core::{
    clock::{Clock as _, SystemClock},
    fingerprint::{Fingerprint, Form},
    id::ScanId,
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, Labels, OwnerEvidence, Place, Scope, ScopeStatus,
    },
    observation::ObservedConsumer,
    random::OsRandom,
    reference::Ref,
    view::{BackendScanView, Counts},
};
use claviger_store::{Inventory as _, Merged, MergedCopy, MergedPage, ScanStart, SeaStore, Selection};

/// Items of one page, as a backend sends them.
const PAGE: u64 = 500;

fn copy(number: u64, generation: u64) -> MergedCopy {
    let at = Ref::new("k", [format!("ns-{}", number / 200), "Secret".to_owned(), format!("s-{number}")])
        .field("password");
    let changed = if number % 100 == 7 { generation } else { 0 };
    // Numbers 4n and 4n+1 hold one value.
    let value = if number % 4 == 1 { number - 1 } else { number };
    let mut fingerprint = [0; 32];
    fingerprint[..8]
        .copy_from_slice(&(value ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd).to_be_bytes());
    fingerprint[8..16].copy_from_slice(&changed.to_be_bytes());
    MergedCopy {
        field_at: at.clone(),
        at,
        pointer: String::new(),
        version: Some(format!("{}", 1000 + changed)),
        stage: CopyStage::Current,
        place: Place::SecretStore,
        kind: CredentialKind::Password,
        fingerprint: Some((Form::Text, Fingerprint(fingerprint))),
        strong: true,
        handle: None,
        link: None,
        keep_link: false,
        refuted: Vec::new(),
        subject: Some("app".to_owned()),
        created_at: chrono::DateTime::from_timestamp(1_700_000_000, 0),
        updated_at: chrono::DateTime::from_timestamp(1_700_000_000, 0),
        expires_at: None,
        last_used_at: None,
        labels: Labels::from([("app".to_owned(), "web".to_owned()), ("env".to_owned(), "prod".to_owned())]),
        owners: vec![OwnerEvidence {
            owner: "team-a".to_owned(),
            source: "label:owner".to_owned(),
            weight: 80,
        }],
        attributes: Attributes::from([("type".to_owned(), "Opaque".into())]),
    }
}

fn consumer(number: u64) -> ObservedConsumer {
    let namespace = format!("ns-{}", number / 200);
    ObservedConsumer {
        at: Ref::new("k", [namespace.as_str(), "Deployment", &format!("web-{number}")]),
        reads: Ref::new("k", [namespace.as_str(), "Secret", &format!("s-{number}")]).field("password"),
        how: ConsumerHow::Env,
        container: Some("app".to_owned()),
        attributes: Attributes::new(),
    }
}

async fn scan(store: &SeaStore, copies: u64, generation: u64) -> anyhow::Result<(Duration, Duration, u64)> {
    let clock = SystemClock;
    let id = ScanId::generate(&clock, &OsRandom);
    store
        .begin_scan(&ScanStart { id, at: clock.now(), backends: vec![("k".to_owned(), "load".to_owned())] })
        .await?;
    let begun = Instant::now();
    let mut items = 0;
    for first in (0..copies).step_by(200) {
        let scope = Scope::new(format!("ns-{}", first / 200), "secrets");
        let mut page = Vec::new();
        for number in first..(first + 200).min(copies) {
            page.push(Merged::Copy(Box::new(copy(number, generation))));
            if number % 5 == 0 {
                page.push(Merged::Consumer(consumer(number)));
            }
        }
        items += u64::try_from(page.len())?;
        while !page.is_empty() {
            let rest = page.split_off(page.len().min(usize::try_from(PAGE)?));
            let page = MergedPage {
                backend: "k".to_owned(),
                scope: scope.clone(),
                items: std::mem::replace(&mut page, rest),
                former: Vec::new(),
            };
            store.merge(id, clock.now(), page).await?;
        }
        store.end_scope(id, clock.now(), "k", &scope, ScopeStatus::Complete, None).await?;
    }
    let merged = begun.elapsed();
    let begun = Instant::now();
    store.link(id, clock.now()).await?;
    let view = BackendScanView {
        name: "k".to_owned(),
        kind: "load".to_owned(),
        status: "complete".to_owned(),
        error: None,
        scopes: Vec::new(),
        counts: Counts::default(),
        duration_ms: 0,
    };
    store.end_backend(id, clock.now(), &view, &[]).await?;
    store.end_scan(id, clock.now(), true).await?;
    Ok((merged, begun.elapsed(), items))
}

/// Processor time of the process so far, in seconds: on a busy machine it says more than the clock does.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    f64::from(ticks(11) + ticks(12)) / 100.0
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let copies: u64 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let url = arguments
        .next()
        .unwrap_or_else(|| format!("sqlite://{}", directory.path().join("load.db").display()));
    let store = SeaStore::connect(&url, None, Arc::new(SystemClock), Arc::new(OsRandom)).await?;
    store.migrate().await?;
    let mut out = std::io::stdout();
    for (name, generation) in [("first scan", 0), ("unchanged", 0), ("1 % changed", 1)] {
        let before = processor();
        let (merged, linked, items) = scan(&store, copies, generation).await?;
        let rate = f64::from(u32::try_from(items)?) / merged.as_secs_f64();
        writeln!(
            out,
            "{name:12} {items} items merged in {:.2} s ({rate:.0}/s), linked in {:.2} s, processor {:.2} s, peak {} MiB",
            merged.as_secs_f64(),
            linked.as_secs_f64(),
            processor() - before,
            peak()
        )?;
    }
    let begun = Instant::now();
    let mut selection = Selection { limit: Some(500), ..Selection::default() };
    let mut listed = 0;
    loop {
        let page = store.details(SystemClock.now(), &selection).await?;
        let Some(last) = page.last() else { break };
        selection.after = Some(last.credential.at.clone());
        listed += page.len();
    }
    writeln!(
        out,
        "details      {listed} credentials in {:.2} s, peak {} MiB",
        begun.elapsed().as_secs_f64(),
        peak()
    )?;
    Ok(())
}
