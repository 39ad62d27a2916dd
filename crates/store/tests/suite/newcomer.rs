//! What gets its credential with its page must end as if everything had come at once.

use anyhow::Result;
use claviger_core::model::{CredentialState, ScopeStatus};
use claviger_store::{Inventory as _, LinkEvidence, MergeSummary, Merged, MergedCopy};
use claviger_testkit::database::Kind;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use super::{
    Bench,
    seen::{copy, former, group, items, linked, ns, role},
};

impl Bench {
    /// A scan page by page: what linking changed.
    async fn scan_pages(&self, pages: Vec<Vec<Merged>>) -> Result<MergeSummary> {
        let scan = self.begin().await?;
        for page in pages {
            self.page(scan, &ns(), page).await?;
        }
        self.end(scan, &ns(), ScopeStatus::Complete).await?;
        let linked = self.store.link(scan, self.now()).await?;
        self.store.end_scan(scan, self.now(), true).await?;
        Ok(linked)
    }

    /// `subject: change detail` of credentials, sorted.
    async fn changes(&self) -> Result<Vec<String>> {
        let found = self.store.history(None, 100).await?;
        let own = found.iter().filter(|one| one.entity == "credential");
        let mut words: Vec<String> =
            own.map(|one| format!("{}: {} {}", one.subject, one.change, one.detail)).collect();
        words.sort();
        Ok(words)
    }

    async fn marked(&self) -> Result<i64> {
        self.count("credential_copy where dirty").await
    }
}

pub(crate) async fn a_copy_that_is_alone_has_its_credential_with_its_page(bench: Bench) -> Result<()> {
    let scan = bench.begin().await?;
    bench.page(scan, &ns(), items([copy("k/a#p", 1), copy("k/b#p", 2), copy("k/c#p", 2)])).await?;
    assert_eq!(bench.groups().await?, [group("k/a#p", &["k/a#p"])]);
    assert_eq!(bench.marked().await?, 2, "linking has to look at the two of one value alone");
    let id = bench.id_of("k/a#p").await?;
    assert_eq!(bench.store.link(scan, bench.now()).await?.appeared, 2);
    assert_eq!(bench.store.link(scan, bench.now()).await?, MergeSummary::default());
    assert_eq!((bench.id_of("k/a#p").await?, bench.count("newcomer").await?), (id, 0));
    assert_eq!(bench.changes().await?, ["k/a#p: appeared ", "k/b#p: appeared "]);
    Ok(())
}

pub(crate) async fn company_on_a_later_page_is_as_if_all_had_come_at_once(bench: Bench) -> Result<()> {
    let linked = bench
        .scan_pages(vec![
            items([copy("k/b#p", 1), copy("k/c#p", 2), copy("k/d#p", 3), copy("k/e#p", 4)]),
            // The same values: alike, proven for a role, and former.
            items([copy("k/a#p", 1), linked(copy("k/z#p", 2), "db/role/app", LinkEvidence::Verifier)]),
            items([former("k/x#p", "1", 3), copy("k/x#p", 9)]),
            vec![Merged::Credential(role("db/role/app"))],
        ])
        .await?;
    let expected = [
        group("db/role/app", &["k/c#p", "k/z#p"]),
        group("k/a#p", &["k/a#p", "k/b#p"]),
        group("k/d#p", &["k/d#p", "k/x#p@1:former"]),
        group("k/e#p", &["k/e#p"]),
        group("k/x#p", &["k/x#p"]),
    ];
    assert_eq!(bench.groups().await?, expected);
    assert_eq!(linked, MergeSummary { appeared: 4, ..MergeSummary::default() });
    let expected = [
        "db/role/app: appeared ",
        "k/a#p: appeared ",
        "k/d#p: appeared ",
        "k/e#p: appeared ",
        "k/x#p: appeared ",
    ];
    assert_eq!(bench.changes().await?, expected, "nothing tells of what was taken back");
    for (table, rows) in [("credential", 5), ("credential_fingerprint", 5), ("newcomer", 0)] {
        assert_eq!(bench.count(table).await?, rows, "{table}");
    }
    assert_eq!(bench.marked().await?, 0);
    Ok(())
}

pub(crate) async fn a_value_that_moves_keeps_its_id_whichever_page_comes_first(bench: Bench) -> Result<()> {
    // Three times the same: the new places first, last, and all on one page.
    let place = |number: u8, name: &str| format!("k/{number}/{name}");
    let stay = |number: u8| items((0..number).flat_map(|done| moved(&place(done, ""), done * 10)));
    for number in 0..3_u8 {
        let (name, value) = (|name: &str| place(number, name), number * 10);
        let mut all = stay(number);
        all.extend(items([copy(&name("a#p"), value + 1), copy(&name("b#p"), value + 5)]));
        bench.scan_pages(vec![all]).await?;
        let (first, second) = (bench.id_of(&name("a#p")).await?, bench.id_of(&name("b#p")).await?);
        // The first value has moved to another place; the second was changed in place, and its new value lies elsewhere too.
        let [places @ .., changed] = moved(&name(""), value);
        let (new, old) = (items(places), items([changed]));
        let mut pages = match number {
            0 => vec![new, old],
            1 => vec![old, new],
            _ => vec![[new, old].into_iter().flatten().collect()],
        };
        pages.push(stay(number));
        let linked = bench.scan_pages(pages).await?;
        assert_eq!(linked, MergeSummary { vanished: 1, changed: 3, ..MergeSummary::default() }, "{number}");
        assert_eq!((bench.id_of(&name("0#p")).await?, bench.id_of(&name("1#p")).await?), (first, second));
        let groups = bench.groups().await?;
        let expected =
            [group(&name("0#p"), &[&name("0#p")]), group(&name("1#p"), &[&name("1#p"), &name("b#p")])];
        assert_eq!(groups[usize::from(number) * 2..], expected);
    }
    Ok(())
}

fn moved(place: &str, value: u8) -> [MergedCopy; 3] {
    let copy = |name: &str, byte: u8| copy(&format!("{place}{name}"), value + byte);
    [copy("0#p", 1), copy("1#p", 6), copy("b#p", 6)]
}

pub(crate) async fn a_place_that_returns_takes_its_former_versions(bench: Bench) -> Result<()> {
    let old = || former("k/kv/c#p", "7", 7);
    bench.scan_pages(vec![items([old()])]).await?;
    assert_eq!(bench.groups().await?, [group("k/kv/c#p", &["k/kv/c#p@7:former"])]);
    bench.scan_pages(vec![items([copy("k/kv/c#p", 8)]), items([old()])]).await?;
    assert_eq!(bench.groups().await?, [group("k/kv/c#p", &["k/kv/c#p", "k/kv/c#p@7:former"])]);
    Ok(())
}

pub(crate) async fn what_somebody_works_with_is_not_taken_back(bench: Bench) -> Result<()> {
    let scan = bench.begin().await?;
    bench.page(scan, &ns(), items([copy("k/b#p", 1)])).await?;
    let id = bench.id_of("k/b#p").await?;
    bench.store.record_state(bench.now(), id, CredentialState::RevokedProven, "").await?;
    bench.page(scan, &ns(), items([copy("k/a#p", 1)])).await?;
    bench.end(scan, &ns(), ScopeStatus::Complete).await?;
    bench.store.link(scan, bench.now()).await?;
    assert_eq!(bench.groups().await?, [group("k/a#p", &["k/a#p", "k/b#p"])]);
    let view = bench.credentials().await?.remove(0);
    assert_eq!((view.id, view.state), (id, CredentialState::RevokedProven));
    Ok(())
}

pub(crate) async fn a_page_beside_somebody_who_links_leaves_its_copies_to_linking(
    bench: Bench,
) -> Result<()> {
    // SQLite has one writer: nobody can be beside it.
    if bench.kind != Kind::Postgres {
        return Ok(());
    }
    let raw = bench.raw().await?;
    let other = raw.begin().await?;
    other.execute_unprepared("select pg_advisory_xact_lock(7308324465751295)").await?;
    let scan = bench.begin().await?;
    bench.page(scan, &ns(), items([copy("k/a#p", 1)])).await?;
    assert_eq!((bench.groups().await?.len(), bench.marked().await?), (0, 1));
    other.rollback().await?;
    assert_eq!(bench.store.link(scan, bench.now()).await?.appeared, 1);
    assert_eq!(bench.groups().await?, [group("k/a#p", &["k/a#p"])]);
    Ok(())
}
