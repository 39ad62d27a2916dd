//! Blocks of a YAML text by their indentation. A key at a mapping's own indentation is one of its keys: whatever belongs to a value, a text of several
//! lines too, is indented deeper (YAML 1.2, sections 6.1 and 8.1). What is written in one line in braces is not looked into.

use std::ops::Range;

/// The lines of a text, each with its end.
pub(super) struct Lines<'t>(pub(super) Vec<&'t str>);

/// A key with what stands below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'t> {
    /// Its line.
    pub(super) line: usize,
    /// What stands behind the colon, without a comment.
    pub(super) value: &'t str,
    /// The lines below it.
    pub(super) body: Range<usize>,
}

/// How deep a line is indented; `None` for an empty one and a comment.
fn depth(line: &str) -> Option<usize> {
    let text = line.trim_start_matches(' ');
    (!text.trim().is_empty() && !text.starts_with('#')).then(|| line.len() - text.len())
}

/// The key that begins here, and what stands behind its colon.
fn entry(text: &str) -> Option<(&str, &str)> {
    let (key, rest) = text.split_once(':')?;
    let rest = rest.trim_end_matches('\n');
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let value = rest.trim();
    let value =
        if value.starts_with('#') { "" } else { value.split_once(" #").map_or(value, |(before, _)| before) };
    Some((key.trim(), value.trim()))
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self(text.split_inclusive('\n').collect())
    }

    pub(super) fn whole(&self) -> Range<usize> {
        0..self.0.len()
    }

    /// How deep the first thing among these lines is indented.
    pub(super) fn depth(&self, within: &Range<usize>) -> Option<usize> {
        self.0[within.clone()].iter().find_map(|line| depth(line))
    }

    /// The keys of the mapping that these lines are.
    pub(super) fn keys(&self, within: &Range<usize>) -> Vec<(&'t str, Block<'t>)> {
        self.depth(within).map(|at| self.keys_at(within, at)).unwrap_or_default()
    }

    fn keys_at(&self, within: &Range<usize>, at: usize) -> Vec<(&'t str, Block<'t>)> {
        let mut found: Vec<(&'t str, Block<'t>)> = Vec::new();
        for index in within.clone() {
            let line = self.0[index];
            // Items of a list may stand as deep as its key, and the first key of an item behind its dash.
            let text = match depth(line) {
                Some(deep) if deep == at && !line[at..].starts_with("- ") => &line[at..],
                Some(deep) if deep < at && line[deep..].starts_with("- ") && index == within.start => {
                    &line[at..]
                }
                _ => continue,
            };
            let Some((key, value)) = entry(text) else { continue };
            if let Some((_, last)) = found.last_mut() {
                last.body.end = index;
            }
            found.push((key, Block { line: index, value, body: index + 1..within.end }));
        }
        found
    }

    pub(super) fn key(&self, within: &Range<usize>, name: &str) -> Option<Block<'t>> {
        self.keys(within).into_iter().find(|(key, _)| *key == name).map(|(_, block)| block)
    }

    /// The items of the list that these lines are.
    pub(super) fn items(&self, within: &Range<usize>) -> Vec<Range<usize>> {
        let Some(at) = self.depth(within) else { return Vec::new() };
        let begins =
            |index: &usize| depth(self.0[*index]) == Some(at) && self.0[*index][at..].starts_with("- ");
        let starts: Vec<usize> = within.clone().filter(begins).collect();
        let ends = starts.iter().skip(1).copied().chain([within.end]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// The keys of an item that is a mapping, the one behind its dash too.
    pub(super) fn keys_of_item(&self, item: &Range<usize>) -> Vec<(&'t str, Block<'t>)> {
        let line = self.0[item.start];
        let Some(dash) = depth(line) else { return Vec::new() };
        let after = &line[dash + 1..];
        let at = dash + 1 + (after.len() - after.trim_start_matches(' ').len());
        self.keys_at(item, at)
    }

    /// Where to put something before this line: before the comments that stand over it.
    pub(super) fn before(&self, line: usize) -> usize {
        let is_comment = |at: &usize| self.0[*at].trim_start().starts_with('#');
        (0..line).rev().take_while(is_comment).last().unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_at_their_own_depth() {
        let text =
            "a: 1 # one\nb:\n  # note\n  c: |\n    a: no\n  d:\n  - x: 1\n    y: 2\n\n  - z: 3\ne: 5\n";
        let lines = Lines::of(text);
        let keys: Vec<&str> = lines.keys(&lines.whole()).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["a", "b", "e"]);
        let b = lines.key(&lines.whole(), "b").expect("a block");
        assert_eq!((b.line, b.value, b.body.clone()), (1, "", 2..10));
        assert_eq!(lines.key(&lines.whole(), "a").map(|it| it.value), Some("1"));
        let d = lines.key(&b.body, "d").expect("a list");
        let items = lines.items(&d.body);
        assert_eq!(items, [6..9, 9..10]);
        let keys: Vec<&str> = lines.keys_of_item(&items[0]).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["x", "y"]);
        assert_eq!(lines.before(3), 2);
    }
}
