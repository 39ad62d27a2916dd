//! YAML, JSON among it, several documents to a file.

use claviger_core::secret::SecretValue;
use serde::Deserialize;
use yaml_serde::{Deserializer, Value};

/// Why a file's text is no document. Holds nothing of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unparsed {
    /// A template, which is YAML only after something rendered it.
    Template,
    /// Malformed at this line, from 1.
    Malformed(Option<usize>),
}

/// All documents of a text; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>, Unparsed> {
    let mut documents = Vec::new();
    for document in Deserializer::from_str(text) {
        match Value::deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(value),
            Err(_) if text.contains("{{") => return Err(Unparsed::Template),
            Err(error) => return Err(Unparsed::Malformed(error.location().map(|location| location.line()))),
        }
    }
    Ok(documents)
}

/// A member that is text.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// A member's items; none where there is no list.
pub(crate) fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_sequence).into_iter().flatten()
}

/// A member's members with names that are text; none where there is no mapping.
pub(crate) fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    value.get(key).into_iter().flat_map(entries)
}

/// A mapping's members with names that are text.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.filter_map(|(name, value)| Some((name.as_str()?, value)))
}

/// A scalar as its owner would read it. Numbers and booleans are what YAML makes of an unquoted PIN.
pub(crate) fn scalar(value: &Value) -> Option<SecretValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Tagged(tagged) => return scalar(&tagged.value),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) => return None,
    };
    Some(SecretValue::from_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_documents_and_empty_ones() {
        let documents = parse("---\na: 1\n---\n---\n# nothing\n---\nb: [x]\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(parse(r#"{"a": "b"}"#).unwrap().len(), 1);
        assert_eq!(parse("").unwrap().len(), 0);
    }

    #[test]
    fn what_cannot_be_parsed_says_where_and_never_what() {
        assert_eq!(parse("a: 1\nb: [unclosed\n").unwrap_err(), Unparsed::Malformed(Some(3)));
        assert_eq!(parse("a: {{ .Values.x }}\n  {{- end }}\n").unwrap_err(), Unparsed::Template);
        assert!(matches!(parse("a: 1\na: 2\n"), Err(Unparsed::Malformed(_))));
    }

    #[test]
    fn entities_do_not_explode() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = level - 1;
            let again = vec![format!("*a{before}"); 9].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{again}]\n"));
        }
        assert!(matches!(parse(&bomb), Err(Unparsed::Malformed(_))));
    }
}
