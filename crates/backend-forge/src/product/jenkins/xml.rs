//! The XML of one credential. Jenkins writes `<secret-redacted/>` in place of each secret; what is not redacted is no secret to it. A change leaves everything
//! else as it came, to the byte.

use std::ops::Range;

use quick_xml::{Reader, escape::escape, events::Event};
use zeroize::Zeroizing;

const REDACTED: &str = "secret-redacted";
const DESCRIPTION: &str = "description";
/// Deeper XML is none of a credential's.
const MOST_DEPTH: usize = 32;

/// A credential as Jenkins shows it.
pub(crate) struct Document<'t> {
    text: &'t str,
    /// The element's name: the credential's class.
    pub(crate) class: String,
    fields: Vec<Field>,
    /// Where the outermost element ends.
    end: usize,
}

/// An element without others in it.
struct Field {
    /// Names of the elements below the outermost one, joined by `/`.
    path: String,
    /// What is replaced by another content.
    span: Range<usize>,
    /// It is written `<x/>`: the span is the whole element.
    empty: bool,
    redacted: bool,
    text: String,
}

struct Open {
    name: String,
    content: usize,
    /// Something else than a redaction lies in it.
    parent: bool,
    redacted: bool,
    text: String,
}

impl<'t> Document<'t> {
    /// `None` if it is no XML of a credential.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let (mut open, mut fields): (Vec<Open>, Vec<Field>) = (Vec::new(), Vec::new());
        let mut whole: Option<(String, usize)> = None;
        loop {
            let before = usize::try_from(reader.buffer_position()).ok()?;
            let event = reader.read_event().ok()?;
            let after = usize::try_from(reader.buffer_position()).ok()?;
            match event {
                Event::Start(start) => {
                    if open.len() >= MOST_DEPTH || (open.is_empty() && whole.is_some()) {
                        return None;
                    }
                    let name = start.name().into_inner().to_owned();
                    enter(&mut open, &name);
                    open.push(Open {
                        name,
                        content: after,
                        parent: false,
                        redacted: false,
                        text: String::new(),
                    });
                }
                Event::Empty(start) => {
                    let name = start.name().into_inner().to_owned();
                    enter(&mut open, &name);
                    if name != REDACTED {
                        let path = path(&open, &name)?;
                        let span = before..after;
                        fields.push(Field { path, span, empty: true, redacted: false, text: String::new() });
                    }
                }
                Event::End(_) => {
                    let ended = open.pop()?;
                    if open.is_empty() {
                        whole = Some((ended.name, before));
                    } else if ended.name != REDACTED && !ended.parent {
                        let path = path(&open, &ended.name)?;
                        let span = ended.content..before;
                        let (redacted, text) = (ended.redacted, ended.text);
                        fields.push(Field { path, span, empty: false, redacted, text });
                    }
                }
                Event::Text(piece) => push(&mut open, &piece.xml10_content()),
                Event::CData(piece) => push(&mut open, &piece.xml10_content()),
                Event::GeneralRef(named) => {
                    let letter = match named.resolve_char_ref().ok()? {
                        Some(letter) => letter.to_string(),
                        None => {
                            quick_xml::escape::resolve_predefined_entity(&named.xml10_content())?.to_owned()
                        }
                    };
                    push(&mut open, &letter);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                // It could give any name any meaning.
                Event::DocType(_) => return None,
            }
        }
        let (class, end) = whole.filter(|_| open.is_empty())?;
        Some(Self { text, class, fields, end })
    }

    fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.path == path)
    }

    /// What people wrote beside it, and our marker.
    pub(crate) fn description(&self) -> &str {
        self.field(DESCRIPTION).map_or("", |field| field.text.as_str())
    }

    /// A text that is no secret.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.field(path).filter(|field| !field.redacted).map(|field| field.text.as_str())
    }

    /// Where secrets lie.
    pub(crate) fn redacted(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| field.redacted).map(|field| field.path.as_str())
    }

    /// The same with another content at `path` and another description. `None`: there is nothing at `path`, or a text holds what XML cannot.
    pub(crate) fn with(&self, path: &str, value: &str, description: &str) -> Option<Zeroizing<String>> {
        let fits = |text: &str| {
            text.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\t' | '\r'))
        };
        if !fits(value) || !fits(description) {
            return None;
        }
        let element = |name: &str, text: &str| {
            let text = Zeroizing::new(escape(text).into_owned());
            Zeroizing::new(format!("<{name}>{}</{name}>", *text))
        };
        let replaced = |field: &Field, text: &str| {
            let name = field.path.rsplit('/').next().unwrap_or_default();
            let new =
                if field.empty { element(name, text) } else { Zeroizing::new(escape(text).into_owned()) };
            (field.span.clone(), new)
        };
        let mut changes = vec![replaced(self.field(path)?, value)];
        changes.push(match self.field(DESCRIPTION) {
            Some(field) => replaced(field, description),
            None => (self.end..self.end, element(DESCRIPTION, description)),
        });
        changes.sort_by_key(|(span, _)| span.start);
        let mut written = Zeroizing::new(String::with_capacity(self.text.len() + value.len() * 6 + 256));
        let mut done = 0;
        for (span, text) in &changes {
            written.push_str(self.text.get(done..span.start)?);
            written.push_str(text);
            done = span.end;
        }
        written.push_str(self.text.get(done..)?);
        Some(written)
    }
}

fn enter(open: &mut [Open], name: &str) {
    if let Some(parent) = open.last_mut() {
        if name == REDACTED {
            parent.redacted = true;
        } else {
            parent.parent = true;
        }
    }
}

fn push(open: &mut [Open], text: &str) {
    if let Some(parent) = open.last_mut() {
        parent.text.push_str(text);
    }
}

/// Below the outermost element. `None`: it is that itself.
fn path(open: &[Open], name: &str) -> Option<String> {
    let (_, above) = open.split_first()?;
    let mut path: Vec<&str> = above.iter().map(|open| open.name.as_str()).collect();
    path.push(name);
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "<com.example.UsernamePasswordCredentialsImpl plugin=\"credentials@1\">\n  <scope>GLOBAL</scope>\n  <id>db</id>\n  <description>a &amp; b</description>\n  <username>app</username>\n  <password>\n    <secret-redacted/>\n  </password>\n  <usernameSecret>false</usernameSecret>\n</com.example.UsernamePasswordCredentialsImpl>";

    #[test]
    fn what_is_redacted_is_no_text_and_nothing_else_changes() {
        let document = Document::parse(LOGIN).expect("XML");
        assert_eq!(document.class, "com.example.UsernamePasswordCredentialsImpl");
        assert_eq!((document.description(), document.text("username")), ("a & b", Some("app")));
        assert_eq!(document.redacted().collect::<Vec<_>>(), ["password"]);
        assert_eq!(document.text("password"), None, "a redaction is taken for a value");
        let written = document.with("password", "p<w>&\"'", "c [x]").expect("it fits");
        let again = Document::parse(&written).expect("XML");
        assert_eq!((again.text("password"), again.description()), (Some("p<w>&\"'"), "c [x]"));
        let back = written
            .replace("p&lt;w&gt;&amp;&quot;&apos;", "\n    <secret-redacted/>\n  ")
            .replace("c [x]", "a &amp; b");
        assert_eq!(back, LOGIN);
    }

    #[test]
    fn a_description_is_made_where_there_is_none_or_an_empty_one() {
        for text in [
            "<x><secret><secret-redacted/></secret></x>",
            "<x><description/><secret><secret-redacted/></secret></x>",
            "<x><description></description><secret><secret-redacted></secret-redacted></secret></x>",
        ] {
            let document = Document::parse(text).expect(text);
            assert_eq!(document.description(), "");
            let written = document.with("secret", "v", "d").expect(text);
            let again = Document::parse(&written).expect(&written);
            assert_eq!((again.description(), again.text("secret")), ("d", Some("v")), "{}", *written);
        }
    }

    #[test]
    fn fields_within_fields_are_named_by_their_way() {
        let text = "<k><privateKeySource class=\"a\"><privateKey><secret-redacted/></privateKey></privateKeySource><passphrase><secret-redacted/></passphrase></k>";
        let document = Document::parse(text).expect("XML");
        assert_eq!(document.redacted().collect::<Vec<_>>(), ["privateKeySource/privateKey", "passphrase"]);
        assert!(document.with("nothing", "v", "d").is_none());
        assert!(document.with("passphrase", "a\u{0}b", "d").is_none(), "XML has no such sign");
    }

    #[test]
    fn what_is_no_credential_is_none() {
        for text in [
            "",
            "<a>",
            "<a></b>",
            "text",
            "<a/><b></b><c></c>",
            "<!DOCTYPE x [<!ENTITY e \"v\">]><a><b>&e;</b></a>",
            "<a><b>&unknown;</b></a>",
        ] {
            assert!(Document::parse(text).is_none(), "{text}");
        }
    }
}
