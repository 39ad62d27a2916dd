//! JSON that is safe to look at in a terminal: what [`crate::visible`] would write out is written as a `\u` escape, which says the same.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::visible::is_hidden;

/// Writes one value on one line, without a line end.
pub(crate) fn compact<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Careful(CompactFormatter));
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Writes one value over several lines, without a line end at the end.
pub(crate) fn pretty<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Careful(PrettyFormatter::new()));
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Writes an object whose members come one after the other, so that a long list is never in memory twice. Items are one to a line.
pub(crate) struct Document<'w> {
    out: &'w mut dyn Write,
    is_empty: bool,
}

impl<'w> Document<'w> {
    /// Begins with the schema.
    pub(crate) fn new(out: &'w mut dyn Write, schema: &str) -> io::Result<Self> {
        out.write_all(b"{")?;
        let mut document = Self { out, is_empty: true };
        document.member("schema", &schema)?;
        Ok(document)
    }

    /// One member.
    pub(crate) fn member(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.name(name)?;
        compact(&mut self.out, value)
    }

    /// A list.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> io::Result<()> {
        self.name(name)?;
        self.out.write_all(b"[")?;
        let mut separator = "\n";
        for item in items {
            write!(self.out, "{separator}    ")?;
            compact(&mut self.out, &item)?;
            separator = ",\n";
        }
        self.out.write_all(if separator == "\n" { b"]" } else { b"\n  ]" })
    }

    /// Ends it, with a line end.
    pub(crate) fn end(self) -> io::Result<()> {
        self.out.write_all(b"\n}\n")
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        self.out.write_all(if self.is_empty { b"\n  " } else { b",\n  " })?;
        self.is_empty = false;
        compact(&mut self.out, &name)?;
        self.out.write_all(b": ")
    }
}

/// Adds the escapes to a formatter's own. The serializer itself escapes quotes, backslashes and C0 controls.
struct Careful<F>(F);

macro_rules! delegate {
    ($($method:ident($($argument:ident: $type:ty),*)),+ $(,)?) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$method(writer $(, $argument)*)
        })+
    };
}

impl<F: Formatter> Formatter for Careful<F> {
    delegate!(
        begin_array(),
        end_array(),
        begin_array_value(first: bool),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first: bool),
        end_object_key(),
        begin_object_value(),
        end_object_value(),
    );

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain_from = 0;
        for (index, letter) in fragment.char_indices().filter(|(_, letter)| is_hidden(*letter)) {
            writer.write_all(&fragment.as_bytes()[plain_from..index])?;
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = index + letter.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn hidden_characters_are_escaped_and_mean_the_same() {
        let text = "a\u{1b}[31m\u{9b}\u{202e}\u{7f}\u{e0041}\"\\é日";
        for write in [compact::<Value>, pretty::<Value>] {
            let mut out = Vec::new();
            write(&mut out, &json!({ text: [text, 1, null, {}] })).expect("a Vec takes everything");
            let written = String::from_utf8(out).expect("text");
            assert!(!written.chars().any(|letter| letter != '\n' && is_hidden(letter)), "{written:?}");
            assert_eq!(
                serde_json::from_str::<Value>(&written).expect("JSON"),
                json!({ text: [text, 1, null, {}] })
            );
        }
    }

    #[test]
    fn a_document_is_one_object() {
        let mut out = Vec::new();
        let mut document = Document::new(&mut out, "claviger.x/v1").expect("a Vec takes everything");
        document.member("n", &1).expect("a Vec takes everything");
        document.list("none", [0; 0]).expect("a Vec takes everything");
        document.list("some", [1, 2]).expect("a Vec takes everything");
        document.end().expect("a Vec takes everything");
        let read: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(read, json!({"schema": "claviger.x/v1", "n": 1, "none": [], "some": [1, 2]}));
    }
}
