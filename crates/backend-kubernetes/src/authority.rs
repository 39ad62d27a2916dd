//! RBAC as what gives the user and groups of a client certificate their rights: who is bound, what they may do, and taking them out of bindings.
//!
//! Whether something is allowed is asked by SubjectAccessReview, which all authorizers of the cluster answer, not RBAC alone.

use async_trait::async_trait;
use claviger_backend::{Authority, Effect, Error, ErrorKind, Hold, Operation, Result, Rights};
use claviger_core::{
    reference::Ref,
    saga::{Party, PartyKind, Person, Question},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, MERGE_PATCH, OBJECT_LIMIT},
    failure::Failure,
    managed,
    paging::escape,
    place::CLUSTER,
    resource::{
        CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource, SUBJECT_ACCESS_REVIEWS,
    },
    store::MANAGER,
    wire::{self, Binding, PolicyRule, Role},
};

/// Everybody who is logged in is in it.
const AUTHENTICATED: &str = "system:authenticated";
/// So many things are asked about at most.
const MOST: usize = 24;
/// Questions that are open at the same time.
const AT_ONCE: usize = 8;
/// Somebody else may write a binding at the same time.
const ATTEMPTS: usize = 5;

/// Where a binding is.
struct Target {
    resource: Resource,
    namespace: Option<String>,
    name: String,
}

impl Target {
    fn of(operation: &'static str, at: &Ref) -> Result<Self> {
        let path = at.path();
        let mut segments = path.splitn(3, '/');
        let parts = (segments.next(), segments.next(), segments.next());
        let (resource, namespace, name) = match parts {
            (Some(CLUSTER), Some("ClusterRoleBinding"), Some(name)) => (CLUSTER_ROLE_BINDINGS, None, name),
            (Some(namespace), Some("RoleBinding"), Some(name)) if namespace != CLUSTER => {
                (ROLE_BINDINGS, Some(namespace.to_owned()), name)
            }
            _ => return Err(Error::new(ErrorKind::Invalid, operation, format!("{at} is no binding"))),
        };
        Ok(Self { resource, namespace, name: name.to_owned() })
    }

    /// Names of bindings may hold what a URL's path may not.
    fn path(&self) -> String {
        let collection = self.resource.collection(self.namespace.as_deref().map(escape).as_deref());
        format!("{collection}/{}", escape(&self.name))
    }
}

/// What is bound, and to which role.
struct Found {
    hold: Hold,
    namespace: Option<String>,
    role: (Resource, String),
}

#[async_trait]
impl Authority for KubernetesBackend {
    fn is_at(&self, server: &str) -> bool {
        let plain = |text: &str| {
            let text = text.trim_end_matches('/').to_ascii_lowercase();
            text.strip_suffix(":443").map_or(text.clone(), str::to_owned)
        };
        plain(server) == plain(self.connection.endpoint())
    }

    async fn rights(&self, who: &Person) -> Result<Rights> {
        let at = self.names.object(CLUSTER, "User", &who.user);
        let mut rights = Rights { at, holds: Vec::new(), questions: Vec::new(), refused: None };
        let ours = self.ourselves("rights").await?;
        let is_ours = |party: &Party| match party.kind {
            PartyKind::User => party.name == ours.username,
            PartyKind::Group => ours.groups.contains(&party.name),
        };
        if let Some(party) = who.cut.iter().find(|party| is_ours(party)) {
            let text = format!(
                "claviger's own connection is {party} there: cutting its rights would lock claviger out"
            );
            rights.refused = Some(("self-lock", text));
            return Ok(rights);
        }
        let mut found = self.bound(CLUSTER_ROLE_BINDINGS, who).await?;
        found.extend(self.bound(ROLE_BINDINGS, who).await?);
        found.sort_by(|left, right| left.hold.at.cmp(&right.hold.at));
        for one in &found {
            for question in self.asked(one).await? {
                if rights.questions.len() < MOST && !rights.questions.contains(&question) {
                    rights.questions.push(question);
                }
            }
        }
        rights.holds = found.into_iter().map(|one| one.hold).collect();
        Ok(rights)
    }

    async fn may(&self, who: &Person, questions: &[Question]) -> Result<Vec<bool>> {
        let mut groups = who.groups.clone();
        groups.push(AUTHENTICATED.to_owned());
        let asked: Vec<_> = questions.iter().map(|question| review(&who.user, &groups, question)).collect();
        let answers = asked.into_iter().map(|body| async move {
            let ask = Ask::with_body(Method::POST, SUBJECT_ACCESS_REVIEWS.collection(None), JSON, body);
            let answer = self.connection.ask(ask, OBJECT_LIMIT).await?;
            Ok::<_, Failure>(wire::read::<Reviewed>(&answer)?.status.allowed)
        });
        let answers: Result<Vec<bool>, Failure> =
            stream::iter(answers.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await;
        answers.map_err(|failure| self.error(failure, "may", &format!("ask what {} may do", who.user)))
    }

    async fn cut(&self, op: &Operation, binding: &Ref, parties: &[Party]) -> Result<Vec<Party>> {
        let target = Target::of("cut", binding)?;
        for _ in 0..ATTEMPTS {
            let failed = |failure| {
                self.error(failure, "cut", &format!("get {binding}")).with_effect(Effect::NotApplied)
            };
            let ask = Ask::get(target.path()).within(op.deadline);
            let body = match self.connection.ask(ask, OBJECT_LIMIT).await {
                Ok(body) => body,
                Err(failure) if failure.is_absent() => return Ok(Vec::new()),
                Err(failure) => return Err(failed(failure)),
            };
            let object: Value = wire::read(&body).map_err(failed)?;
            let subjects = object["subjects"].as_array().cloned().unwrap_or_default();
            let (gone, left): (Vec<_>, Vec<_>) =
                subjects.into_iter().partition(|subject| parties.iter().any(|party| is(subject, party)));
            if gone.is_empty() {
                return Ok(Vec::new());
            }
            let patch = json!({
                "metadata": {"resourceVersion": object["metadata"]["resourceVersion"], "uid": object["metadata"]["uid"]},
                "subjects": left,
            });
            let path = format!("{}?{MANAGER}", target.path());
            let ask = Ask::with_body(Method::PATCH, path, MERGE_PATCH, patch.to_string().into_bytes());
            match self.connection.ask(ask.metadata_only().within(op.deadline), OBJECT_LIMIT).await {
                Ok(_) => {
                    let cut = parties.iter().filter(|party| gone.iter().any(|subject| is(subject, party)));
                    return Ok(cut.cloned().collect());
                }
                Err(Failure::Status { code: 404 | 409, .. }) => {}
                Err(failure) => return Err(self.error(failure, "cut", &format!("change {binding}"))),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "cut",
            format!("{binding} is changed by somebody else all the time"),
        ))
    }
}

impl KubernetesBackend {
    /// Bindings of one kind that name what is to be cut.
    async fn bound(&self, resource: Resource, who: &Person) -> Result<Vec<Found>> {
        let list = format!("{}?limit=500", resource.collection(None));
        let failed = |failure| self.error(failure, "rights", &format!("list {}", resource.plural));
        let (mut found, mut token) = (Vec::new(), None::<String>);
        loop {
            let path = match &token {
                Some(token) => format!("{list}&continue={}", escape(token)),
                None => list.clone(),
            };
            let body = self.connection.ask(Ask::get(path), OBJECT_LIMIT).await.map_err(failed)?;
            let (items, next) = wire::page::<Binding<'_>>(&body).map_err(failed)?;
            found.extend(items.iter().filter_map(|binding| self.hold(resource, binding, who)));
            match next {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn hold(&self, resource: Resource, binding: &Binding<'_>, who: &Person) -> Option<Found> {
        let name_of = |subject: &wire::Subject<'_>| match subject.kind.as_str() {
            "User" => Some(Party::user(subject.name.plain())),
            "Group" => Some(Party::group(subject.name.plain())),
            _ => None,
        };
        let (mut parties, mut others) = (Vec::new(), Vec::new());
        for subject in &binding.subjects {
            match name_of(subject).filter(|party| who.cut.contains(party)) {
                Some(party) => parties.push(party),
                None => others.push(format!("{} {}", subject.kind.plain(), subject.name.plain())),
            }
        }
        if parties.is_empty() {
            return None;
        }
        let namespace = (resource == ROLE_BINDINGS).then(|| binding.metadata.namespace.plain());
        let area = namespace.clone().unwrap_or_else(|| CLUSTER.to_owned());
        let role = binding.role_ref.name.plain();
        let hold = Hold {
            at: self.names.object(&area, resource.kind, &binding.metadata.name.plain()),
            privilege: format!("{}/{role}", binding.role_ref.kind.plain()),
            reach: area,
            parties,
            others,
            managed_by: managed::managed_by(&binding.metadata),
        };
        let of = if binding.role_ref.kind.as_str() == "Role" { ROLES } else { CLUSTER_ROLES };
        Some(Found { hold, namespace, role: (of, role) })
    }

    /// What a binding's role allows, to ask about. A role that is not there allows nothing.
    async fn asked(&self, found: &Found) -> Result<Vec<Question>> {
        let (resource, name) = &found.role;
        let namespace = (*resource == ROLES).then(|| found.namespace.as_deref().map(escape)).flatten();
        let path = format!("{}/{}", resource.collection(namespace.as_deref()), escape(name));
        let failed = |failure| self.error(failure, "rights", &format!("get {} {name}", resource.kind));
        match self.connection.ask(Ask::get(path), OBJECT_LIMIT).await {
            Ok(body) => {
                let role: Role<'_> = wire::read(&body).map_err(failed)?;
                Ok(role.rules.iter().filter_map(|rule| question(rule, found.namespace.as_deref())).collect())
            }
            Err(failure) if failure.is_absent() => Ok(Vec::new()),
            Err(failure) => Err(failed(failure)),
        }
    }
}

/// The first thing that a rule allows. Rules for single objects and for paths are not asked about.
fn question(rule: &PolicyRule, namespace: Option<&str>) -> Option<Question> {
    if !rule.resource_names.is_empty() {
        return None;
    }
    Some(Question {
        verb: rule.verbs.first()?.clone(),
        group: rule.api_groups.first()?.clone(),
        resource: rule.resources.first()?.clone(),
        namespace: namespace.map(str::to_owned),
    })
}

fn is(subject: &Value, party: &Party) -> bool {
    let kind = match party.kind {
        PartyKind::User => "User",
        PartyKind::Group => "Group",
    };
    subject["kind"] == kind && subject["name"] == party.name.as_str()
}

fn review(user: &str, groups: &[String], question: &Question) -> Vec<u8> {
    let (resource, subresource) =
        question.resource.split_once('/').map_or((question.resource.as_str(), ""), |parts| parts);
    let mut attributes = json!({
        "verb": question.verb, "group": question.group, "resource": resource, "subresource": subresource,
    });
    if let Some(namespace) = &question.namespace {
        attributes["namespace"] = json!(namespace);
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
    });
    review.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Reviewed {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    allowed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_found_by_its_ref_and_its_name_is_escaped() {
        let path = |text: &str| Target::of("cut", &Ref::from_text(text)).map(|target| target.path()).ok();
        assert_eq!(
            path("prod/*/ClusterRoleBinding/system:ops").as_deref(),
            Some("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system%3Aops")
        );
        assert_eq!(
            path("prod/ci/RoleBinding/dana").as_deref(),
            Some("/apis/rbac.authorization.k8s.io/v1/namespaces/ci/rolebindings/dana")
        );
        for bad in ["prod/ci/ClusterRoleBinding/x", "prod/*/RoleBinding/x", "prod/ci/Secret/x", "prod/ci"] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_party_is_its_kind_and_its_name() {
        let subject = json!({"kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io"});
        assert!(is(&subject, &Party::group("ops")));
        assert!(!is(&subject, &Party::user("ops")) && !is(&subject, &Party::group("op")));
    }
}
