//! Text that is safe on a terminal: no escape sequence, no reordering, one line.

use std::borrow::Cow;

/// Makes control characters, bidirectional overrides and invisible separators visible: `\u{1b}` for escape. Line breaks and tabs too, so
/// that a name stays on its line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// The same for a text of several lines.
pub fn visible_lines(text: &str) -> String {
    let mut safe = text.lines().map(visible).collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        safe.push('\n');
    }
    safe
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

/// Columns that a character takes on a terminal, after [`visible`]: 2 for East Asian wide ones, 0 for combining ones.
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x0300..=0x036f | 0x1ab0..=0x1aff | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_survives() {
        for hostile in ["\u{1b}[31mred", "\u{1b}]8;;http://x\u{7}y", "a\u{202e}b", "a\rb", "a\nb", "\u{9b}1m", "\0", "\u{200b}"] {
            let safe = visible(hostile);
            assert!(!safe.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{200b}'), "{safe:?}");
        }
        assert_eq!(visible("prod/päy/日本"), "prod/päy/日本");
    }
}
