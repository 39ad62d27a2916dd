//! What the rules of a role allow, coarsely: a level to sort by, and the names of the dangerous things among them.
//!
//! The matching follows the RBAC authorizer: resource `*` covers everything, `*/sub` that subresource of everything, `pods/*` nothing;
//! a resource name `*` matches nothing; resource names cannot limit `create` and `deletecollection`.

use claviger_core::model::PrivilegeLevel;

use crate::wire::PolicyRule;

/// What a role allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Power {
    pub(crate) level: PrivilegeLevel,
    /// Slugs of the entries of the table below that hold.
    pub(crate) risks: Vec<&'static str>,
}

/// Where a dangerous resource lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Namespaced,
    /// A RoleBinding cannot grant it.
    Cluster,
}

struct Danger {
    risk: &'static str,
    level: PrivilegeLevel,
    reach: Reach,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const RBAC: &str = "rbac.authorization.k8s.io";
const WRITE: &[&str] = &["create", "update", "patch"];
const READ: &[&str] = &["get", "list", "watch"];

const fn admin(
    risk: &'static str,
    reach: Reach,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Danger {
    Danger { risk, level: PrivilegeLevel::Admin, reach, group, resources, verbs }
}

const fn sensitive(
    risk: &'static str,
    reach: Reach,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Danger {
    Danger { risk, level: PrivilegeLevel::Sensitive, reach, group, resources, verbs }
}

/// Known ways from a rule to secrets or to more power. One more: a line, and its case in the tests.
const DANGERS: &[Danger] = &[
    admin("escalate", Reach::Namespaced, RBAC, &["roles"], &["escalate"]),
    admin("escalate", Reach::Cluster, RBAC, &["clusterroles"], &["escalate"]),
    admin("bind", Reach::Namespaced, RBAC, &["roles"], &["bind"]),
    // `bind` on ClusterRoles is asked for by a RoleBinding too, within its namespace.
    admin("bind", Reach::Namespaced, RBAC, &["clusterroles"], &["bind"]),
    admin("impersonate", Reach::Namespaced, "", &["serviceaccounts"], &["impersonate"]),
    admin("impersonate", Reach::Cluster, "", &["users", "groups"], &["impersonate"]),
    admin("impersonate", Reach::Cluster, "authentication.k8s.io", &["uids", "userextras"], &["impersonate"]),
    admin(
        "nodes-proxy",
        Reach::Cluster,
        "",
        &["nodes/proxy"],
        &["get", "create", "update", "patch", "delete"],
    ),
    admin(
        "approve-certificates",
        Reach::Cluster,
        "certificates.k8s.io",
        &["certificatesigningrequests/approval"],
        &["update", "patch"],
    ),
    sensitive("modify-bindings", Reach::Namespaced, RBAC, &["rolebindings"], WRITE),
    sensitive("modify-bindings", Reach::Cluster, RBAC, &["clusterrolebindings"], WRITE),
    sensitive("modify-roles", Reach::Namespaced, RBAC, &["roles"], WRITE),
    sensitive("modify-roles", Reach::Cluster, RBAC, &["clusterroles"], WRITE),
    sensitive("read-secrets", Reach::Namespaced, "", &["secrets"], READ),
    sensitive("write-secrets", Reach::Namespaced, "", &["secrets"], WRITE),
    sensitive("mint-token", Reach::Namespaced, "", &["serviceaccounts/token"], &["create"]),
    sensitive("modify-service-accounts", Reach::Namespaced, "", &["serviceaccounts"], WRITE),
    sensitive(
        "exec",
        Reach::Namespaced,
        "",
        &["pods/exec", "pods/attach", "pods/portforward"],
        &["get", "create"],
    ),
    sensitive("exec", Reach::Namespaced, "", &["pods/ephemeralcontainers"], &["update", "patch"]),
    sensitive("create-pods", Reach::Namespaced, "", &["pods", "replicationcontrollers"], WRITE),
    sensitive(
        "create-pods",
        Reach::Namespaced,
        "apps",
        &["deployments", "daemonsets", "statefulsets", "replicasets"],
        WRITE,
    ),
    sensitive("create-pods", Reach::Namespaced, "batch", &["jobs", "cronjobs"], WRITE),
    sensitive(
        "pods-proxy",
        Reach::Namespaced,
        "",
        &["pods/proxy", "services/proxy"],
        &["get", "create", "update", "patch", "delete"],
    ),
    sensitive(
        "modify-admission",
        Reach::Cluster,
        "admissionregistration.k8s.io",
        &[
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        ],
        WRITE,
    ),
    sensitive("intercept-api", Reach::Cluster, "apiregistration.k8s.io", &["apiservices"], WRITE),
    sensitive(
        "sign-certificates",
        Reach::Cluster,
        "certificates.k8s.io",
        &["certificatesigningrequests/status"],
        &["update", "patch"],
    ),
    sensitive("write-volumes", Reach::Cluster, "", &["persistentvolumes"], WRITE),
    sensitive(
        "secret-operators",
        Reach::Namespaced,
        "external-secrets.io",
        &["externalsecrets", "clusterexternalsecrets", "pushsecrets", "secretstores", "clustersecretstores"],
        WRITE,
    ),
    sensitive(
        "secret-operators",
        Reach::Namespaced,
        "secrets-store.csi.x-k8s.io",
        &["secretproviderclasses"],
        WRITE,
    ),
    sensitive(
        "gitops",
        Reach::Namespaced,
        "argoproj.io",
        &["applications", "applicationsets", "workflows", "cronworkflows"],
        WRITE,
    ),
    sensitive("gitops", Reach::Namespaced, "kustomize.toolkit.fluxcd.io", &["kustomizations"], WRITE),
    sensitive("gitops", Reach::Namespaced, "helm.toolkit.fluxcd.io", &["helmreleases"], WRITE),
];

/// What rules allow when they are granted in the whole cluster, or in one namespace.
pub(crate) fn power(rules: &[PolicyRule], cluster_wide: bool) -> Power {
    let mut risks = Vec::new();
    let mut level = base_level(rules);
    let mut found = |risk: &'static str, danger: PrivilegeLevel| {
        // The most powerful level comes first in their order.
        level = level.min(danger);
        if !risks.contains(&risk) {
            risks.push(risk);
        }
    };
    let everything = |rule: &&PolicyRule| {
        has_star(&rule.api_groups)
            && has_star(&rule.resources)
            && has_star(&rule.verbs)
            && rule.resource_names.is_empty()
    };
    if rules.iter().any(|rule| everything(&rule)) {
        found("everything", PrivilegeLevel::Admin);
    }
    for danger in DANGERS.iter().filter(|danger| cluster_wide || danger.reach == Reach::Namespaced) {
        let holds = danger.resources.iter().any(|resource| {
            danger
                .verbs
                .iter()
                .any(|verb| rules.iter().any(|rule| allows(rule, danger.group, resource, verb)))
        });
        if holds {
            found(danger.risk, danger.level);
        }
    }
    Power { level, risks }
}

fn base_level(rules: &[PolicyRule]) -> PrivilegeLevel {
    let reads = |verb: &str| matches!(verb, "get" | "list" | "watch");
    let verbs = || rules.iter().filter(|rule| !names_nothing(rule)).flat_map(|rule| &rule.verbs);
    if verbs().any(|verb| !reads(verb)) { PrivilegeLevel::Write } else { PrivilegeLevel::Read }
}

fn has_star(words: &[String]) -> bool {
    words.iter().any(|word| word == "*")
}

/// Resource names that no object can have.
fn names_nothing(rule: &PolicyRule) -> bool {
    !rule.resource_names.is_empty() && rule.resource_names.iter().all(|name| name == "*")
}

fn allows(rule: &PolicyRule, group: &str, resource: &str, verb: &str) -> bool {
    let in_group = rule.api_groups.iter().any(|allowed| allowed == "*" || allowed == group);
    let with_verb = rule.verbs.iter().any(|allowed| allowed == "*" || allowed == verb);
    let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
    let on_resource = rule.resources.iter().any(|allowed| {
        allowed == "*"
            || allowed == resource
            || subresource.is_some_and(|sub| allowed.strip_prefix("*/") == Some(sub))
    });
    // A create of a whole object carries no name, so a rule limited to names never matches it.
    let nameless = subresource.is_none() && matches!(verb, "create" | "deletecollection");
    let by_name = rule.resource_names.is_empty() || (!nameless && !names_nothing(rule));
    in_group && with_verb && on_resource && by_name
}

/// Which Secrets rules let their holder read, as the last segment of a ref: `*` for all of them, else names. Names limit `list` and `watch` too: the API server
/// allows them then for a request that asks for that one name.
pub(crate) fn secrets(rules: &[PolicyRule]) -> Vec<&str> {
    let mut found = Vec::new();
    for rule in rules.iter().filter(|rule| READ.iter().any(|verb| allows(rule, "", "secrets", verb))) {
        if rule.resource_names.is_empty() {
            return vec!["*"];
        }
        found.extend(rule.resource_names.iter().map(String::as_str).filter(|name| *name != "*"));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The rules in a line each, for people: `secrets: get,list (only: db)`. At most `MOST` lines.
pub(crate) fn shorten(rules: &[PolicyRule]) -> Vec<String> {
    const MOST: usize = 20;
    const WIDTH: usize = 200;
    let mut lines: Vec<String> = rules
        .iter()
        .take(MOST)
        .map(|rule| {
            let mut what = if rule.resources.is_empty() {
                rule.non_resource_urls.join(",")
            } else {
                rule.resources.join(",")
            };
            let groups: Vec<&str> =
                rule.api_groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
            if !groups.is_empty() {
                what = format!("{}/{what}", groups.join("|"));
            }
            let mut line = format!("{what}: {}", rule.verbs.join(","));
            if !rule.resource_names.is_empty() {
                line.push_str(&format!(" (only: {})", rule.resource_names.join(",")));
            }
            line.chars().take(WIDTH).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect()
        })
        .collect();
    if rules.len() > MOST {
        lines.push(format!("and {} more", rules.len() - MOST));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        PolicyRule {
            api_groups: vec![group.to_owned()],
            resources: own(resources),
            verbs: own(verbs),
            ..PolicyRule::default()
        }
    }

    fn level(rule: PolicyRule) -> PrivilegeLevel {
        power(&[rule], true).level
    }

    #[test]
    fn ways_to_everything_are_admin() {
        for dangerous in [
            rule("*", &["*"], &["*"]),
            rule(RBAC, &["clusterroles"], &["escalate"]),
            rule("*", &["roles"], &["bind"]),
            rule("", &["users"], &["impersonate"]),
            // Reading the kubelet's proxy is running code on the node.
            rule("", &["nodes/proxy"], &["get"]),
            rule("", &["*/proxy"], &["get"]),
            rule("certificates.k8s.io", &["*"], &["update"]),
        ] {
            assert_eq!(level(dangerous.clone()), PrivilegeLevel::Admin, "{dangerous:?}");
        }
    }

    #[test]
    fn ways_to_secrets_are_sensitive() {
        for dangerous in [
            rule("", &["secrets"], &["watch"]),
            rule("", &["secrets"], &["list"]),
            rule("", &["*"], &["get", "list"]).with_sub("*"),
            rule("", &["pods/exec"], &["get"]),
            rule("", &["serviceaccounts/token"], &["create"]),
            rule("", &["pods"], &["create"]),
            rule("apps", &["deployments"], &["patch"]),
            rule("external-secrets.io", &["externalsecrets"], &["create"]),
        ] {
            assert!(level(dangerous.clone()) <= PrivilegeLevel::Sensitive, "{dangerous:?}");
        }
    }

    impl PolicyRule {
        /// Without the nodes' proxy, which `*` would cover.
        fn with_sub(mut self, _: &str) -> Self {
            self.resources = vec!["secrets".to_owned(), "configmaps".to_owned()];
            self
        }

        fn only(mut self, names: &[&str]) -> Self {
            self.resource_names = names.iter().map(|name| (*name).to_owned()).collect();
            self
        }
    }

    #[test]
    fn secrets_are_opened_by_rules_that_read_them_and_by_no_others() {
        let read = |rules: &[PolicyRule]| secrets(rules).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(read(&[rule("", &["secrets"], &["get"])]), ["*"]);
        assert_eq!(read(&[rule("*", &["*"], &["*"])]), ["*"]);
        let named = rule("", &["secrets"], &["get", "list"]).only(&["db", "*", "api"]);
        assert_eq!(read(&[rule("", &["pods"], &["get"]), named.clone(), named]), ["api", "db"]);
        for other in [
            rule("", &["secrets"], &["create", "delete"]),
            rule("apps", &["secrets"], &["get"]),
            rule("", &["secrets/status"], &["get"]),
            rule("", &["pods/*"], &["get"]),
        ] {
            assert_eq!(read(std::slice::from_ref(&other)), Vec::<String>::new(), "{other:?}");
        }
    }

    #[test]
    fn what_looks_like_a_wildcard_and_is_none() {
        assert_eq!(level(rule("", &["pods/*"], &["create"])), PrivilegeLevel::Write);
        assert_eq!(power(&[rule("", &["pods/*"], &["create"])], true).risks, Vec::<&str>::new());
        assert_eq!(level(rule("", &["secrets"], &["get"]).only(&["*"])), PrivilegeLevel::Read);
        assert_eq!(level(rule("apps", &["secrets"], &["get"])), PrivilegeLevel::Read);
        // A create cannot be limited to names: the rule allows nothing.
        assert_eq!(power(&[rule("", &["pods"], &["create"]).only(&["web"])], true).risks, Vec::<&str>::new());
        assert_eq!(power(&[rule("", &["pods/exec"], &["create"]).only(&["web"])], true).risks, ["exec"]);
        assert_eq!(level(rule("", &["secrets"], &["get"]).only(&["db"])), PrivilegeLevel::Sensitive);
    }

    #[test]
    fn a_role_binding_does_not_reach_what_lies_in_no_namespace() {
        let rules = [rule("", &["nodes/proxy"], &["get"])];
        assert_eq!(power(&rules, true).level, PrivilegeLevel::Admin);
        assert_eq!(power(&rules, false), Power { level: PrivilegeLevel::Read, risks: Vec::new() });
        assert_eq!(power(&[rule("*", &["*"], &["*"])], false).level, PrivilegeLevel::Admin);
    }

    #[test]
    fn the_rest_is_write_or_read() {
        assert_eq!(level(rule("", &["configmaps"], &["get"])), PrivilegeLevel::Read);
        assert_eq!(level(rule("", &["configmaps"], &["delete"])), PrivilegeLevel::Write);
        assert_eq!(power(&[], true).level, PrivilegeLevel::Read);
    }

    #[test]
    fn rules_are_shortened_for_people() {
        let rules = vec![rule("apps", &["deployments"], &["get", "patch"]).only(&["web"]); 25];
        let lines = shorten(&rules);
        assert_eq!((lines[0].as_str(), lines.len()), ("apps/deployments: get,patch (only: web)", 21));
        assert_eq!(lines[20], "and 5 more");
    }
}
