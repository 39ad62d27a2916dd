//! An IAM access key: inactive, refused, deleted, refused, and the sessions that it obtained denied.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{estate::Estate, lab::ministack::Call, require_lab};
use serde_json::json;

use super::{revoked, steps};
use crate::{
    access_key::{Servers, place},
    text,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_is_suspended_then_deleted_and_its_sessions_are_denied() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let (place, servers) = (place(&estate, "revoke-key.db"), Servers(&estate));
    place.run(&["scan"], None)?;
    let planted = estate.planted.get("aws-media");
    let subject = planted.reference.as_deref().context("its issuer's ref")?;
    let (id, secret) =
        (servers.keys()?.remove(0), planted.value.as_ref().context("a value")?.expose().to_owned());
    let own = estate.planted.get("aws-claviger").reference.as_deref().context("a ref")?;
    let refused = revoked(&place, 4, &[own, "--force", "--yes"])?;
    ensure!(refused["refused"][0]["code"] == "self-lock", "{refused:#}");

    let plan = revoked(&place, 0, &[subject, "--dry-run"])?;
    let expected = [
        "seal-old",
        "control-probe",
        "disable",
        "prove-disabled",
        "revoke",
        "end-derived",
        "await-cache",
        "prove-refused",
    ];
    let planned = steps(&plan)?;
    ensure!(
        planned
            .iter()
            .filter(|step| **step != "await-cache")
            .eq(expected.iter().filter(|step| **step != "await-cache")),
        "{planned:?}"
    );
    ensure!(
        plan["subjects"][0]["notes"].to_string().contains("does not list session credentials"),
        "{plan:#}"
    );
    ensure!(servers.accepts(&id, &secret)?, "a dry run changed something");

    let done = revoked(&place, 0, &[subject, "--yes"])?;
    let receipt = &done["receipts"][0];
    ensure!(receipt["verdict"] == "proven" && receipt["control"] == receipt["probe"], "{done:#}");
    ensure!(text(receipt, "detail").contains("attested: the inline policy"), "{receipt:#}");
    ensure!(!servers.accepts(&id, &secret)? && servers.keys()?.is_empty(), "the key is there");
    let policy = Call {
        service: "iam",
        operation: "get_user_policy",
        parameters: json!({"UserName": "media", "PolicyName": "claviger-deny-sessions-issued-before"}),
    };
    let policy = estate.ministack.calls(&[policy])?.remove(0);
    ensure!(policy["PolicyDocument"].to_string().contains("aws:TokenIssueTime"), "{policy}");
    let shown = place.run(&["show", subject, "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
