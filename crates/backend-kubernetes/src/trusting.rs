//! Where a cluster is told to trust a certificate: ConfigMaps, and the `caBundle` of what the API server calls (admission webhooks, aggregated APIs,
//! conversions of custom resources). A webhook's own certificate often signs itself, and the API server refuses it as soon as the bundle is not its own.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_backend::{Result, TrustedAt, Trusting};
use claviger_core::{certificate, reference::Ref};
use serde::Deserialize;

use crate::{
    backend::KubernetesBackend,
    failure::Failure,
    paging,
    place::CLUSTER,
    resource::{
        API_SERVICES, CONFIG_MAPS, CUSTOM_RESOURCES, MUTATING_WEBHOOKS, Resource, VALIDATING_WEBHOOKS,
    },
    wire::{self, ConfigMap, Meta, Text, nullable},
};

/// Whom the API server is told to trust when it calls others. Of the four kinds each has one of the fields.
#[derive(Deserialize)]
struct Caller<'a> {
    #[serde(borrow, default)]
    metadata: Meta<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    webhooks: Vec<Webhook<'a>>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
}

/// `admissionregistration.k8s.io/v1`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    client_config: ClientConfig<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig<'a> {
    #[serde(borrow)]
    ca_bundle: Option<Text<'a>>,
}

/// Of an `APIService` the first, of a `CustomResourceDefinition` the second.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    ca_bundle: Option<Text<'a>>,
    #[serde(borrow)]
    conversion: Option<Conversion<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conversion<'a> {
    #[serde(borrow)]
    webhook: Option<Converter<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Converter<'a> {
    #[serde(borrow)]
    client_config: Option<ClientConfig<'a>>,
}

impl Caller<'_> {
    /// Each bundle with the name of its place.
    fn bundles(&self) -> impl Iterator<Item = (String, &str)> {
        let hooks = self.webhooks.iter().map(|hook| {
            (
                format!("webhooks/{}/clientConfig/caBundle", hook.name.plain()),
                hook.client_config.ca_bundle.as_ref(),
            )
        });
        let converter = self.spec.conversion.as_ref().and_then(|conversion| conversion.webhook.as_ref());
        let converter = converter.and_then(|webhook| webhook.client_config.as_ref()?.ca_bundle.as_ref());
        let own = [
            ("spec/caBundle".to_owned(), self.spec.ca_bundle.as_ref()),
            ("spec/conversion/webhook/clientConfig/caBundle".to_owned(), converter),
        ];
        hooks.chain(own).filter_map(|(place, bundle)| Some((place, bundle?.as_str())))
    }
}

/// A `caBundle` is PEM in base64.
fn trusts(bundle: &str, certificate: &[u8]) -> bool {
    let text = STANDARD.decode(bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.is_some_and(|text| certificate::stands_in(certificate, &text))
}

impl KubernetesBackend {
    async fn config_maps_with(&self, certificate: &[u8], found: &mut Vec<Ref>) -> Result<(), Failure> {
        let mut read = |body: &[u8]| {
            let (items, next) = wire::page::<ConfigMap<'_>>(body)?;
            for map in &items {
                let namespace = map.metadata.namespace.plain();
                if !self.filter.selects(&namespace) {
                    continue;
                }
                let object = self.names.object(&namespace, "ConfigMap", &map.metadata.name.plain());
                let held =
                    map.data.0.iter().filter(|(_, text)| certificate::stands_in(certificate, text.as_str()));
                found.extend(held.map(|(key, _)| object.field(&key.plain())));
            }
            Ok((items.len(), next))
        };
        match paging::each_page(&self.connection, CONFIG_MAPS, None, &mut read).await {
            // Who may not list them everywhere may perhaps where the configuration names the namespaces.
            Err(failure) if failure.is_forbidden() && !self.filter.named().is_empty() => {
                for namespace in self.filter.named() {
                    paging::each_page(&self.connection, CONFIG_MAPS, Some(&namespace), &mut read).await?;
                }
                Ok(())
            }
            other => other,
        }
    }

    async fn callers_with(
        &self,
        resource: Resource,
        certificate: &[u8],
        found: &mut Vec<Ref>,
    ) -> Result<(), Failure> {
        let mut read = |body: &[u8]| {
            let (items, next) = wire::page::<Caller<'_>>(body)?;
            for caller in &items {
                let object = self.names.object(CLUSTER, resource.kind, &caller.metadata.name.plain());
                let bundles = caller.bundles().filter(|(_, bundle)| trusts(bundle, certificate));
                found.extend(bundles.map(|(place, _)| object.field(&place)));
            }
            Ok((items.len(), next))
        };
        paging::each_page(&self.connection, resource, None, &mut read).await
    }
}

#[async_trait]
impl Trusting for KubernetesBackend {
    async fn trusted_at(&self, certificate: &[u8]) -> Result<TrustedAt> {
        let mut trusted = TrustedAt::default();
        let mut unread = |plural: &str, failure: Failure| {
            // A cluster without the API has no such object.
            if !failure.is_absent() {
                trusted.unread.push(format!("{plural} of `{}`: {failure}", self.info.name));
            }
        };
        let mut found = Vec::new();
        if let Err(failure) = self.config_maps_with(certificate, &mut found).await {
            unread(CONFIG_MAPS.plural, failure);
        }
        for resource in [VALIDATING_WEBHOOKS, MUTATING_WEBHOOKS, API_SERVICES, CUSTOM_RESOURCES] {
            if let Err(failure) = self.callers_with(resource, certificate, &mut found).await {
                unread(resource.plural, failure);
            }
        }
        found.sort();
        found.dedup();
        trusted.at = found;
        Ok(trusted)
    }
}
