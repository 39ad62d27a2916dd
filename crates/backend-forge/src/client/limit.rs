//! Too many requests: when may the next one come?
//!
//! Sources: RFC 9110 section 10.2.3 (`Retry-After`, in seconds or as a date); GitHub, "Rate limits for the REST API" and "Best practices": a primary limit is 403 or 429
//! with `x-ratelimit-remaining: 0` and `x-ratelimit-reset` in seconds since 1970; a secondary one is 403 or 429 with `Retry-After`, and without it a minute
//! is to be waited.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// How long GitHub wants to be left alone where it does not say.
const MINUTE: Duration = Duration::from_secs(60);
/// No server is believed that asks for more.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

/// The server's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get("date")?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|at| at.with_timezone(&Utc))
}

/// How long the server asks us to wait; `None`: it does not. A refusal that is none of our pace has none.
pub(super) fn wait(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    let asked = match status {
        403 | 429 | 502..=504 => after(headers).or_else(|| reset(headers)),
        _ => None,
    };
    let secondary = || {
        let said = matches!(status, 403 | 429)
            && serde_json::from_slice::<Said>(body)
                .is_ok_and(|said| said.message.contains("secondary rate limit"));
        said.then_some(MINUTE)
    };
    asked.or_else(secondary).map(|wait| wait.min(LONGEST))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, "retry-after")?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc);
    (until - date(headers)?).to_std().ok()
}

/// By the server's own clock, so that ours does not matter.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    if text(headers, "x-ratelimit-remaining")? != "0" {
        return None;
    }
    let at = DateTime::from_timestamp(text(headers, "x-ratelimit-reset")?.parse().ok()?, 0)?;
    Some((at - date(headers)?).to_std().unwrap_or_default().max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs =
            all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    const NOW: (&str, &str) = ("date", "Sat, 28 Nov 2026 06:00:00 GMT");

    #[test]
    fn each_way_of_asking_for_a_rest_is_heard() {
        let secondary = br#"{"message":"You have exceeded a secondary rate limit. Please wait"}"#;
        // 2026-11-28T06:10:00Z
        let primary = [NOW, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795846200")];
        for (status, all, body, seconds) in [
            (429, &[("retry-after", "7")][..], &b""[..], Some(7)),
            (403, &[("retry-after", "7"), ("x-ratelimit-remaining", "0")][..], b"", Some(7)),
            (429, &[NOW, ("retry-after", "Sat, 28 Nov 2026 06:00:30 GMT")][..], b"", Some(30)),
            (403, &primary[..], b"", Some(600)),
            (429, &primary[..], b"", Some(600)),
            (403, &[][..], secondary, Some(60)),
            (503, &[("retry-after", "5")][..], b"", Some(5)),
            (429, &[("retry-after", "99999999")][..], b"", Some(86_400)),
            // A plain refusal, with requests left.
            (403, &[("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1795846200")][..], b"{}", None),
            (404, &[("retry-after", "7")][..], b"", None),
            (200, &primary[..], secondary, None),
        ] {
            assert_eq!(
                wait(status, &headers(all), body),
                seconds.map(Duration::from_secs),
                "{status} {all:?}"
            );
        }
    }
}
