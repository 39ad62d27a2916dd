//! What is to be done in an incident, by whom.
//!
//! On managed Kubernetes the control plane is the provider's: its audit log, its signing keys, its certificate authority. What those could tell or
//! do has to be asked for, with evidence; everything else is ours. The provider is not known from here, so that each ask names where the three
//! big ones take it: EKS control plane logs in CloudWatch, GKE audit logs in Cloud Logging, AKS diagnostic settings.

use claviger_core::{
    incident::{Ask, Incident, Item, Note, Runbook, Task},
    model::{CredentialKind, CredentialState},
};

use crate::Estate;

const PROVIDERS: &str =
    "whoever runs the control plane (EKS: AWS Support; GKE: Google Cloud Customer Care; AKS: Azure Support)";

pub(super) fn of(estate: &Estate, incident: &Incident, items: &[Item]) -> Runbook {
    Runbook {
        platform_escalation: platform(estate, incident, items),
        tenant_remediation: tenant(incident, items),
    }
}

fn is_clusters(estate: &Estate, item: &Item) -> bool {
    let by_kind = matches!(
        item.kind,
        Some(CredentialKind::ServiceAccountToken | CredentialKind::BoundToken | CredentialKind::Kubeconfig)
    );
    let by_backend =
        estate.member(item.at.backend()).is_ok_and(|member| member.backend.info().kind == "kubernetes");
    by_kind || by_backend
}

fn platform(estate: &Estate, incident: &Incident, items: &[Item]) -> Vec<Ask> {
    let clusters: Vec<&Item> = items.iter().filter(|item| is_clusters(estate, item)).collect();
    let mut asks = Vec::new();
    if clusters.is_empty() {
        return asks;
    }
    let since = incident.exposed_at.unwrap_or(incident.opened_at).format("%Y-%m-%dT%H:%M:%SZ");
    let refs = |items: &[&Item]| items.iter().map(|item| item.at.to_string()).collect::<Vec<_>>().join(", ");
    let mut evidence = vec![
        format!("incident {}, exposed or known since {since}", incident.id),
        format!("the credentials: {}", refs(&clusters)),
    ];
    evidence.extend(clusters.iter().filter_map(|item| {
        let receipt = item.receipt?;
        Some(format!(
            "receipt of {}: entry {receipt} of our audit log, verdict {}",
            item.at,
            item.verdict.as_deref().unwrap_or("none")
        ))
    }));
    asks.push(Ask {
        whom: PROVIDERS.to_owned(),
        what: format!("the API server's audit log since {since} for requests that authenticated with these, by their identity (`user.username`) and, for bound tokens, their id (`authentication.kubernetes.io/credential-id`); EKS: CloudWatch log group `/aws/eks/<cluster>/cluster`, stream `kube-apiserver-audit`; GKE: Cloud Logging `cloudaudit.googleapis.com`; AKS: diagnostic category `kube-audit`. Where it was switched off, whether the provider keeps one of its own"),
        evidence: evidence.clone(),
    });
    let certificates: Vec<&Item> = clusters
        .iter()
        .copied()
        .filter(|item| matches!(item.kind, Some(CredentialKind::Certificate | CredentialKind::Kubeconfig)))
        .collect();
    if !certificates.is_empty() {
        asks.push(Ask {
            whom: PROVIDERS.to_owned(),
            what: format!("rotation of the cluster's certificate authority: Kubernetes cannot revoke a client certificate, so {} stay valid until they end", refs(&certificates)),
            evidence: vec!["their serial numbers and ends, from the inventory (`claviger show REF`)".to_owned()],
        });
    }
    let unproven: Vec<&Item> = clusters
        .iter()
        .copied()
        .filter(|item| {
            item.kind == Some(CredentialKind::ServiceAccountToken) && item.revoked_at.is_some() && item.open
        })
        .collect();
    if !unproven.is_empty() {
        asks.push(Ask {
            whom: PROVIDERS.to_owned(),
            what: format!("whether the key that signs ServiceAccount tokens can be rotated: {} were deleted and are not proven refused", refs(&unproven)),
            evidence,
        });
    }
    asks
}

fn tenant(incident: &Incident, items: &[Item]) -> Vec<Task> {
    let id = incident.id;
    let mut tasks = Vec::new();
    if items.is_empty() {
        tasks.push(Task {
            what: "find out which credential leaked".to_owned(),
            commands: vec![
                "claviger trace < leaked.txt".to_owned(),
                "claviger trace --file report.json".to_owned(),
            ],
            done: false,
        });
    }
    for item in items {
        let at = quoted(item.at.as_str());
        let commands = match (item.open, item.saga, item.state) {
            (false, ..) => Vec::new(),
            (true, Some(saga), _) if item.revoked_at.is_none() => {
                vec![
                    format!("claviger resume {saga}"),
                    format!("claviger resolve {saga} --retry --reason 'incident {id}'"),
                ]
            }
            (true, _, Some(CredentialState::RevokedUnproven)) => vec![format!("claviger show {at}")],
            (true, ..) => vec![
                format!("claviger show {at}"),
                format!("claviger revoke {at} --incident {id} --reason leaked --dry-run"),
                format!("claviger revoke {at} --incident {id} --reason leaked"),
            ],
        };
        tasks.push(Task { what: format!("end {}: {}", item.at, item.reason), commands, done: !item.open });
    }
    let left: Vec<&Item> = items.iter().filter(|item| !item.open && !item.copies.is_empty()).collect();
    for item in left {
        let places: Vec<_> = item.copies.iter().map(|copy| copy.as_str()).collect();
        tasks.push(Task {
            what: format!("look whether {} still hold the dead value of {}", places.join(", "), item.at),
            commands: vec!["claviger scan".to_owned(), format!("claviger show {}", quoted(item.at.as_str()))],
            done: false,
        });
    }
    if items.iter().any(|item| item.receipt.is_some()) {
        tasks.push(Task {
            what: "keep the evidence where nobody here can change it".to_owned(),
            commands: vec![
                "claviger audit export --receipts --out receipts.jsonl".to_owned(),
                format!("claviger report incident --id {id} --format html --out incident.html"),
            ],
            done: false,
        });
    }
    let closed = incident.notes.iter().any(|noted| matches!(noted.note, Note::Closed { .. }));
    tasks.push(Task {
        what: if incident.broke_glass() {
            "say what was done without approval, and why, and close it".to_owned()
        } else {
            "say what was learned, and close it".to_owned()
        },
        commands: if closed { Vec::new() } else { vec![format!("claviger incident close {id} --note TEXT")] },
        done: closed,
    });
    tasks
}

/// A word for a shell: refs come from other people's systems.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use claviger_core::{
        id::{CredentialId, IncidentId},
        reference::Ref,
    };
    use uuid::Uuid;

    use super::*;

    fn item(at: &str, kind: CredentialKind) -> Item {
        Item {
            credential: CredentialId(Uuid::nil()),
            at: Ref::from_text(at),
            kind: Some(kind),
            state: Some(CredentialState::Active),
            open: true,
            reason: "nothing was done yet".to_owned(),
            saga: None,
            verdict: None,
            revoked_at: None,
            proven_at: None,
            receipt: None,
            copies: Vec::new(),
        }
    }

    fn incident() -> Incident {
        Incident {
            id: IncidentId(Uuid::from_u128(7)),
            title: "t".to_owned(),
            exposed_at: None,
            opened_at: chrono::DateTime::from_timestamp(0, 0).expect("in range"),
            opened_by: "a".to_owned(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_platform_is_asked_only_for_what_is_its_own() {
        let estate = Estate::default();
        let book = of(&estate, &incident(), &[item("db/role/app", CredentialKind::Password)]);
        assert!(book.platform_escalation.is_empty());
        assert!(
            book.tenant_remediation[0].commands[1]
                .contains("--incident 00000000-0000-0000-0000-000000000007")
        );
        let both = [
            item("prod/a/Secret/t", CredentialKind::ServiceAccountToken),
            item("db/role/app", CredentialKind::Password),
        ];
        let book = of(&estate, &incident(), &both);
        assert_eq!(book.platform_escalation.len(), 1);
        let asked = format!("{:?}", book.platform_escalation);
        assert!(
            asked.contains("prod/a/Secret/t")
                && !asked.contains("db/role/app")
                && !asked.contains("claviger revoke"),
            "{asked}"
        );
        assert!(!format!("{:?}", book.tenant_remediation).contains("Support"));
        let book = of(&estate, &incident(), &[item("prod/a/Secret/k#c", CredentialKind::Kubeconfig)]);
        assert!(
            format!("{:?}", book.platform_escalation).contains("certificate authority"),
            "a kubeconfig, wherever it lies"
        );
    }

    #[test]
    fn a_ref_is_one_word_of_the_shell() {
        assert_eq!(quoted("a'; rm -rf /'"), "'a'\\''; rm -rf /'\\'''");
    }
}
