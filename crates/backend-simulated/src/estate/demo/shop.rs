//! A team that copied production into development.

use chrono::Duration;

use super::{
    forms,
    maker::{Maker, from, labels, mount, witness},
};
use crate::estate::{ObjectKind::Secret, Planted, SecretType};

pub(super) fn plant(maker: &mut Maker<'_>) {
    maker.namespace("shop", "prod");
    maker.namespace("shop-dev", "dev");
    database(maker);

    let api_key = forms::prefixed(maker.random, "sk_live_", 48);
    let registry = maker.value(28);
    maker.cloud_user("shop-assets", labels([("team", "shop")]), "S3FullAccess", 500);
    let (id, secret) = maker.access_key("shop-assets", 450, Some(1));
    for (namespace, age) in [("shop", 320), ("shop-dev", 190)] {
        maker.secret(namespace, "stripe", age, vec![("api-key", api_key.clone())]);
        let data = vec![("aws_access_key_id", id.clone()), ("aws_secret_access_key", secret.clone())];
        maker.secret(namespace, "s3", age, data);
        let config = forms::docker_config("registry.acme.example", "pull", &registry);
        maker.secret(namespace, "pull", age, vec![(".dockerconfigjson", config)]).kind =
            SecretType::DockerConfigJson;
    }
    let checkout =
        maker.deployment("shop", "checkout", 320, vec![("STRIPE_KEY", from(Secret, "stripe", "api-key"))]);
    checkout.image_pull_secrets = vec!["pull".to_owned()];
    checkout.containers[0].env_from = vec![crate::estate::ObjectName { kind: Secret, name: "s3".to_owned() }];
    maker.deployment("shop-dev", "checkout", 190, vec![("STRIPE_KEY", from(Secret, "stripe", "api-key"))]);

    let mail =
        Planted::text(format!("SG.{}.{}", maker.value(22).expose_text(), maker.value(43).expose_text()));
    maker.deployment(
        "shop-dev",
        "mailer",
        77,
        vec![("SENDGRID_API_KEY", crate::estate::EnvSource::Literal(mail))],
    );

    maker.service_account("shop", "prometheus", 900);
    maker.legacy_token("shop", "prometheus-token", "prometheus", 900, (false, Some(2)));
    maker.vault_token("kubernetes-shop-web", "shop-read", 0, Some(Duration::hours(1)));
}

fn database(maker: &mut Maker<'_>) {
    let (former, password) = (maker.value(32), maker.value(32));
    maker.role("shop_app", &password, 35, Some(0));
    let fields =
        |password: &Planted| vec![("username", Planted::text("shop_app")), ("password", password.clone())];
    let owner = labels([("owner", "lee@acme.example"), ("env", "prod")]);
    maker.kv("shop/db", owner, vec![(400, fields(&former)), (35, fields(&password))]);
    maker.secret("shop", "db", 400, fields(&password)).updated_at = maker.ago(35);
    let web = maker.deployment("shop", "web", 400, vec![]);
    web.containers[0].mounts = vec![mount("db")];
    web.witness = witness("shop_app", "Secret/db#password");
    let cart = maker.deployment("shop", "cart", 400, vec![("DB_PASSWORD", from(Secret, "db", "password"))]);
    cart.witness = witness("shop_app", "Secret/db#password");
    cart.service_account = Some("default".to_owned());
    maker.service_account("shop", "default", 900);

    let cache = maker.value(24);
    let url = forms::url("redis", "default", &cache, "cache.internal:6379/0");
    maker.secret("shop", "cache", 260, vec![("redis-url", url)]);
    maker.kv("shop/cache", labels([("env", "prod")]), vec![(260, vec![("password", cache)])]);
}
