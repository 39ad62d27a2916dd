//! Webhooks: their signing secret is never shown, the header that they authorize themselves with is.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::{Attributes, CredentialKind, Place, Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};
use reqwest::Url;
use serde_json::json;

use super::{
    super::wire::{Hook, Repository, time},
    Survey,
};
use crate::place::copy;

impl Survey<'_> {
    pub(super) async fn hooks(&self, sink: &mut ScanSink, repository: &Repository) -> Result<()> {
        let (owner, name) = (repository.owner.login.as_str(), repository.name.as_str());
        let area = format!("{owner}/{name}");
        let hooks: Vec<Hook> = match self.backend.list(&["repos", owner, name, "hooks"]).await {
            Ok(hooks) => hooks,
            Err(error) => return self.refused(sink, &Scope::new(&area, "hooks"), &error).await,
        };
        let some = !hooks.is_empty();
        let seen = hooks.into_iter().flat_map(|hook| self.hook(&area, hook)).collect();
        self.part(sink, &area, ("hooks", Ok(seen))).await?;
        if some {
            let why = "the forge never shows a webhook's secret, nor whether it has one".to_owned();
            sink.end(&Scope::new(&area, "hook-secrets"), ScopeStatus::Unreadable, Some(why)).await?;
        }
        Ok(())
    }

    fn hook(&self, area: &str, hook: Hook) -> Vec<Observation> {
        let at = self.backend.names.object(&format!("{area}/hooks/{}", hook.id));
        let attributes = Attributes::from([
            ("hook_url".to_owned(), json!(bare(&hook.config.url))),
            ("hook_type".to_owned(), json!(hook.kind)),
            ("active".to_owned(), json!(hook.active)),
        ]);
        let times = |copy: ObservedCopy| ObservedCopy {
            created_at: time(&hook.created_at),
            updated_at: time(&hook.updated_at),
            ..copy
        };
        let why = Content::Unreadable("the forge never shows a webhook's secret".to_owned());
        let mut secret = times(copy(at.field("secret"), "secret", Place::SecretStore, why));
        secret.kind = Some(CredentialKind::WebhookSecret);
        secret.attributes.clone_from(&attributes);
        secret.attributes.insert("write_only".to_owned(), json!(true));
        let mut seen = vec![Observation::Copy(secret)];
        // Who posts to an address with a key in it has the key there.
        for (field, value) in [("authorization_header", hook.authorization_header), ("url", hook.config.url)]
        {
            if !value.is_empty() {
                let content = Content::Value(SecretValue::from_text(value));
                let place = if field == "url" { Place::Configuration } else { Place::SecretStore };
                let mut shown = times(copy(at.field(field), field, place, content));
                shown.attributes.clone_from(&attributes);
                seen.push(Observation::Copy(shown));
            }
        }
        seen
    }
}

/// Where a hook goes, without what may be secret in it: its host alone.
fn bare(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| {
        let host = url.host_str()?.to_owned();
        Some(match url.port() {
            Some(port) => format!("{}://{host}:{port}", url.scheme()),
            None => format!("{}://{host}", url.scheme()),
        })
    });
    host.unwrap_or_default()
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
