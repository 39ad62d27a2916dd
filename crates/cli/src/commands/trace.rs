use std::{io::Read, path::Path};

use claviger_core::leak::{self, Format, Leak, LeakError, Leaks, Sighting, Skipped};
use claviger_engine::trace::{Trace, TracedToken};
use serde_json::Value;

use crate::{
    args::{self, Global, TraceArgs},
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
    Column::new("seen", "SEEN").shown(Shown::Count),
    Column::new("suggested", "SUGGESTED").wide(),
];
/// Lines about single values that are printed for people; programs get all.
const MOST_LINES: usize = 50;

/// Reads leaked values from files or standard input, never from the command line, where other users see them.
pub(super) async fn run(global: &Global, args: &TraceArgs) -> Result<Exit> {
    let (leaks, skipped) = read(global, args)?;
    if leaks.is_empty() && skipped.is_empty() {
        return Err(Failure::config(23, "no value was given")
            .hint("e.g. `claviger trace < leaked.txt`, `claviger trace --file gitleaks.json`, or paste the value and end with Ctrl-D"));
    }
    let composed = compose(global, Needs::Backends).await?;
    let trace = composed.engine.trace_all(&leaks, skipped).await?;
    let mut document = output::value(&trace)?;
    output::stamp(&mut document, "trace");
    match global.output {
        args::Format::Json | args::Format::Yaml => output::document(global, &document)?,
        _ => output::list(global, "trace", COLUMNS, &output::values(&trace.matches)?)?,
    }
    remarks(global, &trace);
    let known = trace.values.iter().any(|value| !value.is_unknown());
    let missing = !trace.skipped.is_empty() || (trace.unmatched > 0 && !trace.unasked.is_empty());
    Ok(if known { Exit::Done.unless(missing) } else { Exit::Incomplete })
}

/// All values, in the order in which they were given.
fn read(global: &Global, args: &TraceArgs) -> Result<(Vec<Leak>, Vec<Skipped>)> {
    let format = match (args.lines, args.from) {
        (true, _) => Some(Format::Lines),
        (false, from) => from.map(Into::into),
    };
    let (mut leaks, mut skipped) = (Vec::new(), Vec::new());
    let stdin = Path::new("-").to_owned();
    let files = if args.file.is_empty() { std::slice::from_ref(&stdin) } else { args.file.as_slice() };
    for file in files {
        let read = one(file, format)?;
        if !matches!(read.format, Format::Text | Format::Lines) {
            output::remark(
                global,
                &format!(
                    "{} is a {} report: {} values, {} without one",
                    name(file),
                    read.format,
                    read.leaks.len(),
                    read.skipped.len()
                ),
            );
        }
        skipped.extend(read.skipped);
        leaks.extend(read.leaks.into_iter().map(|leak| {
            let seen =
                leak.seen.or_else(|| (*file != stdin).then(|| Sighting::in_file(file.to_string_lossy())));
            Leak { seen, ..leak }
        }));
        if leaks.len() + skipped.len() > leak::MOST_LEAKS {
            return Err(unreadable(file, &LeakError::TooMany));
        }
    }
    Ok((leaks, skipped))
}

fn one(file: &Path, format: Option<Format>) -> Result<Leaks> {
    let mut bytes = Vec::new();
    // One byte more than may be read shows that there is more.
    let most = u64::try_from(leak::MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| Failure::file("read", file, &error))?)
    };
    let result = reader.take(most).read_to_end(&mut bytes);
    let text = claviger_core::secret::SecretValue::new(bytes);
    result.map_err(|error| Failure::file("read", file, &error))?;
    leak::parse(format, text.expose()).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &LeakError) -> Failure {
    let hint = match error {
        LeakError::TooLarge | LeakError::TooMany => "trace it in several parts",
        LeakError::Broken { .. } => {
            "write the report again with the scanner; `--from text` takes it as one value, `--from lines` each line as one"
        }
    };
    Failure::config(27, format!("{} cannot be taken: {error}", name(file))).hint(hint)
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { format!("`{}`", file.display()) }
}

fn remarks(global: &Global, trace: &Trace) {
    for found in &trace.matches {
        if found.former {
            let places: Vec<_> = found
                .former_versions
                .iter()
                .map(|former| match &former.version {
                    Some(version) => format!("version {version} of {}", former.at),
                    None => format!("a former version of {}", former.at),
                })
                .collect();
            let lies =
                if places.is_empty() { String::new() } else { format!(": it lies in {}", places.join(", ")) };
            output::remark(global, &format!("{} has another value by now{lies}", found.at));
        }
        output::remark(global, &format!("next: {}", found.suggested));
    }
    for token in trace.values.iter().filter_map(|value| value.token.as_ref()).take(MOST_LINES) {
        tell_token(global, token);
    }
    for skipped in trace.skipped.iter().take(MOST_LINES) {
        output::remark(global, &format!("no value: {} ({})", place(&skipped.seen), word(&skipped.reason)));
    }
    for unasked in &trace.unasked {
        output::remark(
            global,
            &format!("backend `{}` could not be asked: {}", unasked.backend, unasked.reason),
        );
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
    let unknown =
        trace.values.iter().filter(|value| value.is_unknown()).filter_map(|value| value.seen.as_ref());
    for seen in unknown.take(MOST_LINES) {
        output::remark(global, &format!("not known: {}", place(seen)));
    }
}

fn tell_token(global: &Global, token: &TracedToken) {
    let account = token.service_account.as_deref().unwrap_or("an unnamed ServiceAccount");
    let mut line = format!(
        "it says, and nobody has checked, that it is a {} token of {account} in namespace {}",
        token.kind, token.namespace
    );
    for (what, text) in
        [("jti", &token.jti), ("pod", &token.pod), ("node", &token.node), ("secret", &token.secret)]
    {
        if let Some(text) = text {
            line.push_str(&format!(", {what} {text}"));
        }
    }
    output::remark(global, &line);
    for account in &token.accounts {
        output::remark(global, &format!("it may be {} (by {})", account.at, word(&account.fit)));
    }
    for end in &token.ends_with {
        output::remark(global, &format!("ends with {end}"));
    }
    for command in &token.suggested {
        output::remark(global, &format!("next: {command}"));
    }
}

fn place(seen: &Sighting) -> String {
    let mut text = seen.source.clone();
    for part in [&seen.rule, &seen.container, &seen.place].into_iter().flatten() {
        text.push_str(&format!(" {part}"));
    }
    if let Some(line) = seen.line {
        text.push_str(&format!(":{line}"));
    }
    if let Some(url) = &seen.url {
        text.push_str(&format!(" {url}"));
    }
    text
}

fn word<T: serde::Serialize>(item: &T) -> String {
    match serde_json::to_value(item) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
