use claviger_server::{
    access::Sight,
    document::list::{self, Asked},
};

use crate::{
    args::{Global, ListArgs, Thing},
    compose::{Needs, compose},
    error::{Exit, Result},
    output::{self, Column, Shown},
};

const CREDENTIALS: &[Column] = &[
    Column::new("id", "ID").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("kind", "KIND"),
    Column::new("state", "STATE"),
    Column::new("owner", "OWNER"),
    Column::new("age_days", "AGE").shown(Shown::Number),
    Column::new("copies", "COPIES").shown(Shown::Number),
    Column::new("consumers", "CONSUMERS").shown(Shown::Number),
    Column::new("findings", "FINDINGS"),
    Column::new("identity", "IDENTITY").shown(Shown::Ref).wide(),
    Column::new("link", "LINK").wide(),
    Column::new("created_at", "CREATED").shown(Shown::Day).wide(),
    Column::new("last_rotated_at", "ROTATED").shown(Shown::Day).wide(),
    Column::new("expires_at", "EXPIRES").shown(Shown::Day).wide(),
    Column::new("last_used_at", "USED").shown(Shown::Day).wide(),
    Column::new("policy", "POLICY").wide(),
    Column::new("next_due_at", "DUE").shown(Shown::Day).wide(),
];
const IDENTITIES: &[Column] = &[
    Column::new("id", "ID").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("kind", "KIND"),
    Column::new("owner", "OWNER"),
    Column::new("privilege", "PRIVILEGE"),
    Column::new("credentials", "CREDENTIALS").shown(Shown::Number),
];
const COPIES: &[Column] = &[
    Column::new("credential", "CREDENTIAL").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("stage", "STAGE"),
    Column::new("evidence", "EVIDENCE"),
    Column::new("last_seen", "LAST SEEN").shown(Shown::Time),
    Column::new("version", "VERSION").wide(),
    Column::new("fingerprint", "FINGERPRINT").wide(),
];
const CONSUMERS: &[Column] = &[
    Column::new("credential", "CREDENTIAL").shown(Shown::Id),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("how", "HOW"),
    Column::new("copy", "COPY").shown(Shown::Ref),
    Column::new("container", "CONTAINER"),
];
const FINDINGS: &[Column] = &[
    Column::new("severity", "SEVERITY"),
    Column::new("slug", "SLUG"),
    Column::new("subject", "SUBJECT").shown(Shown::Ref),
    Column::new("title", "TITLE"),
    Column::new("first_seen", "SINCE").shown(Shown::Day).wide(),
    Column::new("suggested", "SUGGESTED").wide(),
    Column::new("waived", "WAIVED").wide(),
];
const SAGAS: &[Column] = &[
    Column::new("rotation_id", "ID"),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("state", "STATE"),
    Column::new("cause", "CAUSE"),
    Column::new("started_at", "STARTED").shown(Shown::Time),
    Column::new("finished_at", "FINISHED").shown(Shown::Time),
    Column::new("detail", "DETAIL"),
];

const DRILLS: &[Column] = &[
    Column::new("drill_id", "ID"),
    Column::new("backend", "BACKEND"),
    Column::new("passed", "PASSED"),
    Column::new("begun_at", "BEGUN").shown(Shown::Time),
    Column::new("time_to_revoke_ms", "MS TO REVOKE").shown(Shown::Number),
    Column::new("time_to_proof_ms", "MS TO PROOF").shown(Shown::Number),
    Column::new("verdict", "VERDICT"),
    Column::new("reason", "REASON"),
    Column::new("ref", "DECOY").shown(Shown::Ref).wide(),
    Column::new("actor", "BY").wide(),
];

const NOTIFICATIONS: &[Column] = &[
    Column::new("id", "ID"),
    Column::new("receiver", "RECEIVER"),
    Column::new("event", "EVENT"),
    Column::new("state", "STATE"),
    Column::new("attempts", "ATTEMPTS").shown(Shown::Number),
    Column::new("next_at", "NEXT").shown(Shown::Time),
    Column::new("last_error", "ERROR"),
    Column::new("queued_at", "QUEUED").shown(Shown::Time).wide(),
    Column::new("audit_seq", "AUDIT").shown(Shown::Number).wide(),
];

const CONNECTIONS: &[Column] = &[
    Column::new("backend", "BACKEND"),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("age_days", "AGE").shown(Shown::Number),
    Column::new("expires_at", "EXPIRES").shown(Shown::Time),
    Column::new("copies", "COPIES").shown(Shown::Number),
    Column::new("detail", "DETAIL"),
    Column::new("created_at", "CREATED").shown(Shown::Day).wide(),
    Column::new("last_used_at", "USED").shown(Shown::Day).wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

const PROPOSALS: &[Column] = &[
    Column::new("copy", "COPY").shown(Shown::Ref),
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("rivals", "ALIKE").shown(Shown::Number),
    Column::new("because", "BECAUSE"),
    Column::new("unknown", "UNKNOWN").wide(),
    Column::new("jobs", "JOBS").wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

const SCHEDULES: &[Column] = &[
    Column::new("ref", "REF").shown(Shown::Ref),
    Column::new("policy", "POLICY"),
    Column::new("schedule", "SCHEDULE"),
    Column::new("timezone", "ZONE"),
    Column::new("due_at", "DUE").shown(Shown::Time),
    Column::new("starts_at", "STARTS").shown(Shown::Time),
    Column::new("waits_for", "WAITS FOR"),
    Column::new("latest_at", "AT THE LATEST").shown(Shown::Time).wide(),
    Column::new("credential", "CREDENTIAL").shown(Shown::Id).wide(),
];

/// Lists one thing. The selector chooses credentials; copies, consumers and sagas follow theirs, findings and identities their ref too.
pub(super) async fn run(global: &Global, args: &ListArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Database).await?;
    let given =
        args.selector.iter().any(|word| !word.trim().is_empty()) || args.condition.condition.is_some();
    let selector = given.then(|| args.condition.selector(&args.selector)).transpose()?;
    let (thing, columns) = shape(args.thing);
    let asked = Asked { selector, gone: args.gone };
    let items = match thing {
        // No backend is built for a list: the configuration knows their names.
        list::Thing::Connections => {
            let names = composed.loaded.config.backends.keys().map(String::as_str);
            list::connections(&composed.engine, names, &asked, Sight::All).await?
        }
        thing => list::items(&composed.engine, thing, &asked, Sight::All).await?,
    };
    output::list(global, thing.name(), columns, &items)?;
    Ok(Exit::Done)
}

/// What is listed, and its columns.
pub(crate) fn shape(thing: Thing) -> (list::Thing, &'static [Column]) {
    match thing {
        Thing::Connections => (list::Thing::Connections, CONNECTIONS),
        Thing::Credentials => (list::Thing::Credentials, CREDENTIALS),
        Thing::Identities => (list::Thing::Identities, IDENTITIES),
        Thing::Copies => (list::Thing::Copies, COPIES),
        Thing::Consumers => (list::Thing::Consumers, CONSUMERS),
        Thing::Findings => (list::Thing::Findings, FINDINGS),
        Thing::Rotations => (list::Thing::Rotations, SAGAS),
        Thing::Revocations => (list::Thing::Revocations, SAGAS),
        Thing::Swaps => (list::Thing::Swaps, SAGAS),
        Thing::Drills => (list::Thing::Drills, DRILLS),
        Thing::Notifications => (list::Thing::Notifications, NOTIFICATIONS),
        Thing::Schedules => (list::Thing::Schedules, SCHEDULES),
        Thing::Proposals => (list::Thing::Proposals, PROPOSALS),
    }
}
