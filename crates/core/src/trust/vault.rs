//! What roles of Vault's and OpenBao's logins by token ask.
//!
//! Sources: the API documentation of the auth methods `kubernetes` and `jwt`. In `kubernetes` the names and namespaces of a role may hold
//! `*`, and an empty `audience` takes a token made for anybody. In `jwt` a token that names an audience is refused by a role that binds none,
//! so a missing one is no gap there; a role without a bound subject and without bound claims takes every token of the issuer.

use std::collections::BTreeSet;

use super::{Gap, breadth};

/// A role of a `kubernetes` login.
#[derive(Debug, Clone, Copy)]
pub struct KubernetesTrust<'a> {
    /// `bound_service_account_names`.
    pub names: &'a [String],
    /// `bound_service_account_namespaces`.
    pub namespaces: &'a [String],
    /// `bound_service_account_namespace_selector` is set.
    pub by_label: bool,
    /// `audience`.
    pub audience: &'a str,
}

impl KubernetesTrust<'_> {
    /// What it does not ask.
    pub fn gaps(&self) -> BTreeSet<Gap> {
        let open = |text: &String| text.contains('*');
        let mut gaps = BTreeSet::new();
        if self.namespaces.iter().any(|it| it == "*") {
            gaps.insert(Gap::SubjectWildcard);
        } else if self.names.iter().any(open) || self.namespaces.iter().any(open) || self.by_label {
            gaps.insert(Gap::SubjectPattern);
        }
        if self.audience.is_empty() {
            gaps.insert(Gap::AudienceMissing);
        }
        gaps
    }
}

/// A role of a `jwt` login.
#[derive(Debug, Clone, Copy)]
pub struct JwtTrust<'a> {
    /// `bound_subject`.
    pub subject: &'a str,
    /// `bound_claims`: a claim and the values that it may have.
    pub claims: &'a [(String, Vec<String>)],
    /// `bound_claims_type` is `glob`: in values `*` stands for anything.
    pub globs: bool,
}

/// Claims that name an organisation or a group and nothing within it.
const OF_ORGANISATIONS: [&str; 7] = [
    "enterprise",
    "namespace_id",
    "namespace_path",
    "organization",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
];

/// What a claim's value says, written like the subject that it is a part of.
fn as_subject(claim: &str, value: &str) -> String {
    match claim.trim_start_matches('/') {
        "repository" => format!("repo:{value}:"),
        "project_path" => format!("project_path:{value}:"),
        _ => value.to_owned(),
    }
}

impl JwtTrust<'_> {
    /// What it does not ask.
    pub fn gaps(&self) -> BTreeSet<Gap> {
        if !self.subject.is_empty() {
            return BTreeSet::new();
        }
        // Claims hold together, so the narrowest of them decides.
        let narrowest = self.claims.iter().map(|(claim, values)| self.gap_of(claim, values)).min_by_key(rank);
        narrowest.unwrap_or(Some(Gap::SubjectMissing)).into_iter().collect()
    }

    /// The widest of a claim's values, any of which will do. `None`: they are exact.
    fn gap_of(&self, claim: &str, values: &[String]) -> Option<Gap> {
        if OF_ORGANISATIONS.contains(&claim.trim_start_matches('/')) {
            return Some(Gap::Organisation);
        }
        let widths = values.iter().map(|value| {
            if self.globs { Gap::of_subject(&breadth(&as_subject(claim, value))) } else { None }
        });
        widths.max_by_key(rank).unwrap_or(None)
    }
}

/// Narrow first.
fn rank(gap: &Option<Gap>) -> u8 {
    match gap {
        None => 0,
        Some(Gap::SubjectPattern) => 1,
        Some(Gap::Organisation) => 2,
        Some(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubernetes(names: &[&str], namespaces: &[&str], audience: &str) -> Vec<Gap> {
        let owned = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let (names, namespaces) = (owned(names), owned(namespaces));
        let trust = KubernetesTrust { names: &names, namespaces: &namespaces, by_label: false, audience };
        trust.gaps().into_iter().collect()
    }

    #[test]
    fn a_kubernetes_role_asks_name_namespace_and_audience() {
        assert_eq!(kubernetes(&["web"], &["payments"], "bao"), []);
        assert_eq!(kubernetes(&["web"], &["payments"], ""), [Gap::AudienceMissing]);
        assert_eq!(kubernetes(&["web"], &["*"], "bao"), [Gap::SubjectWildcard]);
        assert_eq!(kubernetes(&["*"], &["payments"], "bao"), [Gap::SubjectPattern]);
        assert_eq!(kubernetes(&["web"], &["team-*"], "bao"), [Gap::SubjectPattern]);
    }

    fn jwt(subject: &str, claims: &[(&str, &str)], globs: bool) -> Vec<Gap> {
        let claims: Vec<_> =
            claims.iter().map(|(claim, value)| ((*claim).to_owned(), vec![(*value).to_owned()])).collect();
        JwtTrust { subject, claims: &claims, globs }.gaps().into_iter().collect()
    }

    #[test]
    fn a_jwt_role_asks_a_subject_or_claims() {
        assert_eq!(jwt("", &[], false), [Gap::SubjectMissing]);
        assert_eq!(jwt("repo:acme/web:ref:refs/heads/main", &[], false), []);
        assert_eq!(jwt("", &[("repository", "acme/web")], false), []);
        assert_eq!(jwt("", &[("repository_owner", "acme")], false), [Gap::Organisation]);
        assert_eq!(jwt("", &[("repository", "acme/*")], true), [Gap::Organisation]);
        assert_eq!(jwt("", &[("repository", "acme/*")], false), [], "a star is a star without globs");
        assert_eq!(jwt("", &[("sub", "*")], true), [Gap::SubjectWildcard]);
        assert_eq!(jwt("", &[("project_path", "acme/web-*")], true), [Gap::SubjectPattern]);
        assert_eq!(
            jwt("", &[("repository_owner", "acme"), ("repository", "acme/web")], false),
            [],
            "claims hold together"
        );
    }
}
