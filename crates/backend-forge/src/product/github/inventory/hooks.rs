//! Webhooks. Of a signing secret a row of stars is shown: whether there is one, and nothing else.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, Place, Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use reqwest::Url;
use serde_json::json;

use super::{
    super::wire::{Hook, time},
    Survey,
};
use crate::{client::Request, place::copy};

impl Survey<'_> {
    pub(super) async fn hooks(&self, sink: &mut ScanSink, area: &str, path: &[&str]) -> Result<()> {
        let hooks = self.backend.access.all::<Hook, Vec<Hook>>("inventory", Request::get(path)).await;
        let hooks = match hooks {
            Ok(hooks) => hooks,
            Err(error) => return self.refused(sink, &Scope::new(area, "hooks"), &error).await,
        };
        let signed = hooks.iter().filter(|hook| is_signed(hook)).count();
        let seen = hooks.into_iter().flat_map(|hook| self.hook(area, hook)).collect();
        self.part(sink, area, ("hooks", Ok(seen))).await?;
        if signed > 0 {
            let why = format!("the forge shows the secrets of webhooks to nobody: {signed} have one");
            sink.end(&Scope::new(area, "hook-secrets"), ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(())
    }

    fn hook(&self, area: &str, hook: Hook) -> Vec<Observation> {
        let at = self.backend.names.object(&format!("{area}/hooks/{}", hook.id));
        let unverified =
            hook.config.insecure_ssl.as_ref().is_some_and(|value| *value == json!("1") || *value == json!(1));
        let attributes = Attributes::from([
            ("hook_url".to_owned(), json!(bare(&hook.config.url))),
            ("hook_type".to_owned(), json!(hook.name)),
            ("active".to_owned(), json!(hook.active)),
            ("signed".to_owned(), json!(is_signed(&hook))),
            ("tls_unverified".to_owned(), json!(unverified)),
        ]);
        let times = |copy: ObservedCopy| ObservedCopy {
            created_at: time(&hook.created_at),
            updated_at: time(&hook.updated_at),
            attributes: attributes.clone(),
            ..copy
        };
        let mut seen = Vec::new();
        if is_signed(&hook) {
            let why = Content::Unreadable("the forge shows a webhook's secret to nobody".to_owned());
            let mut secret = times(copy(at.field("secret"), "secret", Place::SecretStore, why));
            secret.kind = Some(CredentialKind::WebhookSecret);
            secret.attributes.insert("write_only".to_owned(), json!(true));
            seen.push(Observation::Copy(secret));
        }
        if !hook.config.url.is_empty() {
            // Who posts to an address with a key in it has the key there.
            let value = Content::Value(SecretValue::from_text(hook.config.url.clone()));
            seen.push(Observation::Copy(times(copy(at.field("url"), "url", Place::Configuration, value))));
        }
        seen
    }
}

fn is_signed(hook: &Hook) -> bool {
    hook.config.secret.as_deref().is_some_and(|secret| !secret.is_empty())
}

/// Where a hook goes, without what may be secret in it: its host alone.
fn bare(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
        (Some(host), None) => format!("{}://{host}", url.scheme()),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hooks_address_only_the_host_is_told() {
        assert_eq!(
            bare("https://user:pw@hooks.example:8443/services/T0/B0/key?token=x"),
            "https://hooks.example:8443"
        );
        assert_eq!(bare("not a url"), "");
    }
}
