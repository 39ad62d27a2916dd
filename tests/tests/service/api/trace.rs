//! `trace --server`: what leaked is asked of a service, told as at the database, and kept nowhere.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::remote::{Desk, value};
use crate::house::{House, PATIENCE};

const UNKNOWN: &str = "nobody-has-ever-known-this-one-5f2c";

/// A Kubernetes token that nobody has signed.
fn token() -> String {
    let claims = json!({
        "iss": "https://cluster", "sub": "system:serviceaccount:web:shop", "jti": "an-id", "iat": 1_700_000_000, "exp": 1_700_003_600,
        "kubernetes.io": {
            "namespace": "web", "serviceaccount": { "name": "shop", "uid": "u-1" }, "pod": { "name": "shop-0", "uid": "u-2" },
        },
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&json!({ "alg": "RS256" })), part(&claims), URL_SAFE_NO_PAD.encode("signed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_value_is_traced_at_a_service_as_here_and_kept_nowhere() -> Result<()> {
    let house = House::new(3, "sqlite://claviger.db", "")?;
    ensure!(house.run(&["scan"])?.code == 0, "scan");
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let desk = Desk::new(&house, &service, "root", &["--role", "responder"])?;
    let known = String::from_utf8(value(&house, "app_001")?)?;
    let leak = |rule: &str, secret: &str, line: u32| json!({ "RuleID": rule, "Description": "d", "StartLine": line, "Match": secret, "Secret": secret, "File": "src/app.rs", "Commit": "c0ffee" });
    let report =
        json!([leak("a", &known, 3), leak("b", "REDACTED", 4), leak("c", UNKNOWN, 5), leak("d", &known, 6)]);
    let redacted = json!([leak("b", "REDACTED", 4)]);
    let long = "x".repeat(700 << 10);
    let binary = [b"\xff\xfe\x00".as_slice(), UNKNOWN.as_bytes()].concat();
    let files: &[(&str, Vec<u8>)] = &[
        ("known", known.clone().into_bytes()),
        ("unknown", UNKNOWN.into()),
        ("report", report.to_string().into_bytes()),
        ("redacted", redacted.to_string().into_bytes()),
        ("broken", report.to_string().replace("}]", "").into_bytes()),
        ("lines", format!("{UNKNOWN}\n{known}\n").into_bytes()),
        ("long", format!("{long}1\n{long}2\n{known}\n").into_bytes()),
        ("binary", binary),
        ("token", token().into_bytes()),
        ("nothing", Vec::new()),
    ];
    for directory in [house.path(), desk.directory.path()] {
        for (name, text) in files {
            std::fs::write(directory.join(name), text)?;
        }
    }
    let compared = |arguments: &[&str]| -> Result<(i32, String, String)> {
        let (there, here) = (desk.run(arguments)?, house.run(arguments)?);
        ensure!(there.code == here.code, "{arguments:?}: {}\nis not\n{}", there.stderr, here.stderr);
        ensure!(there.stdout == here.stdout, "{arguments:?}:\n{}\nis not\n{}", there.stdout, here.stdout);
        ensure!(there.stderr == here.stderr, "{arguments:?}:\n{}\nis not\n{}", there.stderr, here.stderr);
        ensure!(!there.stdout.contains(UNKNOWN) && !there.stdout.contains(&known), "it is repeated");
        ensure!(!there.stderr.contains(UNKNOWN) && !there.stderr.contains(&known), "it is repeated");
        Ok((there.code, there.stdout, there.stderr))
    };
    let (mut codes, commands) = (
        Vec::new(),
        [
            &["trace", "--file", "known"][..],
            &["trace", "--file", "unknown"],
            &["trace", "--file", "report"],
            &["trace", "--file", "redacted"],
            &["trace", "--file", "lines", "--lines"],
            &["trace", "--file", "binary"],
            &["trace", "--file", "token"],
            &["trace", "--file", "known", "--file", "report"],
            &["trace", "--file", "broken"],
            &["trace", "--file", "nothing"],
            &["trace", "--file", "absent"],
            &["trace"],
        ],
    );
    for command in commands {
        for format in ["table", "json", "yaml", "csv"] {
            let (code, ..) = compared(&[command, &["-o", format]].concat())?;
            codes.push(code);
        }
    }
    let codes: Vec<_> = codes.chunks(4).map(|four| four[0]).collect();
    ensure!(codes == [0, 3, 3, 3, 0, 3, 3, 3, 2, 2, 1, 2], "{codes:?}");
    let (_, text, said) = compared(&["trace", "--file", "report", "-o", "json"])?;
    let found: Value = serde_json::from_str(&text)?;
    ensure!(found["matches"][0]["seen"].as_array().map(Vec::len) == Some(2), "{found:#}");
    ensure!(found["skipped"][0]["reason"] == "redacted" && said.contains("src/app.rs:5"), "{said}");
    let (.., said) = compared(&["trace", "--file", "token"])?;
    ensure!(said.contains("nobody has checked") && said.contains("pod shop-0"), "{said}");
    // More than other requests may bring.
    let (code, ..) = compared(&["trace", "--file", "long", "--lines", "-o", "json"])?;
    ensure!(code == 0, "exit {code}");

    let log = house.run(&["audit", "export"])?.stdout;
    let traced: Vec<_> = log.lines().filter(|line| line.contains("\"traced\"")).collect();
    let there = traced.iter().filter(|line| line.contains("root@token")).count();
    // Each was asked there once and here once.
    ensure!(there * 2 == traced.len() && there > 30, "{there} of {}", traced.len());
    ensure!(
        traced.iter().any(|line| line.contains("\"skipped\":1") && line.contains("root@token")),
        "skipped"
    );
    ensure!(!service.said()?.contains(UNKNOWN), "it is in the service's log");
    // Neither in its database nor anywhere else, but for what this test has written.
    for entry in std::fs::read_dir(house.path())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        if path.is_file() && !files.iter().any(|(file, _)| *file == name) {
            let bytes = std::fs::read(&path)?;
            let found = bytes.windows(UNKNOWN.len()).any(|window| window == UNKNOWN.as_bytes());
            ensure!(!found, "the value lies in {name}");
        }
    }
    let part = Desk::new(&house, &service, "view", &["--role", "operator"])?;
    std::fs::write(part.directory.path().join("known"), &known)?;
    let refused = part.run(&["trace", "--file", "known"])?;
    ensure!(refused.code == 4 && refused.stderr.contains("error[CLV0621]"), "{}", refused.stderr);
    Ok(())
}
