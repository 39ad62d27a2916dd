//! Environment files: lines of `NAME=value`, with `export`, quotes and comments as the common readers take them.

use zeroize::Zeroizing;

use super::slot::{self, Encoding, Slot, Write};

/// Each assignment as a slot, `NAME`. `None` unless every line is an assignment, a comment or empty, and there are at least `least`.
pub fn slots(text: &str, least: usize) -> Option<Vec<Slot>> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let equals = line.find('=')?;
        let name = line[..equals].trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if !is_name(name) {
            return None;
        }
        let rest = &line[equals + 1..];
        let offset = start + equals + 1 + (rest.len() - rest.trim_start().len());
        let (written, value) = value_of(rest.trim_start())?;
        let write = Write::Ranges(vec![(offset..offset + written, Encoding::Shell)]);
        let slot = Slot::new(slot::segment(name), name, &value, write);
        found.push(Slot { container: 1, ..slot });
    }
    (found.len() >= least).then_some(found)
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// How many bytes the value takes as written, and what it means.
fn value_of(rest: &str) -> Option<(usize, Zeroizing<String>)> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let line = rest.trim_end();
        // Without quotes a comment begins at ` #`.
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        return Some((value.len(), Zeroizing::new(value.to_owned())));
    };
    let mut value = Zeroizing::new(String::with_capacity(rest.len()));
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == quote => return Some((at + 1, value)),
            '\\' if quote == '"' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_read_them_and_know_their_place() {
        let text = "# c\nexport A=1\nB = 'two # 2' # c\nC=\"x\\\"y\\n\"\nD=plain # comment\nE=a#b\n\nF=\n";
        let found = slots(text, 2).expect("an environment file");
        let shown: Vec<_> = found
            .iter()
            .map(|slot| {
                let Write::Ranges(ranges) = &slot.write else { panic!("ranges") };
                (slot.key.as_str(), slot.value.expose_text().unwrap(), &text[ranges[0].0.clone()])
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("A", "1", "1"),
                ("B", "two # 2", "'two # 2'"),
                ("C", "x\"y\n", "\"x\\\"y\\n\""),
                ("D", "plain", "plain"),
                ("E", "a#b", "a#b"),
                ("F", "", ""),
            ]
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "A=1", "a line\nB=2", "A='open\nB=2", "3=4\nB=2", "YWJj\nZGVm=\n"] {
            assert!(slots(text, 2).is_none(), "{text}");
        }
    }
}
