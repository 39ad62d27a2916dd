//! A deploy key of GitHub whose private half lies in OpenBao and in an Actions secret: another one takes its place. The GitHub is a fake, held against GitHub's own
//! description; its SSH server is a real Gitea's.

use anyhow::{Context as _, Result, ensure};
use claviger_core::{random::SeededRandom, ssh_key};
use claviger_tests::{
    lab::{daemon::Directory, gitea::Gitea, github::Github, openbao::OpenBao, private::write_private},
    require_lab,
};
use reqwest::Method;
use serde_json::json;

use crate::{Place, text};

const REPOSITORY: &str = "locksmith/shop";
const BOX: &str = "repos/locksmith/shop/actions";
const SECRET: &str = "hub/locksmith/shop/actions/secrets/DEPLOY_KEY";

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_of_github_is_followed_by_another_and_refused() -> Result<()> {
    let github = require_lab!(Github::start(), Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let ssh = require_lab!(Gitea::shared().await, Ok(()));
    github.organisation("locksmith", false);
    github.repository(REPOSITORY);
    github.lets_in_at(ssh, REPOSITORY).await?;
    let key = ssh_key::ed25519(&SeededRandom::new(901));
    let old = key.expose_text().context("text")?.to_owned();
    let line = ssh_key::public_line(&key).context("a public half")?;
    let id = tokio::task::block_in_place(|| github.deploy_key(REPOSITORY, "deploys", &line, true));
    github.put_secret(BOX, "DEPLOY_KEY", &old);
    openbao.write("secret/data/shop", &json!({"data": {"deploy_key": old}})).await?;

    let token = github.token("root", &["locksmith"], &[("*", "write")]);
    let directory = Directory::new("hub-key")?;
    let path = directory.path();
    write_private(&path.join("openbao.token"), openbao.token())?;
    write_private(&path.join("hub.token"), &token)?;
    let subject = format!("hub/{REPOSITORY}/deploy-keys/{id}");
    let whole = format!(
        "keys = \"keys\"\n\n[backends.hub]\nkind = \"github\"\nurl = \"{}\"\ntoken = {{ file = \"hub.token\" }}\nowners = [\"locksmith\"]\n\
         ssh_host = \"127.0.0.1:{}\"\nknown_hosts = \"{}\"\n\n\
         [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\ninclude = [\"secret\"]\n\n\
         [[credentials]]\nref = \"{subject}\"\ncopies = [\"{SECRET}\"]\n",
        github.address(),
        ssh.ssh_port(),
        ssh.known_hosts().display(),
        openbao.address()
    );
    write_private(&path.join("claviger.toml"), &whole)?;
    let place = Place::new(path, "hub.db");
    place.run(&["init", "--yes"], None)?;
    place.run(&["scan"], None)?.expect(3)?;

    // The answer to the registration is lost: what was registered is found by its public half, and no second one is made.
    github.cut("POST", "locksmith/shop/keys");
    let run = || place.run(&["rotate", &subject, "--yes", "-o", "json"], None);
    let rotated = tokio::task::block_in_place(run)?.expect(0)?.json()?;
    let rotation = &rotated["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotated:#}");
    let steps = rotation["steps"].as_array().context("steps")?;
    let last = text(steps.last().context("a step")?, "detail");
    ensure!(last.contains("Permission denied (publickey)"), "{last}");

    let kv = openbao.request(Method::GET, "secret/data/shop", None).await?.body;
    let new = text(&kv["data"]["data"], "deploy_key").to_owned();
    ensure!(new != old && ssh.lists_with(REPOSITORY, &new)?, "what OpenBao holds is not let in");
    ensure!(!ssh.lists_with(REPOSITORY, &old)?, "the old one is let in");
    let posted = github.secret(BOX, "DEPLOY_KEY").context("a secret")?;
    ensure!(posted.trim_end() == new.trim_end(), "a job is given another one");
    let value = claviger_core::secret::SecretValue::from_text(new.clone());
    let made = github.deploy_keys(REPOSITORY, &ssh_key::public_line(&value).context("a public half")?);
    let [(title, read_only)] = made.as_slice() else { anyhow::bail!("{made:?}") };
    ensure!(title.starts_with("deploys (claviger ") && *read_only, "{made:?}");
    ensure!(github.deploy_keys(REPOSITORY, &line).is_empty(), "the old one is registered");
    let sent = github
        .requests()
        .iter()
        .filter(|asked| asked.starts_with("POST") && asked.ends_with("/keys"))
        .count();
    ensure!(sent == 1, "registered {sent} times");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    ensure!(github.violations().is_empty(), "not as GitHub describes it: {:#?}", github.violations());
    Ok(())
}
