//! The shipped PostgreSQL grants, tried like the roles: each flow with its statements, and once without each of them.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    binary,
    lab::{
        openbao::OpenBao,
        postgres::{Postgres, connect},
        private::{random_token, write_private},
    },
    require_lab,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shipped;

/// The role that the files grant to.
const ROLE: &str = "claviger_backend";
/// The role whose password is rotated and revoked.
const SUBJECT: &str = "db/role/app";

/// The statements of a file, without its comments.
fn statements(flow: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(shipped(&format!("postgresql/{flow}.sql")))?;
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    Ok(code.join("\n").split(';').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
}

struct Place {
    postgres: Postgres,
    /// It runs for as long as this is kept.
    _openbao: OpenBao,
    directory: TempDir,
    password: String,
}

impl Place {
    /// Servers of its own, as what is granted holds for the whole server.
    async fn new(granted: &[String]) -> Result<Self> {
        let (postgres, openbao) = (Postgres::start().await?, OpenBao::start().await?);
        let (own, password) = (random_token()?, random_token()?);
        let client = postgres.connect("postgres").await?;
        client
            .batch_execute(&format!(
                "CREATE ROLE {ROLE} LOGIN PASSWORD '{own}'; CREATE ROLE app LOGIN PASSWORD '{password}'"
            ))
            .await?;
        for statement in granted {
            client.batch_execute(statement).await.with_context(|| statement.clone())?;
        }
        let version: i32 =
            client.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
        if version >= 160_000 && granted.iter().any(|statement| statement.contains("CREATEROLE")) {
            // As the files say, for each role.
            client
                .batch_execute(&format!("GRANT app TO {ROLE} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"))
                .await?;
        }
        openbao.write("secret/data/app", &json!({"data": {"username": "app", "password": password}})).await?;
        let directory = tempfile::tempdir()?;
        write_private(&directory.path().join("db.password"), &own)?;
        write_private(&directory.path().join("bao.token"), openbao.token())?;
        let configuration = format!(
            "database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n\n\
             [backends.db]\nkind = \"postgresql\"\nurl = \"postgres://{ROLE}@127.0.0.1:{}/postgres\"\npassword = {{ file = \"db.password\" }}\n\n\
             [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"bao.token\" }}\ninclude = [\"secret\"]\n\n\
             [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n",
            postgres.port(),
            openbao.address()
        );
        std::fs::write(directory.path().join("claviger.toml"), configuration)?;
        Ok(Self { postgres, _openbao: openbao, directory, password })
    }

    fn run(&self, arguments: &[&str]) -> Result<(i32, Value, String)> {
        let mut command = binary::command(self.directory.path())?;
        let output = command.args(arguments).args(["-o", "json"]).stdin(Stdio::null()).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = format!(
            "{arguments:?}: {}\n{}\n{stdout}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok((output.status.code().unwrap_or(-1), serde_json::from_str(&stdout).unwrap_or(Value::Null), said))
    }

    /// What is missing for a flow, by `doctor`.
    fn missing(&self, flow: &str) -> Result<Vec<String>> {
        let (_, document, said) = self.run(&["doctor", "db"])?;
        let items = document["items"].as_array().context(said)?;
        let mine = items.iter().filter(|item| item["flow"] == flow && item["status"] == "missing");
        Ok(mine.map(|item| item["permission"].to_string()).collect())
    }

    async fn succeeds(&self, flow: &str) -> Result<Result<(), String>> {
        let (code, _, said) = self.run(&["scan"])?;
        if code != 0 {
            return Ok(Err(said));
        }
        // A session that is open when the role is revoked.
        let mut configuration = self.postgres.configuration("postgres");
        configuration.user("app").password(&self.password);
        let session = connect(&configuration).await?;
        match flow {
            "scan" => {
                // It was found out whose password lies in the store.
                let (_, listed, said) = self.run(&["list", "copies"])?;
                let of_app = listed["items"].to_string().contains("\"evidence\":\"verifier\"");
                Ok(if of_app { Ok(()) } else { Err(said) })
            }
            "rotate" => {
                let (_, document, said) = self.run(&["rotate", SUBJECT, "--yes"])?;
                let refused = !self.postgres.accepts("app", &self.password).await?;
                let done = document["rotations"][0]["state"] == "done" && refused;
                Ok(if done { Ok(()) } else { Err(said) })
            }
            _ => {
                let (_, document, said) = self.run(&["revoke", SUBJECT, "--reason", "leaked", "--yes"])?;
                let proven = document["receipts"][0]["verdict"] == "proven";
                let ended = session.simple_query("SELECT 1").await.is_err();
                Ok(if proven && ended { Ok(()) } else { Err(format!("its session ended: {ended}\n{said}")) })
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_flow_needs_every_statement_of_its_file() -> Result<()> {
    require_lab!(Postgres::start().await, Ok(()));
    for flow in ["scan", "rotate", "revoke"] {
        let own = statements(flow)?;
        let beside = if flow == "scan" { Vec::new() } else { statements("scan")? };
        for left_out in std::iter::once(None).chain((0..own.len()).map(Some)) {
            let mut granted = beside.clone();
            granted.extend(
                own.iter().enumerate().filter(|(at, _)| Some(*at) != left_out).map(|(_, one)| one.clone()),
            );
            let place = Place::new(&granted).await?;
            let (outcome, missing) = (place.succeeds(flow).await?, place.missing(flow)?);
            match (left_out, outcome) {
                (None, Err(why)) => anyhow::bail!("`{flow}` does not do its work with its own grants: {why}"),
                (None, Ok(())) => ensure!(missing.is_empty(), "`{flow}`: doctor misses {missing:?}"),
                (Some(at), Ok(())) => anyhow::bail!("`{flow}` does its work without `{}`", own[at]),
                (Some(at), Err(_)) => {
                    ensure!(!missing.is_empty(), "`{flow}` without `{}`: doctor misses nothing", own[at]);
                    println!("{flow} without `{}`: fails, and doctor says why", own[at]);
                }
            }
        }
    }
    Ok(())
}

/// The lifecycle database as it is shipped is one that the service takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_lifecycle_database_is_taken() -> Result<()> {
    let postgres = require_lab!(Postgres::start().await, Ok(()));
    let client = postgres.connect("postgres").await?;
    for statement in statements("lifecycle")? {
        client.batch_execute(&statement).await.with_context(|| statement.clone())?;
    }
    let password = random_token()?;
    client.batch_execute(&format!("ALTER ROLE claviger PASSWORD '{password}'")).await?;
    let directory = tempfile::tempdir()?;
    write_private(&directory.path().join("database.password"), &password)?;
    let configuration = format!(
        "database = \"postgres://claviger@127.0.0.1:{}/claviger\"\ndatabase_password = {{ file = \"database.password\" }}\nkeys = \"keys\"\n",
        postgres.port()
    );
    std::fs::write(directory.path().join("claviger.toml"), configuration)?;
    let mut command = binary::command(directory.path())?;
    let output = command.args(["db", "migrate"]).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
