//! RBAC as grants: who may do what where, one per subject and binding.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    chain::OPENS,
    model::{Attributes, IdentityKind, PrivilegeLevel},
    observation::{Observation, ObservedGrant, ObservedIdentity},
    reference::Ref,
};
use serde_json::Value;

use super::{Context, Scan, accounts::AccountIndex, aws_auth, identity};
use crate::{
    failure::Failure,
    paging::{Batch, PageReader},
    place::CLUSTER,
    rbac,
    resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES},
    wire::{self, Binding, PolicyRule, Role, Subject},
};

const PART: &str = "rbac";
/// As many Secrets as a grant names.
const OPENED: usize = 50;
/// Label of what the API server makes by itself.
const BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";
/// Groups that everybody is in: a binding to one of them is inherited by all.
const EVERYBODY: [&str; 4] =
    ["system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"];

/// What a role allows, ready for each binding that names it.
#[derive(Debug, Clone)]
struct Known {
    everywhere: rbac::Power,
    in_namespace: rbac::Power,
    rules: Vec<String>,
    /// Names of Secrets that it lets read; `*` for all.
    secrets: Vec<String>,
}

impl Known {
    fn new(rules: &[PolicyRule]) -> Self {
        Self {
            everywhere: rbac::power(rules, true),
            in_namespace: rbac::power(rules, false),
            rules: rbac::shorten(rules),
            secrets: rbac::secrets(rules).into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Scan<'_> {
    /// Roles, bindings, their users and groups, and cloud identities that `aws-auth` lets in.
    pub(super) async fn grants(&mut self, accounts: &AccountIndex, sink: &mut ScanSink) -> Result<()> {
        let context = Arc::clone(&self.context);
        let mut cluster_roles = RoleReader::default();
        let mut troubles = self.read_cluster(CLUSTER_ROLES, &mut cluster_roles, sink).await?;
        let mut roles = RoleReader::default();
        troubles.join(self.read(ROLES, &mut roles, sink).await?);

        let cloud = aws_auth::read(self, sink).await?;
        let mut reader = BindingReader {
            context: &context,
            accounts,
            cluster_roles: cluster_roles.resolved(),
            roles: roles.resolved(),
            cluster_roles_known: !troubles.by_area.contains_key(CLUSTER),
            cloud: &cloud,
            people: BTreeSet::new(),
        };
        let mut bindings = self.read_cluster(CLUSTER_ROLE_BINDINGS, &mut reader, sink).await?;
        bindings.join(self.read(ROLE_BINDINGS, &mut reader, sink).await?);

        troubles.join(bindings);
        self.end_cluster(PART, troubles.by_area.get(CLUSTER), sink).await?;
        self.end(PART, &troubles, sink).await
    }
}

/// Collects roles; sends nothing.
#[derive(Default)]
struct RoleReader {
    roles: BTreeMap<(String, String), Found>,
}

struct Found {
    rules: Vec<PolicyRule>,
    labels: BTreeMap<String, String>,
    aggregates: Option<wire::AggregationRule>,
}

impl PageReader for RoleReader {
    fn read(&mut self, body: &[u8], _: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<Role<'_>>(body)?;
        let count = items.len();
        for role in items {
            let labels =
                role.metadata.labels.0.iter().map(|(key, value)| (key.plain(), value.plain())).collect();
            let key = (role.metadata.namespace.plain(), role.metadata.name.plain());
            self.roles.insert(key, Found { rules: role.rules, labels, aggregates: role.aggregation_rule });
        }
        Ok((count, next))
    }
}

impl RoleReader {
    /// With the rules of aggregated roles. The controller manager writes them into the role, a little later; a role that aggregates and
    /// is not filled yet is as powerful as it will be.
    fn resolved(&self) -> BTreeMap<(String, String), Known> {
        let resolve = |key: &(String, String), found: &Found| {
            let mut rules = found.rules.clone();
            let mut seen = BTreeSet::from([key.clone()]);
            let mut open: Vec<&wire::AggregationRule> = found.aggregates.iter().collect();
            while let Some(aggregate) = open.pop() {
                for (other, part) in &self.roles {
                    let chosen = aggregate
                        .cluster_role_selectors
                        .iter()
                        .any(|selector| selector.matches(&part.labels));
                    if chosen && seen.insert(other.clone()) {
                        rules.extend(
                            part.rules
                                .iter()
                                .filter(|rule| !rules.contains(rule))
                                .cloned()
                                .collect::<Vec<_>>(),
                        );
                        open.extend(part.aggregates.iter());
                    }
                }
            }
            Known::new(&rules)
        };
        self.roles.iter().map(|(key, found)| (key.clone(), resolve(key, found))).collect()
    }
}

/// Whom a binding binds.
struct Bound {
    identity: Ref,
    extra: Attributes,
    /// `User` or `Group` for those that exist only here.
    person: Option<&'static str>,
}

struct BindingReader<'s> {
    context: &'s Context<'s>,
    accounts: &'s AccountIndex,
    cluster_roles: BTreeMap<(String, String), Known>,
    roles: BTreeMap<(String, String), Known>,
    cluster_roles_known: bool,
    cloud: &'s [aws_auth::Mapped],
    /// Users and groups exist only in bindings; each is sent once, where it is seen first.
    people: BTreeSet<Ref>,
}

impl PageReader for BindingReader<'_> {
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<Binding<'_>>(body)?;
        for binding in &items {
            if self.context.selects(binding.metadata.namespace.as_str()) {
                self.observe(binding, batch);
            }
        }
        Ok((items.len(), next))
    }
}

impl BindingReader<'_> {
    fn observe(&mut self, binding: &Binding<'_>, batch: &mut Batch) {
        let meta = &binding.metadata;
        let namespace = meta.namespace.plain();
        let cluster_wide = namespace.is_empty();
        let (kind, area) = if cluster_wide {
            ("ClusterRoleBinding", CLUSTER.to_owned())
        } else {
            ("RoleBinding", namespace.clone())
        };
        let is_default = meta.labels.get(BOOTSTRAPPING).is_some();
        let (role_kind, role_name) = (binding.role_ref.kind.plain(), binding.role_ref.name.plain());
        let known = match role_kind.as_str() {
            "Role" => self.roles.get(&(namespace.clone(), role_name.clone())),
            _ => self.cluster_roles.get(&(String::new(), role_name.clone())),
        };
        let mut attributes = Attributes::from([("binding_kind".to_owned(), Value::from(kind))]);
        if is_default {
            attributes.insert("default_binding".to_owned(), Value::from(true));
        }
        let level = match known {
            Some(known) => {
                let power = if cluster_wide { &known.everywhere } else { &known.in_namespace };
                attributes.insert("rules".to_owned(), Value::from(known.rules.clone()));
                attributes.insert(OPENS.to_owned(), self.opens(&namespace, &known.secrets));
                if !power.risks.is_empty() {
                    attributes.insert("risks".to_owned(), Value::from(power.risks.clone()));
                }
                power.level
            }
            // Roles that are there from the start are known without reading them.
            None if role_kind == "ClusterRole" && role_name == "cluster-admin" => {
                attributes.insert(OPENS.to_owned(), self.opens(&namespace, &["*".to_owned()]));
                PrivilegeLevel::Admin
            }
            None => {
                if self.cluster_roles_known {
                    attributes.insert("role_missing".to_owned(), Value::from(true));
                }
                PrivilegeLevel::Unknown
            }
        };
        let grant = ObservedGrant {
            identity: self.context.names.object(CLUSTER, "", ""),
            source: self.context.names.object(&area, kind, &meta.name.plain()),
            privilege: format!("{role_kind}/{role_name}"),
            reach: if cluster_wide { "*".to_owned() } else { namespace.clone() },
            level,
            attributes,
        };
        for subject in &binding.subjects {
            if let Some(Bound { identity, extra, person }) = self.subject(subject, &namespace, is_default) {
                if let Some(kind) = person
                    && self.people.insert(identity.clone())
                {
                    let person = self.person(&identity, kind, subject.name.as_str());
                    batch.push(&area, PART, Observation::Identity(person));
                }
                let mut grant = ObservedGrant { identity, ..grant.clone() };
                grant.attributes.extend(extra);
                batch.push(&area, PART, Observation::Grant(grant));
            }
            for (identity, extra) in self.through_the_cloud(subject) {
                let mut grant = ObservedGrant { identity, ..grant.clone() };
                grant.attributes.extend(extra);
                batch.push(&area, PART, Observation::Grant(grant));
            }
        }
    }

    /// The Secrets that a binding in this namespace, or in none, lets read.
    fn opens(&self, namespace: &str, secrets: &[String]) -> Value {
        let namespace = if namespace.is_empty() { "*" } else { namespace };
        let refs =
            secrets.iter().take(OPENED).map(|name| self.context.names.object(namespace, "Secret", name));
        Value::from(refs.map(|at| at.to_string()).collect::<Vec<_>>())
    }

    /// Whom a subject means. Built-in users and groups count only where somebody bound them.
    fn subject(&self, subject: &Subject<'_>, namespace: &str, is_default: bool) -> Option<Bound> {
        let name = subject.name.plain();
        match subject.kind.as_str() {
            "ServiceAccount" => {
                let home = &subject.namespace;
                let home = if home.is_empty() { namespace.to_owned() } else { home.plain() };
                Some(self.account(&home, &name))
            }
            "User" => match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
            {
                Some((home, account)) => Some(self.account(home, account)),
                None if name.starts_with("system:")
                    && (is_default || !EVERYBODY.contains(&name.as_str())) =>
                {
                    None
                }
                None => Some(self.somebody("User", &name, Attributes::new())),
            },
            "Group" => {
                let everybody =
                    EVERYBODY.contains(&name.as_str()) || name.starts_with("system:serviceaccounts:");
                if name.starts_with("system:") && (is_default || !everybody) {
                    return None;
                }
                let mut extra = Attributes::new();
                if everybody {
                    extra.insert("inherited_by_everybody".to_owned(), Value::from(true));
                }
                Some(self.somebody("Group", &name, extra))
            }
            _ => None,
        }
    }

    fn account(&self, namespace: &str, name: &str) -> Bound {
        let mut extra = Attributes::new();
        if self.context.selects(namespace) && self.accounts.exists(namespace, name) == Some(false) {
            // Whoever may create an account of this name takes over its privileges.
            extra.insert("dangling".to_owned(), Value::from(true));
        }
        Bound { identity: self.context.names.object(namespace, "ServiceAccount", name), extra, person: None }
    }

    fn somebody(&self, kind: &'static str, name: &str, extra: Attributes) -> Bound {
        Bound { identity: self.context.names.object(CLUSTER, kind, name), extra, person: Some(kind) }
    }

    fn person(&self, at: &Ref, kind: &str, name: &str) -> ObservedIdentity {
        let mut person = identity(at.clone(), IdentityKind::KubernetesUser, self.context.labels.clone());
        person.attributes.insert("subject_kind".to_owned(), Value::from(kind));
        if name.starts_with("system:") {
            person.attributes.insert("built_in".to_owned(), Value::from(true));
        }
        person
    }

    /// The cloud identities that `aws-auth` makes this user or a member of this group.
    fn through_the_cloud(&self, subject: &Subject<'_>) -> Vec<(Ref, Attributes)> {
        let name = subject.name.as_str();
        let is_meant = |mapped: &&aws_auth::Mapped| match subject.kind.as_str() {
            "User" => mapped.username == name,
            "Group" => mapped.groups.iter().any(|group| group == name),
            _ => false,
        };
        self.cloud
            .iter()
            .filter(is_meant)
            .map(|mapped| {
                let via = Value::from(format!("{}/{}", subject.kind.plain(), subject.name.plain()));
                (
                    mapped.at.clone(),
                    Attributes::from([
                        ("via".to_owned(), via),
                        ("arn".to_owned(), Value::from(mapped.arn.as_str())),
                    ]),
                )
            })
            .collect()
    }
}

impl wire::LabelSelector {
    /// `metav1.LabelSelector`: all requirements hold; one without any chooses everything.
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                match requirement.operator.as_str() {
                    "In" => value.is_some_and(|value| requirement.values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}
