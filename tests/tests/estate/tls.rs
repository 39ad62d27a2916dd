//! Certificates in Kubernetes Secrets, made again on a real API server: by an authority of the estate and by themselves; and those that are
//! somebody else's to renew.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use claviger_core::{
    certificate::{Identity, is_signed_by},
    secret::SecretValue,
};
use claviger_tests::{estate::Estate, require_lab};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Place, access_key::place, kills::Kills, recovery::decoded, text};

const SERVER: &str = "prod/ops/Secret/edge-tls#tls.crt";

fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([format!("{name}.ops.svc")])?;
    params.distinguished_name.push(DnType::CommonName, name);
    // It ends soon, whenever this runs: 400 days, of which few are left.
    let now = std::time::UNIX_EPOCH.elapsed()?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let day = std::time::Duration::from_secs(86_400);
    params.not_before = epoch + (now - 394 * day);
    params.not_after = epoch + (now + 6 * day);
    Ok(params)
}

fn tls(name: &str, annotations: Value, fields: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": name, "namespace": "ops", "annotations": annotations }, "stringData": fields })
}

/// An authority, a server's certificate that it has signed and a Deployment mounts, one that signs itself, and one of cert-manager's.
async fn planted(estate: &Estate) -> Result<()> {
    let signer = KeyPair::generate()?;
    let mut authority = params("edge-authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let ca = authority.self_signed(&signer)?.pem();
    let issuer = Issuer::new(authority, &signer);
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
    let leaf = params("edge")?.signed_by(&key, &issuer)?.pem();
    let alone_key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let alone = params("alone")?.self_signed(&alone_key)?.pem();
    let managed = json!({ "cert-manager.io/certificate-name": "managed" });
    let pair =
        |certificate: &str, key: &KeyPair| json!({ "tls.crt": certificate, "tls.key": key.serialize_pem() });
    let server = json!({ "tls.crt": format!("{leaf}{ca}"), "tls.key": key.serialize_pem(), "ca.crt": ca });
    let trusted = json!({ "tls.crt": alone, "tls.key": alone_key.serialize_pem(), "ca.crt": alone });
    let managed_key = KeyPair::generate()?;
    let managed_leaf = params("managed")?.self_signed(&managed_key)?.pem();
    let labels = json!({ "app": "edge" });
    let container = json!({ "name": "proxy", "image": "registry.lab.internal/proxy:1",
                            "volumeMounts": [{ "name": "tls", "mountPath": "/etc/tls" }] });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "edge", "namespace": "ops" },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels },
                  "template": { "metadata": { "labels": labels }, "spec": { "containers": [container],
                      "volumes": [{ "name": "tls", "secret": { "secretName": "edge-tls" } }] } } } });
    estate.kubernetes.create(&[
        tls("edge-authority", json!({}), pair(&ca, &signer)),
        tls("edge-tls", json!({}), server),
        tls("alone-tls", json!({}), trusted),
        tls("managed-tls", managed, pair(&managed_leaf, &managed_key)),
        deployment,
    ])?;
    estate.kubernetes.rolled_out("ops").await
}

/// The fields of a Secret, as the API server has them.
async fn fields(estate: &Estate, name: &str) -> Result<[String; 3]> {
    let path = format!("/api/v1/namespaces/ops/secrets/{name}");
    let object = estate.kubernetes.request(Method::GET, &path, None).await?.body;
    let field = |key: &str| match &object["data"][key] {
        Value::Null => Ok(String::new()),
        held => decoded(held),
    };
    Ok([field("tls.crt")?, field("tls.key")?, field("ca.crt")?])
}

fn identity([certificate, key, _]: &[String; 3]) -> Result<Identity> {
    let value = |text: &String| SecretValue::from_text(text.clone());
    Identity::find(&value(certificate), &value(key)).map_err(|unfit| anyhow::anyhow!("a torn pair: {unfit}"))
}

/// Asked of a program that is not ours, where it is installed: does the chain hold, and is the key the certificate's?
fn openssl(folder: &Path, held: &[String; 3]) -> Result<()> {
    let run = |arguments: &[&str]| -> Result<Option<String>> {
        match Command::new("openssl").args(arguments).current_dir(folder).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            output => {
                let output = output?;
                let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
                ensure!(output.status.success(), "openssl {arguments:?}: {stderr}");
                Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
            }
        }
    };
    for (name, content) in ["tls.crt", "tls.key", "ca.crt"].iter().zip(held) {
        std::fs::write(folder.join(name), content)?;
    }
    if run(&["verify", "-CAfile", "ca.crt", "tls.crt"])?.is_none() {
        // Claviger's own code has verified the chain, and that is all there is.
        return Ok(());
    }
    let of_key = run(&["pkey", "-in", "tls.key", "-pubout"])?;
    ensure!(of_key == run(&["x509", "-in", "tls.crt", "-pubkey", "-noout"])?, "the key is another one's");
    Ok(())
}

async fn authority(estate: &Estate) -> Result<Identity> {
    identity(&fields(estate, "edge-authority").await?)
}

fn refused(place: &Place, at: &str, code: &str, says: &str) -> Result<()> {
    let answer = place.run(&["rotate", at, "--yes", "-o", "json"], None)?.expect(4)?.json()?;
    let refusal = &answer["refused"][0];
    ensure!(refusal["code"] == code && text(refusal, "reason").contains(says), "{answer:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_made_again_by_its_authority_and_its_server_restarted() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "tls.db");
    planted(&estate).await?;
    place.run(&["scan"], None)?;

    // What is somebody else's, and what would have to be trusted first.
    refused(&place, "prod/ops/Secret/managed-tls#tls.crt", "managed-elsewhere", "cmctl renew managed")?;
    refused(&place, "prod/ops/Secret/edge-authority#tls.crt", "signs-others", "edge-tls")?;

    let old = fields(&estate, "edge-tls").await?;
    let plan = place.run(&["rotate", SERVER, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let planned = &plan["subjects"][0];
    ensure!(planned["strategy"] == "reissue" && planned["breaks"] == json!([]), "{plan:#}");
    ensure!(planned["notes"].to_string().contains("signed by prod/ops/Secret/edge-authority"), "{plan:#}");
    ensure!(fields(&estate, "edge-tls").await? == old, "a dry run changes nothing");

    let done = place.run(&["rotate", SERVER, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    let rotation = &done["rotations"][0];
    ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "unprovable", "{rotation:#}");

    // The API server, asked without claviger.
    let new = fields(&estate, "edge-tls").await?;
    let (before, after, ca) = (identity(&old)?, identity(&new)?, authority(&estate).await?);
    ensure!(
        before.certificate() != after.certificate()
            && !before.key_is_in(&SecretValue::from_text(new[1].clone())),
        "it is the old one"
    );
    ensure!(is_signed_by(after.certificate(), ca.certificate()), "its authority has not signed it");
    ensure!(new[2] == old[2] && new[0].ends_with(&old[2]), "the chain was touched");
    openssl(estate.directory(), &new)?;
    let facts = (before.facts()?, after.facts()?);
    ensure!(
        facts.0.subject == facts.1.subject && facts.0.alternative_names == facts.1.alternative_names,
        "{facts:?}"
    );
    ensure!((&facts.1.key_algorithm, facts.1.key_bits) == (&"RSA".to_owned(), Some(2048)), "{facts:?}");
    let edge = "/apis/apps/v1/namespaces/ops/deployments/edge";
    let edge = estate.kubernetes.request(Method::GET, edge, None).await?;
    let template = &edge.body["spec"]["template"]["metadata"]["annotations"];
    ensure!(template.as_object().is_some_and(|notes| !notes.is_empty()), "it was not restarted: {template}");

    // What the inventory says of it, before and after the next scan.
    let ends = facts.1.not_after.context("an end")?;
    for scanned in [false, true] {
        if scanned {
            place.run(&["scan"], None)?;
        }
        let shown = place.run(&["show", SERVER, "-o", "json"], None)?.expect(0)?.json()?;
        let said = text(&shown["credential"], "expires_at");
        ensure!(
            said.starts_with(&ends.format("%Y-%m-%dT%H:%M:%S").to_string()),
            "scanned: {scanned}: {said}"
        );
        ensure!(shown["credential"]["state"] == "active", "{shown:#}");
    }
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signs_itself_takes_the_copy_beside_it_along() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "tls-alone.db");
    planted(&estate).await?;
    place.run(&["scan"], None)?;
    let old = fields(&estate, "alone-tls").await?;
    let at = "prod/ops/Secret/alone-tls#tls.crt";

    // Whoever calls it trusts exactly this one: an admission webhook that the API server would refuse, and a bundle in a ConfigMap.
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(&old[0]);
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let hook = json!({ "name": "alone.ops.svc", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
        "clientConfig": { "caBundle": bundle, "service": { "name": "alone", "namespace": "ops", "path": "/validate" } } });
    let hook = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "alone" }, "webhooks": [hook] });
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "trust", "namespace": "ops" },
        "data": { "bundle.pem": format!("# theirs\n{}{}", fields(&estate, "edge-tls").await?[2], old[0]) } });
    estate.kubernetes.create(&[hook, map])?;
    let answer = place.run(&["rotate", at, "--yes", "-o", "json"], None)?.expect(4)?.json()?;
    for trusts in [
        "prod/*/ValidatingWebhookConfiguration/alone#webhooks/alone.ops.svc/clientConfig/caBundle",
        "prod/ops/ConfigMap/trust#bundle.pem",
    ] {
        let refusal = &answer["refused"][0];
        ensure!(
            refusal["code"] == "trusted-elsewhere" && text(refusal, "reason").contains(trusts),
            "{trusts}: {answer:#}"
        );
    }
    ensure!(fields(&estate, "alone-tls").await? == old, "what is refused changes nothing");
    for path in [format!("{hooks}/alone"), "/api/v1/namespaces/ops/configmaps/trust".to_owned()] {
        estate.kubernetes.request(Method::DELETE, &path, None).await?;
    }
    let plan = place.run(&["rotate", at, "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let notes = plan["subjects"][0]["notes"].to_string();
    ensure!(notes.contains("signs itself") && !notes.contains("could not be read"), "{plan:#}");
    let done = place.run(&["rotate", at, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(done["rotations"][0]["state"] == "done", "{done:#}");
    let new = fields(&estate, "alone-tls").await?;
    let (before, after) = (identity(&old)?, identity(&new)?);
    ensure!(
        before.certificate() != after.certificate() && new[0] == new[2],
        "the copy beside it was left behind"
    );
    ensure!(after.facts()?.key_algorithm == "Ed25519", "another kind of key");
    openssl(estate.directory(), &new)?;

    // One that the secret store's authority has signed, whose key is nowhere to be read.
    let copies = place.list("copies")?;
    let issued = copies.iter().find(|copy| text(copy, "ref").contains("Secret/api-tls#tls.key"));
    let id = text(issued.context("the certificate of the secret store")?, "credential").to_owned();
    refused(&place, &id, "no-issuer", "was signed by")?;
    Ok(())
}

/// Killed, and then taken up or taken back: the Secret never holds a key that is not its certificate's.
#[tokio::test(flavor = "multi_thread")]
async fn no_kill_of_a_certificate_s_rotation_tears_it_from_its_key() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let mut place = place(&estate, "tls-kills.db");
    place.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    planted(&estate).await?;
    place.run(&["scan"], None)?;
    let ca = authority(&estate).await?;
    let (mut interrupted, mut back) = (0, 0);
    let mut kills = Kills::new(8);
    for turn in kills.turns() {
        let before = fields(&estate, "edge-tls").await?;
        let at = kills.strike(&place, &["rotate", SERVER, "--yes", "-o", "json"]).await?;
        let held = identity(&fields(&estate, "edge-tls").await?)?;
        ensure!(is_signed_by(held.certificate(), ca.certificate()), "{at}: nobody would trust it");
        let rest = ["done", "unwound", "rolled-back"];
        let rotations = place.list("rotations")?;
        if let Some(open) = rotations.iter().find(|rotation| !rest.contains(&text(rotation, "state"))) {
            interrupted += 1;
            let id = text(open, "rotation_id");
            if turn % 2 == 1 {
                back += 1;
                place.run(&["rollback", id, "--yes", "-o", "json"], None)?.expect(0)?;
                ensure!(fields(&estate, "edge-tls").await? == before, "{at}: it is not as it was");
            } else {
                let resumed = place.run(&["resume", "-o", "json"], None)?.expect(0)?.json()?;
                ensure!(resumed["rotations"][0]["state"] == "done", "{at}: {resumed:#}");
                ensure!(fields(&estate, "edge-tls").await? != before, "{at}: nothing was changed");
            }
        }
        openssl(estate.directory(), &fields(&estate, "edge-tls").await?)?;
        place.run(&["audit", "verify"], None)?.expect(0)?;
    }
    ensure!(interrupted >= 2, "only {interrupted} of 8 kills hit a rotation");
    println!("killed 8 times, {interrupted} in the middle, {back} of them taken back; no torn pair");
    Ok(())
}
