//! Findings on the planted estate.

use anyhow::{Result, ensure};
use claviger_tests::{estate::Estate, require_lab};

use crate::{Place, text};

#[tokio::test(flavor = "multi_thread")]
async fn each_planted_fault_is_a_finding_with_its_frameworks() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let place = Place::new(estate.directory(), "findings.db");
    place.run(&["scan"], None)?.expect(3)?;
    let credentials = place.list("credentials")?;
    let copies = place.list("copies")?;
    let findings = place.list("findings")?;
    let mut wrong = Vec::new();
    for planted in &estate.planted.credentials {
        let credential = credentials.iter().find(|credential| match &planted.reference {
            Some(reference) => text(credential, "ref") == reference,
            None => copies.iter().any(|copy| {
                text(copy, "credential") == text(credential, "id")
                    && planted.copies.iter().any(|one| one.is(text(copy, "ref")))
            }),
        });
        let Some(credential) = credential else {
            wrong.push(format!("{}: not found", planted.name));
            continue;
        };
        for slug in &planted.findings {
            let subject = text(credential, "ref");
            if !findings
                .iter()
                .any(|finding| text(finding, "slug") == *slug && text(finding, "subject") == subject)
            {
                wrong.push(format!(
                    "{}: no {slug} on {subject}; it has {}",
                    planted.name, credential["findings"]
                ));
            }
        }
    }
    for (slug, subject) in [("cov-adapter-blind", "prod"), ("cov-adapter-blind", "vault")] {
        if !findings
            .iter()
            .any(|finding| text(finding, "slug") == slug && text(finding, "subject").starts_with(subject))
        {
            wrong.push(format!("no {slug} on {subject}"));
        }
    }
    for finding in &findings {
        let complete = finding["frameworks"].as_array().is_some_and(|ids| {
            ids.iter().all(|id| id["name"].is_string() && id["version"].is_string() && id["id"].is_string())
        });
        if !complete || text(finding, "suggested").is_empty() || text(finding, "title").is_empty() {
            wrong.push(format!("incomplete: {finding}"));
        }
    }
    let slugs: std::collections::BTreeSet<_> = findings.iter().map(|finding| text(finding, "slug")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(slugs.len() >= 15, "only {slugs:?}");
    println!("{} findings of {} rules", findings.len(), slugs.len());
    Ok(())
}
