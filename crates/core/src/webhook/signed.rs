//! Anybody's report: JSON with a timestamp, signed with a shared secret (HMAC-SHA-256).
//!
//! `X-Claviger-Timestamp` has the seconds since the Unix epoch, `X-Claviger-Signature` is `sha256=` and the hex digits of
//! HMAC-SHA-256(secret, timestamp ‖ `.` ‖ body). The body is a scanner's report, or `{"leaks": [{"value", "rule", "place", "line", "url"}]}`.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Delivery, DeliveryId, Refused, Request};
use crate::{leak, secret::SecretValue};

const TIMESTAMP: &str = "X-Claviger-Timestamp";
const SIGNATURE: &str = "X-Claviger-Signature";
/// How far a request's time may be from ours, either way, where nothing else is said.
pub const WINDOW: TimeDelta = TimeDelta::minutes(5);

/// The signature's header for a body: for senders and tests.
pub fn sign(secret: &SecretValue, timestamp: i64, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, &timestamp.to_string(), body).finalize().into_bytes()))
}

fn mac(secret: &SecretValue, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// Takes a report. `secrets` are those that may be in use: two while one follows the other. Its time may be so far from `now` as `window` says, either
/// way; until it no longer is, its id has to be remembered. Repeat: the same id.
///
/// # Errors
/// It is not signed with one of them, not of this time, or cannot be read.
pub fn receive(
    request: Request<'_>,
    secrets: &[&SecretValue],
    now: DateTime<Utc>,
    window: TimeDelta,
) -> Result<Delivery, Refused> {
    let (timestamp, signature) = (request.header(TIMESTAMP)?, request.header(SIGNATURE)?);
    let given = signature.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok());
    let given = given.ok_or(Refused::Forged)?;
    // All are tried, and each comparison takes the same time whatever it finds.
    let fits = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(false, |fits, secret| mac(secret, timestamp, request.body).verify_slice(&given).is_ok() | fits);
    if !fits {
        return Err(Refused::Forged);
    }
    let at = timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let at = at.ok_or(Refused::Stale)?;
    if (now - at).abs() > window {
        return Err(Refused::Stale);
    }
    let id = DeliveryId::of("signed", &[timestamp.as_bytes(), b".", request.body].concat());
    Ok(Delivery { id, remember_until: Some(at + window), leaks: leak::parse_report(request.body)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"leaks":[{"value":"hunter22","place":"a.env","line":3}]}"#;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn secret(text: &str) -> SecretValue {
        SecretValue::from_text(text.to_owned())
    }

    fn headers(timestamp: &str, signature: String) -> Vec<(String, String)> {
        vec![(TIMESTAMP.to_owned(), timestamp.to_owned()), (SIGNATURE.to_lowercase(), signature)]
    }

    fn signed(body: &[u8]) -> Vec<(String, String)> {
        headers("1000", sign(&secret("s"), 1000, body))
    }

    fn refused(headers: &[(String, String)], body: &[u8], now: i64) -> Option<Refused> {
        receive(Request { headers, body }, &[&secret("old"), &secret("s")], at(now), WINDOW).err()
    }

    #[test]
    fn a_report_is_taken_within_its_window_and_once() {
        let headers = signed(BODY);
        let request = Request { headers: &headers, body: BODY };
        let taken =
            receive(request, &[&secret("s")], at(1100), WINDOW).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(taken.leaks.leaks[0].value.expose(), b"hunter22");
        assert_eq!(taken.remember_until, Some(at(1300)));
        let again =
            receive(request, &[&secret("s")], at(1200), WINDOW).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.id, taken.id, "the same request");
        let narrow = receive(request, &[&secret("s")], at(1100), TimeDelta::seconds(99));
        assert_eq!(narrow.err(), Some(Refused::Stale));
        for (now, expected) in
            [(700, None), (1300, None), (699, Some(Refused::Stale)), (1301, Some(Refused::Stale))]
        {
            assert_eq!(refused(&headers, BODY, now), expected, "{now}");
        }
        let scanner = br#"[{"RuleID":"r","Secret":"hunter22","File":"x"}]"#;
        assert_eq!(refused(&signed(scanner), scanner, 1000), None);
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let good = signed(BODY);
        for at in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[at] ^= 1;
            assert_eq!(refused(&good, &body, 1000), Some(Refused::Forged), "byte {at}");
        }
        let later = headers("1200", good[1].1.clone());
        assert_eq!(refused(&later, BODY, 1200), Some(Refused::Forged), "another time");
        assert_eq!(
            refused(&headers("1000", sign(&secret("x"), 1000, BODY)), BODY, 1000),
            Some(Refused::Forged)
        );
        for signature in ["", "sha256=", "sha256=00", "sha1=00", "sha256=zz"] {
            assert_eq!(
                refused(&headers("1000", signature.to_owned()), BODY, 1000),
                Some(Refused::Forged),
                "{signature}"
            );
        }
        assert_eq!(refused(&good[..1], BODY, 1000), Some(Refused::NoSignature));
        assert_eq!(
            refused(&[good.clone(), good[..1].to_vec()].concat(), BODY, 1000),
            Some(Refused::TwoSignatures)
        );
        // An empty secret signs nothing, and without any nobody can.
        let none = headers("1000", sign(&secret(""), 1000, BODY));
        let request = Request { headers: &none, body: BODY };
        assert_eq!(receive(request, &[&secret("")], at(1000), WINDOW).err(), Some(Refused::Forged));
        assert_eq!(receive(request, &[], at(1000), WINDOW).err(), Some(Refused::Forged));
    }

    #[test]
    fn a_body_that_is_no_report_is_refused_without_being_repeated() {
        for body in [&b"hunter22"[..], b"{}", b"{\"leaks\":5}", b"[]", b"", b"{\"leaks\":[{\"value\":"] {
            match refused(&signed(body), body, 1000) {
                Some(Refused::Body(error)) => assert!(!error.to_string().contains("hunter22")),
                other => panic!("{other:?}"),
            }
        }
    }
}
