//! YAML documents: their strings with paths, and replacing one of them in the text.
//!
//! The parser gives no positions, so [`replace`] searches: it tries each place where the old text stands, and takes the first whose result,
//! parsed again, differs from the original in exactly the wanted scalar.

use yaml_serde::Value;
use zeroize::Zeroizing;

use super::slot::{self, Slot, Write};
use crate::canonical::SpliceError;

/// Largest text that is parsed, in bytes: the parser takes a hundred times as long as a JSON parser.
const MOST_BYTES: usize = 256 << 10;
/// Largest text with aliases: they multiply what the parser builds.
const MOST_BYTES_WITH_ALIASES: usize = 16 << 10;
/// Most bytes of all pointers of one document.
const MOST_POINTER_BYTES: usize = 4 << 20;
/// Deepest nesting that is walked.
const MOST_DEPTH: usize = 64;
/// Most places that [`replace`] tries.
const MOST_TRIES: usize = 128;

/// One step from a node to its child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// This element; of the whole text: this document.
    Index(usize),
}

/// Parses a text of one or more documents. `None` if it is malformed, too large, or holds nothing but scalars.
pub fn parse(text: &str) -> Option<Vec<Value>> {
    let has_aliases = text.contains('*') && text.contains('&');
    if text.len() > if has_aliases { MOST_BYTES_WITH_ALIASES } else { MOST_BYTES } {
        return None;
    }
    // Bounded, since each document costs a parse: a text of ten thousand separators is no configuration.
    let documents: Vec<Value> = yaml_serde::Deserializer::from_str(text)
        .take(1000)
        .map(|document| serde::Deserialize::deserialize(document).ok())
        .collect::<Option<_>>()?;
    documents.iter().any(|document| document.is_mapping() || document.is_sequence()).then_some(documents)
}

/// Every string of the text as a slot. Pointers begin with the document's number if there are several.
pub fn slots(text: &str) -> Option<Vec<Slot>> {
    let documents = parse(text)?;
    let mut walk = Walk { containers: 0, spent: 0, found: Vec::new() };
    let several = documents.len() > 1;
    for (index, document) in documents.iter().enumerate() {
        let pointer = if several { index.to_string() } else { String::new() };
        walk.node(document, &pointer, "", &mut vec![Step::Index(index)], 0)?;
    }
    Some(walk.found)
}

struct Walk {
    containers: usize,
    spent: usize,
    found: Vec<Slot>,
}

impl Walk {
    fn node(
        &mut self,
        node: &Value,
        pointer: &str,
        key: &str,
        path: &mut Vec<Step>,
        container: usize,
    ) -> Option<()> {
        if path.len() > MOST_DEPTH {
            return None;
        }
        match node {
            Value::String(text) => {
                self.spent += pointer.len() + key.len();
                if self.spent > MOST_POINTER_BYTES {
                    return None;
                }
                let slot = Slot::new(pointer.to_owned(), key, text, Write::Yaml(path.clone()));
                self.found.push(Slot { container, ..slot });
            }
            Value::Sequence(elements) => {
                self.containers += 1;
                let container = self.containers;
                for (index, element) in elements.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.node(
                        element,
                        &slot::join_always(pointer, &index.to_string()),
                        key,
                        path,
                        container,
                    )?;
                    path.pop();
                }
            }
            Value::Mapping(members) => {
                self.containers += 1;
                let container = self.containers;
                for (name, value) in members {
                    let Some(name) = name.as_str() else { continue };
                    path.push(Step::Key(name.to_owned()));
                    self.node(
                        value,
                        &slot::join_always(pointer, &slot::segment(name)),
                        name,
                        path,
                        container,
                    )?;
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => {}
        }
        Some(())
    }
}

/// The text with the string at `path` replaced and nothing else changed.
///
/// # Errors
/// [`SpliceError::Ambiguous`] if no single replacement does it, e.g. a block scalar of several lines.
pub fn replace(text: &str, path: &[Step], old: &str, new: &str) -> Result<Zeroizing<String>, SpliceError> {
    let mut wanted = parse(text).ok_or(SpliceError::NoSuchLeaf)?;
    *node_mut(&mut wanted, path).ok_or(SpliceError::NoSuchLeaf)? = Value::String(new.to_owned());
    let quoted = serde_json::to_string(new).map_err(|_| SpliceError::NotRepresentable)?;
    let quoted = Zeroizing::new(quoted);
    if old.is_empty() {
        return Err(SpliceError::Ambiguous);
    }
    // The ways in which the old text may be written: plain, in double quotes with escapes, in single quotes.
    let escaped = Zeroizing::new(serde_json::to_string(old).map_err(|_| SpliceError::NotRepresentable)?);
    let doubled = Zeroizing::new(old.replace('\'', "''"));
    let mut spellings = vec![old, &escaped[1..escaped.len() - 1], doubled.as_str()];
    spellings.dedup();
    let mut tries = 0;
    for spelling in spellings {
        for (start, _) in text.match_indices(spelling) {
            let end = start + spelling.len();
            let before = text[..start].chars().next_back();
            let wrapped = matches!(before, Some('"' | '\'')) && text[end..].chars().next() == before;
            let around = if wrapped { (start - 1, end + 1) } else { (start, end) };
            for (start, end, replacement) in [(start, end, new), (around.0, around.1, quoted.as_str())] {
                tries += 1;
                if tries > MOST_TRIES {
                    return Err(SpliceError::Ambiguous);
                }
                let candidate = Zeroizing::new([&text[..start], replacement, &text[end..]].concat());
                if parse(&candidate).is_some_and(|parsed| parsed == wanted) {
                    return Ok(candidate);
                }
            }
        }
    }
    Err(SpliceError::Ambiguous)
}

fn node_mut<'a>(documents: &'a mut [Value], path: &[Step]) -> Option<&'a mut Value> {
    let (Step::Index(document), rest) = path.split_first()? else { return None };
    let mut node = documents.get_mut(*document)?;
    for step in rest {
        node = match step {
            Step::Key(key) => node.get_mut(key.as_str())?,
            Step::Index(index) => node.get_mut(*index)?,
        };
    }
    node.is_string().then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nuser: app\nother: app\nlist:\n  - {token: 'app', plain: app}\n";

    fn path(steps: &[&str]) -> Vec<Step> {
        let step = |step: &&str| step.parse().map_or_else(|_| Step::Key((*step).to_owned()), Step::Index);
        steps.iter().map(step).collect()
    }

    #[test]
    fn only_the_wanted_scalar_changes() {
        let changed =
            |steps: &[&str], new: &str| replace(TEXT, &path(steps), "app", new).map(|text| text.to_string());
        assert_eq!(changed(&["0", "other"], "new"), Ok(TEXT.replace("other: app", "other: new")));
        assert_eq!(changed(&["0", "list", "0", "token"], "n: '#"), Ok(TEXT.replace("'app'", "\"n: '#\"")));
        assert_eq!(
            changed(&["0", "list", "0", "plain"], "123"),
            Ok(TEXT.replace("plain: app", "plain: \"123\""))
        );
        assert_eq!(changed(&["0", "gone"], "x"), Err(SpliceError::NoSuchLeaf));
    }

    #[test]
    fn strings_become_slots_and_several_documents_are_numbered() {
        let pointers =
            |text: &str| slots(text).map(|slots| slots.into_iter().map(|s| s.pointer).collect::<Vec<_>>());
        assert_eq!(
            pointers(TEXT),
            Some(vec!["user".into(), "other".into(), "list/0/token".into(), "list/0/plain".into()])
        );
        assert_eq!(pointers("a: x\n---\nb/c: y\nd: 3\n"), Some(vec!["0/a".into(), "1/b~1c".into()]));
        assert_eq!(pointers("just text"), None);
        assert_eq!(pointers("a: [\n  b: }"), None);
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, former) in ('b'..='i').zip('a'..) {
            let list = vec![format!("*{former}"); 9].join(", ");
            text.push_str(&format!("{name}: &{name} [{list}]\n"));
        }
        assert!(slots(&text).is_none());
    }
}
