use claviger_core::{
    agreement::Agreement, id::CredentialId, model::CredentialState, reference::Ref, view::Reprobe,
};
use claviger_engine::{reprobe::Reprobed, verify::Verified};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, typed};
use crate::{
    args::{Global, VerifyArgs},
    commands::verify::{self, copies},
    error::{Exit, Result},
    output,
};

/// Code of a selector that chooses nothing.
const NO_MATCH: u16 = 300;

/// What the service tells of copies.
#[derive(Deserialize)]
struct Copies {
    items: Vec<Agreement>,
    newly_broken: Vec<Ref>,
    mended: Vec<Ref>,
    under_way: usize,
}

/// What it tells of one that was revoked.
#[derive(Deserialize)]
struct Revoked {
    credential: CredentialId,
    #[serde(rename = "ref")]
    at: Ref,
    state: CredentialState,
    answer: Reprobe,
    evidence: String,
    path: Option<String>,
    found_in: Vec<Ref>,
    re_revoke: Option<String>,
}

impl From<Revoked> for Reprobed {
    fn from(told: Revoked) -> Self {
        let Revoked { credential, at, state, answer, evidence, path, found_in, re_revoke } = told;
        Self { credential, at, state, answer, evidence, path, found_in, re_revoke }
    }
}

/// What is told where nothing was chosen.
fn nothing(copies: bool) -> Result<Value> {
    let (mut document, name) = match copies {
        true => (output::value(&Verified::default())?, "verify-copies"),
        false => (json!({ "items": [] }), "verify"),
    };
    output::stamp(&mut document, name);
    Ok(document)
}

/// `verify`
pub(super) async fn run(global: &Global, client: &Client, args: &VerifyArgs) -> Result<Exit> {
    verify::must_say_what(args)?;
    if args.yes {
        // There `[reprobe]` has it done.
        return Err(super::elsewhere("verify --yes"));
    }
    let selector = args.selector.join(" ");
    let selector = Some(selector.trim()).filter(|words| !words.is_empty());
    let what = if args.copies { "copies" } else { "revoked" };
    let document = client.post(&["verifications"], &json!({ "what": what, "selector": selector })).await;
    let document = match document {
        // Of nothing there is nothing to be told, as here.
        Err(failure) if failure.is(NO_MATCH) => nothing(args.copies)?,
        other => other?,
    };
    if args.copies {
        let Copies { items, newly_broken, mended, under_way } = typed(&document, "what was verified")?;
        return copies::tell(global, &Verified { items, newly_broken, mended, under_way });
    }
    let tried: Vec<Revoked> = typed(&document["items"], "what was tried")?;
    let tried: Vec<Reprobed> = tried.into_iter().map(Reprobed::from).collect();
    verify::tell(global, &tried, document)?;
    if tried.iter().any(|one| one.answer.is_back()) {
        return Ok(Exit::Stuck);
    }
    Ok(Exit::Done.unless(tried.iter().any(|one| one.answer == Reprobe::Unknown)))
}
