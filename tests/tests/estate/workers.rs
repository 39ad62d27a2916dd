//! Several workers on one list, lifecycle database on PostgreSQL: each rotation is done once, and everything is in step at the end.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::{Estate, fleet::Fleet},
    require_lab,
};

use crate::{recovery::Lifecycle, text};

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_one_list_and_none_does_anothers_work() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let fleet = Fleet::plant(&estate.postgres, &estate.openbao, "claviger", "fleet", 24).await?;
    let place = Lifecycle::Postgres.place(&estate, "workers").await?;
    place.run(&["scan", "db", "vault"], None)?;
    let mut before = fleet.held(&estate.openbao).await?;
    for workers in [2, 4, 8] {
        let recorded = place
            .run(&["rotate", &fleet.selector(), "--detach", "--yes", "-o", "json"], None)?
            .expect(0)?
            .json()?;
        let recorded = recorded["rotations"].as_array().context("rotations")?.len();
        ensure!(recorded == fleet.count(), "{recorded} recorded");
        let begun = std::time::Instant::now();
        let children: Vec<_> = (0..workers)
            .map(|_| {
                let mut command = place.command(&["resume", "-o", "json"])?;
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                Ok(command.spawn()?)
            })
            .collect::<Result<_>>()?;
        for child in children {
            let output = child.wait_with_output()?;
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "{workers} workers: {}: {stderr}", output.status);
        }
        before = fleet.in_step(&estate, &before).await.with_context(|| format!("{workers} workers"))?;
        let rotations = place.list("rotations")?;
        ensure!(rotations.iter().all(|rotation| text(rotation, "state") == "done"), "{rotations:#?}");
        place.run(&["audit", "verify"], None)?.expect(0)?;
        println!("{workers} workers: {recorded} rotations in {} ms", begun.elapsed().as_millis());
    }
    // Each of them set one password per rotation, and none was set twice.
    let entries = place.run(&["audit", "export"], None)?.expect(0)?.stdout;
    let set = entries
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|entry| entry.to_string().contains("set-at-issuer") && entry.to_string().contains("intent"))
        .count();
    ensure!(set == 3 * fleet.count(), "{set} intents to set a password for {} rotations", 3 * fleet.count());
    Ok(())
}
