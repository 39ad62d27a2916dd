//! A place inside a document where a secret may lie, and how another value is written there.

use std::{collections::BTreeMap, ops::Range};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    canonical::SpliceError,
    model::{Attributes, CredentialKind},
    observation::Bundle,
    secret::SecretValue,
};

/// How much the document says about the slot's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It is a secret of this kind, whatever the key's name.
    Secret(CredentialKind),
    /// The name and the place decide.
    Nothing,
    /// As nothing, but held to the standard of configuration wherever the document lies.
    Configuration,
    /// It is no secret: it names the user whom the secret beside it lets in.
    User,
}

/// One place in a document.
pub struct Slot {
    /// RFC 6901 segments joined by `/`; empty where the document has only one slot and no structure (a URL).
    pub pointer: String,
    /// The name of the field, for classification.
    pub key: String,
    /// The decoded content.
    pub value: SecretValue,
    /// How to write another value.
    pub write: Write,
    /// What the document says about it.
    pub says: Says,
    /// What the document says about what it opens; overrides what lies outside.
    pub bundle: Bundle,
    /// Facts from the document.
    pub attributes: Attributes,
    /// Whom the document names.
    pub subject: Option<String>,
    /// Slots of the same number lie side by side and describe each other; 0 for those that do not.
    pub container: usize,
}

impl Slot {
    /// A slot that says nothing more.
    pub fn new(pointer: String, key: &str, value: &str, write: Write) -> Self {
        Self {
            pointer,
            key: key.to_owned(),
            value: SecretValue::from_text(value.to_owned()),
            write,
            says: Says::Nothing,
            bundle: Bundle::default(),
            attributes: Attributes::new(),
            subject: None,
            container: 0,
        }
    }
}

/// How a slot is written.
pub enum Write {
    /// These ranges of the text, each in its encoding. More than one if the document says the same thing twice.
    Ranges(Vec<(Range<usize>, Encoding)>),
    /// A scalar of a YAML document: the text gives no positions, so the writer searches.
    Yaml(Vec<super::yaml_text::Step>),
    /// Not at all.
    ReadOnly,
}

/// How a text is written into a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON string with its quotes.
    Json,
    /// A JSON string with the base64 of `user:` and the value.
    JsonBasicAuth(String),
    /// Percent-encoded, everything but RFC 3986's unreserved characters.
    Percent,
    /// The rest of a line, unquoted and without escapes.
    Line,
    /// A value of a shell-like assignment, with its quotes if it has any.
    Shell,
    /// A value of a libpq connection string, with its quotes if it has any.
    Libpq,
    /// A value of a `;`-separated connection string.
    Semicolon,
    /// The password of a line of `.pgpass`: colons and backslashes are escaped.
    Pgpass,
    /// A word between spaces, without escapes.
    Word,
}

impl Encoding {
    fn encode(&self, value: &str, former: &str) -> Result<Zeroizing<String>, SpliceError> {
        let breaks = value.contains(['\n', '\r', '\0']);
        let text = match self {
            Self::Json => json_string(value)?,
            Self::JsonBasicAuth(user) => {
                json_string(&STANDARD.encode(Zeroizing::new(format!("{user}:{value}")).as_bytes()))?
            }
            Self::Percent => percent_encode(value),
            _ if breaks => return Err(SpliceError::NotRepresentable),
            Self::Line if value.trim() == value && !value.is_empty() => value.to_owned(),
            Self::Line => return Err(SpliceError::NotRepresentable),
            Self::Pgpass => value.replace('\\', "\\\\").replace(':', "\\:"),
            Self::Word if value.contains(char::is_whitespace) || value.is_empty() => {
                return Err(SpliceError::NotRepresentable);
            }
            Self::Word => value.to_owned(),
            Self::Shell => shell(value, former)?,
            Self::Libpq => {
                let plain = !value.is_empty() && !value.contains([' ', '\t', '\'', '\\']);
                if plain && !former.starts_with('\'') {
                    value.to_owned()
                } else {
                    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
                }
            }
            Self::Semicolon => {
                if value.contains([';', '"', '\'']) || value.trim() != value || value.is_empty() {
                    format!("\"{}\"", value.replace('"', "\"\""))
                } else {
                    value.to_owned()
                }
            }
        };
        Ok(Zeroizing::new(text))
    }
}

/// Keeps the quotes that are there; where there are none, adds single ones only if the value needs them.
fn shell(value: &str, former: &str) -> Result<String, SpliceError> {
    let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./:@%+=,~!^*?".contains(&b));
    if former.starts_with('"') && !value.contains(['$', '`', '"', '\\']) {
        Ok(format!("\"{value}\""))
    } else if plain && !value.is_empty() && !former.starts_with('\'') {
        Ok(value.to_owned())
    } else if !value.contains('\'') {
        Ok(format!("'{value}'"))
    } else if !value.contains(['$', '`', '"', '\\']) {
        Ok(format!("\"{value}\""))
    } else {
        // Readers of such files disagree about escapes: what one takes for a quote another takes for two characters.
        Err(SpliceError::NotRepresentable)
    }
}

fn json_string(value: &str) -> Result<String, SpliceError> {
    serde_json::to_string(value).map_err(|_| SpliceError::NotRepresentable)
}

/// Percent-encodes all but RFC 3986 section 2.3's unreserved characters, as UTF-8 octets.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// Undoes percent-encoding; a `%` that starts no escape stands for itself. `None` if the octets are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let mut decoded = [0_u8];
        if let Some(digits) = escape
            && hex::decode_to_slice(digits, &mut decoded).is_ok()
        {
            out.push(decoded[0]);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The text with the slot's ranges replaced.
///
/// # Errors
/// [`SpliceError::NotRepresentable`] if the encoding has no form for the value.
pub fn write_ranges(
    text: &str,
    ranges: &[(Range<usize>, Encoding)],
    value: &str,
) -> Result<Zeroizing<String>, SpliceError> {
    let mut ordered: Vec<&(Range<usize>, Encoding)> = ranges.iter().collect();
    ordered.sort_by_key(|(range, _)| range.start);
    let mut out = Zeroizing::new(String::with_capacity(text.len() + value.len()));
    let mut at = 0;
    for (range, encoding) in ordered {
        out.push_str(text.get(at..range.start).ok_or(SpliceError::Ambiguous)?);
        let former = text.get(range.clone()).ok_or(SpliceError::Ambiguous)?;
        out.push_str(&encoding.encode(value, former)?);
        at = range.end;
    }
    out.push_str(text.get(at..).ok_or(SpliceError::Ambiguous)?);
    Ok(out)
}

/// One pointer segment with RFC 6901 escapes.
pub fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Two pointers, one inside the other.
pub fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (true, _) => inner.to_owned(),
        (_, true) => outer.to_owned(),
        _ => format!("{outer}/{inner}"),
    }
}

/// Appends a segment that may be empty: the member `""` of an object is not the object.
pub fn join_always(outer: &str, segment: &str) -> String {
    match (outer.is_empty(), segment.is_empty()) {
        // At the top an empty name would give the pointer of the whole value; `~e` is no escape, so it is nobody's else.
        (true, true) => "~e".to_owned(),
        (true, false) => segment.to_owned(),
        (false, _) => format!("{outer}/{segment}"),
    }
}

/// Tells slots with the same pointer apart (a member name that occurs twice): the later ones get `~n2`, `~n3`..., which no escaped name ends in.
pub fn distinct(slots: &mut [Slot]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for slot in slots {
        let count = seen.entry(slot.pointer.clone()).or_default();
        *count += 1;
        if *count > 1 {
            slot.pointer = format!("{}~n{count}", slot.pointer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_round_trips() {
        for text in ["", "plain-._~", "p@ss:w/rd?#%", "käse %41"] {
            let encoded = percent_encode(text);
            assert!(!encoded.contains(['@', ':', '/', '?', '#', ' ']));
            assert_eq!(percent_decode(&encoded).as_deref(), Some(text));
        }
        assert_eq!(percent_decode("100%"), Some("100%".to_owned()));
        assert_eq!(percent_decode("%ff"), None);
    }

    #[test]
    fn encodings_write_what_their_readers_take() {
        let written = |encoding: Encoding, value: &str, former: &str| {
            encoding.encode(value, former).map(|text| text.to_string())
        };
        assert_eq!(written(Encoding::Json, "a\"b\n", ""), Ok("\"a\\\"b\\n\"".to_owned()));
        assert_eq!(written(Encoding::JsonBasicAuth("u".into()), "p", ""), Ok("\"dTpw\"".to_owned()));
        assert_eq!(written(Encoding::Shell, "abc", "'old'"), Ok("'abc'".to_owned()));
        assert_eq!(written(Encoding::Shell, "a b", "old"), Ok("'a b'".to_owned()));
        assert_eq!(written(Encoding::Shell, "a'$", "old"), Err(SpliceError::NotRepresentable));
        assert_eq!(written(Encoding::Line, "a\nb", "old"), Err(SpliceError::NotRepresentable));
        assert_eq!(written(Encoding::Libpq, "it's", "old"), Ok("'it\\'s'".to_owned()));
        assert_eq!(written(Encoding::Semicolon, "a;b", "old"), Ok("\"a;b\"".to_owned()));
    }
}
