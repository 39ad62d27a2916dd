//! The API server as the system that accepts a pod's own token in the place of one from a Secret. Both are tokens of the same ServiceAccount: nothing has to
//! be made, and what is compared is what the API server says of who bears each, and of what they may do.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::DateTime;
use claviger_backend::{
    Candidate, Entry, Error, ErrorKind, Federation, Offered, Operation, Probe, Proposal, Reads, Result,
    Verdict,
};
use claviger_core::{
    model::Attributes,
    reference::Ref,
    saga::{Arrangement, Mounting},
    secret::SecretValue,
};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{
    backend::KubernetesBackend,
    connection::{Ask, Connection, JSON, OBJECT_LIMIT},
    issuer::{ANONYMOUS, WHO_AM_I, is_bootstrap, probe::who_am_i},
    place::Place,
    token, wire, workloads,
};

/// How long a projected token holds, in seconds: the kubelet makes another one when four fifths are over. Not 3607, of which the API server gives a
/// year to be kind to programs that do not read again (`--service-account-extend-token-expiration`).
const LIFETIME: u32 = 3600;
/// What one may do in a namespace.
const MY_RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

#[derive(Deserialize)]
struct Who {
    status: WhoStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WhoStatus {
    user_info: UserInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    uid: String,
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct Rules {
    status: RulesStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RulesStatus {
    resource_rules: Vec<Rule>,
    #[serde(rename = "nonResourceRules")]
    non_resource_rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
}

impl Rule {
    /// In a form that does not depend on the order in which it was written.
    fn line(&self, namespace: &str) -> String {
        let sorted = |items: &[String]| {
            let items: BTreeSet<_> = items.iter().map(String::as_str).collect();
            items.into_iter().collect::<Vec<_>>().join(",")
        };
        let verbs = sorted(&self.verbs);
        match self.non_resource_urls.is_empty() {
            false => format!("{verbs} {}", sorted(&self.non_resource_urls)),
            true => format!(
                "{verbs} {} of [{}] named [{}] in {namespace}",
                sorted(&self.resources),
                sorted(&self.api_groups),
                sorted(&self.resource_names)
            ),
        }
    }
}

#[async_trait]
impl Federation for KubernetesBackend {
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        let Candidate { subject, identity, object, holder, .. } = *candidate;
        let other = || Offered::no("not-federated", "it is no token of this cluster's");
        if subject.backend() != self.info.name {
            return Ok(other());
        }
        let Ok(place) = Place::parse("offers", subject) else { return Ok(other()) };
        if place.kind != "Secret" || place.field.is_some() || is_bootstrap(&place) {
            return Ok(other());
        }
        let consumer = &holder.consumer;
        if identity != Some(&holder.account) {
            let text = format!(
                "{consumer} runs as {}, and the token is {}'s: a pod gets tokens of its own account only; give it that account first",
                holder.account,
                identity.map_or("nobody", Ref::as_str)
            );
            return Ok(Offered::no("other-account", text));
        }
        if object != subject {
            let text = format!(
                "{consumer} reads it from {object}, in another form: let it read the token's own Secret first"
            );
            return Ok(Offered::no("copy-elsewhere", text));
        }
        match &holder.reads {
            Reads::Files(files) => {
                let extra: Vec<_> = files.iter().filter(|file| !workloads::is_file(file)).cloned().collect();
                if !extra.is_empty() {
                    let text = format!(
                        "{consumer} gets {} with it, which is in no token's volume",
                        extra.join(", ")
                    );
                    return Ok(Offered::no("other-fields", text));
                }
            }
            Reads::Fixed(code, why) => return Ok(Offered::no(code, format!("{consumer}: {why}"))),
            Reads::Given | Reads::Nothing => {
                return Ok(Offered::no("scan-again", format!("{consumer} does not read it")));
            }
        }
        Ok(Offered::Yes(Box::new(Proposal {
            arrangement: Arrangement {
                at: holder.account.clone(),
                account: holder.account.clone(),
                audience: None,
                lifetime: LIFETIME,
                terms: Attributes::new(),
            },
            makes: false,
            mounting: Mounting { from: Some(object.clone()), lifetime: LIFETIME, ..Mounting::default() },
            by_hand: None,
            notes: vec![
                format!(
                    "its programs must read the token again before it ends after {LIFETIME} s, as the client libraries of Kubernetes do: whether {consumer} does cannot be seen from here"
                ),
                "the token is for this cluster's API server: whoever shows it elsewhere has to ask for another audience".to_owned(),
            ],
        })))
    }

    async fn federate(&self, _: &Operation, arrangement: &Arrangement) -> Result<()> {
        Err(nothing_to_make("federate", arrangement))
    }

    async fn federated(&self, _: &Operation, arrangement: &Arrangement) -> Result<bool> {
        Err(nothing_to_make("federated", arrangement))
    }

    async fn unfederate(&self, _: &Operation, _: &Arrangement) -> Result<()> {
        Ok(())
    }

    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        let place = Place::parse("reach", subject)?;
        self.entry(&place.namespace, value).await
    }

    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry> {
        let place = Place::parse("login", &arrangement.account)?;
        self.entry(&place.namespace, assertion).await
    }
}

fn nothing_to_make(operation: &'static str, arrangement: &Arrangement) -> Error {
    let text = format!("{}: the API server accepts its tokens as it is", arrangement.at);
    Error::new(ErrorKind::Unsupported, operation, text)
}

impl KubernetesBackend {
    /// Who bears this token, and what they may do in the namespace, in the words of the API server.
    async fn entry(&self, namespace: &str, value: &SecretValue) -> Result<Entry> {
        let path = format!("POST {}{WHO_AM_I} as bearer", self.connection.endpoint());
        let without = |verdict| {
            let probe = Probe { verdict, path: path.clone() };
            Ok(Entry { probe, may: BTreeSet::new(), ends_at: None })
        };
        let bearer = match self.connection.as_bearer(value).await {
            Ok(bearer) => bearer,
            Err(failure) => return without(Verdict::Inconclusive(failure.to_string())),
        };
        if bearer.is_unauthenticated() {
            let why = "the kubeconfig does not check the server's certificate: anybody may have answered";
            return without(Verdict::Inconclusive(why.to_owned()));
        }
        let body = match bearer.ask(who_am_i(), OBJECT_LIMIT).await {
            Ok(body) => body,
            Err(failure) => return without(self.judge(&failure, &path, who_am_i()).await),
        };
        let who = match wire::read::<Who>(&body) {
            Ok(who) => who.status.user_info,
            Err(failure) => return without(Verdict::Inconclusive(failure.to_string())),
        };
        if who.username == ANONYMOUS {
            let why = "the API server took the request as anonymous";
            return without(Verdict::Inconclusive(why.to_owned()));
        }
        let rules = match rules(&bearer, namespace).await {
            Ok(rules) => rules,
            Err(failure) => {
                return without(Verdict::Inconclusive(format!("what it may do is not told: {failure}")));
            }
        };
        let mut may: BTreeSet<String> = rules
            .resource_rules
            .iter()
            .chain(&rules.non_resource_rules)
            .map(|rule| rule.line(namespace))
            .collect();
        may.insert(format!("is {} with uid {}", who.username, who.uid));
        may.extend(who.groups.iter().map(|group| format!("in {group}")));
        let ends = token::claims(value.expose()).and_then(|claims| claims.exp);
        let ends_at = ends.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        Ok(Entry { probe: Probe { verdict: Verdict::Accepted, path }, may, ends_at })
    }
}

async fn rules(bearer: &Connection, namespace: &str) -> Result<RulesStatus, crate::failure::Failure> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace},
    });
    let ask = Ask::with_body(Method::POST, MY_RULES.to_owned(), JSON, review.to_string().into_bytes());
    let body = bearer.ask(ask, OBJECT_LIMIT).await?;
    Ok(wire::read::<Rules>(&body)?.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_the_same_in_whatever_order_it_was_written() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let one =
            Rule { verbs: words(&["get", "list"]), resources: words(&["pods", "jobs"]), ..Rule::default() };
        let other =
            Rule { verbs: words(&["list", "get"]), resources: words(&["jobs", "pods"]), ..Rule::default() };
        assert_eq!(one.line("ci"), other.line("ci"));
        let more = Rule { verbs: words(&["get", "list", "watch"]), ..other };
        assert_ne!(one.line("ci"), more.line("ci"));
        let path =
            Rule { verbs: words(&["get"]), non_resource_urls: words(&["/healthz"]), ..Rule::default() };
        assert_eq!(path.line("ci"), "get /healthz");
    }
}
