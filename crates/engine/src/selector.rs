//! Selectors: a ref with globs, an id or unique id prefix, `key=value` terms, a condition. All of it must hold.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use claviger_core::{
    model::{CredentialKind, CredentialState},
    reference::Ref,
    view::CredentialView,
};

use crate::{Error, Result, condition::Condition, plan::Refusal};

/// A parsed selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
    condition: Option<Condition>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Reference(String),
    IdPrefix(String),
    Kind(CredentialKind),
    Backend(String),
    Owner(String),
    Identity(String),
    Label(String, String),
    Finding(String),
    State(String),
    CreatedBefore(DateTime<Utc>),
}

impl Selector {
    /// Parses words such as `kind=password backend=db` or `prod/payments/*`.
    ///
    /// # Errors
    /// An unknown key, an empty value, or no term at all.
    pub fn parse(text: &str) -> Result<Self> {
        let terms =
            text.split_whitespace().map(|word| Term::parse(text, word)).collect::<Result<Vec<_>>>()?;
        if terms.is_empty() {
            return Err(refuse(
                text,
                "it is empty: give a ref such as `prod/payments/*`, an id, or `kind=password`",
            ));
        }
        Ok(Self { terms, condition: None, text: text.to_owned() })
    }

    /// Words, a condition, or both: then both must hold.
    ///
    /// # Errors
    /// As of [`Selector::parse`] and [`Condition::parse`]; neither is given.
    pub fn parse_with(words: &str, condition: Option<&str>) -> Result<Self> {
        let Some(condition) = condition else { return Self::parse(words) };
        let condition = Condition::parse(condition)?;
        let words = words.trim();
        if words.is_empty() {
            let text = format!("where {}", condition.text());
            return Ok(Self { terms: Vec::new(), condition: Some(condition), text });
        }
        let text = format!("{words} where {}", condition.text());
        Ok(Self { condition: Some(condition), text, ..Self::parse(words)? })
    }

    /// What was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ref that it names, or whose credentials it means, if it says that alone and without globs.
    pub fn named(&self) -> Option<Ref> {
        match self.terms.as_slice() {
            [Term::Reference(text) | Term::Identity(text)]
                if self.condition.is_none() && !text.contains(['*', '?']) =>
            {
                Some(Ref::from_text(text.as_str()))
            }
            _ => None,
        }
    }

    /// Does it hold of this credential?
    ///
    /// # Errors
    /// Its condition cannot be decided for this one.
    pub fn matches(&self, credential: &CredentialView) -> Result<bool> {
        if !self.terms.iter().all(|term| term.matches(credential)) {
            return Ok(false);
        }
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(credential))
    }

    /// Those that it matches, in their order.
    ///
    /// # Errors
    /// Its condition cannot be decided for one of them.
    pub fn choose<'c>(
        &self,
        credentials: impl IntoIterator<Item = &'c CredentialView>,
    ) -> Result<Vec<&'c CredentialView>> {
        let mut chosen = Vec::new();
        for credential in credentials {
            if self.matches(credential)? {
                chosen.push(credential);
            }
        }
        Ok(chosen)
    }

    /// Those of which cannot be said whether they are old enough, as nobody knows when they were made, and of which all else holds. What has
    /// ended already is not among them.
    ///
    /// # Errors
    /// Its condition cannot be decided for one of them.
    pub fn undecided<'c>(
        &self,
        credentials: impl IntoIterator<Item = &'c CredentialView>,
    ) -> Result<Vec<Refusal>> {
        let by_age = |term: &&Term| matches!(term, Term::CreatedBefore(_));
        if !self.terms.iter().any(|term| by_age(&term)) {
            return Ok(Vec::new());
        }
        let mut undecided = Vec::new();
        for credential in credentials {
            let ended = matches!(
                credential.state,
                CredentialState::RevokedProven
                    | CredentialState::RevokedAttested
                    | CredentialState::RevokedUnproven
                    | CredentialState::Gone
            );
            if ended || credential.created_at.is_some() {
                continue;
            }
            let rest = self.terms.iter().filter(|term| !by_age(term)).all(|term| term.matches(credential));
            if rest && self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(credential))? {
                undecided.push(Refusal {
                    at: credential.at.clone(),
                    code: "age-unknown".to_owned(),
                    reason: "when it was made is not known: name it, if it is meant".to_owned(),
                });
            }
        }
        Ok(undecided)
    }
}

/// The same words with ages in them as points in time: `created-before=90d` means what was made more than 90 days before `now`.
///
/// # Errors
/// An age that is none.
pub fn absolute(words: &str, now: DateTime<Utc>) -> Result<String> {
    let word = |word: &str| match word.strip_prefix(CREATED_BEFORE) {
        Some(given) if moment(given).is_none() => {
            let at = age(given)
                .and_then(|age| now.checked_sub_signed(age))
                .ok_or_else(|| no_time(words, given))?;
            Ok(format!("{CREATED_BEFORE}{}", at.to_rfc3339_opts(SecondsFormat::Secs, true)))
        }
        _ => Ok(word.to_owned()),
    };
    Ok(words.split_whitespace().map(word).collect::<Result<Vec<_>>>()?.join(" "))
}

const CREATED_BEFORE: &str = "created-before=";

/// RFC 3339, or a day, which begins at midnight UTC.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok().or_else(day)
}

/// A number and `m`, `h`, `d` or `w`.
fn age(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().next_back()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    match unit {
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        'w' => TimeDelta::try_weeks(number),
        _ => None,
    }
}

fn no_time(text: &str, given: &str) -> Error {
    let reason = format!(
        "`{given}` is no time: give one as in RFC 3339, a day such as `2026-01-31`, or on the command line an age such as `90d`"
    );
    refuse(text, &reason)
}

impl Term {
    fn parse(text: &str, word: &str) -> Result<Self> {
        // A ref may hold `=`, so only a known key before the first `=` and no `/` before it makes a term.
        if let Some((key, value)) = word.split_once('=')
            && !key.contains('/')
        {
            if value.is_empty() {
                return Err(refuse(text, &format!("`{key}=` has no value")));
            }
            let value = value.to_owned();
            return match key {
                "kind" => value.parse().map(Self::Kind).map_err(|_| {
                    let known: Vec<_> = CredentialKind::ALL.iter().map(|kind| kind.as_str()).collect();
                    refuse(text, &format!("`{value}` is no kind; kinds are {}", known.join(", ")))
                }),
                "backend" => Ok(Self::Backend(value)),
                "owner" => Ok(Self::Owner(value)),
                "identity" => Ok(Self::Identity(value)),
                "finding" => Ok(Self::Finding(value)),
                "state" => Ok(Self::State(value)),
                "created-before" => {
                    moment(&value).map(Self::CreatedBefore).ok_or_else(|| no_time(text, &value))
                }
                _ => match key.strip_prefix("label.") {
                    Some(label) => Ok(Self::Label(label.to_owned(), value)),
                    None => Err(refuse(
                        text,
                        &format!(
                            "`{key}` is no key; keys are kind, backend, owner, identity, label.<name>, finding, state, created-before"
                        ),
                    )),
                },
            };
        }
        let hex = word.len() >= 4 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        Ok(if hex && !word.contains('/') {
            Self::IdPrefix(word.to_ascii_lowercase())
        } else {
            Self::Reference(word.to_owned())
        })
    }

    fn matches(&self, credential: &CredentialView) -> bool {
        match self {
            Self::Reference(pattern) => {
                let pattern = pattern
                    .strip_prefix("kubernetes/")
                    .filter(|_| credential.backend != "kubernetes")
                    .unwrap_or(pattern);
                glob(pattern, credential.at.as_str())
            }
            Self::IdPrefix(prefix) => credential.id.to_string().starts_with(prefix),
            Self::Kind(kind) => credential.kind == *kind,
            Self::Backend(name) => credential.backend == *name,
            Self::Owner(owner) => credential.owner.as_deref().is_some_and(|given| glob(owner, given)),
            Self::Identity(identity) => {
                credential.identity.as_ref().is_some_and(|given| glob(identity, given.as_str()))
            }
            Self::Label(name, value) => credential.labels.get(name).is_some_and(|given| glob(value, given)),
            Self::Finding(slug) => credential.findings.iter().any(|given| glob(slug, given)),
            Self::State(state) => credential.state.as_str() == state,
            Self::CreatedBefore(at) => credential.created_at.is_some_and(|created| created < *at),
        }
    }
}

fn refuse(text: &str, reason: &str) -> Error {
    Error::Selector { text: text.to_owned(), reason: reason.to_owned() }
}

/// Matches `*` (any run of characters, `/` included) and `?` (one character); everything else stands for itself.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_people_expect() {
        for (pattern, text, expected) in [
            ("prod/payments/*", "prod/payments/Secret/db", true),
            ("prod/payments/*", "prod/web/Secret/db", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*Secret*", "prod/x/Secret/y", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("db/role/app", "db/role/app2", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn an_age_becomes_a_point_in_time_and_nothing_else_does() {
        let now = moment("2026-03-31T12:00:00Z").expect("a time");
        for (given, expected) in [
            ("backend=db created-before=90d", "backend=db created-before=2025-12-31T12:00:00Z"),
            ("created-before=36h", "created-before=2026-03-30T00:00:00Z"),
            ("created-before=2026-01-31", "created-before=2026-01-31"),
            ("created-before=2026-01-31T01:00:00+01:00", "created-before=2026-01-31T01:00:00+01:00"),
        ] {
            let words = absolute(given, now).expect(given);
            assert_eq!(words, expected);
            assert!(Selector::parse(&words).is_ok(), "{words}");
        }
        for given in ["created-before=soon", "created-before=-1d", "created-before=9y", "created-before=d"] {
            assert!(absolute(given, now).is_err() && Selector::parse(given).is_err(), "{given}");
        }
        assert!(Selector::parse("created-before=90d").is_err(), "an age needs a present");
    }

    #[test]
    fn an_unknown_key_or_kind_is_refused_with_the_known_ones() {
        for text in ["", "colour=red", "kind=passwort", "owner="] {
            assert!(matches!(Selector::parse(text), Err(Error::Selector { .. })), "{text}");
        }
        assert!(Selector::parse("kind=password backend=db label.env=prod").is_ok());
        assert!(Selector::parse("aws/secretsmanager/a=b").is_ok(), "a ref may hold an equals sign");
    }
}
