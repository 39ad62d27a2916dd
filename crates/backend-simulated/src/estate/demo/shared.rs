//! What nobody looks after, and what we may not see.

use super::maker::{Maker, labels, mount, witness};
use crate::estate::{EnvSource, Namespace, Password, Planted};

pub(super) fn plant(maker: &mut Maker<'_>) {
    maker.namespace("legacy", "prod");

    let reporting = maker.value(16);
    maker.role("reporting", &reporting, 800, Some(3)).password =
        Some(Password::md5(reporting.expose(), "reporting"));
    maker.secret("legacy", "reporting", 800, vec![("password", reporting)]);
    let reports = maker.deployment("legacy", "reports", 800, vec![]);
    reports.containers[0].mounts = vec![mount("reporting")];
    reports.witness = witness("reporting", "Secret/reporting#password");

    let batch = maker.value(20);
    maker.role("batch_admin", &batch, 650, Some(1)).superuser = true;
    let night = maker.deployment("legacy", "batch", 650, vec![("DB_PASSWORD", EnvSource::Literal(batch))]);
    night.witness = witness("batch_admin", "containers/app/env/DB_PASSWORD");

    let analytics = maker.value(32);
    maker.role("analytics", &analytics, 300, None);
    let meta = labels([("owner", "lee@acme.example"), ("env", "prod")]);
    maker.kv(
        "analytics/db",
        meta,
        vec![(300, vec![("username", Planted::text("analytics")), ("password", analytics)])],
    );

    let postgres = maker.value(40);
    let bootstrap = maker.role("postgres", &postgres, 1400, Some(200));
    (bootstrap.superuser, bootstrap.createrole, bootstrap.replication) = (true, true, true);

    let mail = maker.value(18);
    let settings = vec![("SMTP_HOST", Planted::text("mail.internal")), ("SMTP_PASSWORD", mail)];
    maker.config_map("legacy", "mail", 730, settings);

    maker.service_account("legacy", "default", 1400);
    maker.legacy_token("legacy", "default-token-x7k2p", "default", 1400, (true, None));

    maker.cloud_user("backup", labels([]), "BackupReadOnly", 980);
    let (id, secret) = maker.access_key("backup", 980, Some(140));
    maker.secret("legacy", "backup", 980, vec![("aws_access_key_id", id), ("aws_secret_access_key", secret)]);

    let hidden = Namespace { labels: labels([("env", "prod")]), denied: true, ..Namespace::default() };
    maker.estate.cluster.namespaces.insert("hr".to_owned(), hidden);
    let payroll = maker.value(24);
    maker.secret("hr", "payroll", 500, vec![("password", payroll.clone())]);
    maker.kv("hr/payroll", labels([]), vec![(500, vec![("password", payroll)])]);
    if let Some(entry) = maker.estate.secret_store.paths.get_mut("hr/payroll") {
        entry.denied = true;
    }
}
