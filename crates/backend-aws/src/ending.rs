//! What outlives an access key: session credentials that it obtained from STS.
//!
//! IAM lists none of them and revokes none. What it has is a condition: `aws:TokenIssueTime` is there in requests that are signed with session
//! credentials, and only there. So an inline policy of the user that denies everything to what was issued before a moment ends them, and leaves
//! the user's static keys alone (IAM User Guide, "Revoke IAM role temporary security credentials" and "aws:TokenIssueTime"). Sessions of roles that
//! the key assumed are the roles' own, and are denied there.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use claviger_backend::{
    Derived, Descent, Ended, Ending, ErrorKind, Offspring, Operation, Result, Suspension,
};
use claviger_core::reference::Ref;
use serde_json::{Value, json};

use crate::{
    backend::AwsBackend,
    failure::{of, of_change},
    names::{self, Named},
};

/// The inline policy. One for a user: a later moment takes the place of an earlier one.
const POLICY: &str = "claviger-deny-sessions-issued-before";

fn document(before: DateTime<Utc>) -> String {
    let before = before.to_rfc3339_opts(SecondsFormat::Secs, true);
    let statement = json!({
        "Sid": "SessionsOfARevokedKey", "Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": before}},
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// The moment that a policy of ours names. IAM hands documents out percent-encoded, compatible servers as they are.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let decoded = percent_decoded(text);
    let document: Value = serde_json::from_str(&decoded).ok()?;
    let at = document["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"].as_str()?;
    DateTime::parse_from_rfc3339(at).ok().map(|at| at.to_utc())
}

fn percent_decoded(text: &str) -> String {
    let (mut out, bytes, mut index) = (Vec::with_capacity(text.len()), text.as_bytes(), 0);
    while index < bytes.len() {
        let digits = bytes.get(index + 1..index + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[index], digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 3;
            }
            (byte, _) => {
                out.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl AwsBackend {
    pub(crate) fn ending_of(&self, subject: &Ref) -> Ending {
        match names::read(&self.info.name, "ending", subject) {
            Ok(Named::AccessKey { .. }) => Ending {
                suspension: Suspension::Refused,
                outlived_by: Some("session credentials"),
                ..Ending::default()
            },
            _ => Ending::refuse(
                "no-issuer",
                "only places are known that hold it, or it is a key of the root user, which no API ends",
            ),
        }
    }
}

#[async_trait]
impl Offspring for AwsBackend {
    async fn derived(&self, subject: &Ref) -> Result<Descent> {
        let Named::AccessKey { user, .. } = names::read(&self.info.name, "derived", subject)? else {
            return Ok(Descent::default());
        };
        let notes = vec![
            format!("IAM does not list session credentials: those of user `{user}` that were issued before are denied everything by the inline policy `{POLICY}`, which leaves static keys alone; whether one is refused nobody can try"),
            "sessions of roles that it assumed are the roles' own and go on until they expire: deny them at the roles".to_owned(),
        ];
        Ok(Descent { notes, ..Descent::default() })
    }

    async fn end_derived(&self, op: &Operation, subject: &Ref, _mark: &str) -> Result<Ended> {
        let Named::AccessKey { user, .. } = names::read(&self.info.name, "end_derived", subject)? else {
            return Ok(Ended::default());
        };
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let now = self.clock.now();
        let held = iam.get_user_policy().user_name(user).policy_name(POLICY).send().await;
        let held = match held {
            Ok(held) => moment(&held.policy_document),
            Err(error) => match of("end_derived", endpoint, "iam:GetUserPolicy", &error) {
                error if error.kind() == ErrorKind::NotFound => None,
                error => return Err(error),
            },
        };
        let before = held.filter(|held| *held > now).unwrap_or(now);
        let call =
            iam.put_user_policy().user_name(user).policy_name(POLICY).policy_document(document(before));
        match self.before(op, "end_derived", call.send()).await? {
            Ok(_) => {}
            Err(error) => match of_change("end_derived", endpoint, "iam:PutUserPolicy", &error) {
                // Without the user there is nobody whose sessions could go on.
                error if error.kind() == ErrorKind::NotFound => {
                    let evidence = "its user is gone".to_owned();
                    return Ok(Ended { ended: Vec::new(), evidence });
                }
                error => return Err(error),
            },
        }
        let before = before.to_rfc3339_opts(SecondsFormat::Secs, true);
        let what = format!("all session credentials of user `{user}` that were issued before {before}");
        let evidence = format!("attested: the inline policy `{POLICY}` denies them; nobody held one to try");
        Ok(Ended { ended: vec![Derived { at: subject.clone(), what, certain: false }], evidence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_from_when_and_is_read_again() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let text = document(at);
        assert_eq!(moment(&text), Some(at));
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(moment(&encoded), Some(at));
        assert_eq!((moment("{}"), moment("100%")), (None, None));
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["Statement"][0]["Effect"], "Deny");
    }
}
