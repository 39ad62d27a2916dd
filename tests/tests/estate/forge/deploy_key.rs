//! A deploy key whose private half lies in a Kubernetes Secret, in OpenBao and in an Actions secret: another one takes its place while somebody fetches
//! with what the Secret holds, whatever the moment at which the rotation is killed; and it is taken back.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{
    lab::{
        daemon::{Directory, eventually},
        gitea::Gitea,
        kubernetes::Kubernetes,
        openbao::OpenBao,
        private::write_private,
        runner::Runner,
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::section;
use crate::{
    Place,
    kills::{FEW, Kills},
    recovery::decoded,
    text,
};

const REPOSITORY: &str = "keymaster/shop";
const POSTED: &str = "forge/keymaster/shop/actions/secrets/DEPLOY_KEY";
const COPIES: [&str; 2] = ["prod/ci/Secret/shop-deploy#ssh-privatekey", "vault/secret/shop#deploy_key"];
const WORKFLOW: &str = "on: workflow_dispatch\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - run: deploy\n        env: { KEY: \"${{ secrets.DEPLOY_KEY }}\" }\n";
/// How many kills the campaign does.
const MANY: u32 = 24;

/// The servers, asked without claviger.
struct Keys {
    gitea: Gitea,
    openbao: OpenBao,
    kubernetes: Kubernetes,
    directory: Directory,
}

impl Keys {
    async fn planted(gitea: Gitea, openbao: OpenBao, kubernetes: Kubernetes) -> Result<(Self, Place)> {
        gitea.user("keymaster").await?;
        gitea.repository("keymaster", "shop").await?;
        gitea.file(REPOSITORY, ".gitea/workflows/deploy.yml", WORKFLOW).await?;
        let pair = gitea.key_pair("keymaster-deploy")?;
        let body = json!({"title": "deploys", "key": pair.public, "read_only": false});
        let id = gitea.make(&format!("repos/{REPOSITORY}/keys"), &body).await?["id"].clone();
        gitea.secret(&format!("repos/{REPOSITORY}"), "DEPLOY_KEY", &pair.private, "used by deploy").await?;
        openbao
            .write("secret/data/shop", &json!({"data": {"deploy_key": pair.private, "host": "x"}}))
            .await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ci"}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/ssh-auth",
                            "metadata": {"name": "shop-deploy", "namespace": "ci"},
                            "data": {"ssh-privatekey": STANDARD.encode(&pair.private)}});
        kubernetes.create(&[namespace, secret])?;

        let directory = Directory::new("deploy-key")?;
        let path = directory.path();
        write_private(&path.join("openbao.token"), openbao.token())?;
        let whole = format!(
            "keys = \"keys\"\nlease_seconds = 3\n{}\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\n\
             include = [\"secret\"]\n\n[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\ninclude = [\"ci\"]\n\n\
             [[credentials]]\nref = \"forge/{REPOSITORY}/deploy-keys/{id}\"\ncopies = [\"{POSTED}\"]\n",
            section(&gitea, path)?,
            openbao.address(),
            kubernetes.kubeconfig().display()
        );
        write_private(&path.join("claviger.toml"), &whole)?;
        let place = Place::new(path, "keys.db");
        place.run(&["init", "--yes"], None)?;
        Ok((Self { gitea, openbao, kubernetes, directory }, place))
    }

    /// Number, title and right of the repository's keys.
    async fn registered(&self) -> Result<Vec<(u64, String, bool)>> {
        let path = format!("repos/{REPOSITORY}/keys");
        let listed = self.gitea.request(Method::GET, &path, None).await?.good(&path)?;
        let listed = listed.as_array().context("a list")?;
        let key = |one: &Value| {
            let id = one["id"].as_u64().context("a number")?;
            Ok((id, text(one, "title").to_owned(), one["read_only"] == true))
        };
        listed.iter().map(key).collect()
    }

    /// The private half in the Kubernetes Secret.
    async fn mounted(&self) -> Result<String> {
        let path = "/api/v1/namespaces/ci/secrets/shop-deploy";
        decoded(&self.kubernetes.request(Method::GET, path, None).await?.body["data"]["ssh-privatekey"])
    }

    /// The same in both places that can be read, which must agree.
    async fn held(&self) -> Result<String> {
        let kv = self.openbao.request(Method::GET, "secret/data/shop", None).await?.body;
        let mounted = self.mounted().await?;
        ensure!(kv["data"]["data"]["deploy_key"] == mounted.as_str(), "the copies are out of step");
        ensure!(kv["data"]["data"]["host"] == "x", "a field beside it was changed");
        Ok(mounted)
    }

    /// Fetches with what the Secret holds for as long as this runs; its exit code, and how often. A key that was replaced between reading and logging in
    /// is read again.
    async fn witness(&self, rotation: &mut Child) -> Result<(Option<i32>, u32)> {
        let mut logins = 0;
        loop {
            let key = self.mounted().await?;
            let listed = tokio::task::block_in_place(|| self.gitea.lists_with(REPOSITORY, &key))?;
            ensure!(listed || self.mounted().await? != key, "what the Secret holds is refused");
            logins += u32::from(listed);
            if let Some(status) = rotation.try_wait()? {
                return Ok((status.code(), logins));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn subject(id: u64) -> String {
    format!("forge/{REPOSITORY}/deploy-keys/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_is_followed_by_another_while_somebody_fetches() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let kubernetes = require_lab!(Kubernetes::start().await, Ok(()));
    let (keys, place) = Keys::planted(gitea, openbao, kubernetes).await?;
    let runner = Runner::register(&keys.gitea, REPOSITORY).await?;
    place.run(&["scan"], None)?.expect(3)?;
    let (first, title, read_only) = keys.registered().await?.remove(0);
    ensure!(title == "deploys" && !read_only, "{title}");
    let (at, old) = (subject(first), keys.held().await?);

    let plan = place.run(&["rotate", &at, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "dual", "{plan:#}");
    let notes = planned["notes"].to_string();
    ensure!(notes.contains("may read and write keymaster/shop") && notes.contains("Ed25519"), "{notes}");
    for copy in COPIES.iter().chain([&POSTED]) {
        ensure!(planned["steps"].to_string().contains(copy), "{copy} is not written: {planned:#}");
    }

    let said = keys.directory.path().join("rotated.json");
    let mut command = place.command(&["rotate", &at, "--yes", "-o", "json"])?;
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&said)?).stderr(Stdio::null());
    let (code, logins) = keys.witness(&mut command.spawn()?).await?;
    let rotated: Value = serde_json::from_slice(&std::fs::read(&said)?)?;
    ensure!(code == Some(0), "exit {code:?}: {rotated:#}");
    let rotation = &rotated["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotated:#}");
    let steps = rotation["steps"].as_array().context("steps")?;
    let last = text(steps.last().context("a step")?, "detail");
    ensure!(last.contains("refused: Permission denied (publickey)"), "{last}");
    // What one may do with a key is for the forge to say; that the new one was tried before anybody got it, for the journal.
    let position = |name: &str| steps.iter().position(|step| step["step"] == name).context(name.to_owned());
    ensure!(position("add-at-issuer")? < position("verify-new")?, "{steps:#?}");
    ensure!(position("verify-new")? < position("write-copy")?, "{steps:#?}");
    ensure!(position("write-copy")? < position("revoke")?, "{steps:#?}");

    let new = keys.held().await?;
    ensure!(new != old && keys.gitea.lists_with(REPOSITORY, &new)?, "what the copies hold is not let in");
    ensure!(!keys.gitea.lists_with(REPOSITORY, &old)?, "the old one is let in");
    let given = runner.secrets("deploy.yml").await?["DEPLOY_KEY"].clone();
    ensure!(given.trim_end() == new.trim_end(), "a job is given another one");
    let registered = keys.registered().await?;
    let [(id, title, read_only)] = registered.as_slice() else { anyhow::bail!("{registered:?}") };
    ensure!(*id != first && title.starts_with("deploys (claviger ") && !read_only, "{registered:?}");
    ensure!(rotation["new"]["ref"] == subject(*id).as_str(), "{rotation:#}");

    place.run(&["scan"], None)?.expect(3)?;
    let shown = place.run(&["show", &subject(*id), "-o", "json"], None)?.expect(0)?.json()?;
    let held: Vec<_> = shown["copies"].as_array().context("copies")?.iter().collect();
    for at in COPIES {
        let known = held.iter().find(|copy| copy["ref"] == at && copy["stage"] == "current");
        ensure!(known.is_some(), "{at} is no copy of the new one: {shown:#}");
    }
    let gone = place.run(&["show", &at, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(gone["credential"]["state"] == "revoked-proven", "{gone:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    let database = std::fs::read(keys.directory.path().join("keys.db"))?;
    for line in [&old, &new].map(|key| key.lines().nth(2).unwrap_or_default().to_owned()) {
        let held = database.windows(line.len()).any(|bytes| bytes == line.as_bytes());
        ensure!(!line.is_empty() && !held, "a private half is in the database");
    }
    ensure!(logins > 1, "fetched {logins} times only while it was rotated");
    println!("fetched {logins} times while it was rotated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_key_is_taken_back_while_the_old_one_rests() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let openbao = require_lab!(OpenBao::start().await, Ok(()));
    let kubernetes = require_lab!(Kubernetes::start().await, Ok(()));
    let (keys, place) = Keys::planted(gitea, openbao, kubernetes).await?;
    let path = keys.directory.path().join("claviger.toml");
    let patient = "\n[policies.keys]\nmatch = \"kind=ssh-key\"\ngrace = \"2h\"\n";
    write_private(&path, &(std::fs::read_to_string(&path)? + patient))?;
    place.run(&["scan"], None)?.expect(3)?;
    let (first, ..) = keys.registered().await?.remove(0);
    let old = keys.held().await?;
    let mut command = place.command(&["rotate", &subject(first), "--yes"])?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // All copies are written, and the grace holds it.
    let new = eventually("both copies", || async {
        let held = keys.held().await.ok().filter(|held| *held != old)?;
        let descriptions = keys.gitea.descriptions(&format!("repos/{REPOSITORY}")).await.ok()?;
        descriptions[0].1.contains("[claviger ").then_some(held)
    })
    .await;
    child.kill()?;
    child.wait()?;
    let new = new?;
    for key in [&old, &new] {
        ensure!(keys.gitea.lists_with(REPOSITORY, key)?, "one of the two is refused in between");
    }
    let rotations = place.list("rotations")?;
    let id = text(rotations.first().context("a rotation")?, "rotation_id").to_owned();
    let run = || place.run(&["rollback", &id, "--yes", "-o", "json"], None);
    let done = tokio::task::block_in_place(run)?.expect(0)?.json()?;
    let back = &done["rotations"][0];
    ensure!(back["state"] == "done" && back["old"]["verdict"] == "proven", "{done:#}");
    ensure!(keys.held().await? == old, "the copies do not hold the former one to the letter");
    ensure!(keys.gitea.lists_with(REPOSITORY, &old)?, "the former one is refused");
    ensure!(!keys.gitea.lists_with(REPOSITORY, &new)?, "what was taken back is let in");
    ensure!(keys.registered().await?.len() == 1, "a key too many is registered");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_of_a_deploy_key_leaves_no_orphan() -> Result<()> {
    println!("{}", kill_deploy_key(FEW).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_deploy_key_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_deploy_key(MANY).await?);
    Ok(())
}

async fn kill_deploy_key(times: u32) -> Result<String> {
    let gitea = require_lab!(Gitea::start().await, Ok(String::new()));
    let openbao = require_lab!(OpenBao::start().await, Ok(String::new()));
    let kubernetes = require_lab!(Kubernetes::start().await, Ok(String::new()));
    let (keys, place) = Keys::planted(gitea, openbao, kubernetes).await?;
    let first = keys.held().await?;
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        place.run(&["scan"], None)?.expect(3)?;
        let (id, ..) = keys.registered().await?.remove(0);
        let before = keys.held().await?;
        let at = kills.strike(&place, &["rotate", &subject(id), "--yes", "-o", "json"]).await?;
        // At that very moment: what the Secret holds is let in.
        let mounted = keys.mounted().await?;
        ensure!(keys.gitea.lists_with(REPOSITORY, &mounted)?, "{at}: what the Secret holds is refused");
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        let proven = |one: &Value| one["state"] == "done" && one["old"]["verdict"] == "proven";
        ensure!(resumed.iter().all(proven), "{at}: {resumed:#?}");
        let held = keys.held().await.with_context(|| at.clone())?;
        ensure!(keys.gitea.lists_with(REPOSITORY, &held)?, "{at}: what the copies hold is refused");
        let registered = keys.registered().await?;
        ensure!(registered.len() == 1, "{at}: an orphan, or one too few: {registered:?}");
        ensure!(!registered[0].2, "{at}: it may not write any more");
        ensure!(held == before || !keys.gitea.lists_with(REPOSITORY, &before)?, "{at}: both are let in");
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= times as usize / 4, "only {interrupted} of {times} kills hit a rotation");
    ensure!(!keys.gitea.lists_with(REPOSITORY, &first)?, "the first key is still let in");
    Ok(format!("killed {times} times, {interrupted} in the middle; all resumed to done, no orphan"))
}
