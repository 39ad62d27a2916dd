//! ServiceAccounts of a cluster as people of the API: its API server says whose a token is.

use async_trait::async_trait;
use claviger_backend_kubernetes::TokenReviewer;
use claviger_server::{
    access::{Grant, Principal, oidc::audiences},
    api::{Bearer, Unknown},
};

use crate::{
    config::{Loaded, access},
    error::{Failure, Result},
    registry::BackendConfig,
};

/// One cluster.
pub(crate) struct Reviewer {
    cluster: TokenReviewer,
    audience: String,
    accounts: Vec<(String, Grant)>,
}

impl Reviewer {
    pub(crate) async fn of(loaded: &Loaded, settings: &access::Cluster) -> Result<Self> {
        let backends = loaded.backends()?;
        let found = backends.iter().find(|(name, ..)| *name == settings.backend);
        let Some((_, BackendConfig::Kubernetes(cluster), _)) = found else {
            let message =
                format!("[service.kubernetes]: `{}` is no backend of kind kubernetes", settings.backend);
            return Err(Failure::config(638, message).hint("`backend` names one of [backends]"));
        };
        if settings.audience.is_empty() {
            return Err(Failure::config(
                638,
                "[service.kubernetes]: without `audience` any token of the cluster would do",
            )
            .hint("tokens are made for us: `kubectl create token NAME --audience claviger`"));
        }
        let cluster = TokenReviewer::connect(&cluster.config(loaded), settings.audience.clone()).await?;
        let accounts = access::accounts(&loaded.config.access)?;
        Ok(Self { cluster, audience: settings.audience.clone(), accounts })
    }
}

#[async_trait]
impl Bearer for Reviewer {
    async fn identify(&self, token: &str) -> Result<Principal, Unknown> {
        // What was not made for us is not shown to the API server either.
        if !audiences(token).contains(&self.audience) {
            return Err(Unknown::NotOurs);
        }
        let reviewed = self.cluster.review(token).await;
        let account = reviewed.map_err(|error| Unknown::Unavailable(error.message().to_owned()))?;
        let account = account
            .ok_or_else(|| Unknown::Wrong("the API server knows it as nobody's ServiceAccount".to_owned()))?;
        let name = format!("{}/{}", account.namespace, account.name);
        let grants =
            self.accounts.iter().filter(|(of, _)| *of == name).map(|(_, grant)| grant.clone()).collect();
        // It is a workload: whoever runs it is not shown.
        Ok(Principal { actor: format!("{name}@kubernetes"), grants, vouched: false })
    }
}
