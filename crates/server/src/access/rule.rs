use std::collections::BTreeMap;

use serde_json::Value;

use super::{Grant, Role, Scope};

/// Who gets a role: whoever's identity provider says all of these of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The role.
    pub role: Role,
    /// Where it holds.
    pub scope: Scope,
    /// Names and values of claims. One that is a list has to hold the value. None of them: nobody gets it.
    pub claims: BTreeMap<String, String>,
}

impl Rule {
    /// Does it hold of these claims?
    pub fn holds(&self, claims: &Value) -> bool {
        !self.claims.is_empty() && self.claims.iter().all(|(name, wanted)| says(&claims[name], wanted))
    }
}

/// Is it this text, or a list that has it? Nothing is taken for another thing: no number, no beginning of a text.
fn says(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) => text == wanted,
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

/// What these claims give by the rules: by none of them nothing.
pub(super) fn grants(rules: &[Rule], claims: &Value) -> Vec<Grant> {
    let held = rules.iter().filter(|rule| rule.holds(claims));
    held.map(|rule| Grant { role: rule.role, scope: rule.scope.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_is_given_by_what_is_said_whole_and_by_nothing_like_it() {
        let rule = |claims: &[(&str, &str)]| Rule {
            role: Role::Operator,
            scope: Scope::default(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let claims = json!({ "groups": ["ops", "dev"], "team": "pay", "level": 1, "groups2": "ops,dev" });
        for (given, expected) in [
            (&[("groups", "ops")][..], true),
            (&[("groups", "ops"), ("team", "pay")], true),
            (&[("groups", "ops"), ("team", "other")], false),
            (&[("groups", "op")], false),
            (&[("groups2", "ops")], false),
            (&[("level", "1")], false),
            (&[("absent", "")], false),
            (&[], false),
        ] {
            assert_eq!(rule(given).holds(&claims), expected, "{given:?}");
        }
        assert!(grants(&[rule(&[("team", "other")])], &claims).is_empty());
        assert_eq!(grants(&[rule(&[("team", "pay")]), rule(&[("groups", "dev")])], &claims).len(), 2);
    }
}
