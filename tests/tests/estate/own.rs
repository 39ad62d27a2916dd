//! What we log in with ourselves: recognised, listed, never ended from under us, renewed before it ends.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, require_lab};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, text};

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_credentials_are_listed_and_not_ended_from_under_us() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let place = Place::new(estate.directory(), "own.db");
    place.run(&["scan"], None)?.expect(3)?;
    let listed = place.list("connections")?;
    let of = |backend: &str| listed.iter().find(|one| text(one, "backend") == backend);
    for (backend, begins) in
        [("db", "db/role/claviger"), ("vault", "vault/auth/token/"), ("aws", "aws/iam/user/")]
    {
        let own = of(backend).with_context(|| format!("{backend}: {listed:#?}"))?;
        ensure!(text(own, "ref").starts_with(begins), "{own:#}");
        for command in [&["rotate"][..], &["revoke", "--reason", "test"]] {
            let dry = [command, &[text(own, "ref"), "--dry-run", "-o", "json"]].concat();
            let refused = place.run(&dry, None)?.expect(4)?.json()?;
            ensure!(!text(&refused["refused"][0], "code").is_empty(), "{refused:#}");
        }
    }
    ensure!(
        of("repo").is_some_and(|own| own["ref"].is_null()),
        "a folder is logged in to with nothing: {listed:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_ours_is_renewed_before_it_ends_and_told_where_it_cannot_be() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let directory = tempfile::tempdir()?;
    let token = async |renewable: bool| -> Result<String> {
        let body = json!({ "ttl": "60s", "renewable": renewable, "no_parent": true });
        let made = estate.openbao.request(Method::POST, "auth/token/create", Some(&body)).await?;
        Ok(text(&made.body["auth"], "client_token").to_owned())
    };
    let (lasting, ending) = (token(true).await?, token(false).await?);
    let mut config = "database = \"sqlite://own.db\"\nkeys = \"keys\"\n".to_owned();
    for (name, token) in [("lasting", &lasting), ("ending", &ending)] {
        std::fs::write(directory.path().join(name), token)?;
        config += &format!(
            "[backends.{name}]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"{name}\" }}\n",
            estate.openbao.address()
        );
    }
    std::fs::write(directory.path().join("claviger.toml"), config)?;
    let place = Place::new(directory.path(), "own.db");
    let log = directory.path().join("serve.log");
    let begun = Instant::now();
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0", "-v"])?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    let _serving = Serving(command.spawn()?);
    let known = async |token: &str| -> Result<Value> {
        Ok(estate.openbao.request_as(token, Method::GET, "auth/token/lookup-self", None).await?.body)
    };
    while begun.elapsed() < Duration::from_secs(75) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let said = std::fs::read_to_string(&log)?;
    ensure!(known(&lasting).await?["data"]["ttl"].as_u64() > Some(0), "it has ended\n{said}");
    ensure!(known(&ending).await?["data"].is_null(), "it lives on");
    ensure!(said.contains("our own credential was renewed"), "{said}");
    ensure!(said.contains("it cannot be renewed"), "{said}");
    ensure!(!said.contains(&lasting) && !said.contains(&ending), "a token is in the log");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
