//! Differences of two texts as patch programs take them.
//!
//! Format: POSIX `diff -u`, with the file names that `git apply` strips by default.

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// What becomes of a line. Each line has its end, the last one of a text perhaps not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// It stays.
    Kept(&'a str),
    /// It goes.
    Removed(&'a str),
    /// It comes.
    Added(String),
}

impl Line<'_> {
    fn parts(&self) -> (char, &str) {
        match self {
            Self::Kept(text) => (' ', text),
            Self::Removed(text) => ('-', text),
            Self::Added(text) => ('+', text),
        }
    }
}

/// A patch of one file, by its path with `/`. Empty where nothing changes.
pub fn unified(path: &str, lines: &[Line<'_>]) -> String {
    let changed: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !matches!(line, Line::Kept(_)))
        .map(|(at, _)| at)
        .collect();
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for at in changed {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(lines.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    if hunks.is_empty() {
        return String::new();
    }
    let mut text = format!("--- a/{path}\n+++ b/{path}\n");
    for hunk in hunks {
        let count =
            |lines: &[Line<'_>], skipped: char| lines.iter().filter(|line| line.parts().0 != skipped).count();
        let span = |skipped: char| {
            let (before, length) =
                (count(&lines[..hunk.start], skipped), count(&lines[hunk.clone()], skipped));
            // An empty side is numbered by the line before it.
            format!("{},{length}", if length == 0 { before } else { before + 1 })
        };
        text.push_str(&format!("@@ -{} +{} @@\n", span('+'), span('-')));
        for line in &lines[hunk] {
            let (mark, line) = line.parts();
            text.push(mark);
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_are_near_share_a_hunk_and_others_do_not() {
        let texts: Vec<String> = (1..=20).map(|number| format!("{number}\n")).collect();
        let mut lines: Vec<Line<'_>> = texts.iter().map(|text| Line::Kept(text)).collect();
        assert_eq!(unified("a", &lines), "");
        lines[17] = Line::Removed(&texts[17]);
        lines.insert(2, Line::Added("new\n".to_owned()));
        assert_eq!(
            unified("x/y.yml", &lines),
            "--- a/x/y.yml\n+++ b/x/y.yml\n@@ -1,5 +1,6 @@\n 1\n 2\n+new\n 3\n 4\n 5\n@@ -15,6 +16,5 @@\n 15\n 16\n 17\n-18\n 19\n 20\n"
        );
    }

    #[test]
    fn a_last_line_without_an_end_is_told() {
        let lines = [Line::Kept("a\n"), Line::Removed("b"), Line::Added("c\n".to_owned())];
        let text = unified("f", &lines);
        assert!(text.ends_with("@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"), "{text}");
    }
}
