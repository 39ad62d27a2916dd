//! A deploy key of a GitLab project whose private half a job is given by a variable of that project: another one takes its place. The GitLab is a fake from its
//! documents; its SSH server is a real Gitea's.

use anyhow::{Context as _, Result, ensure};
use claviger_core::{random::SeededRandom, secret::SecretValue, ssh_key};
use claviger_tests::{
    lab::{daemon::Directory, gitea::Gitea, gitlab::Gitlab, private::write_private},
    require_lab,
};

use crate::{Place, text};

const PROJECT: &str = "turnkey/shop";
const VARIABLE: &str = "forge/turnkey/shop/variables/DEPLOY_KEY@*";

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_of_gitlab_is_followed_by_another_and_refused() -> Result<()> {
    let ssh = require_lab!(Gitea::shared().await, Ok(()));
    let gitlab = Gitlab::start().await?;
    gitlab.state().home(PROJECT, true);
    gitlab.lets_in_at(ssh, PROJECT).await?;
    let key = ssh_key::ed25519(&SeededRandom::new(951));
    let old = key.expose_text().context("text")?.to_owned();
    let line = ssh_key::public_line(&key).context("a public half")?;
    let plant = || {
        let mut state = gitlab.state();
        state.variable(PROJECT, "DEPLOY_KEY", &old);
        state.deploy_key(PROJECT, "deploys", &format!("{line} dana@laptop"), true)
    };
    let id = tokio::task::block_in_place(plant);
    let directory = Directory::new("project-key")?;
    let path = directory.path();
    write_private(&path.join("forge.token"), &gitlab.token())?;
    let whole = format!(
        "keys = \"keys\"\n\n[backends.forge]\nkind = \"gitlab\"\nurl = \"{}\"\ntoken = {{ file = \"forge.token\" }}\nknown_hosts = \"{}\"\n",
        gitlab.address(),
        ssh.known_hosts().display()
    );
    write_private(&path.join("claviger.toml"), &whole)?;
    let place = Place::new(path, "project.db");
    place.run(&["init", "--yes"], None)?;
    place.run(&["scan"], None)?;
    let subject = format!("forge/{PROJECT}/deploy-keys/{id}");
    let shown = place.run(&["show", &subject, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    ensure!(copies.iter().any(|copy| copy["ref"] == VARIABLE), "the variable is no copy of it: {shown:#}");

    let run = || place.run(&["rotate", &subject, "--yes", "-o", "json"], None);
    let rotated = tokio::task::block_in_place(run)?.expect(0)?.json()?;
    let rotation = &rotated["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotated:#}");
    let steps = rotation["steps"].as_array().context("steps")?;
    let last = text(steps.last().context("a step")?, "detail");
    ensure!(last.contains("Permission denied (publickey)"), "{last}");

    let (new, registered) = {
        let state = gitlab.state();
        let held = state.holds(PROJECT, "DEPLOY_KEY", "*").context("the variable")?.value.clone();
        (held, state.deploy_keys(PROJECT))
    };
    ensure!(new != old && ssh.lists_with(PROJECT, &new)?, "what a job is given is not let in");
    ensure!(!ssh.lists_with(PROJECT, &old)?, "the old one is let in");
    let line = ssh_key::public_line(&SecretValue::from_text(new)).context("a public half")?;
    let [only] = registered.as_slice() else { anyhow::bail!("{registered:#?}") };
    ensure!(only["key"] == line.as_str() && only["can_push"] == true, "{only:#}");
    ensure!(text(only, "title").starts_with("deploys (claviger "), "{only:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
