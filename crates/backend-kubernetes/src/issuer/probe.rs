//! When the answer to a bearer token is one about the token.
//!
//! A bearer token that the API server does not know is 401; one that it knows and allows nothing is 403, both as a `Status` of the API with its
//! reason (Kubernetes API reference, "HTTP verbs and status codes"). A server at this address that refuses everybody (another one, an
//! authenticating proxy, one whose webhook is down) answers 401 too: so a refusal counts only where our own credential is accepted by the same
//! request right after it.

use claviger_backend::Verdict;
use http::Method;

use super::{ANONYMOUS, WHO_AM_I, WhoAmI};
use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, OBJECT_LIMIT},
    failure::{Failure, Transport},
    wire,
};

/// Asks who one is.
pub(crate) fn who_am_i() -> Ask {
    let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#.to_vec();
    Ask::with_body(Method::POST, WHO_AM_I.to_owned(), JSON, body)
}

impl KubernetesBackend {
    /// What an answer that is no good one says of the token. `same` is the request that was made with it.
    pub(crate) async fn judge(&self, failure: &Failure, path: &str, same: Ask) -> Verdict {
        let inconclusive = |why: String| Verdict::Inconclusive(why);
        match failure {
            Failure::Status { code: 401, reason, .. } if reason == "Unauthorized" => {
                match self.refuses_us(same).await {
                    None => Verdict::Refused(format!(
                        "401 Unauthorized from {path}; our own credential was accepted there"
                    )),
                    Some(why) => inconclusive(format!("401, and {why}")),
                }
            }
            Failure::Status { code: 403, reason, .. } if reason == "Forbidden" => Verdict::Accepted,
            Failure::Status { code: 401 | 403, .. } => inconclusive(format!(
                "{failure}, not in the words of an API server: something before it may have answered"
            )),
            Failure::Transport(Transport::NotSendable) => {
                inconclusive("the value cannot be sent in a header".to_owned())
            }
            _ => inconclusive(failure.to_string()),
        }
    }

    /// Why there is nothing to compare a refusal with; `None` where our own credential is accepted.
    async fn refuses_us(&self, same: Ask) -> Option<String> {
        let asks_who = same.path == WHO_AM_I;
        match self.connection.ask(same, OBJECT_LIMIT).await {
            Ok(body) if asks_who => match wire::read::<WhoAmI>(&body) {
                Ok(who) if who.status.user_info.username == ANONYMOUS => {
                    Some("we are anonymous there ourselves, so there is nothing to compare with".to_owned())
                }
                Ok(_) => None,
                Err(failure) => {
                    Some(format!("what it says of our own credential cannot be read ({failure})"))
                }
            },
            Ok(_) => None,
            // It knows us, and we may not ask.
            Err(Failure::Status { code: 403, reason, .. }) if reason == "Forbidden" => None,
            Err(failure) => Some(format!("our own credential is not accepted there either ({failure})")),
        }
    }
}
