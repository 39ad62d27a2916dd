//! `claviger doctor` asks for exactly what is shipped: nothing that no role gives, and nothing less.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::kubernetes::Kubernetes, require_lab};

use crate::{flow::Flow, robot::Robot, role::rights};

/// What it says of each right, by flow: the rights that have this status.
async fn said(robot: &Robot, status: &str) -> Result<BTreeSet<(String, String)>> {
    let document = robot.run(&["doctor", "-o", "json"]).await?.json();
    let items = document["items"].as_array().context("items")?;
    let mut found = BTreeSet::new();
    for item in items.iter().filter(|item| item["permission"] != "reach" && item["status"] == status) {
        let word = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        found.insert((word("flow"), word("permission")));
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_agrees_with_the_shipped_roles() -> Result<()> {
    let kubernetes = Arc::new(require_lab!(Kubernetes::start().await, Ok(())));
    let (mut shipped, mut all) = (BTreeSet::new(), BTreeSet::new());
    for flow in Flow::ALL {
        for role in flow.roles() {
            for right in rights(&kubernetes, role)? {
                shipped.insert((flow.name().to_owned(), right.to_string()));
                all.insert(right);
            }
        }
    }
    let policy = |name: &str| format!("include = [\"{name}\"]\n");
    let nobody = Robot::new(Arc::clone(&kubernetes), "nobody", &BTreeSet::new(), policy("nobody")).await?;
    let missing = said(&nobody, "missing").await?;
    ensure!(
        missing == shipped,
        "shipped alone: {:?}; asked for alone: {:?}",
        shipped.difference(&missing).collect::<Vec<_>>(),
        missing.difference(&shipped).collect::<Vec<_>>()
    );
    let whole = Robot::new(Arc::clone(&kubernetes), "whole", &all, policy("whole")).await?;
    ensure!(said(&whole, "present").await? == shipped, "{:?}", said(&whole, "missing").await?);

    // One flow's roles alone: what that flow needs is there.
    for flow in Flow::ALL {
        let mut rights_of = BTreeSet::new();
        for role in flow.roles().iter().chain(flow.beside()) {
            rights_of.extend(rights(&kubernetes, role)?);
        }
        let name = format!("only-{}", flow.name());
        let robot = Robot::new(Arc::clone(&kubernetes), &name, &rights_of, policy(&name)).await?;
        let missing = said(&robot, "missing").await?;
        ensure!(missing.iter().all(|(of, _)| of != flow.name()), "{}: {missing:?}", flow.name());
    }
    println!("{} permissions of {} flows", shipped.len(), Flow::ALL.len());
    Ok(())
}
