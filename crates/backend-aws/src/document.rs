//! A secret that is a JSON object: its fields, and putting one back with everything else as it was, byte for byte.

use std::{borrow::Cow, collections::BTreeMap};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::secret::SecretValue;
use serde_json::value::RawValue;

/// The fields of a JSON object, or `None` for any other text.
fn raw(text: &str) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// The fields as values: the text of a string, else the JSON itself.
pub(crate) fn fields(text: &str) -> Option<Vec<(String, SecretValue)>> {
    Some(raw(text)?.into_iter().map(|(key, value)| (key.into_owned(), value_of(value))).collect())
}

/// One field.
pub(crate) fn field(text: &str, key: &str) -> Option<SecretValue> {
    raw(text)?.get(key).map(|value| value_of(value))
}

fn value_of(raw: &RawValue) -> SecretValue {
    let text = serde_json::from_str::<String>(raw.get());
    SecretValue::from_text(text.unwrap_or_else(|_| raw.get().to_owned()))
}

/// The same document with that field's value replaced, or with the field added.
///
/// # Errors
/// `Invalid`: no JSON object, or a value that JSON cannot hold.
pub(crate) fn replace(
    operation: &'static str,
    text: &str,
    key: &str,
    value: &SecretValue,
) -> Result<SecretValue> {
    let refuse = |what: &str| Error::new(ErrorKind::Invalid, operation, what.to_owned());
    let new = value.expose_text().ok_or_else(|| refuse("a binary value does not fit into a JSON secret"))?;
    let fields = raw(text).ok_or_else(|| refuse("the secret is no JSON object, so it has no fields"))?;
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let Some(old) = fields.get(key) else {
        let end = text.rfind('}').expect("an object ends with a brace");
        let comma = if fields.is_empty() { "" } else { "," };
        return Ok(SecretValue::from_text(format!(
            "{}{comma}{}:{}{}",
            &text[..end],
            quoted(key),
            quoted(new),
            &text[end..]
        )));
    };
    // A field that was no text (a number, a nested document) stays one as long as the new value is JSON of such a kind.
    let was_text = old.get().starts_with('"');
    let stays =
        !was_text && serde_json::from_str::<&RawValue>(new).is_ok_and(|new| !new.get().starts_with('"'));
    let written = if stays { new.to_owned() } else { quoted(new) };
    // `old` borrows from `text`, so its place is the distance of their beginnings.
    let start = old.get().as_ptr().addr() - text.as_ptr().addr();
    let end = start + old.get().len();
    Ok(SecretValue::from_text(format!("{}{written}{}", &text[..start], &text[end..])))
}

/// The same document without that field; `None` where it has none such.
///
/// # Errors
/// `Invalid`: no JSON object.
pub(crate) fn without(operation: &'static str, text: &str, key: &str) -> Result<Option<SecretValue>> {
    let fields = raw(text).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, operation, "the secret is no JSON object, so it has no fields")
    })?;
    if !fields.contains_key(key) {
        return Ok(None);
    }
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let rest = fields.iter().filter(|(name, _)| *name != key);
    let rest: Vec<_> = rest.map(|(name, value)| format!("{}:{}", quoted(name), value.get())).collect();
    Ok(Some(SecretValue::from_text(format!("{{{}}}", rest.join(",")))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str, key: &str, value: &str) -> String {
        let new = replace("write", text, key, &SecretValue::from_text(value.to_owned())).expect("replaced");
        new.expose_text().expect("text").to_owned()
    }

    #[test]
    fn a_field_is_taken_out_and_the_others_keep_their_bytes() {
        let text = "{ \"z\" : 1.50,\n \"password\":\"x\", \"a\":{\"password\":\"inner\"} }";
        let rest = without("erase", text, "password").expect("JSON").expect("it was there");
        assert_eq!(rest.expose_text(), Some("{\"a\":{\"password\":\"inner\"},\"z\":1.50}"));
        assert!(without("erase", text, "b").expect("JSON").is_none());
        assert!(without("erase", "plain", "b").is_err());
    }

    #[test]
    fn only_the_field_changes() {
        let text = "{ \"z\" : 1.50,\n \"password\":\"old\\u00fc\", \"a\":{\"password\":\"inner\"} }";
        assert_eq!(replaced(text, "password", "n\"ew"), text.replace("\"old\\u00fc\"", "\"n\\\"ew\""));
        assert_eq!(replaced(text, "a", "{\"x\":2}"), text.replace("{\"password\":\"inner\"}", "{\"x\":2}"));
        assert_eq!(replaced(text, "z", "text"), text.replace("1.50", "\"text\""));
        assert_eq!(replaced(text, "z", "7"), text.replace("1.50", "7"));
        assert_eq!(replaced("{}", "a", "b"), "{\"a\":\"b\"}");
        assert_eq!(replaced("{\"x\":1}\n", "a/b", "7"), "{\"x\":1,\"a/b\":\"7\"}\n");
        assert_eq!(replaced("{\"n\":\"5\"}", "n", "6"), "{\"n\":\"6\"}", "a text stays a text");
    }

    #[test]
    fn fields_are_texts_or_json() {
        let fields = fields(r#"{"a":"x","n":1.50,"o":{"k":["v"]}}"#).expect("an object");
        let texts: Vec<_> =
            fields.iter().map(|(key, value)| (key.as_str(), value.expose_text().expect("text"))).collect();
        assert_eq!(texts, [("a", "x"), ("n", "1.50"), ("o", r#"{"k":["v"]}"#)]);
        for other in ["plain", "[1]", "\"text\"", "", "{\"a\":1", "null"] {
            assert!(super::fields(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let value = SecretValue::new(vec![0xff]);
        assert_eq!(replace("write", "{}", "a", &value).err().expect("binary").kind(), ErrorKind::Invalid);
        let value = SecretValue::from_text("x".to_owned());
        assert_eq!(
            replace("write", "plain", "a", &value).err().expect("no object").kind(),
            ErrorKind::Invalid
        );
    }
}
