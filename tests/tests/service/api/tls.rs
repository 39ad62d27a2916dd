//! The service speaks TLS, and shows a new certificate without a restart.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateParams, KeyPair};

use crate::house::{House, PATIENCE};

/// A certificate that signs itself, in files; gives its PEM.
fn write(house: &House) -> Result<String> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.subject_alt_names.push(rcgen::SanType::IpAddress("127.0.0.1".parse()?));
    let certificate = params.self_signed(&key)?;
    fs::write(house.path().join("key.pem"), key.serialize_pem())?;
    fs::write(house.path().join("cert.pem"), certificate.pem())?;
    Ok(certificate.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_and_renews_its_certificate_without_a_restart() -> Result<()> {
    let house =
        House::new(1, "sqlite://claviger.db", "[service]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n")?;
    let first = write(&house)?;
    let service = house.serve("api")?;
    ensure!(service.address.starts_with("https://"), "{}", service.address);
    let made = house.json(&["token", "create", "view", "--role", "viewer"])?;
    let token = made["token"].as_str().context("a token")?;
    let ask = async |trusted: &str| -> Result<u16> {
        let client = claviger_tests::lab::http::client(Some(trusted.as_bytes()))?;
        let address = format!("{}/api/v1/credentials", service.address);
        Ok(client.get(address).bearer_auth(token).send().await?.status().as_u16())
    };
    ensure!(ask(&first).await? == 200, "not over TLS");
    let clear = claviger_tests::lab::http::client(None)?;
    let plain = clear.get(service.address.replace("https://", "http://")).send().await;
    ensure!(plain.is_err(), "it answers in the clear: {plain:?}");
    let second = write(&house)?;
    ensure!(ask(&second).await.is_err(), "another certificate is trusted at once");
    let begun = std::time::Instant::now();
    while ask(&second).await.is_err() {
        ensure!(begun.elapsed() < PATIENCE, "the new certificate is not shown: {}", service.said()?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    ensure!(ask(&first).await.is_err(), "the former one is shown still");
    // One that does not belong to its key takes nothing away.
    fs::write(house.path().join("key.pem"), KeyPair::generate()?.serialize_pem())?;
    while !service.said()?.contains("cannot be used: the former one goes on") {
        ensure!(begun.elapsed() < PATIENCE * 2, "it does not tell: {}", service.said()?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    ensure!(ask(&second).await? == 200, "it stopped");
    // Over the command line, with its own word on whom it trusts.
    let output = claviger_tests::binary::command(house.path())?
        .env("CLAVIGER_TOKEN", token)
        .args(["--server", &service.address, "--server-ca", "cert.pem", "list", "credentials"])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let untrusted = claviger_tests::binary::command(house.path())?
        .env("CLAVIGER_TOKEN", token)
        .args(["--server", &service.address, "list", "credentials"])
        .output()?;
    let said = String::from_utf8_lossy(&untrusted.stderr).into_owned();
    ensure!(untrusted.status.code() == Some(1) && said.contains("error[CLV0633]"), "{said}");
    let (code, _) = service.stop()?;
    ensure!(code == 0, "exit {code}");
    let refused = house.run(&["serve", "--roles", "api", "--listen", "127.0.0.1:0"])?;
    ensure!(refused.code == 2 && refused.stderr.contains("error[CLV0635]"), "{}", refused.stderr);
    Ok(())
}
