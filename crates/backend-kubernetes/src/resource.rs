//! The API resources that we touch.

/// A kind of object and where the API server keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
}

const fn core(plural: &'static str, kind: &'static str) -> Resource {
    Resource { group: "", version: "v1", plural, kind }
}

const fn grouped(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, version: "v1", plural, kind }
}

pub(crate) const NAMESPACES: Resource = core("namespaces", "Namespace");
pub(crate) const SECRETS: Resource = core("secrets", "Secret");
pub(crate) const CONFIG_MAPS: Resource = core("configmaps", "ConfigMap");
pub(crate) const SERVICE_ACCOUNTS: Resource = core("serviceaccounts", "ServiceAccount");
pub(crate) const PODS: Resource = core("pods", "Pod");
pub(crate) const REPLICATION_CONTROLLERS: Resource = core("replicationcontrollers", "ReplicationController");
pub(crate) const DEPLOYMENTS: Resource = grouped("apps", "deployments", "Deployment");
pub(crate) const STATEFUL_SETS: Resource = grouped("apps", "statefulsets", "StatefulSet");
pub(crate) const DAEMON_SETS: Resource = grouped("apps", "daemonsets", "DaemonSet");
pub(crate) const REPLICA_SETS: Resource = grouped("apps", "replicasets", "ReplicaSet");
pub(crate) const CRON_JOBS: Resource = grouped("batch", "cronjobs", "CronJob");
pub(crate) const JOBS: Resource = grouped("batch", "jobs", "Job");
pub(crate) const ROLES: Resource = grouped("rbac.authorization.k8s.io", "roles", "Role");
pub(crate) const CLUSTER_ROLES: Resource =
    grouped("rbac.authorization.k8s.io", "clusterroles", "ClusterRole");
pub(crate) const ROLE_BINDINGS: Resource =
    grouped("rbac.authorization.k8s.io", "rolebindings", "RoleBinding");
pub(crate) const CLUSTER_ROLE_BINDINGS: Resource =
    grouped("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding");

pub(crate) const VALIDATING_WEBHOOKS: Resource = grouped(
    "admissionregistration.k8s.io",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
);
pub(crate) const MUTATING_WEBHOOKS: Resource =
    grouped("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration");
pub(crate) const API_SERVICES: Resource = grouped("apiregistration.k8s.io", "apiservices", "APIService");
pub(crate) const CUSTOM_RESOURCES: Resource =
    grouped("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition");
/// A part of a ServiceAccount.
pub(crate) const TOKEN_REQUESTS: Resource = core("serviceaccounts/token", "TokenRequest");
pub(crate) const SUBJECT_ACCESS_REVIEWS: Resource =
    grouped("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview");

impl Resource {
    /// Path of the collection, in one namespace or in all of them.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        match namespace {
            Some(namespace) => format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }

    /// Path of one namespaced object. The names come out of [`Place::parse`](crate::place::Place::parse), which checks them.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(Some(namespace)))
    }

    /// The rule that grants a verb, in the words of a Role.
    pub(crate) fn rule(&self, verb: &str) -> String {
        format!("apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{verb}\"]", self.group, self.plural)
    }
}
