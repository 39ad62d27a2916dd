//! SARIF 2.1.0 of any scanner. The format has no field for a found value; scanners put it, or the line that it stands in, into the snippet of
//! the region (section 3.30.13). `partialFingerprints` are hashes of the scanner's own making and lead to no value.
//!
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use serde::Deserialize;

use super::{Format, Held, LeakError, Leaks, Sighting};
use crate::secret::SecretValue;

/// Longer lines are no assignments that a person wrote.
const LINE: usize = 4096;

#[derive(Deserialize)]
struct Log {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    tool: Option<Tool>,
    #[serde(default)]
    results: Option<Vec<Finding>>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Option<Driver>,
}

#[derive(Deserialize)]
struct Driver {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: Option<String>,
    #[serde(default)]
    locations: Option<Vec<Location>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<Physical>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Option<Artifact>,
    region: Option<Region>,
}

#[derive(Deserialize)]
struct Artifact {
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<u64>,
    snippet: Option<Snippet>,
}

#[derive(Deserialize)]
struct Snippet {
    text: Option<Held>,
}

pub(super) fn parse(text: &[u8]) -> Result<Leaks, LeakError> {
    let log: Log = serde_json::from_slice(text).map_err(|error| LeakError::json(Format::Sarif, &error, 0))?;
    let mut leaks = Leaks::new(Format::Sarif);
    for run in log.runs {
        let name = run.tool.and_then(|tool| tool.driver).and_then(|driver| driver.name);
        let source = name.filter(|name| !name.is_empty()).unwrap_or_else(|| Format::Sarif.word().to_owned());
        for finding in run.results.unwrap_or_default() {
            let mut seen = Sighting { rule: finding.rule_id, ..Sighting::of(source.as_str()) };
            let places = finding.locations.unwrap_or_default();
            let places = places.into_iter().filter_map(|location| location.physical_location);
            let mut found = false;
            for place in places {
                found = true;
                let seen = Sighting {
                    place: place.artifact_location.and_then(|artifact| artifact.uri),
                    line: place.region.as_ref().and_then(|region| region.start_line),
                    ..seen.clone()
                };
                let text = place.region.and_then(|region| region.snippet).and_then(|snippet| snippet.text);
                let parts = text.as_ref().map(|text| assigned(&text.0)).unwrap_or_default();
                leaks.take(text, parts, seen)?;
            }
            if !found {
                seen.place = None;
                leaks.take(None, Vec::new(), seen)?;
            }
        }
    }
    Ok(leaks)
}

/// What a line such as `PASSWORD="x"` or `password: x` assigns.
fn assigned(line: &SecretValue) -> Vec<SecretValue> {
    let Some(text) = line.expose_text().filter(|text| text.len() <= LINE) else { return Vec::new() };
    let sides = [text.split_once('='), text.split_once(':')].into_iter().flatten();
    let value = |(_, right): (&str, &str)| {
        let right = right.trim().trim_end_matches([',', ';']);
        let quoted = ['"', '\''].into_iter().find_map(|quote| right.strip_prefix(quote)?.split(quote).next());
        let right = quoted.unwrap_or(right);
        (!right.is_empty()).then(|| SecretValue::from_text(right.to_owned()))
    };
    sides.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{SkipReason, parse};
    use super::*;

    const LOG: &str = r#"{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks","rules":[]}},
"results":[
 {"message":{"text":"found"},"ruleId":"db","locations":[{"physicalLocation":{"artifactLocation":{"uri":"a/b.env"},"region":{"startLine":4,"snippet":{"text":"PASSWORD=hunter22"}}}}],"partialFingerprints":{"commitSha":"c"}},
 {"message":{"text":"found"},"ruleId":"db","locations":[{"physicalLocation":{"artifactLocation":{"uri":"c"},"region":{"startLine":9}}}]},
 {"message":{"text":"found"},"ruleId":"db"}
]}]}"#;

    #[test]
    fn a_snippet_is_the_value_and_a_result_without_one_is_named() {
        let leaks = parse(None, LOG.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((leaks.format, leaks.leaks.len(), leaks.skipped.len()), (Format::Sarif, 1, 2));
        assert_eq!(leaks.leaks[0].value.expose(), b"PASSWORD=hunter22");
        let seen = leaks.leaks[0].seen.as_ref().expect("seen");
        assert_eq!(
            (seen.source.as_str(), seen.place.as_deref(), seen.line),
            ("gitleaks", Some("a/b.env"), Some(4))
        );
        assert!(leaks.skipped.iter().all(|skipped| skipped.reason == SkipReason::NotCarried));
        assert_eq!(leaks.skipped[0].seen.line, Some(9));
        assert_eq!(leaks.leaks[0].parts[0].expose(), b"hunter22");
    }

    #[test]
    fn an_assignment_gives_what_is_assigned() {
        for (line, expected) in [
            ("PASSWORD=x1", "x1"),
            ("  password = \"a=b c\";", "a=b c"),
            ("password: 'x1', # y", "x1"),
            ("token: x1,", "x1"),
        ] {
            let parts = assigned(&SecretValue::from_text(line.to_owned()));
            assert!(parts.iter().any(|part| part.expose() == expected.as_bytes()), "{line}");
        }
        assert!(assigned(&SecretValue::from_text("hunter22".to_owned())).is_empty());
    }
}
