//! Trust policies of IAM roles.
//!
//! Sources: the IAM User Guide, "IAM JSON policy elements: Condition operators" (`*` and `?` stand for anything in `StringLike` alone; policy
//! variables are filled in in both) and "Create a role for OpenID Connect federation"; the EKS User Guide, "IAM roles for service accounts".

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Breadth, Gap, breadth};

/// What a trust policy asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsTrust {
    /// Issuers of tokens, by the ARN of the provider or the name of a known one.
    pub providers: Vec<String>,
    /// What `sub` may be, in the policy's own words.
    pub subjects: Vec<String>,
    /// What `aud` may be.
    pub audiences: Vec<String>,
    /// Accounts, users, roles and services.
    pub principals: Vec<String>,
    /// Organisations all of whose members are let in.
    pub organisations: Vec<String>,
    /// What is not asked.
    pub gaps: BTreeSet<Gap>,
}

/// One line of a condition.
struct Test<'a> {
    pattern: bool,
    key: &'a str,
    values: Vec<String>,
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Tests of texts that let in who meets them.
fn tests(statement: &Value) -> Vec<Test<'_>> {
    let conditions = statement.get("Condition").and_then(Value::as_object).into_iter().flatten();
    let texts_only =
        conditions.filter(|(operator, _)| operator.contains("String") && !operator.contains("Not"));
    texts_only
        .flat_map(|(operator, tests)| {
            let pattern = operator.contains("Like");
            tests.as_object().into_iter().flatten().map(move |(key, value)| Test {
                pattern,
                key,
                values: texts(Some(value)),
            })
        })
        .collect()
}

/// An issuer of OIDC tokens: SAML has no `sub` and no `aud` of this kind.
fn is_issuer(name: &str) -> bool {
    name.contains(":oidc-provider/") || !name.contains(":saml-provider/")
}

impl AwsTrust {
    /// Reads a trust policy. `None` when it is no policy.
    pub fn read(policy: &Value) -> Option<Self> {
        let statements = match policy.get("Statement")? {
            Value::Array(all) => all.iter().collect(),
            one @ Value::Object(_) => vec![one],
            _ => return None,
        };
        let mut trust = Self::default();
        for statement in statements {
            if statement.get("Effect").and_then(Value::as_str) == Some("Allow") {
                trust.add(statement);
            }
        }
        for all in [
            &mut trust.providers,
            &mut trust.subjects,
            &mut trust.audiences,
            &mut trust.principals,
            &mut trust.organisations,
        ] {
            all.sort();
            all.dedup();
        }
        Some(trust)
    }

    fn add(&mut self, statement: &Value) {
        let tests = tests(statement);
        match statement.get("Principal") {
            Some(Value::String(text)) => self.add_principals(std::slice::from_ref(text), statement, &tests),
            Some(Value::Object(by_kind)) => {
                for (kind, value) in by_kind {
                    let named = texts(Some(value));
                    if kind == "Federated" && named.iter().any(|it| is_issuer(it)) {
                        self.add_issuers(named, &tests);
                    } else {
                        self.add_principals(&named, statement, &tests);
                    }
                }
            }
            _ => {}
        }
    }

    fn add_principals(&mut self, named: &[String], statement: &Value, tests: &[Test<'_>]) {
        if named.iter().any(|it| it == "*") {
            let organisations: Vec<&Test<'_>> =
                tests.iter().filter(|it| it.key.eq_ignore_ascii_case("aws:PrincipalOrgID")).collect();
            if statement.get("Condition").is_none() {
                self.gaps.insert(Gap::AnyPrincipal);
            } else if !organisations.is_empty() && organisations.len() == tests.len() {
                self.gaps.insert(Gap::Organisation);
                self.organisations.extend(organisations.iter().flat_map(|it| it.values.clone()));
            }
        }
        self.principals.extend(named.iter().cloned());
    }

    fn add_issuers(&mut self, named: Vec<String>, tests: &[Test<'_>]) {
        // A Cognito pool is named by `aud`, and its users by nothing else.
        let pool = named.iter().all(|it| it == "cognito-identity.amazonaws.com");
        let mut subjects = tests.iter().filter(|it| it.key.ends_with(":sub")).peekable();
        if subjects.peek().is_none() && !pool {
            self.gaps.insert(Gap::SubjectMissing);
        }
        for test in subjects {
            for value in &test.values {
                let width = if test.pattern { breadth(value) } else { Breadth::One };
                self.gaps.extend(Gap::of_subject(&width));
                if let Breadth::Organisation(name) = width {
                    self.organisations.push(name);
                }
            }
            self.subjects.extend(test.values.iter().cloned());
        }
        let mut audiences = tests.iter().filter(|it| it.key.ends_with(":aud")).peekable();
        if audiences.peek().is_none() {
            self.gaps.insert(Gap::AudienceMissing);
        }
        for test in audiences {
            if test.pattern && test.values.iter().any(|it| it.contains('*')) {
                self.gaps.insert(Gap::AudienceWildcard);
            }
            self.audiences.extend(test.values.iter().cloned());
        }
        self.providers.extend(named);
    }

    /// It lets in this holder of a token of this issuer for this audience, and nobody else.
    pub fn is_exactly(&self, wanted: &WebIdentity) -> bool {
        self.gaps.is_empty()
            && self.providers == [wanted.provider.as_str()]
            && self.subjects == [wanted.subject.as_str()]
            && self.audiences == [wanted.audience.as_str()]
            && self.principals.is_empty()
    }
}

/// Something that cannot be asked exactly: empty, or with a character that stands for others in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be asked exactly: it is empty or holds `*`, `?` or `${{`")]
pub struct NotExact {
    /// What.
    pub name: &'static str,
}

fn exact(name: &'static str, value: &str) -> Result<(), NotExact> {
    let loose = value.is_empty() || value.contains(['*', '?']) || value.contains("${");
    if loose { Err(NotExact { name }) } else { Ok(()) }
}

/// One holder of tokens of one issuer, who may become a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// ARN of the issuer's provider in IAM: `arn:aws:iam::<account>:oidc-provider/<issuer without https://>`.
    pub provider: String,
    /// `sub`, whole.
    pub subject: String,
    /// `aud`, whole.
    pub audience: String,
}

impl WebIdentity {
    /// The trust policy that lets in just this one.
    ///
    /// # Errors
    /// Something of it is no exact name.
    pub fn policy(&self) -> Result<Value, NotExact> {
        let issuer = self.provider.split_once(":oidc-provider/").map_or("", |(_, issuer)| issuer);
        exact("provider", issuer)?;
        exact("sub", &self.subject)?;
        exact("aud", &self.audience)?;
        let mut tests = serde_json::Map::new();
        tests.insert(format!("{issuer}:aud"), json!(self.audience));
        tests.insert(format!("{issuer}:sub"), json!(self.subject));
        Ok(json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Federated": self.provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": tests},
            }],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = r#"{"Federated":"arn:aws:iam::1:oidc-provider/i.example"}"#;

    fn trust(principal: &str, condition: &str) -> AwsTrust {
        let text = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{condition}}}]}}"#
        );
        AwsTrust::read(&serde_json::from_str(&text).expect("JSON")).expect("a policy")
    }

    fn gaps(principal: &str, condition: &str) -> Vec<Gap> {
        trust(principal, condition).gaps.into_iter().collect()
    }

    #[test]
    fn a_policy_that_asks_both_has_no_gap() {
        let exact = r#"{"StringEquals":{"i.example:sub":"system:serviceaccount:a:b","i.example:aud":"sts.amazonaws.com"}}"#;
        assert_eq!(gaps(ISSUER, exact), []);
        let star = r#"{"StringEquals":{"i.example:sub":"*","i.example:aud":"sts.amazonaws.com"}}"#;
        assert_eq!(gaps(ISSUER, star), [], "in StringEquals a star is a star");
    }

    #[test]
    fn what_is_not_asked_is_a_gap() {
        let aud = r#""i.example:aud":"sts.amazonaws.com""#;
        for (condition, expected) in [
            ("{}".to_owned(), vec![Gap::SubjectMissing, Gap::AudienceMissing]),
            (format!(r#"{{"StringEquals":{{{aud}}}}}"#), vec![Gap::SubjectMissing]),
            (
                format!(r#"{{"StringLike":{{"i.example:sub":"*"}},"StringEquals":{{{aud}}}}}"#),
                vec![Gap::SubjectWildcard],
            ),
            (
                format!(r#"{{"StringLike":{{"i.example:sub":"repo:acme/*"}},"StringEquals":{{{aud}}}}}"#),
                vec![Gap::Organisation],
            ),
            (
                format!(r#"{{"StringLike":{{"i.example:sub":"repo:acme/web:*"}},"StringEquals":{{{aud}}}}}"#),
                vec![Gap::SubjectPattern],
            ),
            (
                format!(
                    r#"{{"StringNotLike":{{"i.example:sub":"repo:acme/web:*"}},"StringEquals":{{{aud}}}}}"#
                ),
                vec![Gap::SubjectMissing],
            ),
            (
                r#"{"StringEquals":{"i.example:sub":"a"},"StringLike":{"i.example:aud":"*"}}"#.to_owned(),
                vec![Gap::AudienceWildcard],
            ),
            (r#"{"StringEquals":{"i.example:sub":"a"}}"#.to_owned(), vec![Gap::AudienceMissing]),
        ] {
            assert_eq!(gaps(ISSUER, &condition), expected, "{condition}");
        }
    }

    #[test]
    fn anybody_is_worse_than_an_organisation() {
        let any = serde_json::json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}});
        assert_eq!(AwsTrust::read(&any).map(|it| it.gaps), Some(BTreeSet::from([Gap::AnyPrincipal])));
        let organisation = r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#;
        let found = trust(r#"{"AWS":"*"}"#, organisation);
        assert_eq!(
            (found.gaps, found.organisations),
            (BTreeSet::from([Gap::Organisation]), vec!["o-1".to_owned()])
        );
        let named =
            r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1","aws:PrincipalArn":"arn:aws:iam::2:role/x"}}"#;
        assert_eq!(gaps(r#"{"AWS":"*"}"#, named), []);
        assert_eq!(gaps(r#"{"AWS":"arn:aws:iam::2:root"}"#, "{}"), []);
        assert_eq!(AwsTrust::read(&Value::Null), None);
    }

    #[test]
    fn a_policy_that_is_written_is_read_back_as_exactly_that() {
        let wanted = WebIdentity {
            provider: "arn:aws:iam::1:oidc-provider/i.example/id/7".into(),
            subject: "system:serviceaccount:payments:web".into(),
            audience: "sts.amazonaws.com".into(),
        };
        let policy = wanted.policy().expect("a policy");
        let read = AwsTrust::read(&policy).expect("a policy");
        assert!(read.is_exactly(&wanted), "{read:?}");
        for other in [
            WebIdentity { subject: "system:serviceaccount:payments:other".into(), ..wanted.clone() },
            WebIdentity { audience: "else".into(), ..wanted.clone() },
            WebIdentity { provider: "arn:aws:iam::1:oidc-provider/other".into(), ..wanted.clone() },
        ] {
            assert!(!read.is_exactly(&other), "{other:?}");
        }
        for loose in ["", "*", "system:serviceaccount:payments:*", "a?", "${aws:username}"] {
            let wanted = WebIdentity { subject: loose.into(), ..wanted.clone() };
            assert_eq!(wanted.policy(), Err(NotExact { name: "sub" }), "{loose}");
        }
        let unnamed = WebIdentity { provider: "arn:aws:iam::1:saml-provider/x".into(), ..wanted };
        assert_eq!(unnamed.policy(), Err(NotExact { name: "provider" }));
    }
}
