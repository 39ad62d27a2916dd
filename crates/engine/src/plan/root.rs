//! The root credential of a database engine: which account it is, who else has its password, and what can be seen of its change.

use claviger_backend::{Account, ValueOrigin};
use claviger_core::{
    model::{CopyStage, CredentialKind, CredentialState},
    reference::Ref,
    saga::Login,
    view::{CredentialDetail, CredentialView},
};
use claviger_store::port::Selection;
use tokio::sync::OnceCell;

use super::{Refusal, readers, refuse};
use crate::Engine;

/// What is known of the account.
#[derive(Default)]
pub(super) struct Root {
    pub(super) login: Option<Login>,
    /// Copies that hold a dead value afterwards.
    pub(super) stale: Vec<Ref>,
    /// Who reads them.
    pub(super) breaks: Vec<Ref>,
}

/// Whether an account is the one that is meant.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Likeness {
    Same,
    /// The same user at the same port of a server with another name, which may be the same server.
    Perhaps,
}

/// Finds the account. Refused: it is the one that claviger's own connection uses, or, unless that is accepted, others are known to use it.
pub(super) async fn root(
    engine: &Engine,
    subject: &Ref,
    account: Option<&Account>,
    leave: bool,
) -> Result<Root, Refusal> {
    let Some(account) = account else { return Ok(Root::default()) };
    let unread = |_| refuse(subject, "inventory", "the inventory could not be read: try again");
    let inventory = &engine.ports.inventory;
    let now = engine.clock.now();
    let all = inventory.credentials(now, &Selection::default()).await.map_err(unread)?;
    let mut same = None;
    for credential in &all {
        let Some(likeness) = likeness(engine, account, credential) else { continue };
        if credential.attributes.get("own").and_then(serde_json::Value::as_bool) == Some(true) {
            let server = match likeness {
                Likeness::Same => String::new(),
                Likeness::Perhaps => ", if that is the same server, which their names do not tell".to_owned(),
            };
            let text = format!(
                "{} is the account that claviger's own connection uses{server}: rotating it would lock claviger out; use another account for the connection",
                credential.at
            );
            return Err(refuse(subject, "self-lock", text));
        }
        if likeness == Likeness::Same {
            same = Some(credential.id);
        }
    }
    let Some(id) = same else { return Ok(Root::default()) };
    let Some(detail) = inventory.credential(now, id).await.map_err(unread)? else {
        return Ok(Root::default());
    };
    let current = detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current);
    let stale: Vec<Ref> = current.map(|copy| copy.at.clone()).collect();
    let breaks: Vec<Ref> = readers(&detail).into_iter().map(|(consumer, _)| consumer).collect();
    if !leave && let Some(first) = stale.iter().chain(&breaks).next() {
        let mut names: Vec<_> = stale.iter().chain(&breaks).map(Ref::as_str).collect();
        let more = names.len().saturating_sub(5);
        names.truncate(5);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let reason = format!(
            "others are known to have or use the password of {}: {}{more}; afterwards only the engine has it. Give them an account of their own, remove the copies and scan again, or accept that {first} holds a dead value with `--leave-stale`",
            detail.credential.at,
            names.join(", ")
        );
        return Err(refuse(subject, "shared-root", reason));
    }
    Ok(Root { login: login(engine, &detail), stale, breaks })
}

fn likeness(engine: &Engine, account: &Account, credential: &CredentialView) -> Option<Likeness> {
    match account {
        Account::Known(at) => (credential.at == *at).then_some(Likeness::Same),
        Account::Named { user, host, port } => {
            let is_role = credential.at.path().strip_prefix("role/") == Some(user.as_str());
            if credential.kind != CredentialKind::Password || !is_role {
                return None;
            }
            let member = engine.estate.member(credential.at.backend()).ok()?;
            let info = member.backend.info();
            let (scheme, rest) = info.endpoint.split_once("://")?;
            let (server, own_port) = rest.split('/').next()?.rsplit_once(':')?;
            if scheme != "postgres" || own_port.parse() != Ok(*port) {
                return None;
            }
            Some(if plain(server) == plain(host) { Likeness::Same } else { Likeness::Perhaps })
        }
    }
}

/// The accounts by which database engines log in, asked for once per plan and only where it matters.
#[derive(Default)]
pub(super) struct Engines(OnceCell<Vec<(Ref, Account)>>);

impl Engines {
    /// Refuses a role by which an engine logs in: whoever changed its password there would lock the engine out. Gives what the reader should know
    /// where names do not tell whether it is one. An engine that cannot be asked now is not known.
    pub(super) async fn not_an_account(
        &self,
        engine: &Engine,
        credential: &CredentialView,
    ) -> Result<Vec<String>, Refusal> {
        let mut notes = Vec::new();
        for (root, account) in self.0.get_or_init(|| accounts(engine)).await {
            match likeness(engine, account, credential) {
                None => {}
                Some(Likeness::Same) => {
                    let text = format!(
                        "it is the account by which the engine of {root} logs in, which would be locked out: rotate {root} instead, then the engine alone has it"
                    );
                    return Err(refuse(&credential.at, "engine-root", text));
                }
                Some(Likeness::Perhaps) => notes.push(format!(
                    "the engine of {root} logs in as a role of this name, perhaps at this server, which their names do not tell: then it would be locked out"
                )),
            }
        }
        Ok(notes)
    }
}

async fn accounts(engine: &Engine) -> Vec<(Ref, Account)> {
    let issuers: Vec<_> = engine
        .estate
        .members()
        .filter(|member| member.backend.capability().issue_hidden)
        .filter_map(|member| Some((member.backend.info().name.clone(), member.backend.issuer()?)))
        .collect();
    if issuers.is_empty() {
        return Vec::new();
    }
    let all = engine.ports.inventory.credentials(engine.clock.now(), &Selection::default()).await;
    let mut found = Vec::new();
    for credential in all.unwrap_or_default() {
        let issuer = issuers.iter().find(|(name, _)| name == credential.at.backend());
        let Some((_, issuer)) = issuer else { continue };
        if issuer.offer(&credential.at).is_none_or(|offer| offer.origin != ValueOrigin::Hidden) {
            continue;
        }
        match issuer.prospect(&credential.at).await {
            Ok(prospect) => found.extend(prospect.account.map(|account| (credential.at.clone(), account))),
            Err(error) => {
                tracing::warn!(root = %credential.at, error = %error, "an engine could not be asked for its account");
            }
        }
    }
    found
}

/// Names of one address that need no resolver.
fn plain(host: &str) -> String {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    match host.as_str() {
        "localhost" | "::1" => "127.0.0.1".to_owned(),
        _ => host,
    }
}

fn login(engine: &Engine, account: &CredentialDetail) -> Option<Login> {
    let credential = &account.credential;
    let member = engine.estate.member(credential.at.backend()).ok()?;
    let tries = member.backend.capability().verify && member.backend.issuer().is_some();
    if !tries || credential.state != CredentialState::Active {
        return None;
    }
    let reads = |at: &Ref| {
        let member = engine.estate.member(at.backend());
        member.is_ok_and(|member| member.backend.capability().read && member.backend.store().is_some())
    };
    let proven = account
        .copies
        .iter()
        .filter(|copy| copy.stage == CopyStage::Current && copy.evidence != "claimed")
        .find(|copy| reads(&copy.at));
    let unknown = credential.attributes.get("password_known").and_then(serde_json::Value::as_bool);
    Some(Login {
        at: credential.at.clone(),
        copy: proven.map(|copy| copy.at.clone()),
        told: unknown != Some(false),
    })
}

/// What the reader should know.
pub(super) fn notes(subject: &Ref, root: &Root) -> Vec<String> {
    let mut notes = vec![
        format!(
            "afterwards only the engine of {subject} can log in as it: nobody is ever shown the new value"
        ),
        "it cannot be taken back".to_owned(),
    ];
    match &root.login {
        None => notes.push(
            "the account is not seen in the estate, so neither who else uses it is known nor can the old value be tried: that it is refused will be its engine's word (`attested`)"
                .to_owned(),
        ),
        Some(Login { at, copy: None, .. }) => notes.push(format!(
            "no copy of the password of {at} can be read: that the old one is refused will be its engine's word (`attested`)"
        )),
        Some(_) => {}
    }
    notes.extend(root.stale.iter().map(|copy| format!("{copy} is not written and will hold a dead value")));
    notes
}
