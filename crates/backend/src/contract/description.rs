//! What a backend says of itself.

use std::sync::Arc;

use claviger_core::secret::SecretValue;

use super::bench::{Bench, Unnamed, failed, must, trial};

pub(super) fn trials(bench: &Arc<Bench>) -> Vec<Unnamed> {
    vec![
        trial(bench, "info_has_a_name_that_begins_refs_and_an_endpoint", |bench| async move {
            let info = bench.backend.info();
            must(
                !info.name.is_empty() && !info.name.contains(['/', '#']),
                "the name cannot be a ref's first segment",
            )?;
            must(!info.kind.is_empty(), "no kind")?;
            must(!info.endpoint.is_empty(), "no endpoint")
        }),
        trial(bench, "info_holds_no_secret", |bench| async move {
            let printed = format!("{:?}", bench.backend.info());
            must(!shows(&printed, &bench.fixture.secrets), "a secret is in `info`")
        }),
        trial(bench, "capability_is_constant", |bench| async move {
            must(bench.backend.capability() == bench.capability, "it changed")?;
            let _ = bench.backend.check().await;
            must(bench.backend.capability() == bench.capability, "it changed after `check`")
        }),
        trial(bench, "capability_and_roles_agree", |bench| async move {
            let claimed = bench.capability;
            let issuer = claimed.issue
                || claimed.verify
                || claimed.identify
                || claimed.restore
                || claimed.siblings
                || claimed.disable
                || claimed.revoke;
            must(!claimed.issue_mints || claimed.issue, "it mints and does not issue")?;
            must(!claimed.issue_by_name || claimed.issue, "it mints by name and does not issue")?;
            must(
                !claimed.repoint || claimed.adopted,
                "where it repoints nobody sees the end of the rollout",
            )?;
            must(
                !claimed.issue_marks || claimed.issue && claimed.revoke,
                "it marks and does not issue or revoke",
            )?;
            must(
                !claimed.issue_adds || claimed.issue && claimed.revoke,
                "it adds and does not issue or revoke",
            )?;
            must(!claimed.issue_mints || claimed.siblings, "what it mints could not be found after a crash")?;
            must(!issuer || bench.backend.issuer().is_some(), "it claims an issuer's methods and is none")?;
            must(
                !(claimed.read || claimed.write) || bench.backend.store().is_some(),
                "it claims a store's methods and is none",
            )?;
            must(
                !claimed.post || bench.backend.letterbox().is_some(),
                "it claims to take values and does not",
            )?;
            must(
                !claimed.federate || bench.backend.federation().is_some(),
                "it claims to accept short-lived identities and does not",
            )?;
            must(
                !claimed.bind || bench.backend.workloads().is_some() && claimed.adopted,
                "it claims to change manifests, and does not or sees no rollout end",
            )?;
            must(
                !claimed.vouch || bench.backend.workloads().is_some(),
                "it claims to vouch for workloads, and does not",
            )?;
            must(
                !(claimed.refresh || claimed.adopted || claimed.repoint) || bench.backend.runtime().is_some(),
                "it claims a runtime's methods and is none",
            )
        }),
        trial(bench, "check_lists_permissions_without_a_secret_and_changes_nothing", |bench| async move {
            let before = bench.fixture.changes.as_ref().map(|count| count());
            let permissions = failed("check", bench.backend.check().await)?;
            must(permissions.iter().all(|held| is_flow(held.flow)), "an unknown flow")?;
            must(!shows(&format!("{permissions:?}"), &bench.fixture.secrets), "a secret is in a permission")?;
            must(before == bench.fixture.changes.as_ref().map(|count| count()), "something was changed")
        }),
    ]
}

/// Does a text hold one of the secrets?
pub(super) fn shows(text: &str, secrets: &[SecretValue]) -> bool {
    let held = secrets.iter().filter_map(|secret| secret.expose_text()).filter(|secret| !secret.is_empty());
    held.into_iter().any(|secret| text.contains(secret))
}

/// What a permission may be for: a flow, or the part of one that a single kind of subject needs (`rotate-token`).
fn is_flow(name: &str) -> bool {
    let whole = name.split_once('-').map_or(name, |(whole, _)| whole);
    ["scan", "rotate", "revoke", "mitigate", "swap"].contains(&whole) && !name.ends_with('-')
}
