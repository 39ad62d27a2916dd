//! What every output must be, whatever the names are.

use std::time::Duration;

use claviger_core::{
    model::{ConsumerHow, CredentialKind, Place},
    reference::Ref,
    view::HistoryView,
};
use serde_json::Value;

use crate::{
    InventoryReport, ReportFormat,
    csv::reader,
    findings, inventory,
    sample::{self, copy, credential, estate},
};

/// Names that other systems allow, or that a broken one may hand out.
const HOSTILE: [&str; 10] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'-alert(1)-'</title></style></svg>",
    "=HYPERLINK(\"http://x.invalid\",\"x\")",
    "\t@SUM(1+1)*cmd|' /C calc'!A0",
    "a\u{1b}[2J\u{1b}]0;owned\u{7}b",
    "line\r\nbreak\u{2028}\u{85}",
    "right\u{202e}to\u{2066}left\u{200b}",
    "&amp;&#x3c;javascript:alert(1)",
    "null\u{0}nine\u{9b}31m\u{e0041}",
];

fn hostile() -> InventoryReport {
    let mut report = estate();
    for (index, name) in HOSTILE.iter().enumerate() {
        let at = format!("{name}/web/Secret/{name}#{name}");
        let number = 5_000 + u128::try_from(index).expect("small");
        let mut detail = credential(number, &at, CredentialKind::Password, Some(500));
        detail.credential.owner = Some((*name).to_owned());
        detail.credential.backend = (*name).to_owned();
        detail.credential.policy = Some((*name).to_owned());
        copy(&mut detail, &at, name, Place::SecretStore, Some(name));
        copy(&mut detail, &format!("dev/web/ConfigMap/{name}#url"), name, Place::Configuration, Some("dev"));
        sample::consumer(&mut detail, &format!("prod/{name}/Deployment/{name}"), &at, ConsumerHow::Env);
        sample::given(&mut detail, name, "dev/web/ConfigMap/*");
        report.credentials.insert(0, detail);
        let mut backend = report.coverage[0].clone();
        backend.name = (*name).to_owned();
        backend.kind = (*name).to_owned();
        for scope in &mut backend.scopes {
            scope.scope = (*name).to_owned();
            scope.reason = scope.reason.as_ref().map(|_| (*name).to_owned());
        }
        report.coverage.push(backend);
        for identity in &mut report.identities {
            identity.owner = Some((*name).to_owned());
            identity.at = Ref::from_text(format!("prod/{name}/ServiceAccount/{name}"));
        }
        report.history.push(HistoryView {
            at: sample::now(),
            entity: (*name).to_owned(),
            subject: Ref::from_text(*name),
            change: (*name).to_owned(),
            detail: (*name).to_owned(),
        });
        report.title = (*name).to_owned();
        report.audit_head = Some((1, (*name).to_owned()));
    }
    let mut report = sample::chained(sample::judged(report));
    // Titles and slugs are ours today; a renderer does not rely on it.
    for (finding, name) in report.findings.iter_mut().zip(HOSTILE.iter().cycle()) {
        finding.title = (*name).to_owned();
        finding.suggested = (*name).to_owned();
        finding.evidence.insert((*name).to_owned(), Value::from(vec![*name]));
        for framework in &mut finding.frameworks {
            framework.id = (*name).to_owned();
        }
    }
    report
}

type Render = fn(ReportFormat, &InventoryReport, &mut dyn std::io::Write) -> crate::Result<()>;
const REPORTS: [Render; 2] = [inventory::render, findings::render];

fn rendered(render: Render, format: ReportFormat, report: &InventoryReport) -> String {
    let mut out = Vec::new();
    render(format, report, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("UTF-8")
}

/// Every tag of the page, without its content.
fn tags(page: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').expect("a tag ends") + start;
        tags.push(&rest[start..=end]);
        rest = &rest[end + 1..];
    }
    tags
}

#[test]
fn pages_hold_nothing_but_our_own_markup() {
    let report = hostile();
    for render in REPORTS {
        let page = rendered(render, ReportFormat::Html, &report);
        let names: std::collections::BTreeSet<&str> = tags(&page)
            .iter()
            .map(|tag| {
                tag.trim_start_matches(['<', '/']).split([' ', '>', '\n', '/']).next().unwrap_or_default()
            })
            .collect();
        for name in names {
            assert!(OUR_TAGS.contains(&name), "<{name}> is none of ours");
        }
        for tag in tags(&page) {
            let lower = tag.to_lowercase();
            for bad in [" on", "javascript:", "style=", "src=", "http://", "https://"] {
                let ok = bad == " on" && !lower.contains(" onload") && !lower.contains(" onerror");
                assert!(ok || !without_texts(&lower).contains(bad), "{tag}");
            }
        }
        assert!(
            !page.chars().any(|letter| letter != '\n' && crate::visible::is_hidden(letter)),
            "a hidden character"
        );
        balanced(&page);
    }
}

#[test]
fn chains_are_told_whole_and_every_line_with_its_source() {
    let mut report = estate();
    sample::given(&mut report.credentials[0], "acme", "prod/web/*");
    let report = sample::chained(report);
    let page = rendered(inventory::render, ReportFormat::Html, &report);
    let chains = page.split("id=\"chains\"").nth(1).and_then(|rest| rest.split("</section>").next());
    let chains = chains.expect("the section");
    for words in [
        "<b>build</b> <span class=\"ref\">forge/acme/workflows/acme#jobs/acme</span> <span class=\"soft\">the workflow file names it</span>",
        "<b>deploy</b> <span class=\"ref\">forge/acme/actions/secrets/acme</span> <span class=\"soft\">declared, not proven</span>",
        "seen by acme (not pinned)",
        "permissions: acme=acme",
        "<span class=\"soft\">granted by prod/acme/RoleBinding/acme</span>",
        "and 2 more rules",
        "<b>opens</b>",
        "<b>unknown</b>",
    ] {
        assert!(chains.contains(words), "{words}: {chains}");
    }
    let json: Value =
        serde_json::from_str(&rendered(inventory::render, ReportFormat::Json, &report)).expect("JSON");
    assert_eq!(json["chains"][0], serde_json::to_value(&report.chains.drawn[0]).expect("JSON"));
    assert_eq!(json["chains_more"], report.chains.more);
}

const OUR_TAGS: &[&str] = &[
    "!doctype",
    "a",
    "b",
    "body",
    "br",
    "circle",
    "code",
    "dd",
    "defs",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "g",
    "h1",
    "h2",
    "h3",
    "head",
    "header",
    "html",
    "li",
    "main",
    "meta",
    "nav",
    "ol",
    "p",
    "path",
    "pattern",
    "rect",
    "section",
    "span",
    "strong",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "ul",
];

/// Attributes whose values are names may hold any words; what counts is that they stay within their quotes.
fn without_texts(tag: &str) -> String {
    let mut shown = String::new();
    let mut in_quotes = false;
    for letter in tag.chars() {
        match letter {
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            other => shown.push(other),
        }
    }
    assert!(!in_quotes, "{tag}");
    shown
}

/// Every element is closed in its order, so that no name can have opened or closed one.
fn balanced(page: &str) {
    const VOID: [&str; 3] = ["!doctype", "meta", "br"];
    let mut open: Vec<&str> = Vec::new();
    for tag in tags(page) {
        let name = tag.trim_start_matches(['<', '/']).split([' ', '>', '\n', '/']).next().unwrap_or_default();
        if tag.starts_with("</") {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !VOID.contains(&name) && !tag.ends_with("/>") {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are open");
}

#[test]
fn the_policy_names_the_only_style_sheet() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let page = rendered(inventory::render, ReportFormat::Html, &estate());
    let style =
        page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(page.contains(&format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    )));
    assert_eq!(page.matches("<style").count(), 1);
    assert!(!style.contains('<') && !style.contains("url("), "the style sheet asks for nothing");
    assert!(!page.contains("<script"));
}

#[test]
fn coverage_comes_first() {
    let report = estate();
    for render in REPORTS {
        let page = rendered(render, ReportFormat::Html, &report);
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(at("<strong>Incomplete.</strong>") < at("id=\"coverage\""));
        assert!(at("id=\"coverage\"") < at("id=\"findings\""));
        for blind in ["prod/vault-system", "vault/secret/board", "forge/acme/shop", "db-old"] {
            assert!(page.contains(blind), "{blind}");
            let rows = reader::read(&rendered(render, ReportFormat::Csv, &report));
            assert!(
                rows[1..=4].iter().any(|row| row[0] == "coverage" && row.iter().any(|cell| cell == blind)),
                "{blind}"
            );
        }
        let json: Value = serde_json::from_str(&rendered(render, ReportFormat::Json, &report)).expect("JSON");
        assert_eq!(json["complete"], false);
        assert_eq!(json["coverage"][0]["scopes"][4]["status"], "denied");
    }
}

#[test]
fn a_complete_scan_is_called_complete() {
    let mut report = estate();
    report.coverage.retain(|backend| backend.status == "complete" && backend.kind != "github");
    let page = rendered(inventory::render, ReportFormat::Html, &report);
    assert!(page.contains("<strong>Complete.</strong>") && page.contains("no blind spot"));
    report.coverage.clear();
    assert!(
        rendered(inventory::render, ReportFormat::Html, &report).contains("Nothing has been scanned yet")
    );
}

#[test]
fn every_credential_finding_and_change_is_shown() {
    let report = estate();
    let page = rendered(inventory::render, ReportFormat::Html, &report);
    for detail in &report.credentials {
        assert!(
            page.contains(&format!("<tr id=\"c-{}\">", detail.credential.id)),
            "{}",
            detail.credential.at
        );
        for copy in &detail.copies {
            assert!(page.contains(copy.at.as_str()), "{}", copy.at);
        }
    }
    for finding in &report.findings {
        assert!(page.contains(&format!("id=\"f-{}\"", finding.slug)), "{}", finding.slug);
    }
    for (_, id) in page.match_indices("href=\"#").map(|(at, start)| (at, &page[at + start.len()..])) {
        let id = id.split('"').next().unwrap_or_default();
        assert!(page.contains(&format!("id=\"{id}\"")), "a link to #{id}, which is not there");
    }
    assert!(page.contains("db/role/reports"));
    assert!(page.contains("9f9f9f") && page.contains("4711"));
}

#[test]
fn the_findings_page_links_to_nothing_that_is_not_there() {
    let page = rendered(findings::render, ReportFormat::Html, &estate());
    for (at, start) in page.match_indices("href=\"#") {
        let id = page[at + start.len()..].split('"').next().unwrap_or_default();
        assert!(page.contains(&format!("id=\"{id}\"")), "a link to #{id}, which is not there");
    }
}

#[test]
fn severities_are_words_and_shapes() {
    let page = rendered(findings::render, ReportFormat::Html, &estate());
    for (shape, word) in [("◆", "critical"), ("▲", "high"), ("■", "medium"), ("●", "low"), ("○", "info")]
    {
        assert!(page.contains(&format!("<span aria-hidden=\"true\">{shape}</span> {word}</span>")), "{word}");
    }
    let at = |slug: &str| page.find(&format!("id=\"f-{slug}\"")).unwrap_or_else(|| panic!("no {slug}"));
    assert!(at("copy-cross-env") < at("age-over-policy") && at("age-over-policy") < at("copy-duplicate"));
}

#[test]
fn spreadsheets_get_text() {
    let report = hostile();
    for render in REPORTS {
        let written = rendered(render, ReportFormat::Csv, &report);
        let rows = reader::read(&written);
        for row in &rows {
            assert_eq!(row.len(), rows[0].len());
            for cell in row {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                assert!(!cell.chars().any(crate::visible::is_hidden), "{cell:?}");
            }
        }
        assert!(rows.len() > report.credentials.len().min(report.findings.len()));
    }
}

#[test]
fn json_means_what_the_model_says() {
    let report = hostile();
    let json: Value =
        serde_json::from_str(&rendered(inventory::render, ReportFormat::Json, &report)).expect("JSON");
    assert_eq!(json["schema"], inventory::SCHEMA);
    assert_eq!(json["title"], report.title.as_str());
    assert_eq!(json["credentials"].as_array().map(Vec::len), Some(report.credentials.len()));
    assert_eq!(json["credentials"][0], serde_json::to_value(&report.credentials[0]).expect("JSON"));
    let findings: Value =
        serde_json::from_str(&rendered(findings::render, ReportFormat::Json, &report)).expect("JSON");
    assert_eq!(findings["schema"], findings::SCHEMA);
    assert_eq!(findings["findings"].as_array().map(Vec::len), Some(report.findings.len()));
    let raw = rendered(inventory::render, ReportFormat::Json, &report);
    assert!(!raw.chars().any(|letter| letter != '\n' && crate::visible::is_hidden(letter)));
}

#[test]
fn an_empty_estate_has_a_report() {
    let report = InventoryReport {
        generated_at: sample::now(),
        title: String::new(),
        coverage: Vec::new(),
        credentials: Vec::new(),
        identities: Vec::new(),
        chains: crate::Chains::default(),
        findings: Vec::new(),
        history: Vec::new(),
        audit_head: None,
    };
    for render in REPORTS {
        balanced(&rendered(render, ReportFormat::Html, &report));
        serde_json::from_str::<Value>(&rendered(render, ReportFormat::Json, &report)).expect("JSON");
        assert_eq!(reader::read(&rendered(render, ReportFormat::Csv, &report)).len(), 1);
    }
}

/// What this thread has computed so far, which other programs on the machine do not change: user and system time, proc(5), fields 14 and 15 of
/// `stat`, in ticks of 10 ms. Where the system does not tell it, the clock.
fn computed(since: std::time::Instant) -> Duration {
    let ticks = || {
        let text = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Duration::from_millis((user + system) * 10))
    };
    ticks().unwrap_or_else(|| since.elapsed())
}

/// Twenty thousand credentials with two copies each. The bound is for an unoptimised build; a release build takes about a tenth of it.
#[test]
fn a_large_estate_is_rendered_quickly() {
    let mut report = estate();
    let many: Vec<_> = (0..20_000_u128)
        .map(|number| {
            let at = format!("prod/ns-{}/Secret/db-{number}#password", number % 100);
            let mut detail = credential(number + 10_000, &at, CredentialKind::Password, Some(100));
            copy(&mut detail, &at, "fingerprint", Place::SecretStore, Some("prod"));
            copy(
                &mut detail,
                &format!("vault/secret/db-{number}#password"),
                "fingerprint",
                Place::SecretStore,
                None,
            );
            detail
        })
        .collect();
    report.credentials = many;
    let report = sample::judged(report);
    assert!(report.findings.len() > 20_000);
    let start = std::time::Instant::now();
    let before = computed(start);
    for format in [ReportFormat::Html, ReportFormat::Csv, ReportFormat::Json] {
        rendered(inventory::render, format, &report);
    }
    let took = computed(start) - before;
    let bound = if cfg!(debug_assertions) { 30 } else { 3 };
    assert!(took < Duration::from_secs(bound), "took {took:?}");
}

/// Leaves the pages in the directory that `CLAVIGER_SAMPLE_PAGES` names, for people to look at.
#[test]
fn sample_pages_can_be_looked_at() {
    let Some(directory) = std::env::var_os("CLAVIGER_SAMPLE_PAGES").map(std::path::PathBuf::from) else {
        return;
    };
    for (name, report) in [("estate", estate()), ("hostile", hostile())] {
        for (kind, render) in [("inventory", REPORTS[0]), ("findings", REPORTS[1])] {
            let page = rendered(render, ReportFormat::Html, &report);
            std::fs::write(directory.join(format!("{name}-{kind}.html")), page)
                .expect("the directory can be written");
        }
    }
}
