//! False proofs: whatever stands between us and an issuer, only its own refusal of the value is called one.
//!
//! A receipt says `proven` only where the probe after the end is [`Verdict::Refused`] and the same path accepted a value before; so what must not
//! be is `Refused` for another cause. Each prover is asked under each cause, and the whole table is printed. A row of each prover is a true
//! refusal, so that the table can show one.

mod aws;
mod kubernetes;
mod postgresql;
mod stub;
mod vault;

use claviger_backend::{Error, Issuer, Probe, Verdict};
use claviger_core::{reference::Ref, secret::SecretValue};

/// One cause at one prover.
struct Row {
    prover: &'static str,
    cause: &'static str,
    verdict: &'static str,
    why: String,
    /// The issuer itself has refused the value: the row that has to be a proof.
    genuine: bool,
}

impl Row {
    fn of(prover: &'static str, cause: &'static str, genuine: bool, probe: Result<Probe, Error>) -> Self {
        let (verdict, why) = match probe {
            Ok(Probe { verdict: Verdict::Accepted, .. }) => ("accepted", String::new()),
            Ok(Probe { verdict: Verdict::Refused(why), .. }) => ("refused", why),
            Ok(Probe { verdict: Verdict::Inconclusive(why), .. }) => ("inconclusive", why),
            Err(error) => ("no answer", error.message().to_owned()),
        };
        Self { prover, cause, verdict, why, genuine }
    }
}

async fn ask(
    prover: &'static str,
    cause: &'static str,
    genuine: bool,
    issuer: &dyn Issuer,
    (at, value): (&Ref, &str),
) -> Row {
    let probe = issuer.verify(at, &SecretValue::from_text(value.to_owned())).await;
    Row::of(prover, cause, genuine, probe)
}

/// The table, if each row is what it has to be. `expected` is how many rows there are: one that is lost is seen.
fn judged(rows: &[Row], expected: usize) -> String {
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| (row.verdict == "refused") != row.genuine)
        .map(|row| format!("{} under `{}`: {}: {}", row.prover, row.cause, row.verdict, row.why))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(rows.len(), expected, "causes");
    assert!(rows.iter().any(|row| row.genuine), "the table cannot show a proof");
    let line = |row: &Row| format!("{:<22} {:<44} {:<13} {}", row.prover, row.cause, row.verdict, row.why);
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
