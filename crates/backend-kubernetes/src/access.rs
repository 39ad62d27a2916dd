//! Which permissions we hold: asked of the API server itself (`SelfSubjectAccessReview`), which answers for all its authorizers.

use claviger_backend::{Permission, PermissionStatus, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde::{Deserialize, Serialize};

use crate::{
    backend::KubernetesBackend,
    connection::{Ask, JSON, OBJECT_LIMIT},
    failure::Failure,
    resource::{self, Resource},
    wire,
};

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Questions that are open at the same time.
const AT_ONCE: usize = 8;
/// So many namespaces are asked about one by one, where a permission does not hold everywhere.
const MOST_NAMESPACES: usize = 50;

/// What each flow needs: the roles that are shipped in `deploy` say the same, and a test compares them.
const NEEDED: [(&str, &str, Resource); 79] = [
    ("scan", "list", resource::NAMESPACES),
    ("scan", "list", resource::SECRETS),
    ("scan", "list", resource::CONFIG_MAPS),
    ("scan", "get", resource::CONFIG_MAPS),
    ("scan", "list", resource::SERVICE_ACCOUNTS),
    ("scan", "list", resource::PODS),
    ("scan", "list", resource::REPLICATION_CONTROLLERS),
    ("scan", "list", resource::DEPLOYMENTS),
    ("scan", "list", resource::STATEFUL_SETS),
    ("scan", "list", resource::DAEMON_SETS),
    ("scan", "list", resource::REPLICA_SETS),
    ("scan", "list", resource::JOBS),
    ("scan", "list", resource::CRON_JOBS),
    ("scan", "list", resource::ROLES),
    ("scan", "list", resource::ROLE_BINDINGS),
    ("scan", "list", resource::CLUSTER_ROLES),
    ("scan", "list", resource::CLUSTER_ROLE_BINDINGS),
    ("rotate", "get", resource::SECRETS),
    ("rotate", "patch", resource::SECRETS),
    ("rotate", "get", resource::CONFIG_MAPS),
    ("rotate", "patch", resource::CONFIG_MAPS),
    ("rotate", "get", resource::DEPLOYMENTS),
    ("rotate", "patch", resource::DEPLOYMENTS),
    ("rotate", "get", resource::STATEFUL_SETS),
    ("rotate", "patch", resource::STATEFUL_SETS),
    ("rotate", "get", resource::DAEMON_SETS),
    ("rotate", "patch", resource::DAEMON_SETS),
    ("rotate", "get", resource::JOBS),
    ("rotate", "get", resource::CRON_JOBS),
    // A token is followed by another in a Secret of its own.
    ("rotate-token", "create", resource::SECRETS),
    ("rotate-token", "delete", resource::SECRETS),
    ("rotate-token", "patch", resource::CRON_JOBS),
    // Who trusts a certificate that signs itself?
    ("rotate-certificate", "list", resource::VALIDATING_WEBHOOKS),
    ("rotate-certificate", "list", resource::MUTATING_WEBHOOKS),
    ("rotate-certificate", "list", resource::API_SERVICES),
    ("rotate-certificate", "list", resource::CUSTOM_RESOURCES),
    ("revoke", "get", resource::SECRETS),
    ("revoke", "patch", resource::SECRETS),
    ("revoke", "delete", resource::SECRETS),
    ("revoke", "get", resource::CONFIG_MAPS),
    ("revoke", "patch", resource::CONFIG_MAPS),
    // A ServiceAccount is made again, and its workloads are restarted.
    ("revoke-account", "get", resource::SERVICE_ACCOUNTS),
    ("revoke-account", "delete", resource::SERVICE_ACCOUNTS),
    ("revoke-account", "create", resource::SERVICE_ACCOUNTS),
    ("revoke-account", "patch", resource::SERVICE_ACCOUNTS),
    ("revoke-account", "create", resource::TOKEN_REQUESTS),
    ("revoke-account", "list", resource::PODS),
    ("revoke-account", "get", resource::DEPLOYMENTS),
    ("revoke-account", "patch", resource::DEPLOYMENTS),
    ("revoke-account", "get", resource::STATEFUL_SETS),
    ("revoke-account", "patch", resource::STATEFUL_SETS),
    ("revoke-account", "get", resource::DAEMON_SETS),
    ("revoke-account", "patch", resource::DAEMON_SETS),
    ("revoke-pod", "get", resource::PODS),
    ("revoke-pod", "delete", resource::PODS),
    ("revoke-pod", "create", resource::TOKEN_REQUESTS),
    // A token Secret gives way to the pods' own tokens: it is read, suspended and deleted, and its workloads are changed.
    ("swap", "get", resource::SECRETS),
    ("swap", "patch", resource::SECRETS),
    ("swap", "delete", resource::SECRETS),
    ("swap", "create", resource::TOKEN_REQUESTS),
    ("swap", "get", resource::DEPLOYMENTS),
    ("swap", "patch", resource::DEPLOYMENTS),
    ("swap", "get", resource::STATEFUL_SETS),
    ("swap", "patch", resource::STATEFUL_SETS),
    ("swap", "get", resource::DAEMON_SETS),
    ("swap", "patch", resource::DAEMON_SETS),
    ("swap", "get", resource::CRON_JOBS),
    ("swap", "patch", resource::CRON_JOBS),
    // The rights of a client certificate are cut. To change a binding one has to be allowed to bind its role.
    ("mitigate", "create", resource::SUBJECT_ACCESS_REVIEWS),
    ("mitigate", "list", resource::ROLE_BINDINGS),
    ("mitigate", "get", resource::ROLE_BINDINGS),
    ("mitigate", "patch", resource::ROLE_BINDINGS),
    ("mitigate", "list", resource::CLUSTER_ROLE_BINDINGS),
    ("mitigate", "get", resource::CLUSTER_ROLE_BINDINGS),
    ("mitigate", "patch", resource::CLUSTER_ROLE_BINDINGS),
    ("mitigate", "get", resource::ROLES),
    ("mitigate", "bind", resource::ROLES),
    ("mitigate", "get", resource::CLUSTER_ROLES),
    ("mitigate", "bind", resource::CLUSTER_ROLES),
];

/// May we do `verb` to a resource, or to one object of it, in one namespace or everywhere?
pub(crate) async fn allowed(
    backend: &KubernetesBackend,
    verb: &str,
    resource: Resource,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<bool, Failure> {
    let (plural, subresource) = match resource.plural.split_once('/') {
        Some((plural, part)) => (plural, Some(part)),
        None => (resource.plural, None),
    };
    let review = Review {
        api_version: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: ReviewSpec {
            resource_attributes: ResourceAttributes {
                verb,
                group: resource.group,
                resource: plural,
                subresource,
                namespace,
                name,
            },
        },
    };
    let body = serde_json::to_vec(&review).map_err(|_| Failure::Malformed("the review".to_owned()))?;
    let answer = backend
        .connection
        .ask(Ask::with_body(Method::POST, PATH.to_owned(), JSON, body), OBJECT_LIMIT)
        .await?;
    Ok(wire::read::<Reviewed>(&answer)?.status.allowed)
}

/// Every permission of every flow.
pub(crate) async fn check(backend: &KubernetesBackend) -> Result<Vec<Permission>> {
    let failed = |failure: Failure| backend.error(failure, "check", "ask for our own permissions");
    let namespaces = namespaces(backend).await.map_err(failed)?;
    let mut asked = Vec::with_capacity(NEEDED.len());
    for (flow, verb, resource) in NEEDED {
        asked.push(permission(backend, flow, verb, resource, &namespaces));
    }
    stream::iter(asked).buffered(AT_ONCE).try_collect().await.map_err(failed)
}

/// The namespaces that a scan would read, as far as they are known: those that the configuration names, else those that are there.
async fn namespaces(backend: &KubernetesBackend) -> Result<Vec<String>, Failure> {
    let named = backend.filter.named();
    if !named.is_empty() {
        return Ok(named);
    }
    let path = format!("{}?limit=500", resource::NAMESPACES.collection(None));
    match backend.connection.ask(Ask::get(path), OBJECT_LIMIT).await {
        Ok(body) => {
            let (items, _) = wire::page::<wire::Bare<'_>>(&body)?;
            let names = items.iter().map(|item| item.metadata.name.plain());
            Ok(names.filter(|name| backend.filter.selects(name)).collect())
        }
        Err(failure) if failure.is_forbidden() => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

async fn permission(
    backend: &KubernetesBackend,
    flow: &'static str,
    verb: &'static str,
    resource: Resource,
    namespaces: &[String],
) -> Result<Permission, Failure> {
    let status = status(backend, verb, resource, namespaces).await?;
    Ok(Permission { flow, name: format!("{verb} {}", resource.plural), status })
}

async fn status(
    backend: &KubernetesBackend,
    verb: &str,
    resource: Resource,
    namespaces: &[String],
) -> Result<PermissionStatus, Failure> {
    if allowed(backend, verb, resource, None, None).await? {
        return Ok(PermissionStatus::Present);
    }
    let missing = |place: &str| PermissionStatus::Missing(format!("{} in {place}", resource.rule(verb)));
    let clustered = [
        resource::NAMESPACES,
        resource::CLUSTER_ROLES,
        resource::CLUSTER_ROLE_BINDINGS,
        resource::SUBJECT_ACCESS_REVIEWS,
        resource::VALIDATING_WEBHOOKS,
        resource::MUTATING_WEBHOOKS,
        resource::API_SERVICES,
        resource::CUSTOM_RESOURCES,
    ]
    .contains(&resource);
    if clustered || namespaces.is_empty() || namespaces.len() > MOST_NAMESPACES {
        return Ok(missing("a ClusterRole"));
    }
    let mut without = Vec::new();
    for namespace in namespaces {
        if !allowed(backend, verb, resource, Some(namespace), None).await? {
            without.push(namespace.as_str());
        }
    }
    Ok(match without.len() {
        0 => PermissionStatus::Present,
        all if all == namespaces.len() => missing("a ClusterRole"),
        _ => missing(&format!("a Role of {}", without.join(", "))),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: ReviewSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewSpec<'a> {
    resource_attributes: ResourceAttributes<'a>,
}

#[derive(Serialize)]
struct ResourceAttributes<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subresource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Deserialize)]
struct Reviewed {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    allowed: bool,
}
