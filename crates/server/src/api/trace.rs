//! Whose is a leaked value?

use axum::{Json as Out, body::Bytes, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::{
    leak::{Leak, MOST_LEAKS, Sighting, SkipReason, Skipped},
    secret::SecretValue,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    input::Raw,
    problem::{Answer, Body},
};
use crate::{
    access::{Subject, Verb},
    document,
};

/// Longest body, in bytes: as much as the command line reads, in base64 and with what stands around it.
pub(super) const BODY: usize = 32 << 20;

/// Longest text of a place, in characters; the command line cuts its own to that.
const LONGEST: usize = 401;

/// What leaked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakedValues {
    /// The values. None: only `skipped` is told again.
    #[schema(max_items = 20000)]
    values: Vec<Leaked>,
    /// What their reports told without a value. It is told again in the answer, and looked for nowhere.
    #[serde(default)]
    #[schema(max_items = 20000)]
    skipped: Vec<PassedOver>,
}

/// One value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaked {
    value: Given,
    /// Texts out of which it was put together, and that may be values by themselves.
    #[serde(default)]
    parts: Vec<Given>,
    /// Are value and parts written in base64?
    #[serde(default)]
    base64: bool,
    /// Where it was seen, if that is known: it is told again in the answer.
    seen: Option<Seen>,
}

/// Where a scanner saw something: a path, not a page. A value that it repeats is hidden.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Who says so.
    #[schema(max_length = 401)]
    source: String,
    /// What it takes the value for.
    #[schema(max_length = 401)]
    rule: Option<String>,
    /// File, object or page.
    #[schema(max_length = 401)]
    place: Option<String>,
    /// Line, from 1.
    #[schema(maximum = 9007199254740991_i64)]
    #[serde(default, deserialize_with = "whole_number")]
    line: Option<u64>,
    /// Repository, bucket or image.
    #[schema(max_length = 401)]
    container: Option<String>,
    /// Commit.
    #[schema(max_length = 401)]
    commit: Option<String>,
    /// Where a person can look at it.
    #[schema(max_length = 401)]
    url: Option<String>,
    /// Number of the alert.
    #[schema(maximum = 9007199254740991_i64)]
    #[serde(default, deserialize_with = "whole_number")]
    number: Option<u64>,
}

/// Largest whole number that every reader of JSON tells from its neighbours (RFC 8259, section 6).
const MOST: f64 = 9_007_199_254_740_991.0;

/// What JSON Schema calls an integer: `3.0` is one.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let is_whole = number.fract() == 0.0 && (0.0..=MOST).contains(&number);
    is_whole.then_some(Some(number as u64)).ok_or_else(|| D::Error::custom("no whole number in bounds"))
}

/// A line of a report from which no value could be taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PassedOver {
    seen: Seen,
    reason: Why,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Why {
    /// The scanner was told to hide it.
    Redacted,
    /// The format carries none there.
    NotCarried,
    /// It is longer than any credential.
    TooLong,
}

impl Seen {
    fn sighting(self) -> Answer<Sighting> {
        let Self { source, rule, place, line, container, commit, url, number } = self;
        let seen = Sighting { source, rule, place, line, container, commit, url, number };
        let texts = [&seen.rule, &seen.place, &seen.container, &seen.commit, &seen.url];
        let fits = |text: &String| text.chars().nth(LONGEST).is_none();
        let all_fit = texts.into_iter().flatten().chain([&seen.source]).all(fits);
        match all_fit {
            true => Ok(seen),
            false => Err(Problem::input(format!("a text of `seen` is longer than {LONGEST} characters"))),
        }
    }
}

impl PassedOver {
    fn skipped(self) -> Answer<Skipped> {
        let reason = match self.reason {
            Why::Redacted => SkipReason::Redacted,
            Why::NotCarried => SkipReason::NotCarried,
            Why::TooLong => SkipReason::TooLong,
        };
        Ok(Skipped { seen: self.seen.sighting()?, reason })
    }
}

/// A text that is nowhere repeated.
#[derive(ToSchema)]
#[schema(value_type = String)]
pub(super) struct Given(SecretValue);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretValue::from_text(text)))
    }
}

impl Leaked {
    fn leak(self) -> Answer<Leak> {
        let read = |Given(text): Given| match self.base64 {
            false => Ok(text),
            true => STANDARD
                .decode(text.expose())
                .map(SecretValue::new)
                .map_err(|_| Problem::contradiction("a value is no base64, and is said to be")),
        };
        let parts = self.parts.into_iter().map(read).collect::<Answer<Vec<_>>>()?;
        let value = read(self.value)?;
        let mut seen = self.seen.map(Seen::sighting).transpose()?;
        if let Some(seen) = &mut seen {
            std::iter::once(&value).chain(&parts).for_each(|value| hide(seen, value));
        }
        Ok(Leak { value, parts, seen })
    }
}

/// Takes a value out of what is told of its place.
fn hide(seen: &mut Sighting, value: &SecretValue) {
    // A shorter one may stand anywhere by chance.
    let Some(value) = value.expose_text().filter(|value| value.len() >= 4) else { return };
    let texts = [&mut seen.rule, &mut seen.place, &mut seen.container, &mut seen.commit, &mut seen.url];
    let texts = texts.into_iter().filter_map(Option::as_mut).chain([&mut seen.source]);
    texts.filter(|text| text.contains(value)).for_each(|text| *text = text.replace(value, "[value]"));
}

/// Finds the credentials that leaked values belong to. They are not kept, nor is that they were asked for under an `Idempotency-Key`: the audit log says that
/// somebody asked, not what.
#[utoipa::path(
    post,
    path = "/api/v1/traces",
    request_body = LeakedValues,
    responses(
        (status = 200, description = "As `trace -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "incidents"
)]
pub(super) async fn ask(
    State(context): State<Context>,
    caller: Caller,
    Raw(bytes): Raw,
) -> Answer<Out<Value>> {
    // A value may be anybody's: whoever sees a part only would learn of the rest.
    caller.must(Verb::Trace, &Subject::Estate)?;
    let asked = read(&bytes)?;
    if asked.values.len() + asked.skipped.len() > MOST_LEAKS {
        return Err(Problem::contradiction(format!("there are more than {MOST_LEAKS} values")));
    }
    let leaks = asked.values.into_iter().map(Leaked::leak).collect::<Answer<Vec<_>>>()?;
    let skipped = asked.skipped.into_iter().map(PassedOver::skipped).collect::<Answer<_>>()?;
    let trace = caller.engine(&context).trace_all(&leaks, skipped).await?;
    let mut document = document::value(&trace)?;
    document::stamp(&mut document, "trace");
    Ok(Out(document))
}

/// The parser's own words may repeat a value: where it stands is all that is told.
fn read(bytes: &Bytes) -> Answer<LeakedValues> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::input(format!("the body cannot be read: line {}, column {}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_cannot_be_read_is_not_repeated() {
        for bad in [
            r#"{"values":[{"value":["hunter22"]}]}"#,
            r#"{"values":"hunter22"}"#,
            r#"{"hunter22":1}"#,
            "hunter22",
            r#"{"values":[],"skipped":[{"seen":{"source":"s"},"reason":"hunter22"}]}"#,
            r#"{"values":[{"value":"x","seen":{"hunter22":"s"}}]}"#,
        ] {
            let problem = read(&Bytes::from_static(bad.as_bytes())).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(!problem.fault.message.contains("hunter22"), "{}", problem.fault.message);
        }
        let good = r#"{"values":[{"value":"aGk=","base64":true},{"value":"hunter22","parts":["y"],"seen":{"source":"s","url":"u/hunter22"}}],
            "skipped":[{"seen":{"source":"s"},"reason":"not-carried"}]}"#;
        let asked =
            read(&Bytes::from_static(good.as_bytes())).unwrap_or_else(|problem| panic!("{problem:?}"));
        let leaks: Vec<_> = asked.values.into_iter().filter_map(|leaked| leaked.leak().ok()).collect();
        assert_eq!((leaks[0].value.expose(), leaks.len()), (&b"hi"[..], 2));
        let url = leaks[1].seen.as_ref().and_then(|seen| seen.url.as_deref());
        assert_eq!(url, Some("u/[value]"), "a place that repeats the value is told without it");
        let skipped: Vec<_> = asked.skipped.into_iter().filter_map(|one| one.skipped().ok()).collect();
        assert_eq!((skipped.len(), skipped[0].reason), (1, SkipReason::NotCarried));
    }
}
