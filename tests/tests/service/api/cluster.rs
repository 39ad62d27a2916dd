//! A ServiceAccount of a real cluster is known by its token, if that was made for us.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::kubernetes::Kubernetes, require_lab};
use serde_json::json;

use super::Asker;
use crate::house::{House, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_known_by_a_token_that_was_made_for_us() -> Result<()> {
    let cluster = require_lab!(Kubernetes::shared().await, Ok(()));
    let account = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "api-review" },
        })
    };
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "api-review" } });
    cluster.create(&[namespace, account("viewer"), account("nobody")])?;
    let rest = format!(
        "[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\ninclude = [\"api-review\"]\n\
         [service.kubernetes]\nbackend = \"prod\"\naudience = \"claviger\"\n\
         [[access]]\nrole = \"viewer\"\nservice_accounts = [\"api-review/viewer\"]\n",
        cluster.kubeconfig().display()
    );
    let house = House::new(1, "sqlite://claviger.db", &rest)?;
    let service = house.serve("api")?;
    service.until_ready(true, PATIENCE).await?;
    let token = async |name: &str, audience: &str| -> Result<String> {
        let path = format!("/api/v1/namespaces/api-review/serviceaccounts/{name}/token");
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": [audience], "expirationSeconds": 600 },
        });
        let made = cluster.request(reqwest::Method::POST, &path, Some(&body)).await?.good("a token")?;
        Ok(made["status"]["token"].as_str().context("a token")?.to_owned())
    };
    let good = token("viewer", "claviger").await?;
    let viewer = Asker::new(&service, Some(&good))?;
    ensure!(viewer.get("/api/v1/credentials").await?.status == 200, "{}", service.said()?);
    viewer.post("/api/v1/scans", &json!({})).await?.must_be(403, "CLV0621")?;
    let nobody = Asker::new(&service, Some(&token("nobody", "claviger").await?))?;
    nobody.get("/api/v1/credentials").await?.must_be(403, "CLV0621")?;
    let foreign = Asker::new(&service, Some(&token("viewer", "another").await?))?;
    foreign.get("/api/v1/credentials").await?.must_be(401, "CLV0620")?;
    // The signature of one token under the claims of another.
    let other = token("nobody", "claviger").await?;
    let (claims, signature) =
        (good.rsplit_once('.').context("a JWT")?.0, other.rsplit_once('.').context("a JWT")?.1);
    let forged = Asker::new(&service, Some(&format!("{claims}.{signature}")))?;
    forged.get("/api/v1/credentials").await?.must_be(401, "CLV0620")?;
    Ok(())
}
