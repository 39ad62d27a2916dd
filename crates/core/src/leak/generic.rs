//! Our own shape, for whoever has no scanner's: `{"leaks": [{"value", "rule", "place", "line", "url"}]}`.

use serde::Deserialize;

use super::{Format, Held, LeakError, Leaks, Sighting};

#[derive(Deserialize)]
struct Report {
    leaks: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    value: Option<Held>,
    rule: Option<String>,
    place: Option<String>,
    line: Option<u64>,
    url: Option<String>,
}

pub(super) fn parse(text: &[u8]) -> Result<Leaks, LeakError> {
    let report: Report =
        serde_json::from_slice(text).map_err(|error| LeakError::json(Format::Text, &error, 0))?;
    let mut leaks = Leaks::new(Format::Text);
    for item in report.leaks {
        let seen = Sighting {
            rule: item.rule,
            place: item.place,
            line: item.line,
            url: item.url,
            ..Sighting::of("report")
        };
        leaks.take(item.value, Vec::new(), seen)?;
    }
    Ok(leaks)
}
