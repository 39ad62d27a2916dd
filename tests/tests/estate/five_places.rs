//! One leaked string, from the paste to the proof: a database password that lies in five places, each with its reader, is traced, replaced
//! everywhere, refused at its server, and taken out of every former version; an outsider verifies the receipts.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{
    binary,
    estate::{Estate, percent_encode},
    lab::{ministack::Call, postgres::connect, private::random_token},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, access_key::place, text};

const ROLE: &str = "ledger";
const SUBJECT: &str = "db/role/ledger";
/// Where it lies.
const PLACES: [&str; 5] = [
    "aws/secretsmanager/ledger/db#password",
    "prod/payments/ConfigMap/ledger#database-url",
    "prod/payments/Secret/ledger-db#password",
    "prod/web/Secret/ledger-db#password",
    "vault/kv/ledger/db#password",
];
/// Who reads it: in each case the namespace and the Deployment's name.
const READERS: [(&str, &str); 3] =
    [("payments", "ledger-api"), ("payments", "ledger-worker"), ("web", "ledger-report")];

/// Plants the role and its five copies; gives the password. It holds characters that a URL must escape, and quotes.
async fn plant(estate: &Estate) -> Result<String> {
    let password = format!("{}/@:'%\"", random_token()?);
    let admin = estate.postgres.connect("postgres").await?;
    let quoted = password.replace('\'', "''");
    admin.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{quoted}'")).await?;
    let version: i32 =
        admin.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
    if version >= 160_000 {
        let grant = format!("GRANT {ROLE} TO claviger WITH ADMIN TRUE, INHERIT FALSE, SET FALSE");
        admin.batch_execute(&grant).await?;
    }

    let kubernetes = &estate.kubernetes;
    let secret = |namespace: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "ledger-db", "namespace": namespace},
               "data": {"username": STANDARD.encode(ROLE), "password": STANDARD.encode(&password)}})
    };
    // One of the two is applied, so that an annotation holds the value too.
    kubernetes.apply(&[secret("payments")])?;
    let url = format!(
        "postgres://{ROLE}:{}@127.0.0.1:{}/postgres",
        percent_encode(&password),
        estate.postgres.port()
    );
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ledger", "namespace": "payments"},
                     "data": {"database-url": url, "log-level": "debug"}});
    kubernetes.create(&[secret("web"), map])?;
    let from_secret = json!([{"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "ledger-db", "key": "password"}}}]);
    let from_map = json!([{"name": "DATABASE_URL", "valueFrom": {"configMapKeyRef": {"name": "ledger", "key": "database-url"}}}]);
    let mounted = json!({"containers": [{"name": "main", "image": "registry.lab.internal/ledger:1",
        "volumeMounts": [{"name": "db", "mountPath": "/etc/db"}]}], "volumes": [{"name": "db", "secret": {"secretName": "ledger-db"}}]});
    let with = |environment: Value| json!({"containers": [{"name": "main", "image": "registry.lab.internal/ledger:1", "env": environment}]});
    let specs = [with(from_secret), with(from_map), mounted];
    let deployments = READERS.iter().zip(specs).map(|((namespace, name), spec)| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
               "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                        "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}})
    });
    kubernetes.create(&deployments.collect::<Vec<_>>())?;
    for namespace in ["payments", "web"] {
        kubernetes.rolled_out(namespace).await?;
    }

    for value in [random_token()?, password.clone()] {
        let body = json!({"data": {"username": ROLE, "password": value, "note": "kept"}});
        estate.openbao.write("kv/data/ledger/db", &body).await?;
    }
    let document = json!({"username": ROLE, "password": password, "note": "kept"}).to_string();
    let created = Call {
        service: "secretsmanager",
        operation: "create_secret",
        parameters: json!({"Name": "ledger/db", "SecretString": document}),
    };
    let answer = estate.ministack.calls(&[created])?.remove(0);
    ensure!(answer.get("Error").is_none(), "{answer}");
    Ok(password)
}

/// The pods of the readers: another one each after a restart.
async fn pods(estate: &Estate) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for (namespace, name) in READERS {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}");
        let list = estate.kubernetes.request(Method::GET, &path, None).await?.body;
        let items = list["items"].as_array().context("pods")?;
        let live = items.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        found.extend(live.map(|pod| text(&pod["metadata"], "uid").to_owned()));
    }
    Ok(found)
}

/// Every string in a document, and what it is where it is base64.
fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if let Some(decoded) = STANDARD.decode(text).ok().and_then(|it| String::from_utf8(it).ok()) {
                into.push(decoded);
            }
            // An annotation holds an object as text.
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                strings(&inner, into);
            }
            into.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, into)),
        _ => {}
    }
}

/// Where the servers hold the value, asked without claviger: every Secret, ConfigMap and workload of the two namespaces with their annotations,
/// every version of the path, every version of the secret at AWS that has a label.
async fn held(estate: &Estate, value: &str) -> Result<Vec<String>> {
    let forms = [value.to_owned(), percent_encode(value)];
    let mut places = Vec::new();
    let mut look = |what: String, document: &Value| {
        let mut all = Vec::new();
        strings(document, &mut all);
        if all.iter().any(|text| forms.iter().any(|form| text.contains(form.as_str()))) {
            places.push(what);
        }
    };
    for namespace in ["payments", "web"] {
        for kind in
            ["api/v1 secrets", "api/v1 configmaps", "apis/apps/v1 deployments", "apis/apps/v1 replicasets"]
        {
            let (group, kind) = kind.split_once(' ').context("two words")?;
            let path = format!("/{group}/namespaces/{namespace}/{kind}");
            let list = estate.kubernetes.request(Method::GET, &path, None).await?.good(&path)?;
            for object in list["items"].as_array().context("items")? {
                look(format!("{namespace}/{kind}/{}", text(&object["metadata"], "name")), object);
            }
        }
    }
    let metadata =
        estate.openbao.request(Method::GET, "kv/metadata/ledger/db", None).await?.good("versions")?;
    for number in metadata["data"]["versions"].as_object().context("versions")?.keys() {
        let path = format!("kv/data/ledger/db?version={number}");
        // A destroyed one is 404, with metadata only.
        look(format!("kv version {number}"), &estate.openbao.request(Method::GET, &path, None).await?.body);
    }
    let of = |operation, parameters| Call { service: "secretsmanager", operation, parameters };
    let list = of("list_secret_version_ids", json!({"SecretId": "ledger/db"}));
    let list = estate.ministack.calls(&[list])?.remove(0);
    let versions = list["Versions"].as_array().context("versions")?;
    ensure!(!versions.is_empty(), "{list}");
    // One without a label is nobody's to read but who knows its id, until the service deletes it.
    let labelled = |version: &&Value| version["VersionStages"].as_array().is_some_and(|all| !all.is_empty());
    for version in versions.iter().filter(labelled) {
        let id = text(version, "VersionId");
        let get = of("get_secret_value", json!({"SecretId": "ledger/db", "VersionId": id}));
        look(
            format!("aws version {id} {}", version["VersionStages"]),
            &estate.ministack.calls(&[get])?.remove(0),
        );
    }
    Ok(places)
}

/// The password that one of the places holds now.
async fn now_in(estate: &Estate, place: usize) -> Result<String> {
    let secret = async |namespace: &str| -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/ledger-db");
        let secret = estate.kubernetes.request(Method::GET, &path, None).await?.body;
        ensure!(crate::recovery::decoded(&secret["data"]["username"])? == ROLE, "its sibling was changed");
        crate::recovery::decoded(&secret["data"]["password"])
    };
    Ok(match place {
        0 => {
            let get = Call {
                service: "secretsmanager",
                operation: "get_secret_value",
                parameters: json!({"SecretId": "ledger/db"}),
            };
            let answer = estate.ministack.calls(&[get])?.remove(0);
            let document: Value = serde_json::from_str(text(&answer, "SecretString"))?;
            ensure!(document["note"] == "kept", "a field beside it was changed");
            text(&document, "password").to_owned()
        }
        1 => {
            let path = "/api/v1/namespaces/payments/configmaps/ledger";
            let map = estate.kubernetes.request(Method::GET, path, None).await?.body;
            let url = text(&map["data"], "database-url");
            let (_, rest) = url.split_once(&format!("{ROLE}:")).context("a user")?;
            rest.rsplit_once('@').context("a host")?.0.to_owned()
        }
        2 => secret("payments").await?,
        3 => secret("web").await?,
        _ => {
            let kv = estate.openbao.request(Method::GET, "kv/data/ledger/db", None).await?.body;
            ensure!(kv["data"]["data"]["note"] == "kept", "a field beside it was changed");
            text(&kv["data"]["data"], "password").to_owned()
        }
    })
}

/// Verifies an export where there is neither a configuration nor a database.
fn verified_elsewhere(export: &str, key: &str) -> Result<Value> {
    let elsewhere = tempfile::tempdir()?;
    for (name, contents) in [("receipts.jsonl", export), ("signing.pub", key)] {
        fs::write(elsewhere.path().join(name), contents)?;
    }
    let mut command = binary::command(elsewhere.path())?;
    let arguments =
        ["audit", "verify", "-o", "json", "--file", "receipts.jsonl", "--public-key", "signing.pub"];
    let output = command.current_dir(elsewhere.path()).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn refs(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Trace and list: what is it, where does it lie, who reads it?
fn looked_up(place: &Place, password: &str) -> Result<String> {
    let trace = place.run(&["trace", "-o", "json"], Some(password.as_bytes()))?.expect(0)?;
    ensure!(!trace.stdout.contains(password) && !trace.stderr.contains(password), "the value was repeated");
    let trace = trace.json()?;
    let found = &trace["matches"][0];
    ensure!(trace["matches"].as_array().map(Vec::len) == Some(1) && trace["unmatched"] == 0, "{trace:#}");
    ensure!(found["ref"] == SUBJECT && found["state"] == "active" && found["how"] == "exact", "{trace:#}");
    ensure!(refs(&found["copies"]) == PLACES, "{:#}", found["copies"]);
    let readers = READERS.map(|(namespace, name)| format!("prod/{namespace}/Deployment/{name}"));
    ensure!(refs(&found["consumers"]) == readers, "{:#}", found["consumers"]);
    let listed = place.run(&["list", "credentials", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(listed["items"][0]["copies"] == 5 && listed["items"][0]["consumers"] == 3, "{listed:#}");
    Ok(text(found, "credential").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_value_in_five_places_is_dead_everywhere_and_proven() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let old = plant(&estate).await?;
    let place = place(&estate, "five-places.db");
    place.run(&["scan"], None)?.expect(3)?;
    ensure!(held(&estate, &old).await?.len() == 5, "{:?}", held(&estate, &old).await?);
    let id = looked_up(&place, &old)?;
    let before = pods(&estate).await?;
    ensure!(before.len() == 3, "{before:?}");
    let mut login = estate.postgres.configuration("postgres");
    let session = connect(login.user(ROLE).password(&old)).await?;

    // What it would come to: nothing is touched by that.
    let revoke = |more: &[&str]| -> Result<Value> {
        let arguments = ["revoke", SUBJECT, "--reason", "in a paste", "--replace", "--scrub", "-o", "json"];
        tokio::task::block_in_place(|| place.run(&[&arguments[..], more].concat(), None))?.expect(0)?.json()
    };
    let plan = revoke(&["--dry-run"])?;
    let blast = &plan["subjects"][0]["blast"];
    ensure!(plan["refused"] == json!([]) && refs(&blast["shares"]) == PLACES, "{plan:#}");
    ensure!(refs(&blast["saved"]).len() == 3, "a replacement saves its three readers: {blast:#}");
    ensure!(blast["derived"].as_array().map(Vec::len) == Some(1), "its session is not told: {blast:#}");
    ensure!(estate.postgres.accepts(ROLE, &old).await? && held(&estate, &old).await?.len() == 5);
    ensure!(revoke(&["--dry-run"])?["hash"] == plan["hash"], "the same plan has another hash");

    let done = revoke(&["--yes"])?;
    ensure!(done["plan"]["hash"] == plan["hash"], "it was not what was shown");
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven" && text(receipt, "detail").contains("28P01"), "{done:#}");
    ensure!(text(receipt, "detail").contains("1 ended that were obtained with it"), "{receipt:#}");
    ensure!(done["left"] == json!([]), "{:#}", done["left"]);

    // The servers, asked without claviger.
    ensure!(!estate.postgres.accepts(ROLE, &old).await?, "the leaked password is accepted");
    ensure!(session.query_one("SELECT 1", &[]).await.is_err(), "a session of the leaked password goes on");
    let left = held(&estate, &old).await?;
    ensure!(left.is_empty(), "the leaked password is still in {left:?}");
    let new = now_in(&estate, 0).await?;
    ensure!(new != old && estate.postgres.accepts(ROLE, &new).await?, "the new password does not log in");
    for (index, at) in PLACES.iter().enumerate().skip(1) {
        ensure!(now_in(&estate, index).await? == new, "{at} holds another value");
    }
    let after = pods(&estate).await?;
    ensure!(after.len() == 3 && after.is_disjoint(&before), "a reader still runs with the leaked one");

    // A scan, and the leaked string once more.
    place.run(&["scan"], None)?.expect(3)?;
    let shown = place.run(&["show", SUBJECT, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(
        shown["credential"]["id"] == id.as_str() && shown["credential"]["state"] == "active",
        "{shown:#}"
    );
    let trace = place.run(&["trace", "-o", "json"], Some(old.as_bytes()))?.json()?;
    let again = &trace["matches"][0];
    ensure!(again["ref"] == SUBJECT && again["former"] == true, "{trace:#}");
    ensure!(again["former_versions"] == json!([]), "a version that holds it is known: {trace:#}");
    let findings = place.list("findings")?;
    ensure!(
        findings.iter().all(|finding| finding["slug"] != "returned-credential"),
        "something has come back: {findings:#?}"
    );

    // The receipt, to somebody who has nothing of ours but the public key.
    let rotation = place.list("rotations")?.remove(0);
    ensure!(rotation["cause"] == "incident" && rotation["state"] == "done", "{rotation:#}");
    let export = ["audit", "export", "--receipts", "--rotation", text(&rotation, "rotation_id")];
    let export = place.run(&export, None)?.expect(0)?.stdout;
    ensure!(!export.contains(&old) && !export.contains(&new), "a value is in the export");
    let key = fs::read_to_string(estate.directory().join("keys/signing.pub"))?;
    let verdict = verified_elsewhere(&export, &key)?;
    ensure!(verdict["valid"] == true && verdict["pinned"] == true, "{verdict:#}");
    let proven = &verdict["receipts"][0]["receipt"];
    ensure!(proven["verdict"] == "proven" && proven["ref"] == SUBJECT, "{verdict:#}");
    Ok(())
}
