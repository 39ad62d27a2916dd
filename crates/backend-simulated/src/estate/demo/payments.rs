//! A team that knows what it has, and has too many copies of it.

use super::{
    forms,
    maker::{Maker, from, labels, witness},
};
use crate::estate::{
    ObjectKind::{ConfigMap, Secret},
    Planted,
};

pub(super) fn plant(maker: &mut Maker<'_>) {
    let password = maker.value(32);
    maker.namespace("payments", "prod");
    maker.role("payments_app", &password, 210, Some(0));
    let fields = |password: &Planted| {
        vec![
            ("username", Planted::text("payments_app")),
            ("password", password.clone()),
            ("host", Planted::text("db.internal")),
            ("port", Planted::text("5432")),
            ("database", Planted::text("payments")),
        ]
    };
    let owner = labels([("owner", "dana@acme.example"), ("env", "prod")]);
    maker.kv("payments/db", owner, vec![(210, fields(&password))]);
    let secret = vec![("username", Planted::text("payments_app")), ("password", password.clone())];
    maker.secret("payments", "db", 210, secret).labels = labels([("team", "payments")]);
    let url = forms::url("postgres", "payments_app", &password, "db.internal:5432/payments");
    let settings = vec![("database-url", url), ("log-level", Planted::text("info"))];
    maker.config_map("payments", "app", 180, settings);

    let api = maker.deployment("payments", "api", 400, vec![("DB_PASSWORD", from(Secret, "db", "password"))]);
    api.witness = witness("payments_app", "Secret/db#password");
    api.labels = labels([("team", "payments")]);
    let worker = maker.deployment(
        "payments",
        "worker",
        400,
        vec![("DATABASE_URL", from(ConfigMap, "app", "database-url"))],
    );
    worker.witness = witness("payments_app", "ConfigMap/app#database-url");

    let hook = Planted::random_hex(maker.random, 32);
    let webhook = maker.secret("payments", "stripe-webhook", 95, vec![("webhook-secret", hook)]);
    webhook.annotations = labels([("owner", "dana@acme.example")]);
    let signing = Planted::random_hex(maker.random, 48);
    maker.secret("payments", "session", 610, vec![("signing-key", signing.clone())]);
    maker.kv("payments/session", labels([("env", "prod")]), vec![(610, vec![("signing-key", signing)])]);
}
