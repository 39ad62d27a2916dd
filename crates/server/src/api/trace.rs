//! Whose is a leaked value?

use axum::{Json as Out, body::Bytes, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_core::{
    leak::{Leak, MOST_LEAKS},
    secret::SecretValue,
};
use serde::{Deserialize, Deserializer};
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

/// What leaked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeakedValues {
    /// The values.
    #[schema(min_items = 1, max_items = 20000)]
    values: Vec<Leaked>,
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
        Ok(Leak { value: read(self.value)?, parts, seen: None })
    }
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
    if asked.values.len() > MOST_LEAKS {
        return Err(Problem::contradiction(format!("there are more than {MOST_LEAKS} values")));
    }
    let leaks = asked.values.into_iter().map(Leaked::leak).collect::<Answer<Vec<_>>>()?;
    let trace = caller.engine(&context).trace_all(&leaks, Vec::new()).await?;
    let mut document = document::value(&trace)?;
    document::stamp(&mut document, "trace");
    Ok(Out(document))
}

/// The parser's own words may repeat a value: where it stands is all that is told.
fn read(bytes: &Bytes) -> Answer<LeakedValues> {
    let asked: LeakedValues = serde_json::from_slice(bytes).map_err(|error| {
        Problem::input(format!("the body cannot be read: line {}, column {}", error.line(), error.column()))
    })?;
    if asked.values.is_empty() {
        return Err(Problem::input("`values` has none"));
    }
    Ok(asked)
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
            r#"{"values":[]}"#,
        ] {
            let problem = read(&Bytes::from_static(bad.as_bytes())).err().unwrap_or_else(|| panic!("{bad}"));
            assert!(!problem.fault.message.contains("hunter22"), "{}", problem.fault.message);
        }
        let good = r#"{"values":[{"value":"aGk=","base64":true},{"value":"x","parts":["y"]}]}"#;
        let asked =
            read(&Bytes::from_static(good.as_bytes())).unwrap_or_else(|problem| panic!("{problem:?}"));
        let leaks: Vec<_> = asked.values.into_iter().filter_map(|leaked| leaked.leak().ok()).collect();
        assert_eq!((leaks[0].value.expose(), leaks.len()), (&b"hi"[..], 2));
    }
}
