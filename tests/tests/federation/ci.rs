//! An access key in an Actions secret gives way to a role by the forge's own tokens. GitHub is our fake, and the issuer of its tokens our own key: what a job does
//! with its token the tests do.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use claviger_core::clock::{Clock as _, SystemClock};
use claviger_tests::{
    lab::{
        github::Github,
        ministack::{Call, Ministack, REGION, calls, calls_in},
        tls,
    },
    require_lab,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    KILLS, PATIENCE, Place, Run, WITHIN,
    gate::{AUDIENCE, Gate},
    halfway, moment, text,
};

const ACCOUNT: &str = "000000000000";
const ISSUER: &str = "https://127.0.0.1/_services/token";
const PROVIDER: &str = "arn:aws:iam::000000000000:oidc-provider/127.0.0.1/_services/token";
const SUBJECT: &str = "repo:acme/shop:ref:refs/heads/main";
const FILE: &str = ".github/workflows/deploy.yml";
const SECRET: &str = "hub/acme/shop/actions/secrets/AWS_SECRET_ACCESS_KEY";
const BOX: &str = "repos/acme/shop/actions";
const WORKFLOW: &str = "\
# Deploys the shop.
on:
  push:
    branches: [main]
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Log in # to AWS
        uses: aws-actions/configure-aws-credentials@v4
        with:
          aws-access-key-id: ${{ secrets.AWS_ACCESS_KEY_ID }}
          aws-secret-access-key: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
          aws-region: eu-central-1
      - run: make deploy
";

struct Cloud {
    aws: Ministack,
    gate: Gate,
    github: Github,
    signer: EncodingKey,
    place: Place,
    subject: String,
    key: (String, String),
    /// By which claviger sees the forge.
    token: String,
}

/// A role that claviger made for the forge.
fn is_ours(role: &Value) -> bool {
    text(role, "RoleName").starts_with("claviger-ci-ci-")
}

fn call(service: &'static str, operation: &'static str, parameters: Value) -> Call {
    Call { service, operation, parameters }
}

fn fine(answers: Vec<Value>) -> Result<Vec<Value>> {
    for answer in &answers {
        ensure!(answer.get("Error").is_none(), "{answer}");
    }
    Ok(answers)
}

/// The key pair of an issuer, with its public half as a JWK set.
fn issuer() -> Result<(EncodingKey, Value)> {
    let (private, public) = tls::rsa_key()?;
    let body: String = public.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body)?;
    // A modulus of 2048 bits, and the exponent 65537 as the last number.
    let end = der.len().checked_sub(5).context("a public key")?;
    ensure!(der[end..] == [2, 3, 1, 0, 1], "another exponent");
    let modulus = URL_SAFE_NO_PAD.encode(&der[end - 256..end]);
    let keys = json!({"keys": [{"kty": "RSA", "alg": "RS256", "n": modulus, "e": "AQAB"}]});
    Ok((EncodingKey::from_rsa_pem(private.as_bytes())?, keys))
}

impl Cloud {
    /// A user with a right of its own, its key in an Actions secret and, where that is wanted, in a place that can be read.
    async fn start(workflow: &str, readable: bool) -> Result<Self> {
        Self::before(workflow, readable, true).await
    }

    /// The same; `told`: by a server that tells when a role was used.
    async fn before(workflow: &str, readable: bool, told: bool) -> Result<Self> {
        let (github, aws) = (Github::start()?, Ministack::start().await?);
        let (signer, keys) = issuer()?;
        let gate = Gate::start(aws.endpoint(), keys).await?;
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
            "Action": ["secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"]}]});
        let answers = fine(aws.calls(&[
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "shop", "SecretString": "what the key may read"}),
            ),
            call("iam", "create_user", json!({"UserName": "ci"})),
            call(
                "iam",
                "put_user_policy",
                json!({"UserName": "ci", "PolicyName": "own", "PolicyDocument": policy.to_string()}),
            ),
            call("iam", "create_access_key", json!({"UserName": "ci"})),
        ])?)?;
        let made = &answers[3]["AccessKey"];
        let key = (text(made, "AccessKeyId").to_owned(), text(made, "SecretAccessKey").to_owned());
        let mut copies = vec![SECRET.to_owned()];
        if readable {
            let pair = json!({"AWS_ACCESS_KEY_ID": key.0, "AWS_SECRET_ACCESS_KEY": key.1}).to_string();
            fine(aws.calls(&[call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "kept", "SecretString": pair}),
            )])?)?;
            copies.push("aws/secretsmanager/kept#AWS_SECRET_ACCESS_KEY".to_owned());
        }
        github.organisation("acme", true);
        github.repository("acme/shop");
        github.put_secret(BOX, "AWS_ACCESS_KEY_ID", &key.0);
        github.put_secret(BOX, "AWS_SECRET_ACCESS_KEY", &key.1);
        github.file("acme/shop", FILE, workflow);
        let token = github.token("root", &["acme"], &[("*", "write")]);
        let subject = format!("aws/iam/user/ci/access-key/{}", key.0);
        let (id, secret) = aws.root_key();
        let configuration = format!(
            "[backends.hub]\nkind = \"github\"\nurl = \"{}\"\ntoken = {{ file = \"hub.token\" }}\nowners = [\"acme\"]\n\
             [backends.aws]\nkind = \"aws\"\nregion = \"{REGION}\"\nendpoint = \"{}\"\npropagation_seconds = 0\n\
             access_key_id = {{ file = \"id\" }}\nsecret_access_key = {{ file = \"secret\" }}\n\
             [policies.keys]\nmatch = \"kind=access-key\"\nevidence = \"blind\"\n\
             [[credentials]]\nref = \"{subject}\"\ncopies = {}\n",
            github.address(),
            if told { gate.endpoint() } else { aws.endpoint() },
            json!(copies)
        );
        let place = Place::new(&configuration, &[("id", id), ("secret", secret), ("hub.token", &token)])?;
        place.run(&["scan"])?.expect(3)?;
        Ok(Self { aws, gate, github, signer, place, subject, key, token })
    }

    fn swap(&self, folder: &str) -> Result<Child> {
        let arguments = ["swap", &self.subject, "--yes", "--leave-stale", "--patch", folder, "-o", "json"];
        self.place.start(&arguments)
    }

    fn works(&self) -> Result<bool> {
        let read = call("secretsmanager", "get_secret_value", json!({"SecretId": "shop"}));
        let answer = calls(self.aws.endpoint(), (&self.key.0, &self.key.1), &[read])?.remove(0);
        Ok(answer.get("Error").is_none())
    }

    /// The role that was made, and whether IAM knows the issuer.
    fn made(&self) -> Result<(Option<Value>, bool)> {
        let calls =
            [call("iam", "list_roles", json!({})), call("iam", "list_open_id_connect_providers", json!({}))];
        let answers = fine(self.aws.calls(&calls)?)?;
        let roles = answers[0]["Roles"].as_array().cloned().unwrap_or_default();
        Ok((roles.into_iter().find(is_ours), answers[1].to_string().contains(PROVIDER)))
    }

    /// What STS says to a token of a run that is known as this one, signed by the forge.
    fn assume(&self, subject: &str) -> Result<Value> {
        let role = self.made()?.0.context("a role")?;
        let until = SystemClock.now().timestamp() + 300;
        let claims =
            json!({"iss": ISSUER, "sub": subject, "aud": AUDIENCE, "exp": until, "iat": until - 300});
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.signer)?;
        let parameters = json!({
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}", text(&role, "RoleName")),
            "RoleSessionName": "run", "WebIdentityToken": token,
        });
        let call = call("sts", "assume_role_with_web_identity", parameters);
        Ok(calls(self.gate.endpoint(), self.aws.root_key(), &[call])?.remove(0))
    }

    /// Commits the patch where there is one; what the file says then.
    fn apply(&self, folder: &Path) -> Result<Option<String>> {
        let patch = folder.join("acme-shop-deploy.yml.patch");
        // A file that is there may not be whole yet.
        let whole = fs::read_to_string(&patch)
            .is_ok_and(|text| text.contains("role-to-assume") && text.ends_with('\n'));
        if !whole {
            return Ok(None);
        }
        let repository = tempfile::tempdir()?;
        let file = repository.path().join(FILE);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        fs::write(&file, WORKFLOW)?;
        for arguments in [vec!["init", "-q"], vec!["apply", patch.to_str().context("a path")?]] {
            let output = Command::new("git").args(arguments).current_dir(repository.path()).output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let text = fs::read_to_string(file)?;
        self.github.file("acme/shop", FILE, &text);
        Ok(Some(text))
    }

    fn state(&self) -> Result<String> {
        Ok(self.place.state(&self.subject)?.context("a swap")?.1)
    }

    /// Takes it up until it is in this state.
    fn until(&self, wanted: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let state = self.state()?;
            if state == wanted {
                return Ok(());
            }
            ensure!(!["done", "unwound", "stuck", "paused"].contains(&state.as_str()), "it is {state}");
            ensure!(started.elapsed() < PATIENCE, "it is {state} still");
            self.place.run(&["resume"])?;
        }
    }

    /// Nothing of a swap is there, and everything works as before.
    fn untouched(&self) -> Result<()> {
        let (role, provider) = self.made()?;
        ensure!(role.is_none() && !provider, "something is left: {role:?}, issuer {provider}");
        ensure!(self.works()?, "the key does not work");
        Ok(())
    }
}

fn ended(child: Child) -> Result<Run> {
    Ok(Run::of(child.wait_with_output()?))
}

/// From the plan to the receipt: what is made, who is let in, that nothing ends before a job was, and the proof.
async fn through(cloud: &Cloud, verdict: &str) -> Result<()> {
    let (place, subject) = (&cloud.place, cloud.subject.as_str());
    let plan = ["swap", subject, "--leave-stale", "--dry-run", "-o", "json"];
    let plan = place.run(&plan)?.expect(0)?.json()?;
    let shown = plan.to_string();
    for word in [
        "federate",
        "compare-rights",
        "await-unread",
        "await-entry",
        "disable",
        "prove-refused",
        SUBJECT,
        ISSUER,
    ] {
        ensure!(shown.contains(word), "the plan does not say {word}: {plan:#}");
    }
    ensure!(!shown.contains("try-identity") && !shown.contains(&cloud.key.1), "{plan:#}");
    ensure!(shown.contains("seal-old") == (verdict == "proven"), "{plan:#}");
    cloud.untouched()?;

    // It waits for the patch, and for a run after it.
    ended(cloud.swap("patches")?)?;
    ensure!(cloud.state()? == "waiting", "it is {}", cloud.state()?);
    let (role, provider) = cloud.made()?;
    let role = role.context("a role")?;
    ensure!(provider && cloud.works()?, "side by side");
    let trust = role["AssumeRolePolicyDocument"].to_string();
    ensure!(trust.contains(SUBJECT) && trust.contains(AUDIENCE) && trust.contains("StringEquals"), "{trust}");
    ensure!(!trust.contains('*') && !trust.contains("StringLike"), "{trust}");
    let patched = cloud.apply(&place.path().join("patches"))?.context("a patch")?;
    for kept in ["# Deploys the shop.", "name: Log in # to AWS", "id-token: write", "contents: read"] {
        ensure!(patched.contains(kept), "{patched}");
    }
    ensure!(!patched.contains("secrets.") && patched.contains(text(&role, "RoleName")), "{patched}");
    for _ in 0..4 {
        place.run(&["resume"])?;
    }
    ensure!(cloud.state()? == "waiting" && cloud.works()?, "it was retired before a job was let in");

    // Only the jobs of that branch, signed by the forge.
    for other in [
        "repo:acme/shop:ref:refs/heads/other",
        "repo:acme/shop:pull_request",
        "repo:acme/other:ref:refs/heads/main",
    ] {
        let answer = cloud.assume(other)?;
        ensure!(answer["Error"]["Code"] == "AccessDenied", "{other} became the role: {answer}");
    }
    place.run(&["resume"])?;
    ensure!(cloud.state()? == "waiting" && cloud.works()?, "a refused login is no use of the role");
    let given = cloud.assume(SUBJECT)?;
    let given = given.get("Credentials").with_context(|| format!("a session: {given}"))?;
    let session = (text(given, "AccessKeyId"), text(given, "SecretAccessKey"), text(given, "SessionToken"));
    for (operation, allowed) in [("get_secret_value", true), ("delete_secret", false)] {
        let tried = call("secretsmanager", operation, json!({"SecretId": "shop"}));
        let answer = calls_in(cloud.aws.endpoint(), session, &[tried])?;
        ensure!(answer[0].get("Error").is_none() == allowed, "{operation}: {}", answer[0]);
    }

    cloud.until("done")?;
    ensure!(!cloud.works()?, "the key still works");
    ensure!(cloud.assume(SUBJECT)?.get("Error").is_none(), "the job is not let in any more");
    let shown = place.run(&["show", subject, "-o", "json"])?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == format!("revoked-{verdict}"), "{shown:#}");
    place.run(&["audit", "verify"])?.expect(0)?;
    let violations = cloud.github.violations();
    ensure!(violations.is_empty(), "not as GitHub describes it: {violations:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_nobody_can_read_gives_way_to_a_role_for_the_jobs_of_a_branch() -> Result<()> {
    through(&require_lab!(Cloud::start(WORKFLOW, false).await, Ok(())), "attested").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_can_be_read_elsewhere_is_proven_refused_at_the_end() -> Result<()> {
    through(&require_lab!(Cloud::start(WORKFLOW, true).await, Ok(())), "proven").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_for_a_job_is_taken_back_unless_its_owner_has_moved() -> Result<()> {
    let cloud = require_lab!(Cloud::start(WORKFLOW, false).await, Ok(()));
    let place = &cloud.place;
    let id = halfway(place, &cloud.subject, "patches").await?;
    ensure!(cloud.made()?.1 && cloud.works()?, "side by side");
    // Its workflow takes the role: it would be let in nowhere.
    cloud.apply(&place.path().join("patches"))?.context("a patch")?;
    let refused = place.run(&["rollback", &id, "--yes"])?.expect(4)?;
    ensure!(refused.stderr.contains("take the patch back first"), "{}", refused.stderr);
    ensure!(cloud.made()?.0.is_some() && cloud.works()?, "it was taken away all the same");
    cloud.github.file("acme/shop", FILE, WORKFLOW);
    place.run(&["rollback", &id, "--yes"])?.expect(0)?;
    ensure!(cloud.state()? == "unwound", "it is {}", cloud.state()?);
    cloud.untouched()
}

/// That it was used is not told: a person looks, and nobody else decides.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_use_of_the_role_is_told_a_person_decides() -> Result<()> {
    let cloud = require_lab!(Cloud::before(WORKFLOW, false, false).await, Ok(()));
    let place = &cloud.place;
    ended(cloud.swap("patches")?)?;
    cloud.apply(&place.path().join("patches"))?.context("a patch")?;
    place.run(&["resume"])?;
    let (id, state) = place.state(&cloud.subject)?.context("a swap")?;
    ensure!(state == "paused" && cloud.works()?, "it is {state}");
    let shown = place.run(&["list", "swaps", "-o", "json"])?.stdout;
    place.run(&["resume", &id])?.expect(0).with_context(|| shown.clone())?;
    ensure!(cloud.state()? == "done" && !cloud.works()?, "it is {}", cloud.state()?);
    ensure!(cloud.assume(SUBJECT)?.get("Error").is_none(), "the job is not let in");
    Ok(())
}

/// What our token may not see any more is missing for it: that is not taken for a workflow that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_is_hidden_from_us_is_not_taken_for_changed() -> Result<()> {
    let cloud = require_lab!(Cloud::start(WORKFLOW, false).await, Ok(()));
    ended(cloud.swap("patches")?)?;
    cloud.github.sees(&cloud.token, &[]);
    cloud.place.run(&["resume"])?;
    ensure!(cloud.state()? == "paused" && cloud.works()?, "it is {}", cloud.state()?);
    let (id, _) = cloud.place.state(&cloud.subject)?.context("a swap")?;
    let refused = cloud.place.run(&["rollback", &id, "--yes"])?.expect(4)?;
    ensure!(refused.stderr.contains("cannot be told"), "{}", refused.stderr);
    cloud.github.sees(&cloud.token, &["acme"]);
    cloud.place.run(&["resume", &id])?;
    ensure!(cloud.state()? == "waiting" && cloud.works()?, "it is {}", cloud.state()?);
    Ok(())
}

/// An issuer that others rely on is not taken away, nor one that was there before.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_another_role_trusts_stays() -> Result<()> {
    let cloud = require_lab!(Cloud::start(WORKFLOW, false).await, Ok(()));
    let place = &cloud.place;
    let id = halfway(place, &cloud.subject, "patches").await?;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity"}]});
    let role = json!({"RoleName": "theirs", "AssumeRolePolicyDocument": trust.to_string()});
    fine(cloud.aws.calls(&[call("iam", "create_role", role)])?)?;
    place.run(&["rollback", &id, "--yes"])?.expect(0)?;
    let (role, provider) = cloud.made()?;
    ensure!(role.is_none() && provider, "{role:?}, issuer {provider}");
    ensure!(cloud.works()?, "the key works as before");
    Ok(())
}

/// Where `sub` cannot be told whole, or the file is not understood, nothing is offered.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_exact_subject_is_refused_with_the_reason() -> Result<()> {
    let cloud = require_lab!(Cloud::start(WORKFLOW, false).await, Ok(()));
    let plan = || {
        let arguments = ["swap", &cloud.subject, "--leave-stale", "--dry-run", "-o", "json"];
        cloud.place.run(&arguments)?.json()
    };
    for (from, to, code) in [
        ("branches: [main]", "branches: ['**']", "subject-not-exact"),
        ("branches: [main]", "branches: [main]\n  pull_request:", "subject-not-exact"),
        ("    runs-on", "    environment: ${{ inputs.to }}\n    runs-on", "subject-not-exact"),
        ("make deploy", "echo ${{ secrets.AWS_SECRET_ACCESS_KEY }}", "workflow-shape"),
        (
            "          aws-region",
            "          role-to-assume: arn:other\n          aws-region",
            "workflow-shape",
        ),
        (
            "jobs:\n",
            "jobs:\n  live:\n    environment: live\n    steps:\n      - run: x\n        env:\n          AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}\n",
            "several-subjects",
        ),
    ] {
        cloud.github.file("acme/shop", FILE, &WORKFLOW.replacen(from, to, 1));
        let refused = plan()?;
        ensure!(refused["refused"][0]["code"] == code, "{to}: {refused:#}");
    }
    cloud.github.file("acme/shop", FILE, WORKFLOW);
    let keys = |keys: &[&str]| json!({"use_default": false, "include_claim_keys": keys});
    for (claim, expected) in [
        (keys(&["repo", "context", "actor"]), Err("subject-not-exact")),
        (keys(&["repo"]), Err("subject-not-exact")),
        (
            keys(&["repository_owner", "repo", "ref"]),
            Ok("repository_owner:acme:repo:acme/shop:ref:refs/heads/main"),
        ),
        (json!({"use_default": true, "sub_claim_prefix": "repo:acme@1/shop@2"}), Err("subject-unknown")),
        (json!({"use_default": true, "use_immutable_subject": true}), Ok("repo:acme@")),
    ] {
        cloud.github.claim("repos/acme/shop", claim.clone());
        let planned = plan()?;
        match expected {
            Err(code) => ensure!(planned["refused"][0]["code"] == code, "{claim}: {planned:#}"),
            Ok(subject) => ensure!(planned["subjects"].to_string().contains(subject), "{claim}: {planned:#}"),
        }
    }
    let violations = cloud.github.violations();
    ensure!(violations.is_empty(), "not as GitHub describes it: {violations:#?}");
    cloud.untouched()
}

/// The repository's owner commits the patch, and its job runs, as soon as either can be.
fn owner(cloud: &Cloud, folder: &Path, (applied, ran): (&mut bool, &mut bool)) -> Result<()> {
    if !*applied {
        *applied = cloud.apply(folder)?.is_some();
    } else if !*ran {
        // The patch is there before the role is.
        *ran = cloud.made()?.0.is_some() && cloud.assume(SUBJECT)?.get("Error").is_none();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_swap_to_a_forge_s_identity_loses_access() -> Result<()> {
    let (mut whole, mut done, mut never) = (Duration::ZERO, 0, 0);
    for turn in 0..=KILLS {
        let cloud = require_lab!(Cloud::start(WORKFLOW, true).await, Ok(()));
        let (folder, kill) = (cloud.place.path().join("patches"), moment(whole, turn));
        let (mut applied, mut ran) = (false, false);
        let started = Instant::now();
        let mut child = cloud.swap("patches")?;
        loop {
            if kill.is_some_and(|moment| started.elapsed() >= moment) {
                child.kill()?;
                child.wait()?;
                break;
            }
            if child.try_wait()?.is_some() {
                break;
            }
            owner(&cloud, &folder, (&mut applied, &mut ran))?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if turn == 0 {
            whole = started.elapsed();
        }
        if cloud.place.state(&cloud.subject)?.is_none() {
            cloud.untouched().with_context(|| format!("killed after {kill:?} before it began"))?;
            never += 1;
            continue;
        }
        while cloud.state()? != "done" {
            let state = cloud.state()?;
            if ["unwound", "stuck", "paused"].contains(&state.as_str()) {
                bail!("killed after {kill:?}: it is {state}");
            }
            ensure!(started.elapsed() < PATIENCE, "killed after {kill:?}: it is {state} still");
            owner(&cloud, &folder, (&mut applied, &mut ran))?;
            cloud.place.run(&["resume"])?;
        }
        let answer = cloud.assume(SUBJECT)?;
        ensure!(!cloud.works()? && answer.get("Error").is_none(), "killed after {kill:?}: {answer}");
        let shown = cloud.place.run(&["show", &cloud.subject, "-o", "json"])?.expect(0)?.json()?;
        ensure!(shown["credential"]["state"] == "revoked-proven", "killed after {kill:?}: {shown:#}");
        cloud.place.run(&["audit", "verify"])?.expect(0)?;
        done += 1;
    }
    ensure!(KILLS - never >= WITHIN, "only {} kills fell into the swap", KILLS - never);
    println!("{KILLS} kills over {whole:?}: {done} came to their end, {never} had not begun");
    Ok(())
}
