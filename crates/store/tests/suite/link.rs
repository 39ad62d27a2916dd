use anyhow::Result;
use claviger_core::model::{CredentialKind, ScopeStatus};
use claviger_store::{Inventory as _, LinkEvidence, MergeSummary, Merged, MergedCopy, Selection};

use super::{
    Bench,
    seen::{at, copy, former, group, handle, items, linked, ns, role, value},
};

pub(crate) async fn copies_of_one_value_are_one_credential(bench: Bench) -> Result<()> {
    let kinds = [CredentialKind::Opaque, CredentialKind::Password, CredentialKind::Opaque];
    let places = ["k/b/Secret/x#p", "k/a/Secret/x#p", "k/c/ConfigMap/x#url"];
    let copies = places.iter().zip(kinds).map(|(place, kind)| MergedCopy { kind, ..copy(place, 1) });
    let mut all = items(copies);
    all.extend(items([copy("k/d/Secret/other#p", 2)]));
    let (merged, linked) = bench.scan(all).await?;
    assert_eq!(merged, MergeSummary { appeared: 4, ..MergeSummary::default() });
    assert_eq!(linked, MergeSummary { appeared: 2, ..MergeSummary::default() });
    let found = bench.credentials().await?;
    let shown: Vec<_> =
        found.iter().map(|one| (one.at.as_str(), one.copies, one.kind, one.link.as_str())).collect();
    let expected = [
        ("k/a/Secret/x#p", 3, CredentialKind::Password, "none"),
        ("k/d/Secret/other#p", 1, CredentialKind::Opaque, "none"),
    ];
    assert_eq!(shown, expected);
    let copies = bench.store.copies(&Selection::default()).await?;
    let evidence: Vec<_> = copies.iter().map(|copy| copy.evidence.as_str()).collect();
    assert_eq!(evidence, ["fingerprint", "fingerprint", "fingerprint", "alone"]);
    Ok(())
}

pub(crate) async fn an_issuer_takes_the_copies_that_evidence_ties_to_it(bench: Bench) -> Result<()> {
    let mut key = role("aws/iam/user/u/access-key/AKIA1");
    (key.handle, key.kind) = (handle("AKIA1"), CredentialKind::AccessKey);
    let mut all = vec![
        Merged::Credential(role("db/role/app")),
        Merged::Credential(role("db/role/other")),
        Merged::Credential(role("db/role/claimed")),
        Merged::Credential(key),
    ];
    all.extend(items([
        linked(copy("k/Secret/a#p", 1), "db/role/app", LinkEvidence::Verifier),
        // The same value: proof for one is proof for all, whatever the claim.
        copy("k/Secret/b#p", 1),
        linked(copy("k/Secret/c#p", 1), "db/role/other", LinkEvidence::Claimed),
        linked(copy("k/Secret/d#p", 2), "db/role/claimed", LinkEvidence::Claimed),
        MergedCopy { handle: handle("AKIA1"), ..copy("k/Secret/e#key", 3) },
        // Said to be the role's, but the public name knows better.
        MergedCopy {
            handle: handle("AKIA1"),
            ..linked(copy("k/Secret/f#key", 4), "db/role/app", LinkEvidence::Claimed)
        },
    ]));
    bench.scan(all).await?;
    let expected = [
        group("aws/iam/user/u/access-key/AKIA1", &["k/Secret/e#key", "k/Secret/f#key"]),
        group("db/role/app", &["k/Secret/a#p", "k/Secret/b#p", "k/Secret/c#p"]),
        group("db/role/claimed", &["k/Secret/d#p"]),
        group("db/role/other", &[]),
    ];
    assert_eq!(bench.groups().await?, expected);
    let links: Vec<_> =
        bench.credentials().await?.into_iter().map(|one| (one.link, one.kind, one.backend)).collect();
    let word = |link: &str, kind, backend: &str| (link.to_owned(), kind, backend.to_owned());
    let expected = [
        word("proven", CredentialKind::AccessKey, "aws"),
        word("proven", CredentialKind::Password, "db"),
        word("claimed", CredentialKind::Password, "db"),
        word("none", CredentialKind::Password, "db"),
    ];
    assert_eq!(links, expected);
    let copies = bench.store.copies(&Selection::default()).await?;
    let evidence: Vec<_> = copies.iter().map(|copy| copy.evidence.as_str()).collect();
    assert_eq!(evidence, ["verifier", "fingerprint", "fingerprint", "claimed", "handle", "handle"]);
    Ok(())
}

pub(crate) async fn two_roles_with_one_password_keep_what_names_them(bench: Bench) -> Result<()> {
    let mut all = vec![Merged::Credential(role("db/role/a")), Merged::Credential(role("db/role/b"))];
    all.extend(items([
        linked(copy("k/Secret/1#p", 1), "db/role/a", LinkEvidence::Verifier),
        linked(copy("k/Secret/2#p", 1), "db/role/b", LinkEvidence::Verifier),
        linked(copy("k/Secret/3#p", 1), "db/role/b", LinkEvidence::Claimed),
    ]));
    bench.scan(all).await?;
    let expected =
        [group("db/role/a", &["k/Secret/1#p"]), group("db/role/b", &["k/Secret/2#p", "k/Secret/3#p"])];
    assert_eq!(bench.groups().await?, expected);
    Ok(())
}

pub(crate) async fn weak_and_unread_values_join_nobody(bench: Bench) -> Result<()> {
    let weak = |place: &str| MergedCopy { strong: false, ..copy(place, 1) };
    let unread = |place: &str| MergedCopy { fingerprint: None, strong: false, ..copy(place, 0) };
    bench.scan(items([weak("k/a#p"), weak("k/b#p"), unread("k/c#p"), unread("k/d#p")])).await?;
    let expected = ["k/a#p", "k/b#p", "k/c#p", "k/d#p"].map(|place| group(place, &[place]));
    assert_eq!(bench.groups().await?, expected);
    let found = bench.store.by_fingerprint(&[value(1), value(9)]).await?;
    assert_eq!(found.len(), 2, "a weak value can still be traced");
    Ok(())
}

pub(crate) async fn former_versions_follow_their_place_unless_their_value_lives_elsewhere(
    bench: Bench,
) -> Result<()> {
    bench
        .scan(items([
            copy("k/kv/a#p", 3),
            former("k/kv/a#p", "2", 2),
            former("k/kv/a#p", "1", 1),
            copy("k/kv/b#p", 1),
            // Its current version was deleted.
            former("k/kv/c#p", "7", 7),
        ]))
        .await?;
    let expected = [
        group("k/kv/a#p", &["k/kv/a#p", "k/kv/a#p@2:former"]),
        group("k/kv/b#p", &["k/kv/a#p@1:former", "k/kv/b#p"]),
        group("k/kv/c#p", &["k/kv/c#p@7:former"]),
    ];
    let found = bench.groups().await?;
    assert_eq!(found, expected);
    let counts: Vec<_> = bench.credentials().await?.iter().map(|one| one.copies).collect();
    assert_eq!(counts, [1, 1, 0], "former versions do not count");
    Ok(())
}

pub(crate) async fn former_versions_follow_when_another_copy_decides_for_their_place(
    bench: Bench,
) -> Result<()> {
    let place = || vec![copy("k/kv/b#p", 1), former("k/kv/b#p", "1", 5)];
    bench.scan(items(place())).await?;
    assert_eq!(bench.groups().await?, [group("k/kv/b#p", &["k/kv/b#p", "k/kv/b#p@1:former"])]);
    // Nothing changed at the place itself: a new copy of its value is proven to be the role's.
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(items(place()));
    all.extend(items([linked(copy("k/kv/a#p", 1), "db/role/app", LinkEvidence::Verifier)]));
    bench.scan(all).await?;
    let expected = [group("db/role/app", &["k/kv/a#p", "k/kv/b#p", "k/kv/b#p@1:former"])];
    assert_eq!(bench.groups().await?, expected);
    Ok(())
}

pub(crate) async fn an_id_outlives_a_rotation_in_place(bench: Bench) -> Result<()> {
    bench.scan(items([copy("k/a#p", 1), copy("k/b#p", 1), copy("k/c#p", 9)])).await?;
    let (pair, single) = (bench.id_of("k/a#p").await?, bench.id_of("k/c#p").await?);
    // Both copies of the first move on together, and the second's only copy too.
    let (_, linked) = bench.scan(items([copy("k/a#p", 2), copy("k/b#p", 2), copy("k/c#p", 8)])).await?;
    assert_eq!(linked, MergeSummary { changed: 2, ..MergeSummary::default() });
    assert_eq!((bench.id_of("k/a#p").await?, bench.id_of("k/c#p").await?), (pair, single));
    let view = bench.credentials().await?.remove(0);
    assert_eq!((view.last_rotated_at, view.age_days), (Some(bench.now()), Some(0)));
    let changes: Vec<_> = bench.store.credential(bench.now(), pair).await?.expect("there").history;
    assert!(
        changes
            .iter()
            .any(|one| one.entity == "credential" && one.change == "changed" && one.detail == "value")
    );
    // One of two moves alone: it is another credential now, and the one that stays keeps the id.
    bench.scan(items([copy("k/a#p", 3), copy("k/b#p", 2), copy("k/c#p", 8)])).await?;
    assert_eq!(bench.id_of("k/b#p").await?, pair);
    let split = bench.id_of("k/a#p").await?;
    assert_ne!(split, pair);
    // The other follows: both are one again, under the id of the value's credential.
    let (_, linked) = bench.scan(items([copy("k/a#p", 3), copy("k/b#p", 3), copy("k/c#p", 8)])).await?;
    assert_eq!(linked, MergeSummary { vanished: 1, ..MergeSummary::default() });
    assert_eq!(bench.groups().await?[0], group("k/a#p", &["k/a#p", "k/b#p"]));
    assert_eq!(bench.id_of("k/a#p").await?, split);
    let found = bench.store.by_fingerprint(&[value(1)]).await?;
    assert_eq!(found, [(value(1), pair)], "what a credential was is remembered");
    Ok(())
}

pub(crate) async fn an_id_outlives_the_finding_and_the_loss_of_its_issuer(bench: Bench) -> Result<()> {
    bench.scan(items([copy("k/a#p", 1)])).await?;
    let id = bench.id_of("k/a#p").await?;
    let proven = || items([linked(copy("k/a#p", 1), "db/role/app", LinkEvidence::Verifier)]);
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(proven());
    bench.scan(all).await?;
    assert_eq!(bench.groups().await?, [group("db/role/app", &["k/a#p"])]);
    assert_eq!(bench.id_of("db/role/app").await?, id, "the credential found its issuer");
    // The role is dropped; the value still lies where it lay, and nobody links it any more.
    bench.scan(items([copy("k/a#p", 1)])).await?;
    assert_eq!(bench.groups().await?, [group("db/role/app", &["k/a#p"])]);
    let view = bench.credentials().await?.remove(0);
    assert_eq!((view.id, view.attributes.get("issuer_gone")), (id, Some(&true.into())));
    // The copy goes too.
    let (_, gone) = bench.scan(Vec::new()).await?;
    assert_eq!(gone.vanished, 1);
    assert!(bench.credentials().await?.is_empty());
    let all = bench.store.credentials(bench.now(), &Selection { gone: true, ..Selection::default() }).await?;
    assert_eq!((all[0].id, all[0].state.as_str()), (id, "gone"));
    // Both return.
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(proven());
    let (merged, _) = bench.scan(all).await?;
    assert_eq!(merged.appeared, 2);
    assert_eq!(bench.id_of("db/role/app").await?, id);
    let changes = bench.store.credential(bench.now(), id).await?.expect("there").history;
    let words: Vec<_> = changes.iter().map(|one| format!("{} {}", one.entity, one.change)).collect();
    assert!(
        words.contains(&"copy returned".to_owned()) && words.contains(&"credential returned".to_owned()),
        "{words:?}"
    );
    Ok(())
}

pub(crate) async fn a_link_stands_while_its_issuer_cannot_be_asked(bench: Bench) -> Result<()> {
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(items([linked(copy("k/a#p", 1), "db/role/app", LinkEvidence::Verifier)]));
    bench.scan(all).await?;
    let unsure = |byte| {
        let mut all = vec![Merged::Credential(role("db/role/app"))];
        all.extend(items([MergedCopy { keep_link: true, ..copy("k/a#p", byte) }]));
        all
    };
    let (merged, linked) = bench.scan(unsure(1)).await?;
    assert_eq!((merged.changed, linked), (0, MergeSummary::default()));
    assert_eq!(bench.groups().await?, [group("db/role/app", &["k/a#p"])]);
    bench.scan(unsure(2)).await?;
    assert_eq!(bench.groups().await?.len(), 2, "another value has to be proven anew");
    // It could be asked, and does not know the value: the link is taken away.
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(items([copy("k/a#p", 1)]));
    bench.scan(all).await?;
    assert_eq!(bench.groups().await?, [group("db/role/app", &[]), group("k/a#p", &["k/a#p"])]);
    Ok(())
}

pub(crate) async fn a_link_does_not_stand_once_its_own_issuer_was_asked(bench: Bench) -> Result<()> {
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(items([linked(copy("k/a#p", 1), "db/role/app", LinkEvidence::Verifier)]));
    bench.scan(all).await?;
    // Others could not be asked, but this one was, and it is not its value.
    let refuted = vec![claviger_core::reference::Ref::from_text("db/role/app")];
    let mut all = vec![Merged::Credential(role("db/role/app"))];
    all.extend(items([MergedCopy { keep_link: true, refuted, ..copy("k/a#p", 1) }]));
    bench.scan(all).await?;
    assert_eq!(bench.groups().await?, [group("db/role/app", &[]), group("k/a#p", &["k/a#p"])]);
    Ok(())
}

pub(crate) async fn linking_twice_and_linking_in_another_order_give_the_same(bench: Bench) -> Result<()> {
    let scan = bench.begin().await?;
    let late =
        items([linked(copy("k/a#p", 1), "db/role/app", LinkEvidence::Lookup), former("k/b#p", "1", 1)]);
    bench.page(scan, &ns(), items([copy("k/b#p", 1), copy("k/c#p", 2)])).await?;
    let first = bench.store.link(scan, bench.now()).await?;
    assert_eq!(first.appeared, 2);
    assert_eq!(bench.store.link(scan, bench.now()).await?, MergeSummary::default());
    bench.page(scan, &ns(), late).await?;
    bench.page(scan, &ns(), vec![Merged::Credential(role("db/role/app"))]).await?;
    bench.end(scan, &ns(), ScopeStatus::Complete).await?;
    bench.store.link(scan, bench.now()).await?;
    assert_eq!(bench.store.link(scan, bench.now()).await?, MergeSummary::default());
    let expected = [group("db/role/app", &["k/a#p", "k/b#p", "k/b#p@1:former"]), group("k/c#p", &["k/c#p"])];
    assert_eq!(bench.groups().await?, expected);
    assert_eq!(
        bench.store.copies(&Selection { after: Some(at("k/a#p")), ..Selection::default() }).await?.len(),
        3
    );
    Ok(())
}
