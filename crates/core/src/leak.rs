//! Leaked values: a text that somebody pasted, a file with one value per line, or the report of a secret scanner.
//!
//! Reports are hostile: they come from anywhere, are large, cut off, or redacted. Parsers are pure and bounded, and no error and no sighting
//! repeats a value. Formats: `gitleaks`, `trufflehog`, `sarif` (SARIF 2.1.0), `github` (secret-scanning alerts, webhook payloads, partner
//! notices). A file per format says where it is described.

mod generic;
mod github;
mod gitleaks;
mod held;
mod plain;
mod sarif;
mod sighting;
mod trufflehog;

use std::{fmt, str::FromStr};

use serde::Serialize;

use self::held::Held;
pub use self::sighting::Sighting;
use crate::secret::SecretValue;

/// More than any report that a person would look at.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Values of one report.
pub const MOST_LEAKS: usize = 20_000;
/// Longer values are no credentials; a kubeconfig or a keystore fits.
const MOST_VALUE: usize = 1024 * 1024;

/// What a text is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One value, whatever it looks like.
    Text,
    /// One value per line.
    Lines,
    /// `gitleaks --report-format json`.
    Gitleaks,
    /// `trufflehog --json`, one object per line.
    Trufflehog,
    /// SARIF 2.1.0 of any scanner.
    Sarif,
    /// Alerts of GitHub's secret scanning: a list, one, a webhook's payload, or a partner's notice.
    Github,
}

impl Format {
    /// The word of the command line and of reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Lines => "lines",
            Self::Gitleaks => "gitleaks",
            Self::Trufflehog => "trufflehog",
            Self::Sarif => "sarif",
            Self::Github => "github",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Text, Self::Lines, Self::Gitleaks, Self::Trufflehog, Self::Sarif, Self::Github];
        all.into_iter().find(|format| format.word() == word).ok_or(())
    }
}

/// One leaked value.
pub struct Leak {
    /// The value as it was given.
    pub value: SecretValue,
    /// Other readings of it: what a scanner shows beside it, or what is left of two values that it has glued together.
    pub parts: Vec<SecretValue>,
    /// Where it was seen, if that was told.
    pub seen: Option<Sighting>,
}

impl Leak {
    /// A value without a history.
    pub fn new(value: SecretValue) -> Self {
        Self { value, parts: Vec::new(), seen: None }
    }
}

/// A line of a report from which no value can be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Where it was seen.
    pub seen: Sighting,
    /// Why there is no value.
    pub reason: SkipReason,
}

/// Why a report's line gives no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The scanner was told to hide it.
    Redacted,
    /// The format carries none there.
    NotCarried,
    /// It is longer than any credential.
    TooLong,
}

/// What a text holds.
pub struct Leaks {
    /// What it was taken for.
    pub format: Format,
    /// The values.
    pub leaks: Vec<Leak>,
    /// What gave none.
    pub skipped: Vec<Skipped>,
}

impl Leaks {
    fn new(format: Format) -> Self {
        Self { format, leaks: Vec::new(), skipped: Vec::new() }
    }

    /// Takes a value with its sighting, or notes why it is none.
    fn take(
        &mut self,
        value: Option<Held>,
        parts: Vec<SecretValue>,
        mut seen: Sighting,
    ) -> Result<(), LeakError> {
        let reason = match &value {
            None => Some(SkipReason::NotCarried),
            Some(value) if value.0.is_empty() => Some(SkipReason::NotCarried),
            Some(value) if is_redacted(value.0.expose()) => Some(SkipReason::Redacted),
            Some(value) if value.0.len() > MOST_VALUE => Some(SkipReason::TooLong),
            Some(_) => None,
        };
        if self.leaks.len() + self.skipped.len() >= MOST_LEAKS {
            return Err(LeakError::TooMany);
        }
        if let Some(Held(value)) = &value {
            seen.hide(value);
        }
        parts.iter().for_each(|part| seen.hide(part));
        match (reason, value) {
            (None, Some(Held(value))) => self.leaks.push(Leak { value, parts, seen: Some(seen) }),
            (reason, _) => {
                self.skipped.push(Skipped { seen, reason: reason.unwrap_or(SkipReason::NotCarried) });
            }
        }
        Ok(())
    }
}

/// What scanners write in place of a value: gitleaks `REDACTED` or the value's beginning and `...`, others stars.
fn is_redacted(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"redacted")
        || value.ends_with(b"...")
        || value.iter().all(|byte| *byte == b'*' || byte.is_ascii_whitespace())
}

/// A text that cannot be taken. Says where, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeakError {
    /// More bytes than [`MOST_BYTES`].
    #[error("it is larger than {} MiB", MOST_BYTES / 1024 / 1024)]
    TooLarge,
    /// More values than [`MOST_LEAKS`].
    #[error("it has more than {MOST_LEAKS} values")]
    TooMany,
    /// It is said, or seems, to be of this format, and is not.
    #[error("it is no whole {format} report: line {line}, column {column}")]
    Broken {
        /// The format.
        format: Format,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

impl LeakError {
    /// What the JSON parser's error may be told: never its message, which repeats values.
    fn json(format: Format, error: &serde_json::Error, before: usize) -> Self {
        Self::Broken { format, line: before + error.line(), column: error.column() }
    }
}

/// Reads a text as this format; without one, as the scanner's report that it is, else as one value.
///
/// # Errors
/// It is too large, or no whole report of the format that it should, or by its keys seems to, have.
pub fn parse(format: Option<Format>, text: &[u8]) -> Result<Leaks, LeakError> {
    if text.len() > MOST_BYTES {
        return Err(LeakError::TooLarge);
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match format.unwrap_or_else(|| recognise(text)) {
        format @ Format::Text => Ok(Leaks { leaks: plain::whole(text), ..Leaks::new(format) }),
        format @ Format::Lines => {
            let leaks = plain::lines(text);
            if leaks.len() > MOST_LEAKS {
                return Err(LeakError::TooMany);
            }
            Ok(Leaks { leaks, ..Leaks::new(format) })
        }
        Format::Gitleaks => gitleaks::parse(text),
        Format::Trufflehog => trufflehog::parse(text),
        Format::Sarif => sarif::parse(text),
        Format::Github => github::parse(text),
    }
}

/// Reads a report that a program sent: a scanner's, or `{"leaks": [{"value", …}]}`. Unlike [`parse`] it takes nothing else.
///
/// # Errors
/// It is too large, or no whole report.
pub fn parse_report(text: &[u8]) -> Result<Leaks, LeakError> {
    if text.len() > MOST_BYTES {
        return Err(LeakError::TooLarge);
    }
    match recognise(text) {
        Format::Text | Format::Lines => generic::parse(text),
        format => parse(Some(format), text),
    }
}

/// By the keys that only this format has, where they stand near the beginning: a report that is cut off is still one.
fn recognise(text: &[u8]) -> Format {
    let start = text.trim_ascii_start();
    let head = &start[..start.len().min(64 * 1024)];
    let has = |key: &str| head.windows(key.len()).any(|window| window == key.as_bytes());
    match start.first() {
        Some(b'[') if has("\"RuleID\"") && has("\"Secret\"") => Format::Gitleaks,
        Some(b'{') if has("\"DetectorName\"") && has("\"SourceMetadata\"") => Format::Trufflehog,
        Some(b'{') if has("\"runs\"") && has("\"tool\"") && has("\"driver\"") => Format::Sarif,
        Some(b'[' | b'{') if has("\"secret_type\"") && has("\"number\"") => Format::Github,
        Some(b'[') if has("\"token\"") && has("\"type\"") && has("\"url\"") && has("\"source\"") => {
            Format::Github
        }
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMATS: [Format; 6] =
        [Format::Text, Format::Lines, Format::Gitleaks, Format::Trufflehog, Format::Sarif, Format::Github];

    fn told(leaks: &Leaks) -> String {
        let sightings: Vec<_> = leaks.leaks.iter().filter_map(|leak| leak.seen.clone()).collect();
        format!("{}{}", serde_json::json!(sightings), serde_json::json!(leaks.skipped))
    }

    #[test]
    fn words_are_read_back() {
        for format in FORMATS {
            assert_eq!(format.word().parse(), Ok(format));
        }
        assert!("Gitleaks".parse::<Format>().is_err());
    }

    #[test]
    fn what_is_no_report_is_one_value() {
        for text in ["hunter2", "{\"type\":\"service_account\"}", "[]", "[1, 2]", "postgres://a:b@c/d", "{"] {
            let leaks = parse(None, text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((leaks.format, leaks.leaks.len()), (Format::Text, 1), "{text}");
        }
        assert_eq!(parse(None, b" \n ").map(|leaks| leaks.leaks.len()), Ok(0));
    }

    #[test]
    fn limits_hold() {
        assert_eq!(parse(None, &vec![b'a'; MOST_BYTES + 1]).err(), Some(LeakError::TooLarge));
        let many = "a1\n".repeat(MOST_LEAKS + 1);
        assert_eq!(parse(Some(Format::Lines), many.as_bytes()).err(), Some(LeakError::TooMany));
        let deep = "[".repeat(100_000);
        assert!(matches!(parse(Some(Format::Github), deep.as_bytes()), Err(LeakError::Broken { .. })));
        let long = format!("[{{\"RuleID\":\"r\",\"Secret\":\"{}\"}}]", "x".repeat(MOST_VALUE + 1));
        let leaks = parse(None, long.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(leaks.skipped[0].reason, SkipReason::TooLong);
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in prop::collection::vec(any::<u8>(), 0..400)) {
            for format in FORMATS {
                let _ = parse(Some(format), &text);
            }
            let _ = parse(None, &text);
        }

        /// Whatever a report says beside the value, its sighting does not repeat the value, and neither does an error.
        #[test]
        fn no_sighting_and_no_error_repeats_a_value(
            value in "[A-Za-z0-9/+]{8,40}",
            place in "[a-z/]{0,12}",
            cut in 0usize..400,
            replace in any::<bool>(),
        ) {
            let leaky = if replace { format!("{place}{value}.txt") } else { place };
            let reports = [
                serde_json::json!([{ "RuleID": "r", "Secret": value, "File": leaky, "StartLine": 3, "Commit": value, "Link": format!("https://x/{value}") }]),
                serde_json::json!({ "DetectorName": leaky, "SourceMetadata": { "Data": { "Git": { "file": leaky, "line": 2 } } }, "Raw": value, "RawV2": format!("{value}:{leaky}") }),
                serde_json::json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "t" } }, "results": [{ "ruleId": leaky, "locations": [{ "physicalLocation": { "artifactLocation": { "uri": leaky }, "region": { "startLine": 1, "snippet": { "text": value } } } }] }] }] }),
                serde_json::json!([{ "number": 1, "secret_type": leaky, "secret": value, "html_url": format!("https://x/{value}") }]),
                serde_json::json!([{ "token": value, "type": leaky, "url": format!("https://x/{value}"), "source": "content" }]),
            ];
            for report in reports {
                let text = report.to_string();
                let leaks = parse(None, text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
                prop_assert_eq!(leaks.leaks.len(), 1, "{}", leaks.format);
                prop_assert_eq!(leaks.leaks[0].value.expose(), value.as_bytes());
                prop_assert!(!told(&leaks).contains(&value), "{}", told(&leaks));
                let cut = cut.min(text.len() - 1);
                match parse(Some(leaks.format), &text.as_bytes()[..cut]) {
                    Ok(part) => prop_assert!(!told(&part).contains(&value)),
                    Err(error) => prop_assert!(!error.to_string().contains(&value)),
                }
            }
        }
    }
}
