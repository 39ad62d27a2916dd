//! CI/CD variables of projects, groups and the instance. GitLab tells no time and no number of a write, and compares nothing when it is made: what
//! is expected is looked at right before.

use claviger_backend::{Effect, Error, ErrorKind, Operation, Result};
use claviger_core::{fingerprint::Form, reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    backend::{GitlabBackend, Home},
    names::{Owner, VariableName},
    wire::{Token, Variable},
};
use crate::client::{As, Request, shown};

/// What is written of a variable; all else stays as it is.
#[derive(Serialize)]
pub(super) struct Put<'a> {
    pub(super) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
}

impl GitlabBackend {
    pub(super) async fn variables_home(
        &self,
        operation: &'static str,
        owner: &Owner,
    ) -> Result<Option<Home>> {
        match owner {
            Owner::Instance => Ok(Some(Home::Instance)),
            Owner::Path(path) => self.home(operation, path).await,
        }
    }

    /// A variable as it stands there, and where. One key has several scopes; the one that is meant is asked for by its own.
    pub(super) async fn variable(
        &self,
        operation: &'static str,
        name: &VariableName,
    ) -> Result<Option<(Home, Variable)>> {
        let Some(home) = self.variables_home(operation, &name.owner).await? else { return Ok(None) };
        let mut path = home.of("variables");
        path.push(&name.key);
        let filter = [("filter[environment_scope]", name.scope.as_str())];
        let query: &[(&str, &str)] = if home == Home::Instance { &[] } else { &filter };
        let found: Option<Variable> =
            self.api.maybe(operation, Request { query, ..Request::get(&path) }).await?;
        let same = |found: &Variable| found.key == name.key && found.environment_scope == name.scope;
        Ok(found.filter(same).map(|found| (home, found)))
    }

    pub(super) async fn put_variable(
        &self,
        op: &Operation,
        operation: &'static str,
        (at, home, name): (&Ref, &Home, &VariableName),
        put: &Put<'_>,
    ) -> Result<()> {
        let unfit = || Error::new(ErrorKind::Invalid, operation, format!("{at} cannot hold that"));
        let body = Zeroizing::new(serde_json::to_vec(put).map_err(|_| unfit())?);
        let mut path = home.of("variables");
        path.push(&name.key);
        let filter = [("filter[environment_scope]", name.scope.as_str())];
        let query: &[(&str, &str)] = if *home == Home::Instance { &[] } else { &filter };
        let request = Request { method: &Method::PUT, path: &path, query, who: As::Us, body: Some(&body) };
        let what = shown(request);
        let call = self.api.call(operation, &what, true);
        let work = async { self.api.send(call, request).await?.good(call).map(drop) };
        match tokio::time::timeout(op.deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Error::new(ErrorKind::Unavailable, operation, format!("{at}: no answer by the deadline"))
                    .with_effect(Effect::Unknown))
            }
        }
    }

    /// Might we write variables? Whoever may read one is a maintainer already, so it depends on what our token is for.
    pub(super) async fn may_write(&self, operation: &'static str) -> Result<Option<String>> {
        let own: Token = self.api.one(operation, Request::get(&["personal_access_tokens", "self"])).await?;
        let may = own.scopes.iter().any(|scope| scope == "api");
        Ok((!may).then(|| format!("our token has the scopes {}: it needs `api`", own.scopes.join(", "))))
    }

    /// A version that changes with the value and tells nothing of it.
    pub(super) fn version_of(&self, value: &SecretValue) -> String {
        self.version_key.fingerprint(Form::Text, value).to_string()
    }
}

/// What would not reach a job as it is: GitLab replaces `$NAME` in the values of variables that are not raw.
pub(super) fn is_expanded(variable: &Variable, value: &str) -> bool {
    !variable.raw && value.contains('$')
}

/// What GitLab refuses to mask, as its documents have it: it must be one line of at least eight characters without spaces.
pub(super) fn cannot_be_masked(variable: &Variable, value: &str) -> bool {
    (variable.masked || variable.hidden)
        && (value.chars().count() < 8 || value.chars().any(char::is_whitespace))
}

/// Why a variable cannot hold this value, if it cannot. Told before anything is sent.
pub(super) fn unfit(at: &Ref, variable: &Variable, value: &str) -> Option<String> {
    if is_expanded(variable, value) {
        return Some(format!(
            "{at} is expanded, and the value has a `$`: a job would be given something else"
        ));
    }
    cannot_be_masked(variable, value)
        .then(|| format!("{at} is masked: it takes one line of at least eight characters without spaces"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_would_not_be_given_as_it_is_is_refused_beforehand() {
        let read = |text: &str| -> Variable { serde_json::from_str(text).expect("JSON") };
        let (plain, raw) = (read(r#"{"key":"A"}"#), read(r#"{"key":"A","raw":true}"#));
        let masked = read(r#"{"key":"A","masked":true}"#);
        let at = Ref::from_text("forge/acme/variables/A@*");
        for (variable, value, refused) in [
            (&plain, "pa$$word", true),
            (&raw, "pa$$word", false),
            (&plain, "short", false),
            (&masked, "short", true),
            (&masked, "with a space", true),
            (&masked, "long-enough_1", false),
        ] {
            let why = unfit(&at, variable, value);
            assert_eq!(why.is_some(), refused, "{value}");
            assert!(!why.unwrap_or_default().contains(value), "the value is in the reason");
        }
    }
}
