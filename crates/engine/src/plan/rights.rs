//! Client certificates of a cluster: Kubernetes has no way to refuse one, so that its user and groups are cut from their bindings. Definition
//! `mitigate/1`; the best state that it can come to is `mitigated`.
//!
//! Source: Kubernetes, "Authenticating", X509 client certificates: the common name is the user, the organizations are the groups.

use std::collections::BTreeSet;

use claviger_backend::{Authority, Descent, Hold};
use claviger_core::{
    model::CredentialState,
    reference::Ref,
    saga::{Action, Party, Person, SagaKind, SagaPlan, Step, StepPhase},
    view::{CopyView, CredentialDetail},
};
use claviger_store::port::Selection;

use super::{FORCED, Refusal, RevokeOptions, refuse, revocation::current};
use crate::Engine;

/// Whatever bindings say, its members may do everything.
const MASTERS: &str = "system:masters";
/// Groups of the cluster itself begin so.
const BUILT_IN: &str = "system:";

fn text<'c>(copy: &'c CopyView, key: &str) -> Option<&'c str> {
    copy.attributes.get(key).and_then(serde_json::Value::as_str)
}

fn names(attributes: &claviger_core::model::Attributes, key: &str) -> Vec<String> {
    let list = attributes.get(key).and_then(serde_json::Value::as_array);
    list.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// The copy that says that a cluster logs somebody in with it: the certificate of a kubeconfig's user.
pub(super) fn certificate(detail: &CredentialDetail) -> Option<&CopyView> {
    current(detail).find(|copy| {
        text(copy, "format") == Some("kubeconfig") && text(copy, "certificate_subject").is_some()
    })
}

pub(super) async fn plan(
    engine: &Engine,
    detail: &CredentialDetail,
    copy: &CopyView,
    options: &RevokeOptions,
) -> Result<(SagaPlan, Descent), Refusal> {
    let at = &detail.credential.at;
    let groups = names(&copy.attributes, "organizations");
    if groups.iter().any(|group| group == MASTERS) {
        let end = detail.credential.expires_at.map(|end| format!(" on {}", end.format("%Y-%m-%d")));
        return Err(refuse(
            at,
            "system-masters",
            format!(
                "its group `{MASTERS}` may do everything whatever bindings say, and Kubernetes refuses no certificate: only another client CA ends it, with new certificates for whoever has one of the old; else it ends by itself{}",
                end.unwrap_or_default()
            ),
        ));
    }
    let Some(user) = text(copy, "common_name").filter(|name| !name.is_empty()) else {
        return Err(refuse(at, "no-user", "its certificate is not known to name a user: scan again"));
    };
    let authority = authority(engine, copy)?;
    let (built_in, own): (Vec<_>, Vec<_>) =
        groups.iter().cloned().partition(|name| name.starts_with(BUILT_IN));
    if !built_in.is_empty() && !options.force {
        let text = format!(
            "it is in {}, which is the cluster's own and is not cut; `--force` cuts the rest of its rights",
            built_in.join(", ")
        );
        return Err(refuse(at, "built-in-group", text));
    }
    let shared = shared(engine, detail, &own).await?;
    if let Some((group, others)) = shared.first().filter(|_| !options.force) {
        let text = format!(
            "group `{group}` is not its alone: {} would lose their rights too; `--force` cuts them",
            others.join(", ")
        );
        return Err(refuse(at, "group-shared", text));
    }
    let cut = std::iter::once(Party::user(user)).chain(own.iter().map(Party::group)).collect();
    let who = Person { user: user.to_owned(), groups, cut };
    let rights = authority.rights(&who).await.map_err(|error| {
        refuse(at, "issuer-silent", format!("what it may do could not be asked for: {}", error.message()))
    })?;
    if let Some((code, why)) = rights.refused {
        return Err(refuse(at, code, why));
    }
    if rights.holds.is_empty() {
        let code = if detail.credential.state == CredentialState::Mitigated {
            "already-gone"
        } else {
            "nothing-bound"
        };
        let text = "no binding names its user or groups: it may do no more than whoever logs in, and logging in cannot be taken from it";
        return Err(refuse(at, code, text));
    }
    let mut notes = notes(&who, &rights.holds, &built_in);
    notes.extend(shared.iter().map(|(group, others)| {
        format!("`--force`: {} lose what group `{group}` may do too", others.join(", "))
    }));
    if options.scrub {
        notes.push(
            "`--scrub` takes it out of its copies when it is `mitigated`: say it again then".to_owned(),
        );
    }
    let steps = steps(&rights.at, &who, &rights.holds);
    let pivot = steps.iter().find(|step| step.phase == StepPhase::Pivot).map(|step| step.id.clone());
    let plan = SagaPlan {
        kind: SagaKind::Revocation,
        definition: "mitigate/1".to_owned(),
        credential: detail.credential.id,
        subject: at.clone(),
        strategy: if options.force { FORCED.to_owned() } else { "mitigate".to_owned() },
        breaks: super::readers(detail).into_iter().map(|(consumer, _)| consumer).collect(),
        reversible_until: pivot.unwrap_or_default(),
        steps,
        notes,
    };
    Ok((plan, Descent::default()))
}

fn steps(person: &Ref, who: &Person, holds: &[Hold]) -> Vec<Step> {
    let text = "ask what it may do by its bindings: the positive control";
    let note = Step::new(Action::NoteRights(who.clone()), person.clone(), StepPhase::BeforePivot, text);
    let cuts = holds.iter().enumerate().map(|(index, hold)| {
        let phase = if index == 0 { StepPhase::Pivot } else { StepPhase::AfterPivot };
        let parties: Vec<_> = hold.parties.iter().map(ToString::to_string).collect();
        let left = match hold.others.len() {
            0 => "it names nobody else and stays, empty".to_owned(),
            _ => format!("{} stay in it", hold.others.join(", ")),
        };
        let text = format!(
            "take {} out by compare-and-set ({} on {}); {left}",
            parties.join(", "),
            hold.privilege,
            hold.reach
        );
        Step::new(Action::CutBinding(hold.parties.clone()), hold.at.clone(), phase, text)
    });
    let text = "ask again: it must be able to do none of it";
    let prove = Step::new(Action::ProveCut(who.clone()), person.clone(), StepPhase::AfterPivot, text);
    std::iter::once(note).chain(cuts).chain(std::iter::once(prove)).collect()
}

fn notes(who: &Person, holds: &[Hold], built_in: &[String]) -> Vec<String> {
    let mut notes = vec![
        "Kubernetes has no way to refuse a client certificate: it goes on logging in until it ends, and what is reached is `mitigated`".to_owned(),
        format!("whoever else logs in as user `{}` loses the same; so does whoever else is in a group that is cut, of whom the cluster keeps no list", who.user),
        "a binding that is made later gives it rights again".to_owned(),
    ];
    notes.extend(
        built_in.iter().map(|group| format!("what group `{group}` may do goes on: it is the cluster's own")),
    );
    notes.extend(holds.iter().filter_map(|hold| {
        let manager = hold.managed_by.as_ref()?;
        Some(format!("{manager} writes {} and will put it back: change it at its source too", hold.at))
    }));
    notes
}

/// The cluster that logs it in: the one at the server's address that stands beside it.
fn authority<'e>(engine: &'e Engine, copy: &CopyView) -> Result<&'e dyn Authority, Refusal> {
    let server = text(copy, "server").unwrap_or_default();
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let found = if host.starts_with("kubernetes.default") {
        // From within the cluster in whose object it lies.
        engine.estate.member(copy.at.backend()).ok().and_then(|member| member.backend.authority())
    } else {
        let all = engine.estate.members().filter_map(|member| member.backend.authority());
        all.into_iter().find(|authority| authority.is_at(server))
    };
    found.ok_or_else(|| {
        let text = if server.is_empty() {
            "its kubeconfig names no server, so that nobody knows which cluster logs it in".to_owned()
        } else {
            format!("its kubeconfig names the server {server}, which is at none of the configured clusters: add that cluster under [backends]")
        };
        refuse(&copy.at, "cluster-unknown", text)
    })
}

/// Who else is known to be in one of these groups: by other certificates, or through a cloud's identity.
async fn shared(
    engine: &Engine,
    detail: &CredentialDetail,
    groups: &[String],
) -> Result<Vec<(String, Vec<String>)>, Refusal> {
    let at = &detail.credential.at;
    let broken = |error: claviger_store::Error| refuse(at, "no-inventory", error.to_string());
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let inventory = &engine.ports.inventory;
    let copies = inventory.copies(&Selection::default()).await.map_err(broken)?;
    let identities = inventory.identities(&Selection::default()).await.map_err(broken)?;
    let mut shared = Vec::new();
    for group in groups {
        let is_in = |attributes, key| names(attributes, key).iter().any(|name| name == group);
        let mut others: BTreeSet<String> = copies
            .iter()
            .filter(|copy| {
                copy.credential != detail.credential.id && is_in(&copy.attributes, "organizations")
            })
            .map(|copy| copy.at.to_string())
            .collect();
        others.extend(
            identities
                .iter()
                .filter(|identity| is_in(&identity.attributes, "kubernetes_groups"))
                .map(|identity| identity.at.to_string()),
        );
        if !others.is_empty() {
            shared.push((group.clone(), others.into_iter().collect()));
        }
    }
    Ok(shared)
}
