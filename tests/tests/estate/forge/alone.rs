//! A PostgreSQL role and a forge, and nothing else: what a copy in a forge takes.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::lab::{daemon::Directory, postgres::Postgres, private::write_private};
use serde_json::Value;

use crate::{Place, text};

/// The role whose password is copied.
pub(super) const ROLE: &str = "courier";
/// Its ref.
pub(super) const SUBJECT: &str = "db/role/courier";

/// A server with the role, and a place with its configuration.
pub(super) struct Alone {
    pub(super) postgres: Postgres,
    pub(super) place: Place,
    pub(super) directory: Directory,
}

impl Alone {
    /// Plants the role with this password; `rest` goes behind the database in the configuration, `copies` are said by hand.
    pub(super) async fn with(
        postgres: Postgres,
        password: &str,
        rest: &str,
        copies: &[&str],
    ) -> Result<Self> {
        let admin = postgres.connect("postgres").await?;
        admin.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")).await?;
        let directory = Directory::new("forge")?;
        let path = directory.path();
        write_private(&path.join("db.password"), postgres.password())?;
        let declared = format!("\n[[credentials]]\nref = \"{SUBJECT}\"\ncopies = {copies:?}\n");
        let whole = format!(
            "keys = \"keys\"\nlease_seconds = 3\n\n[backends.db]\nkind = \"postgresql\"\n\
             url = \"postgres://{}@127.0.0.1:{}/postgres\"\npassword = {{ file = \"db.password\" }}\n{rest}{}",
            postgres.user(),
            postgres.port(),
            if copies.is_empty() { "" } else { &declared }
        );
        write_private(&path.join("claviger.toml"), &whole)?;
        let place = Place::new(path, "forge.db");
        place.run(&["init", "--yes"], None)?;
        Ok(Self { postgres, place, directory })
    }

    /// The copies in force of the password, by ref.
    pub(super) fn copies(&self) -> Result<Vec<Value>> {
        let all = self.place.run(&["list", "copies", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
        let mut items = all["items"].as_array().context("items")?.clone();
        items.retain(|copy| copy["stage"] == "current");
        Ok(items)
    }

    pub(super) fn copy(&self, at: &str) -> Result<Value> {
        let copies = self.copies()?;
        let found = copies.iter().find(|copy| copy["ref"] == at);
        found.cloned().with_context(|| format!("{at} is no copy of it: {copies:#?}"))
    }

    /// Rotates it to its end, and proven.
    pub(super) fn rotate(&self) -> Result<Value> {
        let run = || self.place.run(&["rotate", SUBJECT, "--yes", "-o", "json"], None);
        let rotated = tokio::task::block_in_place(run)?.expect(0)?.json()?;
        let rotation = &rotated["rotations"][0];
        ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotated:#}");
        Ok(rotation.clone())
    }

    /// Traces a value; the one match.
    pub(super) fn traced(&self, value: &str) -> Result<Value> {
        let run = self.place.run(&["trace", "-o", "json"], Some(value.as_bytes()))?.expect(0)?;
        ensure!(!run.stdout.contains(value), "the value was repeated");
        let trace = run.json()?;
        let matches = trace["matches"].as_array().context("matches")?;
        ensure!(matches.len() == 1 && trace["unmatched"] == 0, "{trace:#}");
        Ok(matches[0].clone())
    }

    /// Revokes what leaked: proven by a 401, at the same place as the control.
    pub(super) fn revoked(&self, at: &str) -> Result<Value> {
        let arguments = ["revoke", at, "--reason", "in a paste", "--yes", "-o", "json"];
        let run = tokio::task::block_in_place(|| self.place.run(&arguments, None))?.expect(0)?;
        let receipt = run.json()?["receipts"][0].clone();
        ensure!(receipt["verdict"] == "proven" && text(&receipt, "detail").contains("401"), "{receipt:#}");
        ensure!(receipt["control"] == receipt["probe"], "{receipt:#}");
        Ok(receipt)
    }

    /// None of these values lies in the lifecycle database, and the audit log is whole.
    pub(super) fn holds_none_of(&self, values: &[&str]) -> Result<()> {
        self.place.run(&["audit", "verify"], None)?.expect(0)?;
        let database = std::fs::read(self.directory.path().join("forge.db"))?;
        for value in values {
            let held = database.windows(value.len()).any(|bytes| bytes == value.as_bytes());
            ensure!(!held, "a value is in the database");
        }
        Ok(())
    }
}
