//! Many roles alike, each with its password in a KV path of its own: what several workers share, and what is timed.

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tokio_postgres::Client;

use super::Estate;
use crate::lab::{openbao::OpenBao, postgres::Postgres, private::random_token};

/// Roles `<prefix>_0000` and so on, with the KV paths `kv/<prefix>/0000`.
#[derive(Debug, Clone)]
pub struct Fleet {
    prefix: String,
    count: usize,
}

impl Fleet {
    /// Makes them. claviger's role may alter them.
    ///
    /// # Errors
    /// A server refuses.
    pub async fn plant(
        postgres: &Postgres,
        openbao: &OpenBao,
        administrator: &str,
        prefix: &str,
        count: usize,
    ) -> Result<Self> {
        let fleet = Self { prefix: prefix.to_owned(), count };
        let client = postgres.connect("postgres").await?;
        let version: i32 = client
            .query_one("SELECT current_setting('server_version_num')::int", &[])
            .await
            .context("the server's version")?
            .try_get(0)?;
        for index in 0..count {
            let (role, password) = (fleet.role(index), random_token()?);
            create(&client, &role, &password, (version >= 160_000).then_some(administrator)).await?;
            let body = json!({"data": {"username": role, "password": password}});
            openbao.write(&format!("kv/data/{}", fleet.path(index)), &body).await?;
        }
        Ok(fleet)
    }

    /// A selector of all of them.
    pub fn selector(&self) -> String {
        format!("db/role/{}_*", self.prefix)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The name of a role.
    pub fn role(&self, index: usize) -> String {
        format!("{}_{index:04}", self.prefix)
    }

    fn path(&self, index: usize) -> String {
        format!("{}/{index:04}", self.prefix)
    }

    /// Each role's password in OpenBao logs in, and none is the one that `before` says.
    ///
    /// # Errors
    /// One does not, or is the former one.
    pub async fn in_step(&self, estate: &Estate, before: &[String]) -> Result<Vec<String>> {
        let now = self.held(&estate.openbao).await?;
        for (index, password) in now.iter().enumerate() {
            ensure!(before.get(index) != Some(password), "{} was not rotated", self.role(index));
            let accepted = estate.postgres.accepts(&self.role(index), password).await?;
            ensure!(accepted, "what OpenBao holds of {} does not log in", self.role(index));
            if let Some(former) = before.get(index) {
                let accepted = estate.postgres.accepts(&self.role(index), former).await?;
                ensure!(!accepted, "the former password of {} logs in", self.role(index));
            }
        }
        Ok(now)
    }

    /// What OpenBao holds of each.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn held(&self, openbao: &OpenBao) -> Result<Vec<String>> {
        let mut held = Vec::with_capacity(self.count);
        for index in 0..self.count {
            let path = format!("kv/data/{}", self.path(index));
            let answer = openbao.request(Method::GET, &path, None).await?;
            let password = answer.body["data"]["data"]["password"].as_str().context("a password")?;
            held.push(password.to_owned());
        }
        Ok(held)
    }
}

async fn create(client: &Client, role: &str, password: &str, administrator: Option<&str>) -> Result<()> {
    // Names and passwords are of our own making: nothing in them needs quoting.
    let mut statement = format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'");
    if let Some(administrator) = administrator {
        statement.push_str(&format!(
            "; GRANT {role} TO {administrator} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
        ));
    }
    client
        .batch_execute(&statement)
        .await
        .map_err(|error| anyhow::anyhow!("create {role}: {:?}", error.code()))
}
