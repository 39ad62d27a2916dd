//! A role of the `kubernetes` auth method: what it is to say, and whether one says just that.

use std::collections::BTreeSet;

use claviger_core::{model::Attributes, saga::Arrangement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const DEFAULT: &str = "default";

/// What the plan fixes beside audience and lifetime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) policies: BTreeSet<String>,
    #[serde(default)]
    pub(super) cidrs: Vec<String>,
    pub(super) namespace: String,
    pub(super) account: String,
}

/// A role as the server shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    bound_service_account_names: Vec<String>,
    bound_service_account_namespaces: Vec<String>,
    audience: Option<String>,
    token_policies: Option<Vec<String>>,
    token_no_default_policy: bool,
    token_ttl: u64,
    token_max_ttl: u64,
    token_period: u64,
    token_bound_cidrs: Option<Vec<String>>,
}

impl Terms {
    /// Out of a plan.
    pub(super) fn of(arrangement: &Arrangement) -> Option<Self> {
        let terms = arrangement.terms.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        serde_json::from_value(Value::Object(terms)).ok()
    }

    /// Into a plan.
    pub(super) fn attributes(&self) -> Attributes {
        match serde_json::to_value(self) {
            Ok(Value::Object(terms)) => terms.into_iter().collect(),
            _ => Attributes::new(),
        }
    }

    /// The policies that are named: the default one comes by itself.
    fn named(&self) -> BTreeSet<&str> {
        self.policies.iter().map(String::as_str).filter(|policy| *policy != DEFAULT).collect()
    }

    fn without_default(&self) -> bool {
        !self.policies.contains(DEFAULT)
    }

    pub(super) fn body(&self, arrangement: &Arrangement) -> Value {
        json!({
            "bound_service_account_names": [self.account],
            "bound_service_account_namespaces": [self.namespace],
            "audience": arrangement.audience,
            "token_policies": self.named(),
            "token_no_default_policy": self.without_default(),
            "token_ttl": arrangement.lifetime,
            "token_max_ttl": arrangement.lifetime,
            "token_bound_cidrs": self.cidrs,
        })
    }

    pub(super) fn is(&self, there: &Role, arrangement: &Arrangement) -> bool {
        let policies: BTreeSet<&str> = there.token_policies.iter().flatten().map(String::as_str).collect();
        let sorted = |cidrs: &[String]| cidrs.iter().cloned().collect::<BTreeSet<_>>();
        there.bound_service_account_names == [self.account.as_str()]
            && there.bound_service_account_namespaces == [self.namespace.as_str()]
            && there.audience.as_deref().unwrap_or_default()
                == arrangement.audience.as_deref().unwrap_or_default()
            && policies == self.named()
            && there.token_no_default_policy == self.without_default()
            && there.token_ttl == u64::from(arrangement.lifetime)
            && there.token_max_ttl == u64::from(arrangement.lifetime)
            && there.token_period == 0
            && sorted(there.token_bound_cidrs.as_deref().unwrap_or_default()) == sorted(&self.cidrs)
    }
}

#[cfg(test)]
mod tests {
    use claviger_core::reference::Ref;

    use super::*;

    fn arranged() -> (Terms, Arrangement) {
        let terms = Terms {
            policies: ["ci".to_owned(), "default".to_owned()].into(),
            cidrs: Vec::new(),
            namespace: "ops".to_owned(),
            account: "runner".to_owned(),
        };
        let arrangement = Arrangement {
            at: Ref::from_text("vault/auth/kubernetes/role/x".to_owned()),
            account: Ref::from_text("prod/ops/ServiceAccount/runner".to_owned()),
            audience: Some("vault".to_owned()),
            lifetime: 3600,
            terms: terms.attributes(),
        };
        (terms, arrangement)
    }

    #[test]
    fn what_is_written_is_known_again_and_nothing_else_is() {
        let (terms, arrangement) = arranged();
        assert_eq!(Terms::of(&arrangement).as_ref(), Some(&terms));
        let body = terms.body(&arrangement);
        let role = |body: &Value| serde_json::from_value::<Role>(body.clone()).expect("a role");
        assert!(terms.is(&role(&body), &arrangement));
        for (field, other) in [
            ("bound_service_account_names", json!(["runner", "other"])),
            ("bound_service_account_namespaces", json!(["*"])),
            ("audience", json!(null)),
            ("token_policies", json!(["ci", "admin"])),
            ("token_no_default_policy", json!(true)),
            ("token_ttl", json!(86_400)),
            ("token_max_ttl", json!(0)),
            ("token_period", json!(60)),
            ("token_bound_cidrs", json!(["10.0.0.0/8"])),
        ] {
            let mut changed = body.clone();
            changed[field] = other;
            assert!(!terms.is(&role(&changed), &arrangement), "{field}");
        }
    }
}
