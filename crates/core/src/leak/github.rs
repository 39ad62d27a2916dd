//! GitHub's secret scanning: alerts as the REST API lists them or gives one, the payload of the `secret_scanning_alert` webhook, and the notice
//! that partners get. A webhook's alert, and a list asked for with `hide_secret`, carry no value.
//!
//! Sources: <https://docs.github.com/en/rest/secret-scanning/secret-scanning>,
//! <https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program>.

use serde::Deserialize;

use super::{Format, Held, LeakError, Leaks, Sighting};

/// An alert, a webhook's payload or a partner's notice: they share no key but `url`.
#[derive(Deserialize)]
struct Item {
    number: Option<u64>,
    secret_type: Option<String>,
    secret: Option<Held>,
    html_url: Option<String>,
    first_location_detected: Option<Location>,
    repository: Option<Repository>,
    alert: Option<Box<Item>>,
    token: Option<Held>,
    r#type: Option<String>,
    url: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Location {
    path: Option<String>,
    start_line: Option<u64>,
    commit_sha: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: Option<String>,
}

pub(super) fn parse(text: &[u8]) -> Result<Leaks, LeakError> {
    let broken = |error: serde_json::Error| LeakError::json(Format::Github, &error, 0);
    let items: Vec<Item> = if text.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice(text).map_err(broken)?
    } else {
        vec![serde_json::from_slice(text).map_err(broken)?]
    };
    let mut leaks = Leaks::new(Format::Github);
    for item in items {
        let (item, repository) = match item.alert {
            Some(alert) => (*alert, item.repository),
            None => (item, None),
        };
        let is_alert = item.secret_type.is_some() || item.number.is_some();
        if !is_alert && item.token.is_none() {
            return Err(LeakError::Broken { format: Format::Github, line: 1, column: 1 });
        }
        let place = item.first_location_detected;
        let seen = Sighting {
            rule: item.secret_type.or(item.r#type),
            place: place.as_ref().and_then(|place| place.path.clone()).or(item.source),
            line: place.as_ref().and_then(|place| place.start_line).filter(|line| *line > 0),
            container: item.repository.or(repository).and_then(|repository| repository.full_name),
            commit: place.and_then(|place| place.commit_sha),
            url: item.html_url.or(item.url),
            number: item.number,
            ..Sighting::by(Format::Github)
        };
        leaks.take(item.secret.or(item.token), Vec::new(), seen)?;
    }
    Ok(leaks)
}

#[cfg(test)]
mod tests {
    use super::super::{SkipReason, parse};
    use super::*;

    #[test]
    fn a_list_one_alert_a_payload_and_a_notice_are_read() {
        let alert = serde_json::json!({
            "number": 42, "html_url": "https://github.com/o/r/security/secret-scanning/42", "url": "https://api/42", "state": "open",
            "secret_type": "postgres", "secret_type_display_name": "P", "secret": "hunter22", "validity": "active",
            "first_location_detected": { "path": "/a.env", "start_line": 1, "commit_sha": "c0ffee" }, "repository": { "full_name": "o/r" },
        });
        let mut hidden = alert.clone();
        hidden["secret"] = serde_json::Value::Null;
        let payload = serde_json::json!({ "action": "created", "alert": hidden, "repository": { "full_name": "o/other" } });
        let notice = serde_json::json!([{ "token": "hunter22", "type": "claviger_token", "url": "https://github.com/o/r/blob/x", "source": "content" }]);
        for (report, value) in
            [(&serde_json::json!([alert]), true), (&alert, true), (&payload, false), (&notice, true)]
        {
            let leaks = parse(None, report.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(leaks.format, Format::Github);
            if value {
                assert_eq!(leaks.leaks[0].value.expose(), b"hunter22");
            } else {
                assert_eq!(leaks.skipped[0].reason, SkipReason::NotCarried);
                assert_eq!(leaks.skipped[0].seen.number, Some(42));
            }
        }
        let leaks = parse(None, alert.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let seen = leaks.leaks[0].seen.as_ref().expect("seen");
        assert_eq!((seen.place.as_deref(), seen.container.as_deref()), (Some("/a.env"), Some("o/r")));
    }

    #[test]
    fn what_is_no_alert_is_refused() {
        for text in ["{}", "[{}]", "[1]", "", "null", "{\"alert\":{}}"] {
            assert!(parse(Some(Format::Github), text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(Some(Format::Github), b"[]").is_ok_and(|leaks| leaks.leaks.is_empty()));
    }
}
