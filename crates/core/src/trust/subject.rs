//! How many holders a pattern of `sub` lets in.
//!
//! What the parts of a subject are is the issuers' own documentation: Kubernetes (`system:serviceaccount:<namespace>:<name>`), GitHub Actions
//! (`repo:<owner>/<repository>:...`), GitLab CI (`project_path:<group>/<project>:ref_type:...`), HCP Terraform and Buildkite
//! (`organization:<name>:...`).

/// Whom a pattern lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breadth {
    /// One subject.
    One,
    /// Several, within something that is named to its end: a repository, a namespace.
    Several,
    /// All of an organisation or a group; its name.
    Organisation(String),
    /// Everybody whom the issuer knows, or whoever takes a fitting name there.
    Anybody,
}

/// How wide a pattern is in which `*` and `?` stand for anything.
pub fn breadth(pattern: &str) -> Breadth {
    let Some(at) = pattern.find(['*', '?']) else { return Breadth::One };
    let fixed = &pattern[..at];
    if let Some(rest) = fixed.strip_prefix("system:serviceaccount:") {
        // Whoever may make a namespace of a fitting name is let in, unless the name is closed.
        return if rest.contains(':') { Breadth::Several } else { Breadth::Anybody };
    }
    if let Some(rest) = fixed.strip_prefix("repo:") {
        return match rest.split_once('/') {
            Some((owner, "")) => Breadth::Organisation(owner.to_owned()),
            Some(_) => Breadth::Several,
            // Anybody can take an owner's name that begins so.
            None => Breadth::Anybody,
        };
    }
    if let Some(rest) = fixed.strip_prefix("project_path:") {
        return match rest.rsplit_once('/') {
            _ if rest.contains(':') => Breadth::Several,
            Some((group, "")) => Breadth::Organisation(group.to_owned()),
            Some(_) => Breadth::Several,
            None => Breadth::Anybody,
        };
    }
    if let Some(rest) = fixed.strip_prefix("organization:") {
        return match rest.split_once(':') {
            // `organization:acme:project:*`, `organization:acme:*`: nothing within it is named.
            Some((name, within))
                if !within.contains(':') || within.ends_with(':') && within.matches(':').count() == 1 =>
            {
                Breadth::Organisation(name.to_owned())
            }
            Some(_) => Breadth::Several,
            None => Breadth::Anybody,
        };
    }
    if fixed.chars().any(|c| c.is_alphanumeric()) && !FORMS.iter().any(|form| form.starts_with(fixed)) {
        Breadth::Several
    } else {
        Breadth::Anybody
    }
}

/// Beginnings that say the form of a subject and nothing of whose it is.
const FORMS: [&str; 4] = ["system:serviceaccount:", "repo:", "project_path:", "organization:"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_subjects_are_one() {
        for subject in ["system:serviceaccount:payments:web", "repo:acme/web:ref:refs/heads/main", ""] {
            assert_eq!(breadth(subject), Breadth::One, "{subject}");
        }
    }

    #[test]
    fn a_pattern_is_as_wide_as_its_first_open_name() {
        for (pattern, expected) in [
            ("*", Breadth::Anybody),
            ("?*", Breadth::Anybody),
            ("re*", Breadth::Anybody),
            ("repo:*", Breadth::Anybody),
            ("repo:acme*", Breadth::Anybody),
            ("system:*", Breadth::Anybody),
            ("system:serviceaccount:*:web", Breadth::Anybody),
            ("system:serviceaccount:pay*", Breadth::Anybody),
            ("project_path:*", Breadth::Anybody),
            ("organization:ac*", Breadth::Anybody),
            ("repo:acme/*", Breadth::Organisation("acme".into())),
            ("repo:acme/*:ref:refs/heads/main", Breadth::Organisation("acme".into())),
            ("project_path:acme/*", Breadth::Organisation("acme".into())),
            ("project_path:acme/team/*:ref_type:branch:ref:main", Breadth::Organisation("acme/team".into())),
            ("organization:acme:*", Breadth::Organisation("acme".into())),
            ("organization:acme:project:*:workspace:*:run_phase:*", Breadth::Organisation("acme".into())),
            ("repo:acme/web:*", Breadth::Several),
            ("repo:acme/web-*", Breadth::Several),
            ("system:serviceaccount:payments:*", Breadth::Several),
            ("project_path:acme/web:ref_type:branch:ref:*", Breadth::Several),
            ("organization:acme:project:web:workspace:*", Breadth::Several),
            ("user-?", Breadth::Several),
        ] {
            assert_eq!(breadth(pattern), expected, "{pattern}");
        }
    }
}
