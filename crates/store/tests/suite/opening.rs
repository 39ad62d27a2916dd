//! What chains are followed by.

use anyhow::Result;
use claviger_core::{
    chain::{OPENS, Pattern},
    model::PrivilegeLevel,
};
use claviger_store::{Inventory as _, LinkEvidence, Merged};
use serde_json::json;

use super::{
    Bench,
    seen::{at, copy, grant, identity, items, linked, role},
};

pub(crate) async fn what_lies_within_a_pattern_is_found_in_its_order(bench: Bench) -> Result<()> {
    let places = [
        "k/b/Secret/z#x",
        "k/b/Secret/a#x",
        "k/b/Secret/a_b#x",
        "k/b/Secret/aXb#x",
        "k/bb/Secret/a#x",
        "k/b/ConfigMap/a#x",
        "k/c/Secret/é#x",
    ];
    let copies = places.iter().zip(1..).map(|(place, byte)| copy(place, byte));
    bench.scan(items(copies)).await?;
    for (pattern, expected) in [
        ("k/b/Secret/*", vec!["k/b/Secret/aXb#x", "k/b/Secret/a#x", "k/b/Secret/a_b#x", "k/b/Secret/z#x"]),
        ("k/*/Secret/a", vec!["k/b/Secret/a#x", "k/bb/Secret/a#x"]),
        ("k/b/Secret/a_b", vec!["k/b/Secret/a_b#x"]),
        ("k/c/*", vec!["k/c/Secret/é#x"]),
        ("k/d/*", vec![]),
    ] {
        let (found, is_full) = bench.store.within(Pattern::new(pattern), 10).await?;
        let mut found: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        let mut expected = expected;
        assert!(found.is_sorted(), "{found:?}");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{pattern}");
        assert!(!is_full);
    }
    let (found, is_full) = bench.store.within(Pattern::new("k/b/Secret/*"), 2).await?;
    assert!(found.len() == 2 && is_full, "there may be more: {found:?}");

    let ids = bench.credentials().await?.into_iter().map(|one| one.id).collect::<Vec<_>>();
    let whole = bench.store.subjects_of(bench.now(), &ids).await?;
    assert_eq!(whole.len(), places.len());
    assert!(whole.is_sorted_by_key(|detail| detail.credential.at.clone()));
    assert!(whole.iter().all(|detail| detail.copies.len() == 1));
    Ok(())
}

pub(crate) async fn whoever_opens_a_place_is_found(bench: Bench) -> Result<()> {
    let mut opens = grant("k/role/one", "Role/reader", PrivilegeLevel::Sensitive);
    opens.attributes.insert(OPENS.to_owned(), json!(["k/b/Secret/*"]));
    let mut nothing = grant("k/role/two", "Role/nothing", PrivilegeLevel::Read);
    nothing.attributes.insert(OPENS.to_owned(), json!([]));
    let mut unread = copy("k/forge/secret", 9);
    unread.fingerprint = None;
    let mut declared = copy("k/forge/known", 8);
    declared.fingerprint = None;
    let mut all =
        items([copy("k/b/Secret/a#x", 1), unread, linked(declared, "k/role/one", LinkEvidence::Declared)]);
    all.extend(["k/role/one", "k/role/two"].map(|name| Merged::Identity(identity(name))));
    all.extend(["k/role/one", "k/role/two"].map(|name| Merged::Credential(role(name))));
    all.extend([opens, nothing, grant("k/role/two", "Role/other", PrivilegeLevel::Write)].map(Merged::Grant));
    bench.scan(all.clone()).await?;

    let openings = bench.store.openings(&["k", "db"]).await?;
    assert_eq!(openings.iter().map(|one| one.identity.as_str()).collect::<Vec<_>>(), ["k/role/one"]);
    assert_eq!(openings[0].attributes[OPENS], json!(["k/b/Secret/*"]));
    assert!(bench.store.openings(&["db"]).await?.is_empty());
    let one = bench.id_of("k/role/one").await?;
    assert_eq!(bench.store.authenticators(&[at("k/role/one"), at("k/role/nobody")]).await?, [one]);
    // What is declared is known; what nobody read and nobody named is not.
    assert_eq!(bench.store.unread().await?, [bench.id_of("k/forge/secret").await?]);

    // What is gone opens nothing and is no question any more.
    all.truncate(1);
    bench.scan(all).await?;
    assert!(bench.store.openings(&["k"]).await?.is_empty());
    assert!(bench.store.unread().await?.is_empty());
    Ok(())
}
