//! Issuers of tokens that IAM knows. One that is lacking for a forge is made known, tagged with the operation's key, and taken away again only where that tag
//! is and no role but ours trusts it.
//!
//! Source: the IAM API Reference, `CreateOpenIDConnectProvider`: the thumbprint may be left out, as AWS takes the issuer's own.

use aws_sdk_iam::{operation::get_open_id_connect_provider::GetOpenIdConnectProviderOutput, types::Tag};
use claviger_backend::{Effect, Error, ErrorKind, Operation, Result};
use claviger_core::trust::AwsTrust;

use super::{MARK, offer::AUDIENCE, session, terms::Terms};
use crate::{
    backend::AwsBackend,
    failure::{of_change, patiently},
    iam::{decode, pages},
};

/// An issuer as IAM has it.
pub(super) enum Known {
    /// By this ARN, for our audience.
    Yes(String),
    /// By this ARN, and for other audiences only.
    NotForUs(String),
    /// Not at all.
    No,
}

fn takes(provider: &GetOpenIdConnectProviderOutput) -> bool {
    provider.client_id_list().iter().any(|audience| audience == AUDIENCE)
}

impl AwsBackend {
    /// Does IAM know this issuer?
    pub(super) async fn known(&self, issuer: &str) -> Result<Known> {
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let ask = || iam.list_open_id_connect_providers().send();
        let listed = patiently(endpoint, "iam:ListOpenIDConnectProviders", ask).await?;
        let known = listed.open_id_connect_provider_list.unwrap_or_default();
        let wanted = format!(":oidc-provider/{}", session::bare(issuer));
        let Some(arn) = known.into_iter().filter_map(|it| it.arn).find(|arn| arn.ends_with(&wanted)) else {
            return Ok(Known::No);
        };
        Ok(match self.provider(&arn).await? {
            Some(provider) if takes(&provider) => Known::Yes(arn),
            Some(_) => Known::NotForUs(arn),
            None => Known::No,
        })
    }

    async fn provider(&self, arn: &str) -> Result<Option<GetOpenIdConnectProviderOutput>> {
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let ask = || iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn).send();
        match patiently(endpoint, "iam:GetOpenIDConnectProvider", ask).await {
            Ok(provider) => Ok(Some(provider)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has IAM know the issuer of these terms, where they ask for that. One that is there is taken as it is.
    pub(super) async fn make_known(&self, op: &Operation, terms: &Terms) -> Result<()> {
        let Some(issuer) = &terms.issuer else { return Ok(()) };
        let refused = |kind, text: String| Error::new(kind, "federate", text).with_effect(Effect::NotApplied);
        let arn = &terms.trust.provider;
        let there = |provider: &GetOpenIdConnectProviderOutput| match takes(provider) {
            true => Ok(()),
            false => Err(refused(
                ErrorKind::Conflict,
                format!("{arn} is there by now, and does not take the audience {AUDIENCE}"),
            )),
        };
        let before = self.provider(arn).await.map_err(|error| error.with_effect(Effect::NotApplied))?;
        if let Some(provider) = before {
            return there(&provider);
        }
        let tag = Tag::builder().key(MARK).value(op.key.to_string()).build();
        let tag = tag.map_err(|_| refused(ErrorKind::Invalid, "the operation's key is no tag".to_owned()))?;
        let iam = &self.account.clients().await?.iam;
        let call = iam.create_open_id_connect_provider().url(issuer).client_id_list(AUDIENCE).tags(tag);
        let Err(error) = self.before(op, "federate", call.send()).await? else { return Ok(()) };
        let error = of_change("federate", self.account.endpoint(), "iam:CreateOpenIDConnectProvider", &error);
        match error.kind() {
            // Somebody else was faster.
            ErrorKind::Conflict => match self.provider(arn).await? {
                Some(provider) => there(&provider),
                None => Err(error),
            },
            _ => Err(error),
        }
    }

    /// Is the issuer of these terms known, if they ask for that?
    pub(super) async fn is_known(&self, terms: &Terms) -> Result<bool> {
        match terms.issuer {
            Some(_) => Ok(self.provider(&terms.trust.provider).await?.is_some_and(|it| takes(&it))),
            None => Ok(true),
        }
    }

    /// Takes the issuer away that this operation made known, unless somebody else relies on it by now.
    pub(super) async fn forget(&self, op: &Operation, terms: &Terms) -> Result<()> {
        if terms.issuer.is_none() {
            return Ok(());
        }
        let arn = &terms.trust.provider;
        let Some(provider) = self.provider(arn).await? else { return Ok(()) };
        let key = op.key.to_string();
        let ours = provider.tags().iter().any(|tag| tag.key == MARK && tag.value == key);
        if !ours || self.is_relied_on(arn, &terms.role).await? {
            return Ok(());
        }
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let call = iam.delete_open_id_connect_provider().open_id_connect_provider_arn(arn);
        match self.before(op, "unfederate", call.send()).await? {
            Ok(_) => Ok(()),
            Err(error) => {
                match of_change("unfederate", endpoint, "iam:DeleteOpenIDConnectProvider", &error) {
                    error if error.kind() == ErrorKind::NotFound => Ok(()),
                    error => Err(error),
                }
            }
        }
    }

    /// Does a role but this one let its tokens in? A trust policy that cannot be read may.
    async fn is_relied_on(&self, arn: &str, but: &str) -> Result<bool> {
        let scan = self.scan().await?;
        let roles = pages!(scan, "iam:ListRoles", scan.clients.iam.list_roles(), roles);
        Ok(roles.iter().filter(|role| role.role_name != but).any(|role| {
            let Some(document) = role.assume_role_policy_document.as_deref().map(decode) else {
                return false;
            };
            match serde_json::from_str(&document).ok().as_ref().and_then(AwsTrust::read) {
                Some(trust) => trust.providers.iter().any(|provider| provider == arn),
                None => true,
            }
        }))
    }
}
