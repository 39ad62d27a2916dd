//! Issuer, copies, consumers of one credential, in three columns.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
};

use claviger_core::{
    model::{CopyStage, CredentialState},
    reference::Ref,
    view::{CopyView, CredentialDetail, FindingView, Severity},
};

use crate::{
    InventoryReport,
    html::{Subjects, badge, plain},
    model::evidence_words,
    table::shorten,
    visible::visible,
};

/// As many credentials are drawn, and as many copies and consumers of each.
const DRAWN: usize = 6;
const NODES: usize = 8;

const WIDTH: usize = 960;
/// Left edge and width of the columns.
const COLUMNS: [(usize, usize); 3] = [(1, 236), (322, 330), (736, 223)];
const NODE: usize = 38;
const STEP: usize = 48;
const TOP: usize = 24;

/// A credential with what is wrong about it.
pub(crate) struct Subject<'a> {
    detail: &'a CredentialDetail,
    findings: Vec<&'a FindingView>,
}

/// The worst credentials that have something to draw: by their findings, then by their spread.
pub(crate) fn worst(report: &InventoryReport) -> Vec<Subject<'_>> {
    let mut by_subject: HashMap<&Ref, Vec<&FindingView>> = HashMap::new();
    for finding in &report.findings {
        by_subject.entry(&finding.subject).or_default().push(finding);
    }
    let mut subjects: Vec<Subject<'_>> = report
        .credentials
        .iter()
        .filter(|detail| detail.credential.state != CredentialState::Gone)
        .filter(|detail| !detail.copies.is_empty() || !detail.consumers.is_empty())
        .filter_map(|detail| {
            let findings = by_subject.get(&detail.credential.at)?;
            Some(Subject { detail, findings: findings.clone() })
        })
        .collect();
    subjects.sort_by_cached_key(|subject| std::cmp::Reverse(subject.weight()));
    subjects.truncate(DRAWN);
    for subject in &mut subjects {
        subject.findings.sort_by(|a, b| (a.severity, &a.slug).cmp(&(b.severity, &b.slug)));
    }
    subjects
}

impl Subject<'_> {
    /// Numbers of findings, worst first, then the spread; the ref makes the order stable.
    fn weight(&self) -> ([usize; 4], usize, std::cmp::Reverse<String>) {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let severities = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low].map(count);
        let spread = self.detail.copies.len() + self.detail.consumers.len();
        (severities, spread, std::cmp::Reverse(self.detail.credential.at.to_string()))
    }
}

struct Node {
    label: String,
    note: String,
    title: String,
    class: &'static str,
}

pub(crate) fn graph(subject: &Subject<'_>, subjects: &Subjects<'_>, out: &mut dyn Write) -> io::Result<()> {
    let detail = subject.detail;
    let credential = &detail.credential;
    write!(
        out,
        "<figure>\n<figcaption>{}{} <span class=\"slugs\">",
        badge(subject.findings[0].severity),
        subjects.show(&credential.at)
    )?;
    for finding in &subject.findings {
        write!(out, "<a href=\"#f-{}\">{}</a> ", plain(&finding.slug), plain(&finding.slug))?;
    }
    writeln!(out, "</span></figcaption>")?;

    let copies: Vec<&CopyView> =
        detail.copies.iter().filter(|copy| copy.stage == CopyStage::Current).collect();
    let shown: Vec<&CopyView> = copies.iter().take(NODES).copied().collect();
    let mut consumers: BTreeMap<&Ref, Vec<(&Ref, &'static str)>> = BTreeMap::new();
    for consumer in &detail.consumers {
        consumers.entry(&consumer.at).or_default().push((&consumer.copy, consumer.how.as_str()));
    }
    let is_issued = !detail.copies.iter().any(|copy| copy.at == credential.at);

    let issuer = Node {
        label: if is_issued { credential.at.to_string() } else { "issuer not known".to_owned() },
        note: format!("{}, {}", credential.kind, credential.state),
        title: credential.at.to_string(),
        class: if is_issued { "box issuer" } else { "box absent" },
    };
    let copy_nodes: Vec<Node> =
        shown.iter().map(|copy| copy_node(copy)).chain(rest(copies.len(), "copies")).collect();
    let consumer_nodes: Vec<Node> = consumers
        .iter()
        .take(NODES)
        .map(|(at, reads)| {
            let mut how: Vec<&str> = reads.iter().map(|(_, how)| *how).collect();
            how.sort_unstable();
            how.dedup();
            Node { label: at.to_string(), note: how.join(", "), title: at.to_string(), class: "box" }
        })
        .chain(rest(consumers.len(), "consumers"))
        .collect();

    let rows = copy_nodes.len().max(consumer_nodes.len()).max(1);
    let height = TOP + rows * STEP;
    let centred = |count: usize, index: usize| TOP + (rows - count) * STEP / 2 + index * STEP;
    let issuer_top = centred(1, 0);
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{} copies and {} consumers of {}\">",
        copies.len(),
        consumers.len(),
        plain(credential.at.as_str())
    )?;
    for ((x, _), words) in COLUMNS.iter().zip(["issuer", "copies", "consumers"]) {
        writeln!(out, "<text class=\"soft\" x=\"{x}\" y=\"12\">{words}</text>")?;
    }
    for (index, copy) in shown.iter().enumerate() {
        let is_claimed = !is_issued || matches!(copy.evidence.as_str(), "claimed" | "declared");
        edge(0, issuer_top, 1, centred(copy_nodes.len(), index), is_claimed, out)?;
    }
    for (index, reads) in consumers.values().take(NODES).enumerate() {
        let to = centred(consumer_nodes.len(), index);
        let mut is_drawn = false;
        for (copy_index, _) in
            shown.iter().enumerate().filter(|(_, copy)| reads.iter().any(|(read, _)| lies_in(&copy.at, read)))
        {
            edge(1, centred(copy_nodes.len(), copy_index), 2, to, false, out)?;
            is_drawn = true;
        }
        if !is_drawn {
            // It reads the identity, or a copy that is not drawn.
            edge(0, issuer_top, 2, to, false, out)?;
        }
    }
    node(&issuer, 0, issuer_top, out)?;
    for (index, copy) in copy_nodes.iter().enumerate() {
        node(copy, 1, centred(copy_nodes.len(), index), out)?;
    }
    for (index, consumer) in consumer_nodes.iter().enumerate() {
        node(consumer, 2, centred(consumer_nodes.len(), index), out)?;
    }
    if copy_nodes.is_empty() {
        empty(1, issuer_top, "no copy known", out)?;
    }
    if consumer_nodes.is_empty() {
        empty(2, issuer_top, "no consumer known", out)?;
    }
    writeln!(out, "</svg>\n</figure>")
}

fn copy_node(copy: &CopyView) -> Node {
    let environment = copy.labels.get("env").map(|env| format!(", env {env}")).unwrap_or_default();
    let unread = if copy.fingerprint.is_none() { ", value not read" } else { "" };
    Node {
        label: copy.at.to_string(),
        note: format!("{}{environment}{unread}", evidence_words(&copy.evidence)),
        title: copy.at.to_string(),
        class: "box",
    }
}

fn rest(count: usize, what: &str) -> Option<Node> {
    (count > NODES).then(|| Node {
        label: format!("and {} more {what}", count - NODES),
        note: String::new(),
        title: String::new(),
        class: "box absent",
    })
}

/// Is the copy what is read, or a part of it?
fn lies_in(copy: &Ref, read: &Ref) -> bool {
    copy.as_str()
        .strip_prefix(read.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['#', '/']))
}

fn edge(
    from: usize,
    from_top: usize,
    to: usize,
    to_top: usize,
    is_claimed: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (x1, y1) = (COLUMNS[from].0 + COLUMNS[from].1, from_top + NODE / 2);
    let (x2, y2) = (COLUMNS[to].0, to_top + NODE / 2);
    let middle = usize::midpoint(x1, x2);
    let class = if is_claimed { "edge claimed" } else { "edge" };
    writeln!(out, "<path class=\"{class}\" d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\"/>")
}

fn node(node: &Node, column: usize, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let (x, width) = COLUMNS[column];
    // 6.7 units for a letter of the monospaced face, 6.1 for one of the other.
    let (letters, note_letters) = ((width - 18) * 10 / 67, (width - 18) * 10 / 61);
    let label = shorten(&visible(&node.label), letters, true);
    let note = shorten(&visible(&node.note), note_letters, false);
    write!(out, "<g>")?;
    if !node.title.is_empty() {
        write!(out, "<title>{}</title>", plain(&node.title))?;
    }
    let baseline = if note.is_empty() { top + 23 } else { top + 16 };
    write!(
        out,
        "<rect class=\"{}\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{NODE}\" rx=\"4\"/><text class=\"mono\" x=\"{}\" y=\"{baseline}\">{}</text>",
        node.class,
        x + 9,
        plain(&label),
    )?;
    if !note.is_empty() {
        write!(out, "<text class=\"soft\" x=\"{}\" y=\"{}\">{}</text>", x + 9, top + 30, plain(&note))?;
    }
    writeln!(out, "</g>")
}

fn empty(column: usize, top: usize, words: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<text class=\"soft\" x=\"{}\" y=\"{}\">{words}</text>", COLUMNS[column].0 + 9, top + 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_reads_what_lies_within_what_it_reads() {
        let copy = Ref::from_text("prod/web/Secret/db#config/users/0");
        for read in ["prod/web/Secret/db", "prod/web/Secret/db#config", "prod/web/Secret/db#config/users/0"] {
            assert!(lies_in(&copy, &Ref::from_text(read)), "{read}");
        }
        for other in ["prod/web/Secret/d", "prod/web/Secret/db#conf", "prod/web/Secret/db2"] {
            assert!(!lies_in(&copy, &Ref::from_text(other)), "{other}");
        }
    }
}
