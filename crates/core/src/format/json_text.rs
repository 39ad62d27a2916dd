//! JSON (RFC 8259) with positions: every scalar with its pointer and the place where it stands, so that one string can be replaced and all
//! else stays as its author wrote it.

use std::ops::Range;

use zeroize::Zeroizing;

use super::slot::{self, Encoding, Slot, Write};

/// Most bytes of all pointers of one document: a long key above many leaves would else be copied as often.
const MOST_POINTER_BYTES: usize = 4 << 20;

/// Deepest nesting that is walked. The parser that checks the text has no limit when it only checks.
const MOST_DEPTH: usize = 128;

/// A string, number, `true`, `false` or `null`.
pub struct Scalar {
    /// RFC 6901 segments joined by `/`.
    pub pointer: String,
    /// The nearest member name: array elements have that of their array.
    pub key: String,
    /// Which container it lies in, by number: siblings share it.
    pub container: usize,
    /// Where it stands, a string with its quotes.
    pub range: Range<usize>,
    /// The content: a string unescaped, anything else as it is written.
    pub text: Zeroizing<String>,
    /// True for a string.
    pub is_string: bool,
}

/// All scalars of an object or array, in order; `None` if the text is not exactly one valid document or its pointers are too many.
pub fn scalars(text: &str) -> Option<Vec<Scalar>> {
    if !text.trim_start().starts_with(['{', '['])
        || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
    {
        return None;
    }
    let mut scan = Scan { text, at: 0, containers: 0, spent: 0, depth: 0, found: Vec::new() };
    scan.value("", "", 0)?;
    Some(scan.found)
}

/// Every string as a slot.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    let found = scalars(text)?;
    Some(found.into_iter().filter(|scalar| scalar.is_string).map(to_slot).collect())
}

/// One string as a slot.
pub fn to_slot(scalar: Scalar) -> Slot {
    let write = Write::Ranges(vec![(scalar.range, Encoding::Json)]);
    Slot { container: scalar.container, ..Slot::new(scalar.pointer, &scalar.key, &scalar.text, write) }
}

/// Walks a text that is known to be valid, so that little has to be checked.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    containers: usize,
    spent: usize,
    depth: usize,
    found: Vec<Scalar>,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn value(&mut self, pointer: &str, key: &str, container: usize) -> Option<()> {
        match self.peek()? {
            open @ (b'{' | b'[') => {
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return None;
                }
                if open == b'{' {
                    self.members(pointer)?
                } else {
                    self.elements(pointer, key)?
                }
                self.depth -= 1;
                Some(())
            }
            b'"' => {
                let (range, text) = self.string()?;
                self.push(pointer, key, container, range, text, true)
            }
            _ => {
                let rest = &self.text[self.at..];
                let ends = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ']' | '}');
                let length = rest.find(ends).unwrap_or(rest.len());
                let range = self.at..self.at + length;
                self.at = range.end;
                let text = Zeroizing::new(self.text[range.clone()].to_owned());
                self.push(pointer, key, container, range, text, false)
            }
        }
    }

    fn members(&mut self, pointer: &str) -> Option<()> {
        self.containers += 1;
        let container = self.containers;
        self.at += 1;
        while self.peek()? != b'}' {
            if self.peek()? == b',' {
                self.at += 1;
            }
            self.peek()?;
            let (_, name) = self.string()?;
            self.peek()?;
            self.at += 1; // the colon
            let inner = slot::join_always(pointer, &slot::segment(&name));
            self.value(&inner, &name, container)?;
        }
        self.at += 1;
        Some(())
    }

    fn elements(&mut self, pointer: &str, key: &str) -> Option<()> {
        self.containers += 1;
        let container = self.containers;
        self.at += 1;
        let mut index = 0_usize;
        while self.peek()? != b']' {
            if self.peek()? == b',' {
                self.at += 1;
            }
            let inner = slot::join_always(pointer, &index.to_string());
            self.value(&inner, key, container)?;
            index += 1;
        }
        self.at += 1;
        Some(())
    }

    fn string(&mut self) -> Option<(Range<usize>, Zeroizing<String>)> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while bytes.get(end)? != &b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        end += 1;
        self.at = end;
        Some((start..end, Zeroizing::new(serde_json::from_str(self.text.get(start..end)?).ok()?)))
    }

    fn push(
        &mut self,
        pointer: &str,
        key: &str,
        container: usize,
        range: Range<usize>,
        text: Zeroizing<String>,
        is_string: bool,
    ) -> Option<()> {
        self.spent += pointer.len() + key.len();
        if self.spent > MOST_POINTER_BYTES {
            return None;
        }
        let (pointer, key) = (pointer.to_owned(), key.to_owned());
        self.found.push(Scalar { pointer, key, container, range, text, is_string });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_pointers_keys_and_ranges() {
        let text = "{ \"a\" : \"x\\u0041\\\"\" ,\"l\":[1, \"two\",{\"b/c~\":null}],\n\"e\":{},\"n\":-1.5e3}";
        let found = scalars(text).expect("valid");
        let shown: Vec<_> = found
            .iter()
            .map(|s| (s.pointer.as_str(), s.key.as_str(), s.text.as_str(), &text[s.range.clone()]))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "a", "xA\"", "\"x\\u0041\\\"\""),
                ("l/0", "l", "1", "1"),
                ("l/1", "l", "two", "\"two\""),
                ("l/2/b~1c~0", "b/c~", "null", "null"),
                ("n", "n", "-1.5e3", "-1.5e3"),
            ]
        );
        assert_eq!(found[0].container, found[4].container);
        assert_ne!(found[0].container, found[1].container);
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        for text in ["", "x", "\"s\"", "12", "{", "{\"a\":}", "{} {}", "[1,]", "{\"a\":\"\\x\"}"] {
            assert!(scalars(text).is_none(), "{text}");
        }
        assert!(scalars(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))).is_none(), "too deep");
    }

    #[test]
    fn pointers_do_not_multiply_a_long_key() {
        let many = vec!["\"x\""; 10_000].join(",");
        assert!(scalars(&format!("{{\"{}\":[{many}]}}", "k".repeat(10_000))).is_none());
        assert!(scalars(&format!("{{\"k\":[{many}]}}")).is_some());
    }
}
