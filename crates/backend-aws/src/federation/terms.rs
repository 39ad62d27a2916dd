//! What a plan keeps of a role that is to be made: whom it lets in and what it may do. It holds no secret.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{model::Attributes, saga::Arrangement, trust::WebIdentity};
use serde_json::{Value, json};

use super::rights::Rights;

/// The terms of one arrangement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    /// Name of the role.
    pub(super) role: String,
    /// Its ARN.
    pub(super) arn: String,
    /// Whom it lets in.
    pub(super) trust: WebIdentity,
    /// ARNs of managed policies.
    pub(super) managed: BTreeSet<String>,
    /// Inline policies by name.
    pub(super) inline: BTreeMap<String, Value>,
    /// ARN of the boundary.
    pub(super) boundary: Option<String>,
    /// The issuer's address, where IAM has to be told of it too.
    pub(super) issuer: Option<String>,
}

impl Terms {
    /// A role with the user's rights for this holder of tokens.
    pub(super) fn new(role: String, trust: WebIdentity, rights: &Rights) -> Self {
        let account = trust.provider.split(":oidc-provider/").next().unwrap_or_default();
        Self {
            arn: format!("{account}:role/{role}"),
            role,
            trust,
            managed: rights.managed.keys().cloned().collect(),
            inline: rights.inline.clone(),
            boundary: rights.boundary.as_ref().map(|(arn, _)| arn.clone()),
            issuer: None,
        }
    }

    /// As the plan keeps them.
    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes: Attributes = [
            ("role", json!(self.role)),
            ("arn", json!(self.arn)),
            ("provider", json!(self.trust.provider)),
            ("subject", json!(self.trust.subject)),
            ("audience", json!(self.trust.audience)),
            ("managed", json!(self.managed)),
            ("inline", json!(self.inline)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if let Some(boundary) = &self.boundary {
            attributes.insert("boundary".to_owned(), json!(boundary));
        }
        if let Some(issuer) = &self.issuer {
            attributes.insert("issuer".to_owned(), json!(issuer));
        }
        attributes
    }

    /// Reads a plan's.
    ///
    /// # Errors
    /// `Invalid`: not ours.
    pub(super) fn read(operation: &'static str, arrangement: &Arrangement) -> Result<Self> {
        let terms = &arrangement.terms;
        let foreign = |key: &str| {
            Error::new(ErrorKind::Invalid, operation, format!("{}: its terms lack `{key}`", arrangement.at))
        };
        let text =
            |key: &str| terms.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| foreign(key));
        let managed = terms.get("managed").and_then(Value::as_array).ok_or_else(|| foreign("managed"))?;
        let inline = terms.get("inline").and_then(Value::as_object).ok_or_else(|| foreign("inline"))?;
        Ok(Self {
            role: text("role")?,
            arn: text("arn")?,
            trust: WebIdentity {
                provider: text("provider")?,
                subject: text("subject")?,
                audience: text("audience")?,
            },
            managed: managed.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
            inline: inline.iter().map(|(name, document)| (name.clone(), document.clone())).collect(),
            boundary: terms.get("boundary").and_then(Value::as_str).map(str::to_owned),
            issuer: terms.get("issuer").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// A role has just what is arranged: no policy more, none less.
    pub(super) fn same(&self, rights: &Rights) -> bool {
        rights.managed.keys().eq(self.managed.iter())
            && rights.inline == self.inline
            && rights.boundary.as_ref().map(|(arn, _)| arn) == self.boundary.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use claviger_core::reference::Ref;

    use super::*;

    fn terms() -> Terms {
        let trust = WebIdentity {
            provider: "arn:aws:iam::1:oidc-provider/i.example".into(),
            subject: "system:serviceaccount:a:b".into(),
            audience: "sts.amazonaws.com".into(),
        };
        let rights = Rights {
            managed: [("arn:aws:iam::1:policy/x".to_owned(), json!({}))].into(),
            inline: [("own".to_owned(), json!({"Statement": []}))].into(),
            boundary: Some(("arn:aws:iam::1:policy/b".to_owned(), json!({}))),
        };
        Terms { issuer: Some("https://i.example".into()), ..Terms::new("claviger-a".into(), trust, &rights) }
    }

    #[test]
    fn terms_come_back_from_a_plan() {
        let arrangement = Arrangement {
            at: Ref::from_text("aws/iam/role/claviger-a"),
            account: Ref::from_text("prod/a/ServiceAccount/b"),
            audience: Some("sts.amazonaws.com".into()),
            lifetime: 3600,
            terms: terms().attributes(),
        };
        assert_eq!(Terms::read("federate", &arrangement).expect("terms"), terms());
        assert_eq!(terms().arn, "arn:aws:iam::1:role/claviger-a");
        let foreign = Arrangement { terms: Attributes::new(), ..arrangement };
        assert!(Terms::read("federate", &foreign).is_err());
    }

    #[test]
    fn one_policy_more_or_less_is_another_role() {
        let rights = Rights {
            managed: [("arn:aws:iam::1:policy/x".to_owned(), json!({}))].into(),
            inline: [("own".to_owned(), json!({"Statement": []}))].into(),
            boundary: Some(("arn:aws:iam::1:policy/b".to_owned(), json!({}))),
        };
        assert!(terms().same(&rights));
        let more = Rights { managed: [("arn:other".to_owned(), json!({}))].into(), ..rights.clone() };
        let changed = Rights { inline: [("own".to_owned(), json!({}))].into(), ..rights.clone() };
        let unbounded = Rights { boundary: None, ..rights };
        for other in [more, changed, unbounded] {
            assert!(!terms().same(&other), "{other:?}");
        }
    }
}
