//! The rotation of an IAM access key on the real servers: both halves in every copy, and no key too many whatever happens.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::Estate,
    lab::ministack::{Call, calls},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Place,
    kills::{FEW, Kills},
    recovery::{Lifecycle, decoded},
    text,
};

/// What the servers say, asked without claviger.
pub(crate) struct Servers<'e>(pub(crate) &'e Estate);

impl Servers<'_> {
    /// Ids of the user's keys.
    pub(crate) fn keys(&self) -> Result<Vec<String>> {
        let list =
            Call { service: "iam", operation: "list_access_keys", parameters: json!({"UserName": "media"}) };
        let answer = self.0.ministack.calls(&[list])?.remove(0);
        let keys = answer["AccessKeyMetadata"].as_array().context("keys")?;
        Ok(keys.iter().map(|key| text(key, "AccessKeyId").to_owned()).collect())
    }

    /// Does this pair authenticate?
    pub(crate) fn accepts(&self, id: &str, secret: &str) -> Result<bool> {
        let who = Call { service: "sts", operation: "get_caller_identity", parameters: json!({}) };
        let answer = calls(self.0.ministack.endpoint(), (id, secret), &[who])?.remove(0);
        Ok(answer.get("Error").is_none() && text(&answer, "Arn").ends_with(":user/media"))
    }

    /// The pair in each of the three copies.
    pub(crate) async fn pairs(&self) -> Result<[(String, String); 3]> {
        let of = |value: &Value, id: &str, secret: &str| {
            (text(value, id).to_owned(), text(value, secret).to_owned())
        };
        let path = "/api/v1/namespaces/web/secrets/media-aws";
        let object = self.0.kubernetes.request(Method::GET, path, None).await?.body;
        let decoded = json!({
            "id": decoded(&object["data"]["AWS_ACCESS_KEY_ID"])?,
            "secret": decoded(&object["data"]["AWS_SECRET_ACCESS_KEY"])?,
        });
        let kv = self.0.openbao.request(Method::GET, "kv/data/web/media", None).await?.body;
        let kv = &kv["data"]["data"];
        ensure!(kv["bucket"] == "media", "a field beside the pair was changed: {}", kv["bucket"]);
        let get = Call {
            service: "secretsmanager",
            operation: "get_secret_value",
            parameters: json!({"SecretId": "web/media"}),
        };
        let manager = self.0.ministack.calls(&[get])?.remove(0);
        let manager: Value = serde_json::from_str(text(&manager, "SecretString"))?;
        ensure!(manager["bucket"] == "media", "a field beside the pair was changed");
        Ok([
            of(&decoded, "id", "secret"),
            of(kv, "access_key_id", "secret_access_key"),
            of(&manager, "accessKeyId", "secretAccessKey"),
        ])
    }
}

pub(crate) fn place(estate: &Estate, database: &str) -> Place {
    let mut place = Place::new(estate.directory(), database);
    // Writing needs more than scanning: the administrator's kubeconfig.
    place
        .environment
        .push(("CLAVIGER_BACKENDS__PROD__KUBECONFIG".to_owned(), "administrator.kubeconfig".to_owned()));
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_is_followed_by_another_in_both_halves_of_every_copy() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "access-key.db"), Servers(&estate));
    place.run(&["scan"], None)?;
    let planted = estate.planted.get("aws-media");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let old = (servers.keys()?.remove(0), planted.value.as_ref().context("a value")?.expose().to_owned());
    ensure!(servers.pairs().await?.iter().all(|pair| *pair == old), "the copies hold it before");
    ensure!(servers.accepts(&old.0, &old.1)?, "it works before");

    // What cannot be done is said before anything is.
    for (name, code) in [("aws-deployer", "quota"), ("aws-claviger", "self-lock")] {
        let other = estate.planted.get(name).reference.as_deref().context("a ref")?;
        let refused = place.run(&["rotate", other, "--yes", "-o", "json"], None)?.expect(4)?.json()?;
        ensure!(refused["refused"][0]["code"] == code, "{name}: {refused:#}");
    }
    let plan = place.run(&["rotate", subject, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "dual" && planned["breaks"] == json!([]), "{plan:#}");
    ensure!(planned["notes"].to_string().contains("last saw it used"), "the evidence is not named: {plan:#}");
    ensure!(servers.keys()? == [old.0.clone()], "a dry run changes nothing");

    let done = place.run(&["rotate", subject, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
    let steps: Vec<_> =
        rotation["steps"].as_array().context("steps")?.iter().map(|step| text(step, "step")).collect();
    for step in ["mint-at-issuer", "await-quiet", "disable", "prove-disabled", "revoke", "prove-refused"] {
        ensure!(steps.contains(&step), "no {step} in {steps:?}");
    }

    // The servers, asked without claviger.
    let pairs = servers.pairs().await?;
    let new = &pairs[0];
    ensure!(pairs.iter().all(|pair| pair == new), "the copies are out of step");
    ensure!(new.0 != old.0 && new.1 != old.1, "a half is the old one");
    ensure!(servers.accepts(&new.0, &new.1)?, "the new pair does not work");
    ensure!(!servers.accepts(&old.0, &old.1)?, "the old pair still works");
    ensure!(servers.keys()? == [new.0.clone()], "the keys are {:?}", servers.keys()?);
    let media = "/apis/apps/v1/namespaces/web/deployments/media";
    let media = estate.kubernetes.request(Method::GET, media, None).await?;
    let template = &media.body["spec"]["template"]["metadata"]["annotations"];
    ensure!(template.as_object().is_some_and(|notes| !notes.is_empty()), "it was not restarted: {template}");

    let shown = place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    place.run(&["scan"], None)?;
    let successor = format!("aws/iam/user/media/access-key/{}", new.0);
    ensure!(rotation["new"]["ref"] == successor.as_str(), "{rotation:#}");
    let shown = place.run(&["show", &successor, "-o", "json"], None)?.expect(0)?.json()?;
    let copies = shown["copies"].as_array().context("copies")?;
    let current = copies.iter().filter(|copy| copy["stage"] == "current").count();
    ensure!(shown["credential"]["state"] == "active" && current == 3, "{shown:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

/// What IAM makes it tells once, so a crash after that leaves a key that nobody can use: it has to be found and taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_rotation_of_an_access_key_leaves_no_orphan() -> Result<()> {
    println!("{}", kill_access_key(FEW, Lifecycle::Sqlite).await?);
    Ok(())
}

/// Kills the rotation of an access key so many times.
pub(crate) async fn kill_access_key(times: u32, lifecycle: Lifecycle) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut place = place(&estate, "recovery-key.db");
    place.database = lifecycle.place(&estate, "recovery_key").await?.database;
    let servers = Servers(&estate);
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    place.run(&["scan"], None)?;
    let first = servers.pairs().await?[0].clone();
    let (mut interrupted, mut kills) = (0, Kills::new(times));
    for _ in kills.turns() {
        let held = servers.pairs().await?[0].0.clone();
        let subject = format!("aws/iam/user/media/access-key/{held}");
        let at = kills.strike(&place, &["rotate", &subject, "--yes", "-o", "json"]).await?;
        for (id, secret) in servers.pairs().await? {
            ensure!(servers.accepts(&id, &secret)?, "{at}: a copy's pair does not work");
        }
        let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
        let resumed = resumed["rotations"].as_array().context("rotations")?.clone();
        interrupted += resumed.len();
        ensure!(resumed.iter().all(|rotation| rotation["state"] == "done"), "{at}: {resumed:#?}");
        let pairs = servers.pairs().await?;
        ensure!(pairs.iter().all(|pair| *pair == pairs[0]), "{at}: out of step");
        ensure!(servers.accepts(&pairs[0].0, &pairs[0].1)?, "{at}: locked out");
        let keys = servers.keys()?;
        ensure!(keys == [pairs[0].0.clone()], "{at}: an orphan: {keys:?}");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        place.run(&["scan"], None)?;
    }
    ensure!(interrupted >= times as usize / 3, "only {interrupted} of {times} kills hit a rotation");
    ensure!(!servers.accepts(&first.0, &first.1)?, "the first key still works");
    Ok(format!("killed {times} times, {interrupted} in the middle; all resumed to done, one key is left"))
}
