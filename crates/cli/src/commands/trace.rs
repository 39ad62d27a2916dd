use std::io::Read;

use claviger_core::secret::SecretValue;
use claviger_engine::trace::Trace;

use crate::{
    args::{Format, Global, TraceArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output::{self, Column, Shown},
};

const COLUMNS: &[Column] = &[
    Column::new("credential", "CREDENTIAL").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("state", "STATE"),
    Column::new("how", "HOW"),
    Column::new("owner", "OWNER"),
    Column::new("identity", "IDENTITY").shown(Shown::Ref),
    Column::new("privilege", "PRIVILEGE"),
    Column::new("copies", "COPIES").shown(Shown::Count),
    Column::new("consumers", "CONSUMERS").shown(Shown::Count),
    Column::new("suggested", "SUGGESTED").wide(),
];
/// More than any credential, and than a scanner's report.
const LIMIT: u64 = 16 * 1024 * 1024;

/// Reads the leaked text from standard input, never from the command line, where other users see it.
pub(super) async fn run(global: &Global, args: &TraceArgs) -> Result<Exit> {
    let mut bytes = Vec::new();
    let stdin = std::path::Path::new("standard input");
    std::io::stdin()
        .lock()
        .take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::file("read", stdin, &error))?;
    let leaked = SecretValue::new(bytes);
    if leaked.expose().iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::config(23, "nothing was given on standard input")
            .hint("e.g. `claviger trace < leaked.txt`, or paste the value and end with Ctrl-D"));
    }
    let composed = compose(global, Needs::Backends).await?;
    let mut trace = Trace::default();
    if args.lines {
        for line in leaked
            .expose()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
        {
            let part = composed.engine.trace(&SecretValue::new(line.to_vec())).await?;
            trace.matches.extend(part.matches);
            trace.unmatched += part.unmatched;
        }
    } else {
        trace = composed.engine.trace(&leaked).await?;
    }
    let mut document = output::value(&trace)?;
    output::stamp(&mut document, "trace");
    match global.output {
        Format::Json | Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "trace", COLUMNS, &output::values(&trace.matches)?)?,
    }
    for found in &trace.matches {
        output::remark(global, &format!("next: {}", found.suggested));
    }
    if trace.unmatched > 0 {
        output::remark(
            global,
            &format!(
                "{} not known: no copy and no issuer in the inventory has it; that does not mean that it is no credential",
                trace.unmatched
            ),
        );
    }
    Ok(if trace.matches.is_empty() { Exit::Incomplete } else { Exit::Done })
}
