//! An access key in a Secret gives way to a role by web identity.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    lab::{
        kubernetes::Kubernetes,
        ministack::{Call, Ministack, REGION, calls},
    },
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    KILLS, Owner, Place, WITHIN, carried_out,
    gate::{AUDIENCE, Gate, rewritten},
    halfway, moment, text, token_for, workload,
};

const ACCOUNT: &str = "000000000000";

struct Cloud {
    cluster: &'static Kubernetes,
    aws: Ministack,
    gate: Gate,
    place: Place,
    namespace: &'static str,
}

/// A key and who has it.
struct Key {
    user: String,
    id: String,
    secret: String,
}

impl Key {
    fn subject(&self) -> String {
        format!("aws/iam/user/{}/access-key/{}", self.user, self.id)
    }
}

impl Cloud {
    async fn start(namespace: &'static str) -> Result<Self> {
        let (cluster, aws) = (Kubernetes::shared().await?, Ministack::start().await?);
        cluster
            .create(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})])?;
        let found = cluster.request(Method::GET, "/.well-known/openid-configuration", None).await?.body;
        let cloud_calls = [
            call(
                "iam",
                "create_open_id_connect_provider",
                json!({"Url": text(&found, "issuer"), "ClientIDList": [AUDIENCE], "ThumbprintList": ["0".repeat(40)]}),
            ),
            call(
                "secretsmanager",
                "create_secret",
                json!({"Name": "shop", "SecretString": "what the key may read"}),
            ),
        ];
        ok(aws.calls(&cloud_calls)?)?;
        let keys = cluster.request(Method::GET, "/openid/v1/jwks", None).await?.body;
        let gate = Gate::start(aws.endpoint(), keys).await?;
        let (id, secret) = aws.root_key();
        let configuration = format!(
            "[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\ninclude = [\"{namespace}\"]\n\
             [backends.aws]\nkind = \"aws\"\nregion = \"{REGION}\"\nendpoint = \"{}\"\npropagation_seconds = 0\n\
             access_key_id = {{ file = \"id\" }}\nsecret_access_key = {{ file = \"secret\" }}\n\
             [policies.keys]\nmatch = \"kind=access-key\"\nevidence = \"blind\"\n",
            cluster.kubeconfig().display(),
            gate.endpoint()
        );
        let place = Place::new(&configuration, &[("id", id), ("secret", secret)])?;
        Ok(Self { cluster, aws, gate, place, namespace })
    }

    /// A user with one right of its own and one of its group's, its key in a Secret, and a Deployment that reads it.
    fn plant(&self, name: &str) -> Result<Key> {
        let allow = |actions: &[&str]| {
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}).to_string()
        };
        let group = format!("group-{name}");
        let answers = ok(self.aws.calls(&[
            call("iam", "create_user", json!({"UserName": name})),
            call("iam", "put_user_policy", json!({"UserName": name, "PolicyName": "own", "PolicyDocument": allow(&["secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"])})),
            call("iam", "create_group", json!({"GroupName": group})),
            call("iam", "put_group_policy", json!({"GroupName": group, "PolicyName": "lists", "PolicyDocument": allow(&["ssm:DescribeParameters"])})),
            call("iam", "add_user_to_group", json!({"GroupName": group, "UserName": name})),
            call("iam", "create_access_key", json!({"UserName": name})),
        ])?)?;
        let made = &answers[5]["AccessKey"];
        let (id, secret) = (text(made, "AccessKeyId"), text(made, "SecretAccessKey"));
        let fields = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        self.cluster.create(&workload(self.namespace, name, &fields))?;
        Ok(Key { user: name.to_owned(), id: id.to_owned(), secret: secret.to_owned() })
    }

    fn role(&self, key: &Key) -> String {
        format!("claviger-{0}-{1}-{0}", key.user, self.namespace)
    }

    /// Does the key work, by what it may read?
    fn works(&self, key: &Key) -> Result<bool> {
        let read = call("secretsmanager", "get_secret_value", json!({"SecretId": "shop"}));
        let answer = calls(self.aws.endpoint(), (&key.id, &key.secret), &[read])?.remove(0);
        Ok(answer.get("Error").is_none())
    }

    fn has_role(&self, key: &Key) -> Result<bool> {
        let answer =
            self.aws.calls(&[call("iam", "get_role", json!({"RoleName": self.role(key)}))])?.remove(0);
        Ok(answer.get("Error").is_none())
    }

    /// Becomes the role with a token of this ServiceAccount, by way of the gate; the answer of STS.
    async fn assume(&self, key: &Key, account: &str) -> Result<Value> {
        let token = token_for(self.cluster, self.namespace, account, AUDIENCE).await?;
        self.assume_with(key, &token)
    }

    fn assume_with(&self, key: &Key, token: &str) -> Result<Value> {
        let parameters = json!({
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}", self.role(key)),
            "RoleSessionName": "pod", "WebIdentityToken": token,
        });
        let call = call("sts", "assume_role_with_web_identity", parameters);
        Ok(calls(self.gate.endpoint(), self.aws.root_key(), &[call])?.remove(0))
    }

    /// The key is dead, and the workload's account becomes the role, which nobody else does.
    async fn swapped(&self, key: &Key) -> Result<()> {
        ensure!(!self.works(key)?, "the key of {} still works", key.user);
        let answer = self.assume(key, &key.user).await?;
        ensure!(answer.get("Error").is_none(), "{answer}");
        let other = self.assume(key, "default").await?;
        ensure!(other["Error"]["Code"] == "AccessDenied", "another account became the role: {other}");
        let path = format!("/apis/apps/v1/namespaces/{}/deployments/{}", self.namespace, key.user);
        let pod =
            self.cluster.request(Method::GET, &path, None).await?.body["spec"]["template"]["spec"].clone();
        ensure!(!pod.to_string().contains("secretKeyRef"), "it still reads the Secret: {pod}");
        Ok(())
    }
}

fn call(service: &'static str, operation: &'static str, parameters: Value) -> Call {
    Call { service, operation, parameters }
}

fn ok(answers: Vec<Value>) -> Result<Vec<Value>> {
    for answer in &answers {
        ensure!(answer.get("Error").is_none(), "{answer}");
    }
    Ok(answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_gives_way_to_a_role_with_the_same_rights() -> Result<()> {
    let cloud = require_lab!(Cloud::start("irsa").await, Ok(()));
    let key = cloud.plant("shop")?;
    let place = &cloud.place;
    place.run(&["scan"])?;
    let subject = key.subject();
    let plan = place.run(&["swap", &subject, "--dry-run", "-o", "json"])?.expect(0)?.json()?;
    let shown = plan.to_string();
    for word in ["federate", "try-identity", "await-unread", "disable", "prove-refused", "sts.amazonaws.com"]
    {
        ensure!(shown.contains(word), "the plan does not say {word}: {plan:#}");
    }
    ensure!(!shown.contains(&key.secret), "the plan shows the secret");
    ensure!(!cloud.has_role(&key)?, "a dry run makes nothing");

    carried_out(place, &subject, "patches", &mut Owner::new(cloud.cluster, cloud.namespace, "shop"), None)
        .await?;
    let (_, state) = place.state(&subject)?.context("a swap")?;
    ensure!(state == "done", "it is {state}");
    cloud.swapped(&key).await?;
    let shown = place.run(&["show", &subject, "-o", "json"])?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");

    // What the session may do is what the key could, tried and not read.
    let given = cloud.assume(&key, "shop").await?["Credentials"].clone();
    let session =
        (text(&given, "AccessKeyId"), text(&given, "SecretAccessKey"), text(&given, "SessionToken"));
    for (service, operation, parameters, allowed) in [
        ("secretsmanager", "get_secret_value", json!({"SecretId": "shop"}), true),
        ("ssm", "describe_parameters", json!({}), true),
        ("iam", "list_users", json!({}), false),
    ] {
        let answer = claviger_tests::lab::ministack::calls_in(
            cloud.aws.endpoint(),
            session,
            &[call(service, operation, parameters)],
        )?;
        ensure!(answer[0].get("Error").is_none() == allowed, "{operation}: {}", answer[0]);
    }

    // Whoever writes the account's name into a token of another one does not get in.
    let token = token_for(cloud.cluster, cloud.namespace, "default", AUDIENCE).await?;
    let forged = rewritten(&token, |claims| claims["sub"] = json!("system:serviceaccount:irsa:shop"))?;
    let answer = cloud.assume_with(&key, &forged)?;
    ensure!(answer["Error"]["Code"] == "InvalidIdentityToken", "a forged token: {answer}");
    place.run(&["audit", "verify"])?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_taken_back_leaves_everything_as_it_was() -> Result<()> {
    let cloud = require_lab!(Cloud::start("irsa-undone").await, Ok(()));
    let key = cloud.plant("shop")?;
    let place = &cloud.place;
    place.run(&["scan"])?;
    let subject = key.subject();
    let id = halfway(place, &subject, "patches").await?;
    ensure!(cloud.has_role(&key)? && cloud.works(&key)?, "both side by side");
    place.run(&["rollback", &id, "--yes"])?.expect(0)?;
    let (_, state) = place.state(&subject)?.context("a swap")?;
    ensure!(state == "unwound", "it is {state}");
    ensure!(cloud.works(&key)?, "the key works as before");
    ensure!(!cloud.has_role(&key)?, "the role is gone");
    let answer = cloud.assume(&key, "shop").await?;
    ensure!(answer.get("Error").is_some(), "nobody becomes it: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_swap_to_a_role_loses_access() -> Result<()> {
    let cloud = require_lab!(Cloud::start("irsa-killed").await, Ok(()));
    let mut whole = Duration::ZERO;
    let (mut done, mut never) = (0, 0);
    for turn in 0..=KILLS {
        let name = format!("shop{turn}");
        let key = cloud.plant(&name)?;
        cloud.place.run(&["scan"])?;
        let kill = moment(whole, turn);
        let mut owner = Owner::new(cloud.cluster, cloud.namespace, &name);
        let subject = key.subject();
        let took = carried_out(&cloud.place, &subject, &format!("patches{turn}"), &mut owner, kill).await?;
        if turn == 0 {
            whole = took;
        }
        match cloud.place.state(&subject)? {
            Some((_, state)) if state == "done" => {
                cloud.swapped(&key).await.with_context(|| format!("killed after {kill:?}"))?;
                done += 1;
            }
            None => {
                ensure!(
                    cloud.works(&key)? && !cloud.has_role(&key)?,
                    "killed after {kill:?} before it began"
                );
                never += 1;
            }
            Some((_, state)) => anyhow::bail!("killed after {kill:?}: it is {state}"),
        }
    }
    cloud.place.run(&["audit", "verify"])?.expect(0)?;
    ensure!(KILLS - never >= WITHIN, "only {} kills fell into the swap", KILLS - never);
    println!("{KILLS} kills over {whole:?}: {done} came to their end, {never} had not begun");
    Ok(())
}
