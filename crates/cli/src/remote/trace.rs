use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::{
    leak::{Leak, Sighting, Skipped},
    secret::SecretValue,
};
use serde::{Serialize, Serializer};

use super::client::{Client, strange};
use crate::{
    args::{Global, TraceArgs},
    commands::trace,
    error::{Exit, Failure, Result},
};

/// What is asked: the only place where the values are written.
#[derive(Serialize)]
struct Asked<'l> {
    values: Vec<Given<'l>>,
    skipped: &'l [Skipped],
}

#[derive(Serialize)]
struct Given<'l> {
    value: Text<'l>,
    parts: Vec<Text<'l>>,
    base64: bool,
    seen: Option<&'l Sighting>,
}

enum Text<'l> {
    Plain(&'l str),
    Encoded(SecretValue),
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Plain(text) => text,
            Self::Encoded(text) => text.expose_text().unwrap_or_default(),
        })
    }
}

impl<'l> Given<'l> {
    /// As it is where all of it is text, else in base64.
    fn of(leak: &'l Leak) -> Self {
        let all = || std::iter::once(&leak.value).chain(&leak.parts);
        let base64 = all().any(|value| value.expose_text().is_none());
        let text = |value: &'l SecretValue| match value.expose_text() {
            Some(text) if !base64 => Text::Plain(text),
            _ => Text::Encoded(SecretValue::from_text(STANDARD.encode(value.expose()))),
        };
        let parts = leak.parts.iter().map(text).collect();
        Self { value: text(&leak.value), parts, base64, seen: leak.seen.as_ref() }
    }
}

/// `trace`
pub(super) async fn run(global: &Global, client: &Client, args: &TraceArgs) -> Result<Exit> {
    let (leaks, skipped) = trace::read(global, args)?;
    let asked = Asked { values: leaks.iter().map(Given::of).collect(), skipped: &skipped };
    // What goes wrong in writing it might be told with the values in it.
    let body = serde_json::to_vec(&asked).map_err(|_| Failure::bug("what is asked is no JSON"))?;
    let document = client.ask_unkept(&["traces"], &SecretValue::new(body)).await?;
    // Each value must have been looked for: an answer to something else is no answer.
    if document["values"].as_array().map(Vec::len) != Some(leaks.len()) {
        return Err(strange("it tells not of each value"));
    }
    trace::tell(global, &document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_goes_as_it_is_and_bytes_in_base64() {
        let value = |bytes: &[u8]| SecretValue::new(bytes.to_vec());
        let text = Leak { value: value(b"a\"b"), parts: vec![value(b"c")], seen: None };
        let bytes = Leak { value: value(b"a"), parts: vec![value(&[0xff, 0x00])], seen: None };
        let written = |leak: &Leak| serde_json::to_value(Given::of(leak)).expect("JSON");
        assert_eq!(written(&text), json!({"value": "a\"b", "parts": ["c"], "base64": false, "seen": null}));
        assert_eq!(
            written(&bytes),
            json!({"value": "YQ==", "parts": ["/wA="], "base64": true, "seen": null})
        );
    }
}
