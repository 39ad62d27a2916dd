//! What other rotations left half done in Secrets Manager (pains 15 and 16 of the peers): the staged version is taken up where its value is the
//! one that works, and is not left behind in any case.

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::{Estate, fleet::Fleet},
    lab::ministack::Call,
    require_lab,
};
use serde_json::{Value, json};

use crate::{access_key::place, text};

/// A secret as the service's own rotation writes it.
fn document(estate: &Estate, role: &str, password: &str) -> String {
    json!({
        "engine": "postgres", "host": "127.0.0.1", "port": estate.postgres.port(), "dbname": "postgres",
        "username": role, "password": password,
    })
    .to_string()
}

/// Makes a secret with a current version and, where one is given, a staged one.
fn plant(estate: &Estate, name: &str, current: &str, staged: Option<&str>) -> Result<()> {
    let call = |operation, parameters| Call { service: "secretsmanager", operation, parameters };
    let mut calls = vec![call("create_secret", json!({"Name": name, "SecretString": current}))];
    if let Some(staged) = staged {
        calls.push(call(
            "put_secret_value",
            json!({"SecretId": name, "SecretString": staged, "VersionStages": ["AWSPENDING"]}),
        ));
    }
    let answers = estate.ministack.calls(&calls)?;
    ensure!(answers.iter().all(|answer| answer.get("Error").is_none()), "{answers:?}");
    Ok(())
}

/// The password in the version with this stage; `None` where no version has it.
fn password(estate: &Estate, name: &str, stage: &str) -> Result<Option<String>> {
    let describe = Call {
        service: "secretsmanager",
        operation: "describe_secret",
        parameters: json!({"SecretId": name}),
    };
    let stages = estate.ministack.calls(&[describe])?.remove(0);
    let stages = stages["VersionIdsToStages"].as_object().context("versions")?.clone();
    let has = |labels: &Value| labels.as_array().is_some_and(|labels| labels.iter().any(|it| it == stage));
    let Some((version, _)) = stages.iter().find(|(_, labels)| has(labels)) else { return Ok(None) };
    let get = Call {
        service: "secretsmanager",
        operation: "get_secret_value",
        parameters: json!({"SecretId": name, "VersionId": version}),
    };
    let answer = estate.ministack.calls(&[get])?.remove(0);
    let document: Value = serde_json::from_str(text(&answer, "SecretString"))?;
    Ok(Some(text(&document, "password").to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_lambdas_168_and_sdk_7701_a_staged_version_is_taken_up_or_cleared() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let fleet = Fleet::plant(&estate.postgres, &estate.openbao, "claviger", "staged", 4).await?;
    let live = fleet.held(&estate.openbao).await?;
    let dead = "an-older-Password-that-no-server-takes-any-more-1";
    let strange = "another-Password-that-no-server-takes-2";
    let whole = |index: usize, password: &str| document(&estate, &fleet.role(index), password);
    // 0: the database has the staged value already. 1: it never got it. 2: nothing is staged. 3: it is of another rotation altogether.
    plant(&estate, "staged/0", &whole(0, dead), Some(&whole(0, &live[0])))?;
    plant(&estate, "staged/1", &whole(1, &live[1]), Some(&whole(1, dead)))?;
    plant(&estate, "staged/2", &whole(2, &live[2]), None)?;
    plant(&estate, "staged/3", &whole(3, strange), Some(&whole(3, dead)))?;
    let place = place(&estate, "pending.db");
    place.run(&["scan", "db", "vault", "aws"], None)?;

    let plan =
        place.run(&["rotate", "db/role/staged_0000", "--dry-run", "-o", "json"], None)?.expect(0)?.json()?;
    let notes = plan["subjects"][0]["notes"].to_string();
    ensure!(notes.contains("an unfinished rotation of somebody else has staged version"), "{plan:#}");
    ensure!(password(&estate, "staged/0", "AWSPENDING")?.is_some(), "a dry run changes nothing");

    for (index, live) in live.iter().take(3).enumerate() {
        let subject = format!("db/role/{}", fleet.role(index));
        let done = place.run(&["rotate", &subject, "--yes", "-o", "json"], None)?.expect(0)?.json()?;
        let rotation = &done["rotations"][0];
        ensure!(rotation["state"] == "done" && rotation["old"]["verdict"] == "proven", "{rotation:#}");
        let steps: Vec<_> = rotation["steps"].as_array().context("steps")?.iter().collect();
        let detail = |name: &str| {
            steps.iter().find(|step| step["step"] == name).map_or("", |step| text(step, "detail"))
        };
        ensure!(detail("seal-values").contains("taken up") == (index == 0), "{rotation:#}");
        ensure!(detail("clear-pending").contains("staged no more") == (index < 2), "{rotation:#}");
        let name = format!("staged/{index}");
        ensure!(password(&estate, &name, "AWSPENDING")?.is_none(), "{name}: something is still staged");
        let current = password(&estate, &name, "AWSCURRENT")?.context("a current version")?;
        ensure!(current != *live && current != dead, "{name} holds an old value");
        ensure!(estate.postgres.accepts(&fleet.role(index), &current).await?, "{name} does not log in");
        ensure!(!estate.postgres.accepts(&fleet.role(index), live).await?, "the old one logs in");
        ensure!(fleet.held(&estate.openbao).await?[index] == current, "the copies are out of step");
    }

    // Neither value of this one was ever the role's: nothing is guessed, and what is somebody else's stays as it is.
    place.run(&["rotate", "db/role/staged_0003", "--yes", "-o", "json"], None)?.expect(0)?;
    ensure!(password(&estate, "staged/3", "AWSPENDING")?.as_deref() == Some(dead), "it was touched");
    ensure!(password(&estate, "staged/3", "AWSCURRENT")?.as_deref() == Some(strange), "it was touched");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
