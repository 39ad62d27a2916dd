use serde::Serialize;

use super::Format;
use crate::secret::SecretValue;

/// Longest text of a sighting, in characters: a path, not a page.
const MOST: usize = 400;
/// Shorter values may stand anywhere by chance, and tell nothing.
const LEAST: usize = 4;
/// What stands in place of a value that a scanner has repeated.
const HIDDEN: &str = "[value]";

/// Where a scanner saw a value. Never holds the value: what repeats it is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// Who says so: a format's word, or the scanner that a SARIF report names.
    pub source: String,
    /// What it takes the value for.
    pub rule: Option<String>,
    /// File, object or page.
    pub place: Option<String>,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Repository, bucket or image.
    pub container: Option<String>,
    /// Commit.
    pub commit: Option<String>,
    /// Where a person can look at it.
    pub url: Option<String>,
    /// Number of the alert.
    pub number: Option<u64>,
}

impl Sighting {
    /// A sighting of which nothing is known yet.
    pub fn of(source: impl Into<String>) -> Self {
        Self {
            source: cut(source.into()),
            rule: None,
            place: None,
            line: None,
            container: None,
            commit: None,
            url: None,
            number: None,
        }
    }

    /// The same for a format.
    pub(super) fn by(format: Format) -> Self {
        Self::of(format.word())
    }

    /// A line of a plain file.
    pub fn in_file(file: impl Into<String>) -> Self {
        Self { place: Some(cut(file.into())), ..Self::of("file") }
    }

    /// Hides the value wherever it is repeated, and cuts what is too long.
    pub(super) fn hide(&mut self, value: &SecretValue) {
        let texts = [&mut self.rule, &mut self.place, &mut self.container, &mut self.commit, &mut self.url];
        let texts = texts.into_iter().filter_map(Option::as_mut).chain([&mut self.source]);
        for text in texts {
            if let Some(value) = value.expose_text().filter(|value| value.len() >= LEAST)
                && text.contains(value)
            {
                *text = text.replace(value, HIDDEN);
            }
            if text.chars().nth(MOST).is_some() {
                *text = cut(std::mem::take(text));
            }
        }
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_and_a_page_is_cut() {
        let mut seen =
            Sighting { url: Some("https://x/hunter22?q=hunter22".to_owned()), ..Sighting::of("t") };
        seen.place = Some("é".repeat(1000));
        seen.hide(&SecretValue::from_text("hunter22".into()));
        assert_eq!(seen.url.as_deref(), Some("https://x/[value]?q=[value]"));
        assert_eq!(seen.place.map(|place| place.chars().count()), Some(MOST + 1));
    }
}
