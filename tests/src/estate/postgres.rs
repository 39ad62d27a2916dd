//! Roles in PostgreSQL: good, shared, weak, expired, and with names that break quoting.

use std::path::Path;

use anyhow::{Context as _, Result};
use tokio_postgres::Client;

use super::planted::{Planted, Secret};
use super::values::Values;
use crate::lab::postgres::Postgres;
use crate::lab::private::{random_token, write_private};

/// A role name that is a formula to a spreadsheet and a quoting mistake to SQL.
pub const HOSTILE_ROLE: &str = "=HYPERLINK(\"http://x\")'; --<b>";
/// The role whose password OpenBao rotates.
pub const STATIC_ROLE: &str = "static_app";
/// The role with which OpenBao's database engine logs in.
pub const ENGINE_ROLE: &str = "openbao_engine";

/// Plants the roles and writes the scanning role's password into `db.password`.
pub async fn plant(
    server: &Postgres,
    values: &Values,
    planted: &mut Planted,
    directory: &Path,
) -> Result<()> {
    let client = server.connect("postgres").await?;
    role(&client, "app", "LOGIN", Some(&values.app)).await?;
    role(&client, "batch_admin", "LOGIN SUPERUSER", Some(&values.batch_admin)).await?;
    role(&client, "expired", "LOGIN VALID UNTIL '2020-01-01'", Some(&values.expired)).await?;
    role(&client, "replicator", "LOGIN REPLICATION", Some(&values.replicator)).await?;
    client.batch_execute("SET password_encryption = 'md5'").await?;
    role(&client, "legacy_md5", "LOGIN", Some(&values.legacy_md5)).await?;
    client.batch_execute("SET password_encryption = 'scram-sha-256'").await?;
    role(&client, "readers", "NOLOGIN", None).await?;
    role(&client, "reporting", "LOGIN", None).await?;
    role(&client, HOSTILE_ROLE, "LOGIN", None).await?;
    role(&client, STATIC_ROLE, "LOGIN", Some(&Secret::new(random_token()?))).await?;
    client.batch_execute("GRANT readers TO app; GRANT pg_read_all_data TO reporting").await?;
    client.batch_execute("CREATE DATABASE payments OWNER app").await?;

    let scanner = Secret::new(random_token()?);
    role(&client, "claviger", "LOGIN CREATEROLE", Some(&scanner)).await?;
    client
        .batch_execute(
            "GRANT SELECT (rolname, rolpassword) ON pg_authid TO claviger; GRANT pg_signal_backend, pg_read_all_stats TO claviger",
        )
        .await?;
    administers(&client, "claviger", "app").await?;
    write_private(&directory.join("db.password"), scanner.expose())?;

    let app = planted.credential("db-app", "password").issued_at("db/role/app").value(&values.app);
    for former in &values.app_former {
        app.former(former);
    }
    planted
        .credential("db-batch-admin", "password")
        .issued_at("db/role/batch_admin")
        .value(&values.batch_admin)
        .finding("db-shared-superuser");
    planted
        .credential("db-legacy-md5", "password")
        .issued_at("db/role/legacy_md5")
        .value(&values.legacy_md5)
        .finding("db-md5-password");
    planted.credential("db-expired", "password").issued_at("db/role/expired").value(&values.expired);
    planted.credential("db-replicator", "password").issued_at("db/role/replicator").value(&values.replicator);
    planted.credential("db-static", "password").issued_at(format!("db/role/{STATIC_ROLE}"));
    planted.credential("db-claviger", "password").issued_at("db/role/claviger").value(&scanner);
    Ok(())
}

/// The role with which OpenBao manages [`STATIC_ROLE`]; its password.
pub(crate) async fn plant_engine(server: &Postgres, planted: &mut Planted) -> Result<Secret> {
    let client = server.connect("postgres").await?;
    let password = Secret::new(random_token()?);
    role(&client, ENGINE_ROLE, "LOGIN CREATEROLE", Some(&password)).await?;
    administers(&client, ENGINE_ROLE, STATIC_ROLE).await?;
    planted.credential("db-engine", "password").issued_at(format!("db/role/{ENGINE_ROLE}")).value(&password);
    Ok(password)
}

/// Makes a role. The password goes as text, which is how the server makes the verifier that `password_encryption` says.
async fn role(client: &Client, name: &str, options: &str, password: Option<&Secret>) -> Result<()> {
    let mut statement = format!("CREATE ROLE {} {options}", identifier(name));
    if let Some(password) = password {
        statement.push_str(&format!(" PASSWORD {}", literal(password.expose())));
    }
    // Without its source: a server's complaint quotes the statement.
    client
        .batch_execute(&statement)
        .await
        .map_err(|error| anyhow::anyhow!("create role {name}: {:?}", error.code()))
}

/// Since PostgreSQL 16 CREATEROLE alone does not allow to alter a role that one has not made.
async fn administers(client: &Client, administrator: &str, role: &str) -> Result<()> {
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .context("the server's version")?
        .try_get(0)?;
    if version >= 160_000 {
        let grant = format!("GRANT {role} TO {administrator} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
        client.batch_execute(&grant).await.context("grant with admin")?;
    }
    Ok(())
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
