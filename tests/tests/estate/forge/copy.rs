//! One database password in OpenBao, a Kubernetes Secret, an AWS secret and a Gitea Actions secret, which nobody can read back: it rotates in all
//! four, and a job of the forge is given the new one.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{
    estate::Estate,
    lab::{
        gitea::Gitea,
        ministack::Call,
        private::{random_token, write_private},
        runner::Runner,
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::section;
use crate::{Place, access_key::place, text};

const ROLE: &str = "courier";
const SUBJECT: &str = "db/role/courier";
const SECRET: &str = "forge/courier-team/shop/actions/secrets/COURIER_PASSWORD";
const OTHERS: [&str; 3] = [
    "aws/secretsmanager/courier/db#password",
    "prod/payments/Secret/courier-db#password",
    "vault/kv/courier/db#password",
];
const JOB: &str = "forge/courier-team/shop/workflows/.gitea/workflows/deploy.yml#jobs/deploy";
const WORKFLOW: &str = "on: workflow_dispatch\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - run: deploy\n        env: { PGPASSWORD: \"${{ secrets.COURIER_PASSWORD }}\" }\n";

/// Plants the role and its four copies; gives the password.
async fn plant(estate: &Estate, gitea: &Gitea) -> Result<String> {
    let password = format!("{}/@:%", random_token()?);
    let admin = estate.postgres.connect("postgres").await?;
    admin.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")).await?;
    let version: i32 =
        admin.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
    if version >= 160_000 {
        let grant = format!("GRANT {ROLE} TO claviger WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
        admin.batch_execute(&grant).await?;
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "courier-db", "namespace": "payments"},
                        "data": {"username": STANDARD.encode(ROLE), "password": STANDARD.encode(&password)}});
    estate.kubernetes.create(&[secret])?;
    let body = json!({"data": {"username": ROLE, "password": password}});
    estate.openbao.write("kv/data/courier/db", &body).await?;
    let document = json!({"username": ROLE, "password": password}).to_string();
    let created = Call {
        service: "secretsmanager",
        operation: "create_secret",
        parameters: json!({"Name": "courier/db", "SecretString": document}),
    };
    let answer = estate.ministack.calls(&[created])?.remove(0);
    ensure!(answer.get("Error").is_none(), "{answer}");

    gitea.make("orgs", &json!({"username": "courier-team"})).await?;
    gitea.repository("courier-team", "shop").await?;
    gitea.secret("repos/courier-team/shop", "COURIER_PASSWORD", &password, "used by deploy").await?;
    gitea.file("courier-team/shop", ".gitea/workflows/deploy.yml", WORKFLOW).await?;

    let path = estate.directory().join("claviger.toml");
    let declared = format!("\n[[credentials]]\nref = \"{SUBJECT}\"\ncopies = [\"{SECRET}\"]\n");
    let whole = fs::read_to_string(&path)? + &section(gitea, estate.directory())? + &declared;
    write_private(&path, &whole)?;
    Ok(password)
}

/// The copies of the password, by ref.
fn copies(place: &Place) -> Result<Vec<Value>> {
    let all = place.run(&["list", "copies", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    let mut items = all["items"].as_array().context("items")?.clone();
    items.retain(|copy| copy["stage"] == "current");
    Ok(items)
}

fn of<'c>(copies: &'c [Value], at: &str) -> Result<&'c Value> {
    copies
        .iter()
        .find(|copy| copy["ref"] == at)
        .with_context(|| format!("{at} is no copy of it: {copies:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_rotates_in_a_forge_that_shows_it_to_nobody() -> Result<()> {
    let gitea = require_lab!(Gitea::start().await, Ok(()));
    let estate = require_lab!(Estate::start().await, Ok(()));
    let old = plant(&estate, &gitea).await?;
    let runner = Runner::register(&gitea, "courier-team/shop").await?;
    ensure!(runner.secrets("deploy.yml").await?["COURIER_PASSWORD"] == old, "the job is not given it before");
    let place = place(&estate, "forge-copy.db");
    let scan = place.run(&["scan", "-o", "json"], None)?.expect(3)?.json()?;
    let forge = scan["backends"].as_array().context("backends")?.iter().find(|one| one["name"] == "forge");
    let scopes = forge.context("the forge")?["scopes"].as_array().context("scopes")?.clone();
    let shop = scopes.iter().find(|scope| scope["scope"] == "courier-team/shop").context("the repository")?;
    ensure!(
        shop["status"] == "unreadable" && text(shop, "reason").contains("1 are known by name"),
        "{shop:#}"
    );

    let before = copies(&place)?;
    ensure!(before.len() == 4, "{before:#?}");
    let known = of(&before, SECRET)?;
    ensure!(known["fingerprint"].is_null() && text(known, "version").starts_with("unmarked-"), "{known:#}");
    let consumers = place.list("consumers")?;
    let reads = |one: &&Value| one["ref"] == JOB && one["copy"] == SECRET;
    ensure!(consumers.iter().any(|one| reads(&one)), "the job reads it: {consumers:#?}");

    // The plan says what nobody will see.
    let plan = place.run(&["rotate", SUBJECT, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let subject = &plan["subjects"][0];
    let steps = subject["steps"].as_array().context("steps")?;
    let posts: Vec<_> =
        steps.iter().filter(|step| step["step"] == "post-copy" && step["target"] == SECRET).collect();
    ensure!(posts.len() == 1 && text(posts[0], "detail").contains("cannot be read back"), "{steps:#?}");
    ensure!(subject["notes"].to_string().contains("shows its value to nobody"), "{subject:#}");
    ensure!(subject["breaks"].to_string().contains(JOB), "{subject:#}");

    let rotated =
        tokio::task::block_in_place(|| place.run(&["rotate", SUBJECT, "--yes", "-o", "json"], None))?;
    let rotated = rotated.expect(0)?.json()?;
    let rotation = &rotated["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotated:#}");
    let done = rotation["steps"].as_array().context("steps")?;
    let posted = done.iter().find(|step| text(step, "detail").contains("written, not read back"));
    let posted = posted.with_context(|| format!("no step says it: {done:#?}"))?;

    // What a job is given now, asked of the forge as a runner: the one password that the database takes.
    let new = runner.secrets("deploy.yml").await?["COURIER_PASSWORD"].clone();
    ensure!(
        new != old && estate.postgres.accepts(ROLE, &new).await?,
        "the job is not given what is accepted"
    );
    ensure!(!estate.postgres.accepts(ROLE, &old).await?, "the old one is accepted");
    let kv = estate.openbao.request(Method::GET, "kv/data/courier/db", None).await?.body;
    ensure!(kv["data"]["data"]["password"] == new.as_str(), "OpenBao holds another one");

    // The marker at the forge, and the ledger here, say the same version.
    let (name, description) = gitea.descriptions("repos/courier-team/shop").await?.remove(0);
    let marker =
        description.strip_prefix("used by deploy [claviger ").and_then(|rest| rest.split(' ').next());
    let marker = marker.with_context(|| format!("{name}: {description}"))?;
    ensure!(text(posted, "detail").contains(marker), "{posted:#}");
    for again in [false, true] {
        if again {
            place.run(&["scan"], None)?.expect(3)?;
        }
        let after = copies(&place)?;
        let known = of(&after, SECRET)?;
        ensure!(known["version"] == marker, "the ledger does not say its version: {known:#}");
        for at in OTHERS {
            ensure!(
                of(&after, at)?["fingerprint"] == known["fingerprint"],
                "the ledger says another value than {at} has: {after:#?}"
            );
        }
    }

    // Somebody puts something else there by another tool: from then on nobody knows what it holds.
    gitea.secret("repos/courier-team/shop", "COURIER_PASSWORD", "by-hand-0123456789", "mine").await?;
    place.run(&["scan"], None)?.expect(3)?;
    let after = copies(&place)?;
    ensure!(of(&after, SECRET)?["fingerprint"].is_null(), "it is still said to hold ours: {after:#?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    let stored = fs::read(estate.directory().join("forge-copy.db"))?;
    for value in [&old, &new] {
        ensure!(
            !stored.windows(value.len()).any(|bytes| bytes == value.as_bytes()),
            "a value is in the database"
        );
    }
    Ok(())
}
