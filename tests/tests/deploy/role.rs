//! The shipped roles, and whether each of their rules is needed. What is tried comes out of the files: a rule that nobody needs, or that is new and no
//! flow tries it, fails.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{lab::kubernetes::Kubernetes, require_lab};
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{flow::Flow, robot::Robot, shipped};

/// So many flows are tried at the same time.
const AT_ONCE: usize = 5;

/// One verb of one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) verb: String,
}

impl std::fmt::Display for Right {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)
    }
}

/// Every right that a shipped role gives, each by itself.
pub(crate) fn rights(kubernetes: &Kubernetes, role: &str) -> Result<Vec<Right>> {
    let file = shipped(&format!("helm/claviger/rbac/{role}.yaml")).display().to_string();
    let read = kubernetes.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", &file], None)?;
    let read: Value = serde_json::from_str(&read)?;
    ensure!(read["metadata"]["name"] == format!("claviger-{role}"), "{role}: its name");
    let mut rights = Vec::new();
    for rule in read["rules"].as_array().context("rules")? {
        let words = |field: &str| -> Result<Vec<String>> {
            let all = rule[field].as_array().with_context(|| format!("{role}: {field}"))?;
            all.iter().map(|word| Ok(word.as_str().context("a word")?.to_owned())).collect()
        };
        ensure!(rule["resourceNames"].is_null() && rule["nonResourceURLs"].is_null(), "{role}: {rule}");
        for group in words("apiGroups")? {
            for resource in words("resources")? {
                for verb in words("verbs")? {
                    ensure!(
                        ![&group, &resource, &verb].contains(&&"*".to_owned()),
                        "{role}: a star says nothing of what is needed"
                    );
                    let (group, resource) = (group.clone(), resource.clone());
                    rights.push(Right { group, resource, verb });
                }
            }
        }
    }
    Ok(rights)
}

#[test]
fn each_role_has_a_flow_that_tries_it() -> Result<()> {
    let tried: BTreeSet<String> =
        Flow::ALL.iter().flat_map(Flow::roles).map(|role| format!("{role}.yaml")).collect();
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(shipped("helm/claviger/rbac"))? {
        there.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    there.remove("kustomization.yaml");
    // The API's, which `review.rs` tries.
    there.remove("review.yaml");
    ensure!(tried == there, "tried are {tried:?}, there are {there:?}");
    Ok(())
}

/// Tries a flow with its roles whole, and once without each right of the roles that are its own.
async fn needed(flow: Flow) -> Result<String> {
    let kubernetes = Arc::new(require_lab!(Kubernetes::start().await, Ok(String::new())));
    let mut own = Vec::new();
    for role in flow.roles() {
        own.extend(rights(&kubernetes, role)?);
    }
    let mut beside = Vec::new();
    for role in flow.beside() {
        beside.extend(rights(&kubernetes, role)?);
    }
    let mut robots = Vec::new();
    let without = |left_out: Option<&Right>| -> BTreeSet<Right> {
        own.iter().chain(&beside).filter(|right| Some(*right) != left_out).cloned().collect()
    };
    let tried = own.iter().filter(|right| flow.unordered() != Some(right.to_string().as_str()));
    for (index, left_out) in std::iter::once(None).chain(tried.map(Some)).enumerate() {
        let name = format!("{}-{index}", flow.name());
        let robot =
            Robot::new(Arc::clone(&kubernetes), &name, &without(left_out), flow.policy(&name)).await?;
        flow.plant(&robot).await.with_context(|| format!("plant {name}"))?;
        robots.push((left_out.cloned(), robot));
    }
    // Whoever is planted first shall not see others come and go.
    for (_, robot) in &robots {
        kubernetes.rolled_out(&robot.namespace).await?;
    }
    let (places, mut tried) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (left_out, robot) in robots {
        let places = Arc::clone(&places);
        tried.spawn(async move {
            let _place = places.acquire_owned().await?;
            let outcome = tokio::time::timeout(Duration::from_secs(180), flow.succeeds(&robot)).await;
            Ok::<_, anyhow::Error>((
                left_out,
                outcome.unwrap_or_else(|_| Ok(Err("it does not end".to_owned())))?,
            ))
        });
    }
    let (mut superfluous, mut broken, mut said) = (Vec::new(), 0, Vec::new());
    while let Some(answer) = tried.join_next().await {
        match answer?? {
            (None, Ok(())) => {}
            (None, Err(why)) => {
                anyhow::bail!("`{}` does not do its work with its own roles: {why}", flow.name())
            }
            (Some(left_out), Ok(())) => superfluous.push(left_out.to_string()),
            (Some(left_out), Err(why)) => {
                broken += 1;
                let line = why.lines().find(|line| line.contains("forbidden") || line.contains("grant"));
                let line = line.or(why.lines().next()).unwrap_or_default();
                said.push(format!("without `{left_out}`: {}", line.trim()));
            }
        }
    }
    ensure!(superfluous.is_empty(), "`{}` does its work without {superfluous:?}", flow.name());
    said.push(format!(
        "{}: does its work with its roles; each of {broken} rights taken away breaks it",
        flow.name()
    ));
    Ok(said.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_needs_every_right_of_its_roles() -> Result<()> {
    println!("{}", needed(Flow::Scan).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::Rotate).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_s_rotation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::RotateToken).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_s_rotation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::RotateCertificate).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::Revoke).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_s_revocation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::RevokeAccount).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_s_revocation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::RevokePod).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mitigation_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::Mitigate).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_needs_every_right_of_its_role() -> Result<()> {
    println!("{}", needed(Flow::Swap).await?);
    Ok(())
}
