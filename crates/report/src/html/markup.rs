//! Escaping and the small pieces that sections share. Whatever comes from outside goes through [`text`] or [`plain`].

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    io::{self, Write},
};

use chrono::{DateTime, Utc};
use claviger_core::{reference::Ref, view::Severity};

use crate::{
    InventoryReport,
    model::severity_word,
    visible::{is_hidden, write_escape},
};

/// Text as an element's content: escaped, hidden characters written out and marked.
pub(crate) fn text(text: &str) -> impl fmt::Display + '_ {
    Escaped { text, is_marked: true }
}

/// Text for attributes and pictures: escaped, hidden characters written out.
pub(crate) fn plain(text: &str) -> impl fmt::Display + '_ {
    Escaped { text, is_marked: false }
}

struct Escaped<'a> {
    text: &'a str,
    is_marked: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = 0;
        for (index, letter) in self.text.char_indices() {
            let entity = match letter {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                hidden if is_hidden(hidden) => "",
                _ => continue,
            };
            f.write_str(&self.text[from..index])?;
            from = index + letter.len_utf8();
            if entity.is_empty() {
                let mut written = String::new();
                write_escape(&mut written, letter);
                if self.is_marked {
                    write!(f, "<span class=\"hidden\">{written}</span>")?;
                } else {
                    f.write_str(&written)?;
                }
            } else {
                f.write_str(entity)?;
            }
        }
        f.write_str(&self.text[from..])
    }
}

/// A part of the page that the navigation names.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
}

impl Section {
    pub(super) const fn new(id: &'static str, heading: &'static str) -> Self {
        Self { id, heading }
    }

    pub(super) fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<section id=\"{0}\" aria-labelledby=\"{0}-h\">\n<h2 id=\"{0}-h\">{1}</h2>",
            self.id, self.heading
        )
    }

    pub(super) fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "</section>")
    }
}

/// A link within the page.
pub(super) struct Link {
    pub(super) id: &'static str,
    pub(super) text: &'static str,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<a href=\"#{}\">{}</a>", self.id, self.text)
    }
}

/// Which subjects of findings have a row of their own on the page.
pub(crate) struct Subjects<'a> {
    rows: HashMap<&'a Ref, String>,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(report: &'a InventoryReport, has_rows: bool) -> Self {
        let rows = report.credentials.iter().filter(|_| has_rows);
        Self {
            rows: rows.map(|detail| (&detail.credential.at, format!("c-{}", detail.credential.id))).collect(),
        }
    }

    /// The ref, as a link to its row where there is one.
    pub(crate) fn show(&self, at: &Ref) -> String {
        match self.rows.get(at) {
            Some(id) => format!("<a class=\"ref\" href=\"#{id}\">{}</a>", text(at.as_str())),
            None => reference(at),
        }
    }
}

/// A ref.
pub(super) fn reference(at: &Ref) -> String {
    format!("<span class=\"ref\">{}</span>", text(at.as_str()))
}

/// A severity by shape and word, not by colour alone.
pub(crate) fn badge(severity: Severity) -> String {
    let (shape, word) = (severity_shape(severity), severity_word(severity));
    format!("<span class=\"sev {word}\"><span aria-hidden=\"true\">{shape}</span> {word}</span>")
}

pub(super) const fn severity_shape(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "◆",
        Severity::High => "▲",
        Severity::Medium => "■",
        Severity::Low => "●",
        Severity::Info => "○",
    }
}

/// A day, with the instant for machines and for those who ask.
pub(super) fn day(at: DateTime<Utc>) -> String {
    let instant = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    format!("<time datetime=\"{instant}\" title=\"{instant}\">{}</time>", at.format("%Y-%m-%d"))
}

/// An instant to the minute.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    let instant = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    format!("<time datetime=\"{instant}\">{} UTC</time>", at.format("%Y-%m-%d %H:%M"))
}

/// What is not known, said so.
pub(super) const UNKNOWN: &str = "<span class=\"unknown\">unknown</span>";

/// A day, or that it is not known.
pub(super) fn day_or_unknown(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| UNKNOWN.to_owned(), day)
}

/// A number with thin groups of three.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// `1 copy`, `2 copies`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    let mut shown = grouped(number);
    write!(shown, " {}", if number == 1 { one } else { many }).expect("a String takes everything");
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_element_or_attribute() {
        let hostile = "<script>alert('x')</script>\" onload=\"y\u{202e}\u{1b}[31m&amp;";
        let content = text(hostile).to_string();
        assert!(
            !content.contains("<script") && !content.contains('\u{202e}') && !content.contains('\u{1b}'),
            "{content}"
        );
        assert!(content.contains("<span class=\"hidden\">\\u{202e}</span>"), "{content}");
        let attribute = plain(hostile).to_string();
        assert!(!attribute.contains(['<', '>', '"', '\'', '\u{202e}', '\u{1b}']), "{attribute}");
        assert!(attribute.contains("&amp;amp;"), "{attribute}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(20_000), "20\u{202f}000");
        assert_eq!(counted(1, "copy", "copies"), "1 copy");
        assert_eq!(counted(0, "copy", "copies"), "0 copies");
    }
}
