//! Conditions in the Common Expression Language: `--where`, and `where` of a policy.
//!
//! The variables are the fields of a row of `list credentials`, under the same names; times are timestamps, and what is not known is `null`. A
//! condition that cannot be decided is an error, never a "no": a policy that protects something must not fall away because a field is unknown.

use std::sync::Arc;

use cel::{Context, Program, Value};
use chrono::{DateTime, Utc};
use claviger_core::view::CredentialView;

use crate::{Error, Result};

/// What a condition may ask for.
pub const VARIABLES: [&str; 21] = [
    "age_days",
    "attributes",
    "backend",
    "consumers",
    "copies",
    "created_at",
    "expires_at",
    "findings",
    "first_seen",
    "id",
    "identity",
    "kind",
    "labels",
    "last_rotated_at",
    "last_seen",
    "last_used_at",
    "link",
    "long_lived",
    "owner",
    "ref",
    "state",
];

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    program: Arc<Program>,
    text: Arc<str>,
}

impl Condition {
    /// Compiles a condition such as `kind == "password" && age_days > 90`.
    ///
    /// # Errors
    /// It is no CEL, or asks for a variable that there is not.
    pub fn parse(text: &str) -> Result<Self> {
        let program = Program::compile(text)
            .map_err(|error| refuse(text, format!("it is no CEL expression: {}", one_line(&error))))?;
        let unknown = program
            .references()
            .variables()
            .into_iter()
            .find(|name| !VARIABLES.contains(name) && !is_bound(text, name))
            .map(str::to_owned);
        if let Some(name) = unknown {
            let reason = format!("`{name}` is no variable; variables are {}", VARIABLES.join(", "));
            return Err(refuse(text, reason));
        }
        Ok(Self { program: Arc::new(program), text: text.into() })
    }

    /// What was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does it hold of this credential?
    ///
    /// # Errors
    /// It cannot be decided: it compares what is not known, or its result is neither true nor false.
    pub fn holds(&self, credential: &CredentialView) -> Result<bool> {
        let undecided = |reason: String| {
            refuse(
                &self.text,
                format!(
                    "it cannot be decided for {}: {reason}; ask for what may be unknown like this: `age_days != null && age_days > 90`",
                    credential.at
                ),
            )
        };
        let mut context = Context::default();
        for (name, value) in variables(credential).map_err(&undecided)? {
            context.add_variable_from_value(name, value);
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(undecided("its result is neither true nor false".to_owned())),
            Err(error) => Err(undecided(one_line(&error))),
        }
    }
}

/// Is this the name that a macro gives each item, as in `findings.exists(one, one == "x")`?
fn is_bound(text: &str, name: &str) -> bool {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let binds = |call: &str| compact.contains(&format!(".{call}({name},"));
    // What the parser makes of a macro begins with a sign that no name may have.
    name.starts_with('@') || ["all", "exists", "exists_one", "filter", "map"].into_iter().any(binds)
}

fn variables(credential: &CredentialView) -> Result<Vec<(String, Value)>, String> {
    let row = serde_json::to_value(credential).map_err(|error| error.to_string())?;
    let serde_json::Value::Object(mut row) = row else { return Err("it is no row".to_owned()) };
    // What depends on policies is not there when policies ask.
    row.remove("policy");
    row.remove("next_due_at");
    let times = [
        ("created_at", credential.created_at),
        ("last_rotated_at", credential.last_rotated_at),
        ("expires_at", credential.expires_at),
        ("last_used_at", credential.last_used_at),
        ("first_seen", Some(credential.first_seen)),
        ("last_seen", Some(credential.last_seen)),
    ];
    for (name, _) in &times {
        row.remove(*name);
    }
    let mut variables = Vec::with_capacity(VARIABLES.len());
    for (name, value) in row {
        variables.push((name, cel::to_value(value).map_err(|error| error.to_string())?));
    }
    let moment = |at: DateTime<Utc>| Value::Timestamp(at.fixed_offset());
    variables.extend(times.map(|(name, at)| (name.to_owned(), at.map_or(Value::Null, moment))));
    Ok(variables)
}

/// Errors of the parser span lines, with a drawing of the place.
fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn refuse(text: &str, reason: String) -> Error {
    Error::Selector { text: text.to_owned(), reason }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

#[cfg(test)]
pub(crate) mod tests {
    use claviger_core::model::{CredentialKind, CredentialState};

    use super::*;

    pub(crate) fn credential() -> CredentialView {
        let at = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        CredentialView {
            id: claviger_core::id::CredentialId(uuid::Uuid::from_u128(1)),
            at: claviger_core::reference::Ref::from_text("db/role/app"),
            kind: CredentialKind::Password,
            backend: "db".to_owned(),
            identity: None,
            owner: Some("payments".to_owned()),
            state: CredentialState::Active,
            long_lived: true,
            created_at: Some(at),
            last_rotated_at: None,
            expires_at: None,
            last_used_at: None,
            age_days: None,
            next_due_at: None,
            policy: None,
            copies: 2,
            consumers: 0,
            findings: vec!["age-over-policy".to_owned()],
            link: "proven".to_owned(),
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            attributes: Default::default(),
            first_seen: at,
            last_seen: at,
        }
    }

    #[test]
    fn a_condition_asks_for_any_field_of_a_row() {
        for (text, expected) in [
            ("kind == 'password' && copies > 1", true),
            ("labels.env == 'prod' && 'age-over-policy' in findings", true),
            ("ref.startsWith('db/') && owner == 'payments' && state == 'active'", true),
            ("created_at < timestamp('2024-01-01T00:00:00Z')", true),
            ("created_at > timestamp('2024-01-01T00:00:00Z')", false),
            ("age_days != null && age_days > 90", false),
            ("identity == null && expires_at == null && long_lived", true),
            ("findings.exists(one, one.matches('^age-'))", true),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!(condition.holds(&credential()).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_an_error_and_never_a_no() {
        for text in ["age_days > 90", "labels.team == 'x'", "copies", "owner + 'x'"] {
            let condition = Condition::parse(text).expect(text);
            let refused = condition.holds(&credential()).expect_err(text).to_string();
            assert!(refused.contains("cannot be decided for db/role/app"), "{text}: {refused}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_when_it_is_read() {
        for (text, part) in
            [("kind ==", "no CEL"), ("colour == 'red'", "`colour` is no variable"), ("", "no CEL")]
        {
            let refused = Condition::parse(text).expect_err(text).to_string();
            assert!(refused.contains(part), "{text}: {refused}");
            assert_eq!(refused.lines().count(), 1, "{refused}");
        }
    }
}
