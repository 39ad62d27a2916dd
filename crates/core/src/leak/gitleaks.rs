//! The JSON report of gitleaks 8: an array of findings. A report made with `--redact` has `REDACTED`, or the beginning of the value and
//! three dots, in place of each value.
//!
//! Source: <https://github.com/gitleaks/gitleaks>, `report/finding.go`.

use serde::Deserialize;

use super::{Format, Held, LeakError, Leaks, Sighting};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Finding {
    #[serde(rename = "RuleID")]
    rule_id: Option<String>,
    secret: Option<Held>,
    file: Option<String>,
    start_line: Option<u64>,
    commit: Option<String>,
    link: Option<String>,
}

pub(super) fn parse(text: &[u8]) -> Result<Leaks, LeakError> {
    let findings: Option<Vec<Finding>> =
        serde_json::from_slice(text).map_err(|error| LeakError::json(Format::Gitleaks, &error, 0))?;
    let mut leaks = Leaks::new(Format::Gitleaks);
    for finding in findings.unwrap_or_default() {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let seen = Sighting {
            rule: some(finding.rule_id),
            place: some(finding.file),
            line: finding.start_line.filter(|line| *line > 0),
            commit: some(finding.commit),
            url: some(finding.link),
            ..Sighting::by(Format::Gitleaks)
        };
        leaks.take(finding.secret, Vec::new(), seen)?;
    }
    Ok(leaks)
}

#[cfg(test)]
mod tests {
    use super::super::{SkipReason, parse};
    use super::*;

    const REPORT: &str = r#"[
 {"RuleID":"generic-api-key","Description":"d","StartLine":12,"EndLine":12,"StartColumn":1,"EndColumn":9,"Match":"key = s3cr3t-1",
  "Secret":"s3cr3t-1","File":"app/config.py","SymlinkFile":"","Commit":"c0ffee","Link":"","Entropy":3.5,"Author":"a","Email":"e",
  "Date":"2026-01-01T00:00:00Z","Message":"m","Tags":[],"Fingerprint":"c0ffee:app/config.py:generic-api-key:12"},
 {"RuleID":"aws","Secret":"REDACTED","File":"x","StartLine":1},
 {"RuleID":"aws","Secret":"AKIA...","File":"y","StartLine":0}
]"#;

    #[test]
    fn findings_are_values_with_their_place_and_redacted_ones_are_named() {
        let leaks = parse(None, REPORT.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((leaks.format, leaks.leaks.len(), leaks.skipped.len()), (Format::Gitleaks, 1, 2));
        assert_eq!(leaks.leaks[0].value.expose(), b"s3cr3t-1");
        let seen = leaks.leaks[0].seen.as_ref().expect("seen");
        assert_eq!(
            (seen.place.as_deref(), seen.line, seen.url.as_deref()),
            (Some("app/config.py"), Some(12), None)
        );
        assert!(leaks.skipped.iter().all(|skipped| skipped.reason == SkipReason::Redacted));
        assert_eq!(leaks.skipped[1].seen.line, None);
    }

    #[test]
    fn nothing_found_is_an_empty_list_and_a_cut_one_is_told() {
        assert!(parse(Some(Format::Gitleaks), b"[]").is_ok_and(|leaks| leaks.leaks.is_empty()));
        let cut = &REPORT.as_bytes()[..REPORT.len() - 20];
        match parse(None, cut) {
            Err(LeakError::Broken { format: Format::Gitleaks, line, .. }) => assert!(line >= 5, "{line}"),
            other => panic!("{:?}", other.err()),
        }
        assert!(parse(Some(Format::Gitleaks), b"{}").is_err());
    }
}
