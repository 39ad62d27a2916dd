//! Kubernetes manifests inside a value, and Helm's release records: base64 of gzip of JSON, with the rendered manifest, the values that the
//! operator gave (`config`) and the chart's defaults. A release is a record of what was deployed: it is read and never written.

use std::io::Read;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::{
    slot::{self, Says, Slot, Write},
    yaml_text,
};
use crate::secret::SecretValue;

/// Most bytes that are inflated; a release is limited to 1 MiB compressed.
const MOST_INFLATED: u64 = 8 << 20;
/// Deepest nesting of values that is walked.
const MOST_DEPTH: usize = 32;
/// Most bytes of all pointers of one release.
const MOST_POINTER_BYTES: usize = 4 << 20;

/// True for the first bytes of a gzip member (RFC 1952).
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 0x08])
}

/// The slots of a release: `manifest/Secret/<name>/data/<key>`, `config/…`, `chart/values/…`. `None` if it is not one, is broken, or inflates to
/// more than 8 MiB.
pub fn slots(gzip: &[u8]) -> Option<Vec<Slot>> {
    let mut inflated = Zeroizing::new(Vec::new());
    flate2::read::GzDecoder::new(gzip).take(MOST_INFLATED + 1).read_to_end(&mut inflated).ok()?;
    if u64::try_from(inflated.len()).ok()? > MOST_INFLATED {
        return None;
    }
    let mut release: Release = serde_json::from_slice(&inflated).ok()?;
    if release.manifest.is_none() && release.chart.is_none() {
        return None;
    }
    let mut found = Vec::new();
    for slot in manifest_slots(release.manifest.as_deref().unwrap_or_default()) {
        found.push(Slot { pointer: slot::join("manifest", &slot.pointer), ..slot });
    }
    let mut walk = Walk { containers: 1_000_000, spent: 0, found };
    walk.node(&release.config, "config", "", 0, 0);
    if let Some(chart) = &release.chart {
        walk.node(&chart.values, "chart/values", "", 0, 0);
    }
    release.manifest.zeroize();
    Some(walk.found)
}

#[derive(Deserialize)]
struct Release {
    manifest: Option<String>,
    #[serde(default)]
    config: Value,
    chart: Option<Chart>,
}

#[derive(Deserialize)]
struct Chart {
    #[serde(default)]
    values: Value,
}

/// The values of the Secrets in a stream of YAML documents: `Secret/<name>/data/<key>`, decoded. A malformed document is passed over.
pub fn manifest_slots(text: &str) -> Vec<Slot> {
    let mut found = Vec::new();
    let mut containers = 0;
    for document in documents(text) {
        // The parser is slow, and most documents of a release are no Secrets.
        let is_secret = |line: &str| line.trim_end().trim_matches(['"', '\'']) == "kind: Secret";
        if !document.lines().any(is_secret) {
            continue;
        }
        let Some(parsed) = yaml_text::parse(document) else { continue };
        for object in &parsed {
            let name =
                object.get("metadata").and_then(|meta| meta.get("name")).and_then(|name| name.as_str());
            let (Some("Secret"), Some(name)) = (object.get("kind").and_then(|kind| kind.as_str()), name)
            else {
                continue;
            };
            containers += 1;
            for field in ["data", "stringData"] {
                let Some(members) = object.get(field).and_then(|field| field.as_mapping()) else { continue };
                for (key, value) in members {
                    let (Some(key), Some(value)) = (key.as_str(), value.as_str()) else { continue };
                    let pointer = format!("Secret/{}/{field}/{}", slot::segment(name), slot::segment(key));
                    let mut slot = Slot::new(pointer, key, value, Write::ReadOnly);
                    if field == "data" {
                        let Ok(bytes) = STANDARD.decode(value.trim()) else { continue };
                        slot.value = SecretValue::new(bytes);
                    }
                    found.push(Slot { container: containers, ..slot });
                }
            }
        }
    }
    found
}

/// The documents between `---` lines.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    let ranges: Vec<(usize, usize)> = starts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    ranges.into_iter().map(|(start, end)| text[start..end].trim_start_matches("---"))
}

struct Walk {
    containers: usize,
    spent: usize,
    found: Vec<Slot>,
}

impl Walk {
    fn node(&mut self, node: &Value, pointer: &str, key: &str, container: usize, depth: usize) {
        if depth > MOST_DEPTH || self.spent > MOST_POINTER_BYTES {
            return;
        }
        match node {
            Value::String(text) => {
                self.spent += pointer.len() + key.len();
                let slot = Slot::new(pointer.to_owned(), key, text, Write::ReadOnly);
                self.found.push(Slot { says: Says::Configuration, container, ..slot });
            }
            Value::Array(elements) => {
                self.containers += 1;
                let container = self.containers;
                for (index, element) in elements.iter().enumerate() {
                    self.node(
                        element,
                        &slot::join_always(pointer, &index.to_string()),
                        key,
                        container,
                        depth + 1,
                    );
                }
            }
            Value::Object(members) => {
                self.containers += 1;
                let container = self.containers;
                for (name, value) in members {
                    let inner = slot::join_always(pointer, &slot::segment(name));
                    self.node(value, &inner, name, container, depth + 1);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn shown(slots: &[Slot]) -> Vec<(&str, &str)> {
        slots.iter().map(|slot| (slot.pointer.as_str(), slot.value.expose_text().unwrap())).collect()
    }

    #[test]
    fn a_release_shows_its_secrets_and_values() {
        let manifest = "---\n# Source: x\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: aHVudGVyMg==\n\
            stringData: {plain: text}\n---\nkind: ConfigMap\ndata: {a: b}\n---\nkind: Secret\nbroken: [\n";
        let release = json!({"manifest": manifest, "config": {"db": {"password": "x", "port": 1}}, "chart": {"values": {"l": ["y"]}}});
        let found = slots(&gzip(release.to_string().as_bytes())).expect("a release");
        assert_eq!(
            shown(&found),
            [
                ("manifest/Secret/db/data/password", "hunter2"),
                ("manifest/Secret/db/stringData/plain", "text"),
                ("config/db/password", "x"),
                ("chart/values/l/0", "y"),
            ]
        );
    }

    #[test]
    fn what_is_no_release_is_refused() {
        assert!(slots(&gzip(b"{}")).is_none());
        assert!(slots(&gzip(b"text")).is_none());
        assert!(slots(&[0x1f, 0x8b, 0x08, 0, 1]).is_none());
        let bomb = gzip(&vec![b' '; 9 << 20]);
        assert!(bomb.len() < 100_000 && slots(&bomb).is_none());
    }
}
