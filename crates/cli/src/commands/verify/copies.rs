//! `verify --copies`: does each copy still log in, and do the copies of a credential still agree?

use std::fmt::Write as _;

use claviger_core::agreement::Login;
use claviger_engine::{selector::Selector, verify::Verified};

use crate::{
    args::{Format, Global},
    compose::{Needs, compose},
    error::{Exit, Result},
    output,
};

/// Reads, logs in, tells. What is wrong is a finding from now on.
pub(super) async fn run(global: &Global, selector: Option<&Selector>) -> Result<Exit> {
    let scheduler = compose(global, Needs::Backends).await?.scheduler()?;
    let verified = scheduler.engine.verify(selector, &scheduler.estate_budgets()).await?;
    tell(global, &verified)
}

/// Prints what was seen.
pub(crate) fn tell(global: &Global, verified: &Verified) -> Result<Exit> {
    if matches!(global.output, Format::Table | Format::Wide) {
        output::text(&page(verified));
    } else {
        let mut document = output::value(verified)?;
        output::stamp(&mut document, "verify-copies");
        output::document(global, &document)?;
    }
    if verified.broken() > 0 {
        return Ok(Exit::Stuck);
    }
    Ok(Exit::Done.unless(verified.logins(Login::Unknown) > 0))
}

fn page(verified: &Verified) -> String {
    let mut text = String::new();
    for seen in &verified.items {
        for copy in &seen.copies {
            let _ =
                writeln!(text, "{:<9} {} in {}: {}", copy.login.as_str(), seen.at, copy.at, copy.evidence);
        }
        if seen.values() > 1 {
            let _ = writeln!(text, "  its copies hold {} unlike values", seen.values());
        }
    }
    let _ = writeln!(
        text,
        "{} credentials: {} copies accepted, {} refused, {} unknown; {} left out, as something is under way",
        verified.items.len(),
        verified.logins(Login::Accepted),
        verified.logins(Login::Refused),
        verified.logins(Login::Unknown),
        verified.under_way
    );
    text
}
