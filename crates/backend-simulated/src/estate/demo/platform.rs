//! The build system and the secret store's own keys.

use chrono::Duration;

use super::{
    forms,
    maker::{Maker, labels},
};
use crate::estate::{Binding, Planted};

pub(super) fn plant(maker: &mut Maker<'_>) {
    maker.namespace("ci", "prod");
    maker.service_account("ci", "deployer", 1100);
    let token = maker.legacy_token("ci", "deployer-token", "deployer", 1100, (false, Some(0)));
    let binding = Binding {
        account: "ci/deployer".into(),
        role: "ClusterRole/cluster-admin".into(),
        reach: "*".into(),
    };
    maker.estate.cluster.bindings.insert("deployer-admin".to_owned(), binding);
    let kubeconfig = forms::kubeconfig("https://k8s.internal:6443", "deployer", &token);
    maker.kv("ci/kubeconfig", labels([("team", "platform")]), vec![(1050, vec![("kubeconfig", kubeconfig)])]);

    maker.cloud_user(
        "ci-deployer",
        labels([("Owner", "platform@acme.example")]),
        "AdministratorAccess",
        1200,
    );
    let (id, secret) = maker.access_key("ci-deployer", 400, Some(0));
    let (_, _) = maker.access_key("ci-deployer", 700, None);
    let data = |id: &Planted, secret: &Planted| {
        vec![("aws_access_key_id", id.clone()), ("aws_secret_access_key", secret.clone())]
    };
    maker.secret("ci", "aws", 400, data(&id, &secret));
    maker.kv("ci/aws", labels([("team", "platform")]), vec![(400, data(&id, &secret))]);

    let github = forms::github_token(maker.random);
    maker.kv("ci/github", labels([("team", "platform")]), vec![(520, vec![("token", github)])]);

    let root = maker.vault_token("root", "root", 1300, None);
    let address = || Planted::text("https://vault.internal:8200");
    maker.secret("ci", "vault-bootstrap", 1300, vec![("VAULT_TOKEN", root), ("VAULT_ADDR", address())]);
    let endless = maker.vault_token("terraform", "infra-write", 480, None);
    maker.secret("ci", "terraform", 480, vec![("VAULT_TOKEN", endless)]);
    maker.vault_token("ci-job", "ci-read", 0, Some(Duration::minutes(20)));
}
