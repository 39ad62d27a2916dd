use std::{io::Read, path::Path};

use claviger_core::leak::{self, Format, Leak, LeakError, Leaks, Sighting, Skipped};
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
    let composed = compose(global, Needs::Backends).await?;
    let trace = composed.engine.trace_all(&leaks, skipped).await?;
    let mut document = output::value(&trace)?;
    output::stamp(&mut document, "trace");
    tell(global, &document)
}

/// Prints what was found. It is told from its document, which is the same whoever made it.
pub(crate) fn tell(global: &Global, trace: &Value) -> Result<Exit> {
    match global.output {
        args::Format::Json | args::Format::Yaml => output::document(global, trace)?,
        _ => {
            let matches: Vec<_> = all(trace, "matches").cloned().collect();
            output::list(global, "trace", COLUMNS, &matches)?;
        }
    }
    remarks(global, trace);
    let known = all(trace, "values").any(|value| !is_unknown(value));
    let has = |of: &str| all(trace, of).next().is_some();
    let missing = has("skipped") || (unmatched(trace) > 0 && has("unasked"));
    Ok(if known { Exit::Done.unless(missing) } else { Exit::Incomplete })
}

fn all<'d>(document: &'d Value, of: &str) -> impl Iterator<Item = &'d Value> {
    document[of].as_array().into_iter().flatten()
}

fn text(document: &Value) -> &str {
    document.as_str().unwrap_or_default()
}

fn unmatched(trace: &Value) -> u64 {
    trace["unmatched"].as_u64().unwrap_or_default()
}

/// No credential has it, and no account of the inventory is named by it.
fn is_unknown(value: &Value) -> bool {
    all(value, "matched").next().is_none() && all(&value["token"], "accounts").next().is_none()
}

/// All values, in the order in which they were given.
pub(crate) fn read(global: &Global, args: &TraceArgs) -> Result<(Vec<Leak>, Vec<Skipped>)> {
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
    if leaks.is_empty() && skipped.is_empty() {
        return Err(Failure::config(23, "no value was given")
            .hint("e.g. `claviger trace < leaked.txt`, `claviger trace --file gitleaks.json`, or paste the value and end with Ctrl-D"));
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

fn remarks(global: &Global, trace: &Value) {
    for found in all(trace, "matches") {
        if found["former"] == true {
            let places: Vec<_> = all(found, "former_versions")
                .map(|former| match former["version"].as_str() {
                    Some(version) => format!("version {version} of {}", text(&former["ref"])),
                    None => format!("a former version of {}", text(&former["ref"])),
                })
                .collect();
            let lies =
                if places.is_empty() { String::new() } else { format!(": it lies in {}", places.join(", ")) };
            output::remark(global, &format!("{} has another value by now{lies}", text(&found["ref"])));
        }
        output::remark(global, &format!("next: {}", text(&found["suggested"])));
    }
    for token in all(trace, "values").map(|value| &value["token"]).filter(|it| !it.is_null()).take(MOST_LINES)
    {
        tell_token(global, token);
    }
    for skipped in all(trace, "skipped").take(MOST_LINES) {
        let line = format!("no value: {} ({})", place(&skipped["seen"]), text(&skipped["reason"]));
        output::remark(global, &line);
    }
    for unasked in all(trace, "unasked") {
        let (backend, reason) = (text(&unasked["backend"]), text(&unasked["reason"]));
        output::remark(global, &format!("backend `{backend}` could not be asked: {reason}"));
    }
    let unmatched = unmatched(trace);
    if unmatched > 0 {
        output::remark(
            global,
            &format!(
                "{unmatched} not known: no copy and no issuer in the inventory has it; that does not mean that it is no credential"
            ),
        );
    }
    let unknown = all(trace, "values").filter(|value| is_unknown(value)).map(|value| &value["seen"]);
    for seen in unknown.filter(|seen| !seen.is_null()).take(MOST_LINES) {
        output::remark(global, &format!("not known: {}", place(seen)));
    }
}

fn tell_token(global: &Global, token: &Value) {
    let account = token["service_account"].as_str().unwrap_or("an unnamed ServiceAccount");
    let mut line = format!(
        "it says, and nobody has checked, that it is a {} token of {account} in namespace {}",
        text(&token["kind"]),
        text(&token["namespace"])
    );
    for what in ["jti", "pod", "node", "secret"] {
        if let Some(text) = token[what].as_str() {
            line.push_str(&format!(", {what} {text}"));
        }
    }
    output::remark(global, &line);
    for account in all(token, "accounts") {
        let line = format!("it may be {} (by {})", text(&account["ref"]), text(&account["fit"]));
        output::remark(global, &line);
    }
    for end in all(token, "ends_with") {
        output::remark(global, &format!("ends with {}", text(end)));
    }
    for command in all(token, "suggested") {
        output::remark(global, &format!("next: {}", text(command)));
    }
}

fn place(seen: &Value) -> String {
    let mut line = text(&seen["source"]).to_owned();
    for part in ["rule", "container", "place"].into_iter().filter_map(|part| seen[part].as_str()) {
        line.push_str(&format!(" {part}"));
    }
    if let Some(number) = seen["line"].as_u64() {
        line.push_str(&format!(":{number}"));
    }
    if let Some(url) = seen["url"].as_str() {
        line.push_str(&format!(" {url}"));
    }
    line
}
