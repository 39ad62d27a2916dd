//! Chains from build to run, as nested lists: what comes before a credential, and what follows it.

use std::io::{self, Write};

use claviger_core::{
    chain::{Chain, Deploy, Known, Next, Opened, Place, Right},
    model::PrivilegeLevel,
};

use super::markup::{Section, Subjects, counted, text};
use crate::InventoryReport;

/// Rules that are told of one right.
const RULES: usize = 3;

pub(super) fn write(
    report: &InventoryReport,
    section: &Section,
    subjects: &Subjects<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    section.begin(out)?;
    writeln!(
        out,
        "<p class=\"lead\">For credentials that jobs of a CI system are given, or that open others: the jobs, the places, the workloads, what they may do, and \
         what that opens. Each line says where it is known from. What is not known is said, and so is what was left out.</p>"
    )?;
    if report.chains.drawn.is_empty() {
        writeln!(out, "<p>No credential in use is known to be given to a job, or to open another.</p>")?;
    }
    for chain in &report.chains.drawn {
        writeln!(out, "<figure class=\"chain\">\n<figcaption>{}</figcaption>", subjects.show(&chain.at))?;
        links(chain, out)?;
        writeln!(out, "</figure>")?;
    }
    if report.chains.more > 0 {
        writeln!(
            out,
            "<p class=\"soft\">And {}, which <code>claviger show</code> draws one by one.</p>",
            counted(report.chains.more, "other chain", "other chains")
        )?;
    }
    section.end(out)
}

/// A line: in which part, what, and where it is known from.
fn item(stage: &str, what: &str, known: Option<&Known>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<li><b>{stage}</b> <span class=\"ref\">{}</span>", text(what))?;
    match known {
        Some(known) => write!(out, " <span class=\"soft\">{}</span>", text(&known.to_string())),
        None => Ok(()),
    }
}

fn remark(words: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<br><span class=\"soft\">{}</span>", text(words))
}

fn links(chain: &Chain, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<ul>")?;
    for opener in &chain.opened_by {
        let opens = if opener.certain { "opens" } else { "may open" };
        write!(out, "<li>")?;
        goes_on(&opener.by, out)?;
        writeln!(
            out,
            "<b>{opens}</b> <span class=\"ref\">{}</span> <span class=\"soft\">{} by {}</span></li>",
            text(opener.place.as_str()),
            opener.known,
            text(opener.known.at.as_str())
        )?;
    }
    for deploy in &chain.deploy {
        of_ci(deploy, out)?;
    }
    item("credential", chain.at.as_str(), None, out)?;
    let identity = chain.identity.as_ref().map_or_else(String::new, |identity| format!(", as {identity}"));
    write!(out, " <span class=\"soft\">{}, {}{}</span>", chain.kind, chain.state, text(&identity))?;
    after(chain, out)?;
    writeln!(out, "</li></ul>")
}

fn of_ci(deploy: &Deploy, out: &mut dyn Write) -> io::Result<()> {
    item("deploy", deploy.at.as_str(), Some(&deploy.known), out)?;
    if !deploy.jobs.is_empty() {
        writeln!(out, "<ul>")?;
    }
    for job in &deploy.jobs {
        item("build", job.at.as_str(), Some(&job.known), out)?;
        let triggers = match job.triggers.as_slice() {
            [] => "what starts it is not known".to_owned(),
            triggers => format!("on {}", triggers.join(", ")),
        };
        remark(&format!("{triggers}; {}", job.forks.words()), out)?;
        let permissions = match &job.permissions {
            None => "not set, so the forge's default".to_owned(),
            Some(scopes) => {
                let scopes = scopes.iter().map(|(scope, level)| format!("{scope}={level}"));
                scopes.collect::<Vec<_>>().join(", ")
            }
        };
        remark(&format!("permissions: {permissions}"), out)?;
        if let Some(environment) = &job.environment {
            remark(&format!("environment: {environment}"), out)?;
        }
        if job.takes_all {
            remark("it takes all secrets that there are", out)?;
        }
        for foreign in &job.foreign {
            let pinned = if foreign.pinned { "pinned" } else { "not pinned" };
            remark(&format!("seen by {} ({pinned})", foreign.uses), out)?;
        }
        writeln!(out, "</li>")?;
    }
    if !deploy.jobs.is_empty() {
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</li>")
}

/// What follows a credential.
fn after(chain: &Chain, out: &mut dyn Write) -> io::Result<()> {
    let is_empty = chain.places.is_empty()
        && chain.rights.is_empty()
        && chain.unknown.is_empty()
        && chain.cut.is_empty();
    if is_empty {
        return Ok(());
    }
    writeln!(out, "<ul>")?;
    for place in &chain.places {
        of_place(place, out)?;
    }
    for right in &chain.rights {
        of_right(right, out)?;
    }
    for unknown in &chain.unknown {
        writeln!(
            out,
            "<li class=\"unknown\"><b>unknown</b> {}: <span class=\"ref\">{}</span>: {}</li>",
            unknown.stage.as_str(),
            text(unknown.about.as_str()),
            text(&unknown.why)
        )?;
    }
    for cut in &chain.cut {
        writeln!(
            out,
            "<li class=\"soft\"><b>left out</b> {}: of <span class=\"ref\">{}</span> at least {} more</li>",
            cut.stage.as_str(),
            text(cut.about.as_str()),
            cut.more
        )?;
    }
    writeln!(out, "</ul>")
}

fn of_place(place: &Place, out: &mut dyn Write) -> io::Result<()> {
    item("place", place.at.as_str(), Some(&place.known), out)?;
    if let Some(namespace) = &place.namespace {
        write!(out, " <span class=\"soft\">in namespace {}</span>", text(namespace))?;
    }
    writeln!(out, "<ul>")?;
    for workload in &place.workloads {
        item("run", workload.at.as_str(), Some(&workload.known), out)?;
        writeln!(out, " <span class=\"soft\">as {}</span></li>", workload.how)?;
    }
    if place.workloads.is_empty() {
        writeln!(out, "<li><b>run</b> <span class=\"soft\">no workload that was read uses it</span></li>")?;
    }
    writeln!(out, "</ul></li>")
}

fn of_right(right: &Right, out: &mut dyn Write) -> io::Result<()> {
    let level =
        if right.level == PrivilegeLevel::Unknown { "how much is not known" } else { right.level.as_str() };
    let reach = if right.reach == "*" { "everywhere" } else { &right.reach };
    write!(
        out,
        "<li><b>may</b> {level}: <span class=\"ref\">{}</span> in {} <span class=\"soft\">{} by {}</span>",
        text(&right.privilege),
        text(reach),
        right.known,
        text(right.known.at.as_str())
    )?;
    for rule in right.rules.iter().take(RULES) {
        remark(rule, out)?;
    }
    if right.rules.len() > RULES {
        remark(&format!("and {} more rules", right.rules.len() - RULES), out)?;
    }
    if !right.opens.is_empty() {
        writeln!(out, "<ul>")?;
        for opened in &right.opens {
            opens(opened, out)?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</li>")
}

fn opens(opened: &Opened, out: &mut dyn Write) -> io::Result<()> {
    let word = if opened.certain { "opens" } else { "may open" };
    item(word, opened.place.as_str(), Some(&opened.known), out)?;
    goes_on(&opened.next, out)?;
    writeln!(out, "</li>")
}

fn goes_on(next: &Next, out: &mut dyn Write) -> io::Result<()> {
    let why = match next {
        Next::Chain { chain } => return links(chain, out),
        Next::Circle { .. } => "it came by here before, so the chain is a circle",
        Next::Elsewhere { .. } => "told elsewhere in this chain",
        Next::Deeper { .. } => "not followed further",
    };
    write!(
        out,
        " <span class=\"ref\">{}</span>: <span class=\"soft\">{why}</span> ",
        text(next.at().as_str())
    )
}
