//! Changes of a text by its lines.

use std::collections::{BTreeMap, BTreeSet};

use super::text::Lines;
use crate::patch::Line;

/// What becomes of a text.
#[derive(Debug, Default)]
pub(super) struct Edits {
    removed: BTreeSet<usize>,
    /// Lines that come before the one of this number.
    added: BTreeMap<usize, Vec<String>>,
}

impl Edits {
    pub(super) fn remove(&mut self, line: usize) {
        self.removed.insert(line);
    }

    /// Puts these lines before that one, so deep. What was put there already is not put there again.
    pub(super) fn add(&mut self, line: usize, depth: usize, texts: Vec<String>) {
        let added = self.added.entry(line).or_default();
        let texts: Vec<String> = texts.into_iter().map(|text| format!("{:depth$}{text}\n", "")).collect();
        if !added.starts_with(&texts) {
            added.extend(texts);
        }
    }

    /// Every line with what becomes of it. What comes in a line's place stands behind it, as patches have it.
    pub(super) fn lines<'t>(&self, text: &Lines<'t>) -> Vec<Line<'t>> {
        let mut lines = Vec::new();
        let put = |lines: &mut Vec<Line<'t>>, at: usize| {
            lines.extend(self.added.get(&at).into_iter().flatten().cloned().map(Line::Added));
        };
        for (at, line) in text.0.iter().enumerate() {
            if self.removed.contains(&at) {
                lines.push(Line::Removed(line));
                put(&mut lines, at);
            } else {
                put(&mut lines, at);
                lines.push(Line::Kept(line));
            }
        }
        put(&mut lines, text.0.len());
        lines
    }
}
