//! The output of `trufflehog --json` (version 3): one object per line. `Raw` is what the detector found; `RawV2`, where it has two parts, is
//! both of them, glued together with or without a colon: AWS gives the key id as `Raw` and `id:secret` as `RawV2`.
//!
//! Source: <https://github.com/trufflesecurity/trufflehog>, `pkg/output/json.go`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Format, Held, LeakError, Leaks, Sighting};
use crate::secret::SecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    detector_name: Option<String>,
    source_metadata: Option<Metadata>,
    raw: Option<Held>,
    #[serde(rename = "RawV2")]
    raw_v2: Option<Held>,
}

#[derive(Deserialize)]
struct Metadata {
    /// By the kind of source: `Git`, `Filesystem`, `Github`, `S3`, `Docker`, …
    #[serde(rename = "Data", default)]
    data: Option<BTreeMap<String, Place>>,
}

/// What those kinds have in common under one of a few names.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Place {
    file: Option<String>,
    path: Option<String>,
    key: Option<String>,
    line: Option<u64>,
    commit: Option<String>,
    repository: Option<String>,
    bucket: Option<String>,
    image: Option<String>,
    link: Option<String>,
}

pub(super) fn parse(text: &[u8]) -> Result<Leaks, LeakError> {
    let mut leaks = Leaks::new(Format::Trufflehog);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let found: Found = serde_json::from_slice(line)
            .map_err(|error| LeakError::json(Format::Trufflehog, &error, index))?;
        let place = found.source_metadata.and_then(|metadata| metadata.data);
        let place = place.and_then(|data| data.into_values().next()).unwrap_or_default();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let seen = Sighting {
            rule: some(found.detector_name),
            place: some(place.file).or_else(|| some(place.path)).or_else(|| some(place.key)),
            line: place.line.filter(|line| *line > 0),
            container: some(place.repository).or_else(|| some(place.bucket)).or_else(|| some(place.image)),
            commit: some(place.commit),
            url: some(place.link),
            ..Sighting::by(Format::Trufflehog)
        };
        let (value, other) = match (found.raw, found.raw_v2) {
            (Some(raw), other) if !raw.0.is_empty() => (Some(raw), other),
            (_, other) => (other, None),
        };
        let parts = match (&value, other) {
            (Some(value), Some(other)) if other.0.expose() != value.0.expose() => readings(&value.0, other.0),
            _ => Vec::new(),
        };
        leaks.take(value, parts, seen)?;
    }
    Ok(leaks)
}

/// Both parts together, and what is left of them without the first.
fn readings(first: &SecretValue, both: SecretValue) -> Vec<SecretValue> {
    let rest =
        both.expose().strip_prefix(first.expose()).or_else(|| both.expose().strip_suffix(first.expose()));
    let rest = rest.map(|rest| rest.strip_prefix(b":").or_else(|| rest.strip_suffix(b":")).unwrap_or(rest));
    let rest = rest.filter(|rest| !rest.is_empty()).map(|rest| SecretValue::new(rest.to_vec()));
    rest.into_iter().chain((!both.is_empty()).then_some(both)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const LINES: &str = r#"{"SourceMetadata":{"Data":{"Git":{"commit":"c0ffee","file":"k8s/app.yaml","email":"e","repository":"https://x/y","timestamp":"t","line":7}}},"SourceID":1,"SourceType":16,"SourceName":"trufflehog - git","DetectorType":2,"DetectorName":"AWS","DecoderName":"PLAIN","Verified":true,"Raw":"AKIAEXAMPLE","RawV2":"AKIAEXAMPLE:c2VjcmV0","Redacted":"AKIAEXAMPLE","ExtraData":{"account":"1"},"StructuredData":null}

{"SourceMetadata":{"Data":{"Filesystem":{"file":"/a","line":1}}},"DetectorName":"Postgres","Raw":"","RawV2":"postgres://a:b@c/d"}
{"SourceMetadata":null,"DetectorName":"X","Raw":"abc"}
"#;

    #[test]
    fn a_line_is_a_value_and_what_two_parts_give() {
        let leaks = parse(None, LINES.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((leaks.format, leaks.leaks.len(), leaks.skipped.len()), (Format::Trufflehog, 3, 0));
        let first = &leaks.leaks[0];
        assert_eq!(first.value.expose(), b"AKIAEXAMPLE");
        let parts: Vec<_> = first.parts.iter().map(SecretValue::expose).collect();
        assert_eq!(parts, [&b"c2VjcmV0"[..], b"AKIAEXAMPLE:c2VjcmV0"]);
        let seen = first.seen.as_ref().expect("seen");
        assert_eq!(
            (seen.place.as_deref(), seen.line, seen.container.as_deref()),
            (Some("k8s/app.yaml"), Some(7), Some("https://x/y"))
        );
        assert_eq!(leaks.leaks[1].value.expose(), b"postgres://a:b@c/d");
    }

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        let broken = format!("{LINES}{{\"DetectorName\":");
        match parse(None, broken.as_bytes()) {
            Err(LeakError::Broken { line, .. }) => assert_eq!(line, 5),
            other => panic!("{:?}", other.err()),
        }
    }
}
