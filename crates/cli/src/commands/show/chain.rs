//! A chain as a tree of lines: what comes before the credential, the credential, and what follows it.

use std::fmt::Write as _;

use claviger_core::{
    chain::{Chain, Cut, Deploy, Job, Next, Opened, Opener, Place, Right, Unknown},
    model::PrivilegeLevel,
};

/// Rules that are told of one right.
const RULES: usize = 3;

/// The chain of one credential.
pub(super) fn text(chain: &Chain) -> String {
    let mut text = "\nchain: build, deploy, run\n".to_owned();
    links(chain, 1, &mut text);
    text
}

fn line(depth: usize, word: &str, what: &str, text: &mut String) {
    let _ = writeln!(text, "{:indent$}{word:<11}{what}", "", indent = depth * 2);
}

/// A remark on what is above it.
fn remark(depth: usize, what: &str, text: &mut String) {
    let _ = writeln!(text, "{:indent$}{what}", "", indent = depth * 2 + 11);
}

fn links(chain: &Chain, depth: usize, text: &mut String) {
    for opener in &chain.opened_by {
        opened_by(opener, depth, text);
    }
    for deploy in &chain.deploy {
        of_ci(deploy, depth, text);
    }
    let identity = chain.identity.as_ref().map_or_else(String::new, |identity| format!(", as {identity}"));
    line(depth, "credential", &format!("{} ({}, {}{identity})", chain.at, chain.kind, chain.state), text);
    for place in &chain.places {
        of_place(place, depth + 1, text);
    }
    for right in &chain.rights {
        of_right(right, depth + 1, text);
    }
    for unknown in &chain.unknown {
        not_known(unknown, depth + 1, text);
    }
    for cut in &chain.cut {
        left_out(cut, depth + 1, text);
    }
}

fn of_ci(deploy: &Deploy, depth: usize, text: &mut String) {
    for job in &deploy.jobs {
        of_job(job, depth, text);
    }
    line(depth, "deploy", &format!("{} ({})", deploy.at, deploy.known), text);
}

fn of_job(job: &Job, depth: usize, text: &mut String) {
    line(depth, "build", &format!("{} ({})", job.at, job.known), text);
    let triggers = if job.triggers.is_empty() {
        "what starts it is not known".to_owned()
    } else {
        format!("on {}", job.triggers.join(", "))
    };
    remark(depth, &format!("{triggers}; {}", job.forks.words()), text);
    let permissions = match &job.permissions {
        None => "not set, so the forge's default".to_owned(),
        Some(scopes) => {
            let scopes = scopes.iter().map(|(scope, level)| match scope.as_str() {
                "*" => format!("{level}-all"),
                scope => format!("{scope}={level}"),
            });
            scopes.collect::<Vec<_>>().join(", ")
        }
    };
    remark(depth, &format!("permissions: {permissions}"), text);
    if let Some(environment) = &job.environment {
        remark(depth, &format!("environment: {environment}"), text);
    }
    if job.takes_all {
        remark(depth, "it takes all secrets that there are", text);
    }
    for foreign in &job.foreign {
        let pinned = if foreign.pinned { "pinned" } else { "not pinned" };
        remark(depth, &format!("seen by {} ({pinned})", foreign.uses), text);
    }
}

fn of_place(place: &Place, depth: usize, text: &mut String) {
    let namespace =
        place.namespace.as_ref().map_or_else(String::new, |namespace| format!("namespace {namespace}: "));
    line(depth, "place", &format!("{namespace}{} ({})", place.at, place.known), text);
    for workload in &place.workloads {
        line(depth + 1, "run", &format!("{} ({}, {})", workload.at, workload.how, workload.known), text);
    }
    if place.workloads.is_empty() {
        line(depth + 1, "run", "no workload that was read uses it", text);
    }
}

fn of_right(right: &Right, depth: usize, text: &mut String) {
    let level =
        if right.level == PrivilegeLevel::Unknown { "how much is not known" } else { right.level.as_str() };
    let reach = if right.reach == "*" { "everywhere" } else { &right.reach };
    line(
        depth,
        "may",
        &format!("{level}: {} in {reach} ({} by {})", right.privilege, right.known, right.known.at),
        text,
    );
    for rule in right.rules.iter().take(RULES) {
        remark(depth, rule, text);
    }
    if right.rules.len() > RULES {
        remark(depth, &format!("and {} more rules", right.rules.len() - RULES), text);
    }
    for opened in &right.opens {
        opens(opened, depth + 1, text);
    }
}

fn opens(opened: &Opened, depth: usize, text: &mut String) {
    let may = if opened.certain { "opens" } else { "may open" };
    line(depth, may, &format!("{} ({})", opened.place, opened.known), text);
    goes_on(&opened.next, depth + 1, text);
}

fn opened_by(opener: &Opener, depth: usize, text: &mut String) {
    goes_on(&opener.by, depth, text);
    let opens = if opener.certain { "opens" } else { "may open" };
    line(depth + 1, opens, &format!("{} ({} by {})", opener.place, opener.known, opener.known.at), text);
}

fn goes_on(next: &Next, depth: usize, text: &mut String) {
    match next {
        Next::Chain { chain } => links(chain, depth, text),
        Next::Circle { at } => line(
            depth,
            "credential",
            &format!("{at}: it came by here before, so the chain is a circle"),
            text,
        ),
        Next::Elsewhere { at } => {
            line(depth, "credential", &format!("{at}: told elsewhere in this chain"), text)
        }
        Next::Deeper { at } => {
            line(depth, "credential", &format!("{at}: not followed further, `show` it"), text)
        }
    }
}

fn not_known(unknown: &Unknown, depth: usize, text: &mut String) {
    line(depth, "unknown", &format!("{}: {}: {}", unknown.stage.as_str(), unknown.about, unknown.why), text);
}

fn left_out(cut: &Cut, depth: usize, text: &mut String) {
    line(
        depth,
        "left out",
        &format!("{}: of {} at least {} more", cut.stage.as_str(), cut.about, cut.more),
        text,
    );
}
