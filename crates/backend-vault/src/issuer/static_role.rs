//! Static roles: the database engine makes, sets and holds the password of an account. We ask it to change it, and read what it is.

use claviger_backend::{Effect, Error, ErrorKind, Held, Issued, Prospect, Result};
use claviger_core::{reference::Ref, secret::SecretValue};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::relabel;
use crate::{backend::VaultBackend, check::capabilities, client::ApiPath};

/// What the engine says of a static role.
#[derive(Deserialize)]
pub(super) struct Role {
    #[serde(default)]
    pub(super) last_vault_rotation: String,
    #[serde(default)]
    rotation_period: Value,
    #[serde(default)]
    rotation_schedule: Option<String>,
    #[serde(default)]
    credential_type: Option<String>,
}

/// What it shows of its password.
#[derive(Deserialize)]
struct Shown {
    password: Option<String>,
    #[serde(default)]
    last_vault_rotation: String,
}

impl VaultBackend {
    pub(super) async fn static_role(
        &self,
        operation: &'static str,
        mount: &str,
        name: &str,
    ) -> Result<Option<Role>> {
        let path = format!("{mount}/static-roles/{name}");
        match self.api.get::<Role>(operation, &path).await {
            // OpenBao answers for an absent mount as for one that we have no rule for.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    pub(super) async fn static_prospect(&self, mount: &str, name: &str) -> Result<Prospect> {
        let Some(role) = self.static_role("prospect", mount, name).await? else {
            return Ok(Prospect::refuse("already-gone", "its issuer no longer has it: scan again"));
        };
        if let Some(kind) = role.credential_type.as_deref().filter(|kind| !matches!(*kind, "" | "password")) {
            let reason =
                format!("the engine holds a `{kind}` for it: only passwords are rotated by this version");
            return Ok(Prospect::refuse("no-strategy", reason));
        }
        let needs = [
            (format!("{mount}/rotate-role/{name}"), "update"),
            (format!("{mount}/static-creds/{name}"), "read"),
        ];
        let paths = needs.clone().map(|(path, _)| path);
        match capabilities(&self.api, "prospect", &paths).await {
            Ok(found) => {
                let lacks = |(path, needed): &&(String, &str)| {
                    !found.get(path).into_iter().flatten().any(|has| has == needed || has == "root")
                };
                if let Some((path, needed)) = needs.iter().find(lacks) {
                    let reason = format!(
                        "our token lacks {needed} on {path}: `claviger doctor` shows the rule to add"
                    );
                    return Ok(Prospect::refuse("no-permission", reason));
                }
            }
            // Whoever may not ask finds out when it is tried.
            Err(error) if error.kind() == ErrorKind::Denied => {}
            Err(error) => return Err(error),
        }
        let every = role.rotation_schedule.filter(|schedule| !schedule.is_empty());
        let every = every.map(|schedule| format!("by the schedule `{schedule}`"));
        let every = every.or_else(|| {
            let period = role.rotation_period.as_u64().filter(|period| *period > 0)?;
            Some(format!("every {period} s"))
        });
        let notes = every.map(|every| {
            format!(
                "the engine changes it by itself {every} as well, and tells no copy of it: what copies it elsewhere then holds a dead value, unless it is rotated from here before"
            )
        });
        Ok(Prospect {
            notes: notes.into_iter().collect(),
            shown_at: Some(self.names.object(&format!("{mount}/static-creds/{name}")).field("password")),
            ..Prospect::default()
        })
    }

    /// What the engine holds now.
    pub(super) async fn shown(
        &self,
        operation: &'static str,
        mount: &str,
        name: &str,
    ) -> Result<Option<Held>> {
        let path = format!("{mount}/static-creds/{name}");
        let what = format!("GET {path}");
        let call = self.api.call(operation, &what, false);
        let answer =
            self.api.send(call, Method::GET, &ApiPath::new(operation, &path)?, "", None, None).await?;
        if answer.status == 404 || answer.says("unknown role") {
            return Ok(None);
        }
        let shown: Option<Shown> = answer.good(call)?.data(call)?;
        Ok(shown.and_then(|shown| {
            let value = SecretValue::from_text(shown.password?);
            Some(Held { value, version: shown.last_vault_rotation })
        }))
    }

    /// Asks for another password, and reads it.
    pub(super) async fn ask(&self, subject: &Ref, mount: &str, name: &str) -> Result<Issued> {
        if self.static_role("issue", mount, name).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "issue", format!("{subject} is gone")));
        }
        let path = format!("{mount}/rotate-role/{name}");
        let what = format!("POST {path}");
        let call = self.api.call("issue", &what, true);
        self.api.post("issue", &path, &json!({}), true).await?.good(call)?;
        // It has changed; who could not read it now reads it later.
        let left = |error: Error| relabel(error, "issue").with_effect(Effect::Unknown);
        let held = self.shown("issue", mount, name).await.map_err(left)?;
        let held = held.ok_or_else(|| call.unreadable())?;
        Ok(Issued { at: subject.clone(), minted: Some(held.value), public_half: None })
    }
}
