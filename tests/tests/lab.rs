//! The lab itself: it leaves nothing behind, and what it says it planted is there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use claviger_tests::estate::Estate;
use claviger_tests::estate::planted::Stage;
use claviger_tests::lab::http;
use claviger_tests::lab::kubernetes::Kubernetes;
use claviger_tests::lab::microburst::Microburst;
use claviger_tests::lab::ministack::{Call, Ministack, calls};
use claviger_tests::lab::moto::Moto;
use claviger_tests::lab::openbao::OpenBao;
use claviger_tests::lab::postgres::{Options, Postgres};
use claviger_tests::require_lab;
use reqwest::Method;
use serde_json::Value;

/// Children of a process, from /proc.
fn children(parent: u32) -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    })
    .collect()
}

/// A process that is there and not merely waiting to be collected.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn nothing_outlives_a_killed_lab() -> Result<()> {
    // Both programs must be there, else `lab` would start less.
    drop(require_lab!(Postgres::start().await, Ok(())));
    drop(require_lab!(OpenBao::start().await, Ok(())));
    let directory = tempfile::tempdir()?;
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--empty", "--servers", "postgres,openbao", "--dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(lab.stdout.take().context("its output")?);
    let mut line = String::new();
    while !line.starts_with("up;") {
        line.clear();
        anyhow::ensure!(output.read_line(&mut line)? > 0, "lab ended before it was up");
    }
    let processes = children(lab.id());
    assert!(processes.len() >= 3, "two servers and the shell that ends them, not {processes:?}");
    lab.kill()?;
    lab.wait()?;
    let mut rest = Vec::new();
    output.read_to_end(&mut rest)?;
    for _ in 0..100 {
        if !processes.iter().any(|pid| alive(*pid)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("these outlived it: {:?}", processes.iter().filter(|pid| alive(**pid)).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_dropped_server_is_gone() -> Result<()> {
    let server = require_lab!(Postgres::start().await, Ok(()));
    let (pid, directory) = (server.pid(), server.directory().path().to_path_buf());
    assert!(alive(pid) && directory.exists());
    drop(server);
    assert!(!alive(pid), "the postmaster lives");
    assert!(!directory.exists(), "its directory is still there");
    Ok(())
}

#[tokio::test]
async fn servers_with_tls_and_durability() -> Result<()> {
    let bao = require_lab!(OpenBao::start_with_tls().await, Ok(()));
    assert!(bao.address().starts_with("https://"));
    let ca = std::fs::read(bao.ca().context("an authority")?)?;
    let health = format!("{}/v1/sys/health", bao.address());
    assert_eq!(http::send(&http::client(Some(&ca))?, Method::GET, &health, &[], None).await?.status, 200);
    let stranger = claviger_tests::lab::tls::self_signed(&["127.0.0.1"])?;
    let distrusting = http::client(Some(stranger.certificate.as_bytes()))?;
    assert!(http::send(&distrusting, Method::GET, &health, &[], None).await.is_err());

    let postgres = require_lab!(Postgres::start_with(Options { durable: true, tls: true }).await, Ok(()));
    let client = postgres.connect("postgres").await?;
    for setting in ["fsync", "ssl"] {
        let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.try_get(0)?;
        assert_eq!(value, "on", "{setting}");
    }
    Ok(())
}

#[tokio::test]
async fn every_planted_copy_in_kubernetes_is_there() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let mut checked = 0;
    for credential in &estate.planted.credentials {
        for copy in credential.copies.iter().filter(|copy| copy.stage == Stage::Current) {
            let Some(path) = copy.reference.strip_prefix("prod/") else { continue };
            let (object, field) = path.split_once('#').context("a field")?;
            let parts: Vec<&str> = object.split('/').collect();
            let [namespace, kind, name] = parts[..] else { anyhow::bail!("{path} is not a ref") };
            let resource = match kind {
                "Secret" => "api/v1/namespaces/NS/secrets",
                "ConfigMap" => "api/v1/namespaces/NS/configmaps",
                "Deployment" => "apis/apps/v1/namespaces/NS/deployments",
                other => anyhow::bail!("{other}"),
            };
            let url = format!("/{}/{name}", resource.replace("NS", namespace));
            let body = estate.kubernetes.request(Method::GET, &url, None).await?.good(path)?;
            let value = credential.value.as_ref().context("a value")?;
            assert!(
                holds(kind, &body, field, value.bytes()),
                "{} is not in {}",
                credential.name,
                copy.reference
            );
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} copies were looked at");
    Ok(())
}

/// Whether an object holds a value in a field, in the form in which its kind holds it.
fn holds(kind: &str, object: &Value, field: &str, value: &[u8]) -> bool {
    let contains =
        |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    if kind == "Deployment" {
        let template = object["spec"]["template"].to_string();
        return contains(template.as_bytes(), value);
    }
    if kind == "ConfigMap" {
        let text = object["data"][field].as_str().unwrap_or_default();
        // The one planted there is in a URL.
        let escaped: String = value
            .iter()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(*byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        return text.contains(&escaped);
    }
    let Ok(mut stored) = STANDARD.decode(object["data"][field].as_str().unwrap_or_default()) else {
        return false;
    };
    if field == "release" {
        let Ok(gzip) = STANDARD.decode(&stored) else { return false };
        let mut json = Vec::new();
        if flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut json).is_err() {
            return false;
        }
        stored = json;
    }
    if field == ".dockerconfigjson" {
        let config: Value = serde_json::from_slice(&stored).unwrap_or_default();
        let auth = config["auths"]["registry.lab.internal"]["auth"].as_str().unwrap_or_default();
        stored = STANDARD.decode(auth).unwrap_or_default();
    }
    contains(&stored, value)
}

#[tokio::test]
async fn issuers_accept_the_planted_values_in_force_and_no_former_ones() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    for credential in &estate.planted.credentials {
        let Some(role) =
            credential.reference.as_deref().and_then(|reference| reference.strip_prefix("db/role/"))
        else {
            continue;
        };
        let value = credential.value.as_ref().context("a value")?;
        // PostgreSQL refuses the password of a role whose time is over.
        let good = credential.name != "db-expired";
        assert_eq!(estate.postgres.accepts(role, value.expose()).await?, good, "{role}");
        for former in &credential.former {
            assert!(!estate.postgres.accepts(role, former.expose()).await?, "{role} takes a former password");
        }
    }
    for name in ["vault-periodic", "vault-root", "vault-ttl", "vault-claviger"] {
        let token = estate.planted.get(name).value.as_ref().context("a token")?.expose();
        let answer = estate.openbao.request_as(token, Method::GET, "auth/token/lookup-self", None).await?;
        assert_eq!(answer.status, 200, "{name}");
    }
    let token = estate.planted.get("k8s-deployer").value.as_ref().context("a token")?;
    let answer =
        estate.kubernetes.request_as(token.expose(), Method::GET, "/api/v1/secrets?limit=1", None).await?;
    assert_eq!(answer.status, 200, "the cluster administrator's token");
    Ok(())
}

#[tokio::test]
async fn the_scanning_identities_are_shut_out_where_the_truth_says_so() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let kubeconfig: Value =
        serde_json::from_str(&std::fs::read_to_string(estate.directory().join("claviger.kubeconfig"))?)?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str().context("a token")?;
    for (path, status) in [
        ("/api/v1/namespaces", 200),
        ("/api/v1/namespaces/payments/secrets", 200),
        ("/api/v1/namespaces/denied/secrets", 403),
        ("/api/v1/namespaces/denied/pods", 403),
        ("/api/v1/secrets", 403),
    ] {
        assert_eq!(
            estate.kubernetes.request_as(token, Method::GET, path, None).await?.status,
            status,
            "{path}"
        );
    }
    let token = std::fs::read_to_string(estate.directory().join("openbao.token"))?;
    for (path, status) in [
        ("kv/data/payments/db", 200),
        ("kv/metadata?list=true", 200),
        ("kv/metadata/denied?list=true", 403),
        ("kv/data/denied/vault", 403),
        ("auth/token/accessors?list=true", 200),
        ("auth/approle/role/ci/secret-id?list=true", 200),
        ("pki/certs?list=true", 200),
    ] {
        assert_eq!(
            estate.openbao.request_as(&token, Method::GET, path, None).await?.status,
            status,
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_written_for_people_parses_and_shows_no_value() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let text = std::fs::read_to_string(estate.directory().join("claviger.toml"))?;
    let config: toml::Table = text.parse()?;
    let backends = config["backends"].as_table().context("backends")?;
    let names: BTreeSet<&str> = backends.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["aws", "db", "prod", "repo", "vault"]));
    let truth = estate.planted.to_json().to_string();
    let mut values = 0;
    for value in estate.planted.values().filter(|value| value.bytes().is_ascii()) {
        assert!(!text.contains(value.expose()) && !truth.contains(value.expose()));
        values += 1;
    }
    assert!(values > 30, "only {values} values were looked for");
    for file in ["claviger.kubeconfig", "openbao.token", "aws.secret-key", "db.password"] {
        assert!(private(&estate.directory().join(file))?, "{file} can be read by others");
    }
    Ok(())
}

fn private(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

#[tokio::test]
async fn workloads_roll_out_and_roll_again() -> Result<()> {
    let estate = require_lab!(Estate::shared().await, Ok(()));
    let server: &Kubernetes = &estate.kubernetes;
    let pods = async || -> Result<BTreeSet<String>> {
        let path = "/api/v1/namespaces/payments/pods?labelSelector=app%3Dreader";
        let body = server.request(Method::GET, path, None).await?.good("pods")?;
        let names =
            body["items"].as_array().into_iter().flatten().filter(|pod| pod["status"]["phase"] == "Running");
        Ok(names.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
    };
    let before = pods().await?;
    assert_eq!(before.len(), 1);
    let restart =
        serde_json::json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
    let path = "/apis/apps/v1/namespaces/payments/deployments/reader";
    server.request(Method::PATCH, path, Some(&restart)).await?.good("a restart")?;
    server.rolled_out("payments").await?;
    assert!(pods().await?.iter().any(|name| !before.contains(name)), "no new pod");
    Ok(())
}

#[tokio::test]
async fn ministack_refuses_an_inactive_key() -> Result<()> {
    let server = require_lab!(Ministack::start().await, Ok(()));
    let call = |service, operation, parameters| Call { service, operation, parameters };
    let user = || serde_json::json!({"UserName": "someone"});
    let made =
        server.calls(&[call("iam", "create_user", user()), call("iam", "create_access_key", user())])?;
    let key = |field: &str| made[1]["AccessKey"][field].as_str().context("an access key").map(str::to_owned);
    let (id, secret) = (key("AccessKeyId")?, key("SecretAccessKey")?);
    let who = || -> Result<Value> {
        let mut answers = calls(
            server.endpoint(),
            (&id, &secret),
            &[call("sts", "get_caller_identity", serde_json::json!({}))],
        )?;
        answers.pop().context("an answer")
    };
    assert!(who()?["Arn"].as_str().is_some_and(|arn| arn.ends_with("user/someone")));
    let off = serde_json::json!({"UserName": "someone", "AccessKeyId": id, "Status": "Inactive"});
    server.calls(&[call("iam", "update_access_key", off)])?;
    assert!(who()?["Error"]["Code"].is_string(), "the inactive key still works");
    Ok(())
}

#[tokio::test]
async fn moto_answers() -> Result<()> {
    let server = require_lab!(Moto::start().await, Ok(()));
    let user = serde_json::json!({"UserName": "someone"});
    let call = Call { service: "iam", operation: "create_user", parameters: user };
    let made = calls(server.endpoint(), ("test", "test"), &[call])?;
    assert_eq!(made[0]["User"]["UserName"], "someone");
    Ok(())
}

#[tokio::test]
async fn microburst_cuts_an_answer_after_the_effect() -> Result<()> {
    let bao = require_lab!(OpenBao::start().await, Ok(()));
    let proxy = require_lab!(Microburst::start(bao.address()).await, Ok(()));
    let rule = serde_json::json!([{"service": "*", "times": 1, "response": {"abort_frac": 0.2}}]);
    proxy.add_rules(&rule).await?;
    let url = format!("{}/v1/secret/data/cut", proxy.endpoint());
    let body = serde_json::json!({"data": {"a": "b"}});
    let headers = [("x-vault-token", bao.token())];
    let client = http::client(None)?;
    assert!(
        http::send(&client, Method::POST, &url, &headers, Some(&body)).await.is_err(),
        "the answer was not cut"
    );
    assert_eq!(
        bao.request(Method::GET, "secret/data/cut", None).await?.status,
        200,
        "the write did not reach the server"
    );
    assert_eq!(
        http::send(&client, Method::POST, &url, &headers, Some(&body)).await?.status,
        200,
        "cut twice"
    );
    Ok(())
}
