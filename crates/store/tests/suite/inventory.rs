use anyhow::Result;
use claviger_core::{
    id::CredentialId,
    model::{ConsumerHow, CredentialState, PrivilegeLevel, Scope, ScopeStatus},
    view::{FindingView, Severity},
};
use claviger_store::{
    Inventory as _, LinkEvidence, MergeSummary, Merged, MergedCopy, MergedPage, RotationEnd, Selection,
};

use super::{
    Bench,
    seen::{
        at, backend_view, consumer, copy, days, former, grant, identity, items, linked, ns, owner, role,
        value,
    },
};

fn estate() -> Vec<Merged> {
    let mut all = vec![
        Merged::Identity(identity("db/role/app")),
        Merged::Credential(role("db/role/app")),
        Merged::Grant(grant("db/role/app", "superuser", PrivilegeLevel::Admin)),
        Merged::Grant(grant("db/role/app", "select", PrivilegeLevel::Read)),
        Merged::Consumer(consumer("k/Deployment/web", "k/Secret/a#p", ConsumerHow::Env)),
    ];
    all.extend(items([
        linked(copy("k/Secret/a#p", 1), "db/role/app", LinkEvidence::Verifier),
        copy("k/Secret/b#p", 1),
        former("k/Secret/b#p", "0", 7),
        copy("k/Secret/c#p", 2),
    ]));
    all
}

pub(crate) async fn a_second_scan_of_an_unchanged_estate_moves_only_last_seen(bench: Bench) -> Result<()> {
    let (first, _) = bench.scan(estate()).await?;
    assert_eq!(first, MergeSummary { appeared: 9, ..MergeSummary::default() });
    let history = bench.store.history(None, 1000).await?;
    let before = bench.store.details(bench.now(), &Selection::default()).await?;
    let (second, linked) = bench.scan(estate()).await?;
    assert_eq!(second, MergeSummary { unchanged: 9, ..MergeSummary::default() });
    assert_eq!(linked, MergeSummary::default());
    assert_eq!(bench.store.history(None, 1000).await?, history);
    let after = bench.store.details(bench.now(), &Selection::default()).await?;
    for (before, after) in before.iter().zip(&after) {
        assert!(after.credential.last_seen > before.credential.last_seen);
        assert_eq!(after.credential.first_seen, before.credential.first_seen);
        assert_eq!(after.history, before.history);
    }
    assert_eq!(before.len(), after.len());
    // A page that comes twice within a scan, and a thing that comes twice within a page.
    let scan = bench.begin().await?;
    let twice = estate().into_iter().chain(estate()).collect();
    assert_eq!(bench.page(scan, &ns(), twice).await?, second);
    assert_eq!(bench.page(scan, &ns(), estate()).await?, second);
    Ok(())
}

pub(crate) async fn a_use_is_no_change(bench: Bench) -> Result<()> {
    let used = |hour| MergedCopy {
        last_used_at: Some(super::start() + chrono::Duration::hours(hour)),
        ..copy("k/a#p", 1)
    };
    bench.scan(items([used(1)])).await?;
    let (merged, linked) = bench.scan(items([used(2)])).await?;
    assert_eq!(
        (merged, linked),
        (MergeSummary { unchanged: 1, ..Default::default() }, MergeSummary::default())
    );
    let view = bench.credentials().await?.remove(0);
    assert_eq!(view.last_used_at, Some(super::start() + chrono::Duration::hours(2)));
    assert_eq!(bench.store.history(None, 10).await?.len(), 2, "the copy and the credential appeared");
    Ok(())
}

pub(crate) async fn only_a_completely_read_scope_loses_what_it_no_longer_shows(bench: Bench) -> Result<()> {
    let (red, blue, gone) =
        (Scope::new("red", "secrets"), Scope::new("blue", "secrets"), Scope::new("green", "secrets"));
    let scan = bench.begin().await?;
    for (scope, place) in [(&red, "k/red/a#p"), (&blue, "k/blue/a#p"), (&gone, "k/green/a#p")] {
        bench
            .page(
                scan,
                scope,
                items([copy(place, place.len() as u8), copy(&format!("{place}2"), place.len() as u8 + 50)]),
            )
            .await?;
        bench.end(scan, scope, ScopeStatus::Complete).await?;
    }
    bench.store.link(scan, bench.now()).await?;
    bench.store.end_backend(scan, bench.now(), &backend_view("k"), &[]).await?;
    bench.store.end_scan(scan, bench.now(), true).await?;
    let refs = async || -> Result<Vec<String>> {
        let copies = bench.store.copies(&Selection::default()).await?;
        Ok(copies.into_iter().map(|copy| copy.at.to_string()).collect())
    };
    assert_eq!(refs().await?.len(), 6);
    for status in [ScopeStatus::Denied, ScopeStatus::Unreadable, ScopeStatus::Failed] {
        let scan = bench.begin().await?;
        bench.page(scan, &blue, items([copy("k/blue/a#p", 10)])).await?;
        bench.end(scan, &blue, status).await?;
        bench.end(scan, &red, status).await?;
        let linked = bench.store.link(scan, bench.now()).await?;
        assert_eq!(bench.store.missing_scopes(scan, "k").await?, std::slice::from_ref(&gone));
        bench.store.end_backend(scan, bench.now(), &backend_view("k"), &[]).await?;
        bench.store.end_scan(scan, bench.now(), false).await?;
        assert_eq!((refs().await?.len(), linked.vanished), (6, 0), "{status}");
    }
    // Read in two phases: what the first phase does not show may come in the second, and a bad end of one of them counts.
    let scan = bench.begin().await?;
    bench.end(scan, &blue, ScopeStatus::Complete).await?;
    bench.page(scan, &blue, items([copy("k/blue/a#p", 10), copy("k/blue/a#p2", 60)])).await?;
    bench.end(scan, &blue, ScopeStatus::Complete).await?;
    bench.page(scan, &red, items([copy("k/red/a#p", 9)])).await?;
    bench.end(scan, &red, ScopeStatus::Failed).await?;
    bench.end(scan, &red, ScopeStatus::Complete).await?;
    bench.store.link(scan, bench.now()).await?;
    assert_eq!(refs().await?.len(), 6);
    // Complete this time, and the whole list of scopes was read: green was deleted.
    let scan = bench.begin().await?;
    bench.page(scan, &red, items([copy("k/red/a#p", 9)])).await?;
    bench.end(scan, &red, ScopeStatus::Complete).await?;
    bench.page(scan, &blue, items([copy("k/blue/a#p", 10), copy("k/blue/a#p2", 60)])).await?;
    bench.end(scan, &blue, ScopeStatus::Complete).await?;
    let linked = bench.store.link(scan, bench.now()).await?;
    assert_eq!(linked, MergeSummary { vanished: 2, ..MergeSummary::default() }, "a copy and its credential");
    assert_eq!(refs().await?.len(), 5);
    let missing = bench.store.missing_scopes(scan, "k").await?;
    assert_eq!(missing, [gone], "what was named in this scan is not missing");
    bench.store.end_backend(scan, bench.now(), &backend_view("k"), &missing).await?;
    bench.store.end_scan(scan, bench.now(), true).await?;
    assert_eq!(refs().await?, ["k/blue/a#p", "k/blue/a#p2", "k/red/a#p"]);
    assert!(bench.store.missing_scopes(scan, "k").await?.is_empty(), "an emptied scope is told once");
    assert_eq!(bench.credentials().await?.len(), 3);
    let vanished = bench.store.history(Some(bench.now()), 100).await?;
    let vanished: Vec<_> = vanished.iter().map(|one| (one.entity.as_str(), one.change.as_str())).collect();
    assert_eq!(vanished.iter().filter(|one| **one == ("copy", "vanished")).count(), 3);
    assert_eq!(vanished.iter().filter(|one| **one == ("credential", "vanished")).count(), 3);
    assert_eq!(bench.store.counts("k").await?.copies, 3);
    Ok(())
}

pub(crate) async fn consumers_are_tied_to_what_they_read(bench: Bench) -> Result<()> {
    let mut all =
        items([copy("k/ns/Secret/s#a", 1), copy("k/ns/Secret/s#b", 2), former("k/ns/Secret/s#a", "0", 3)]);
    let inner = MergedCopy { field_at: at("k/ns/Secret/r#cfg"), ..copy("k/ns/Secret/r#cfg/auths/x", 4) };
    all.extend(items([inner]));
    all.extend(
        [
            consumer("k/ns/Deployment/env", "k/ns/Secret/s#a", ConsumerHow::Env),
            consumer("k/ns/Deployment/env", "k/ns/Secret/s", ConsumerHow::Volume),
            consumer("k/ns/Deployment/pull", "k/ns/Secret/r", ConsumerHow::ImagePull),
            consumer("k/ns/Job/field", "k/ns/Secret/r#cfg", ConsumerHow::Env),
            consumer("k/ns/Job/sa", "k/ns/ServiceAccount/web", ConsumerHow::ServiceAccount),
        ]
        .map(Merged::Consumer),
    );
    bench.scan(all).await?;
    let counts: Vec<_> =
        bench.credentials().await?.iter().map(|one| (one.at.to_string(), one.consumers)).collect();
    let expected = [("k/ns/Secret/r#cfg/auths/x", 2), ("k/ns/Secret/s#a", 1), ("k/ns/Secret/s#b", 1)];
    assert_eq!(counts, expected.map(|(place, n)| (place.to_owned(), n)));
    let listed = bench.store.consumers(&Selection::default()).await?;
    let listed: Vec<_> =
        listed.iter().map(|one| (one.at.as_str(), one.copy.as_str(), one.credential.is_some())).collect();
    assert_eq!(listed.len(), 6, "{listed:?}");
    assert!(listed.contains(&("k/ns/Job/sa", "k/ns/ServiceAccount/web", false)));
    let of = |field: &str| listed.iter().filter(|one| one.1 == field).count();
    assert_eq!((of("k/ns/Secret/s#a"), of("k/ns/Secret/s#b")), (2, 1), "the volume shows both fields");
    let detail =
        bench.store.credential(bench.now(), bench.id_of("k/ns/Secret/s#a").await?).await?.expect("there");
    assert_eq!(detail.consumers.len(), 2);
    Ok(())
}

pub(crate) async fn a_detail_knows_owner_identity_age_and_history(bench: Bench) -> Result<()> {
    let mut who = identity("db/role/app");
    who.owners = vec![owner("team-db", 50)];
    let mut password = role("db/role/app");
    password.owners = vec![owner("weak", 10)];
    password.created_at = Some(days(100, super::start()));
    password.rotated_at = Some(days(10, super::start()));
    let mut stored = linked(copy("k/Secret/a#p", 1), "db/role/app", LinkEvidence::Verifier);
    stored.owners = vec![owner("team-web", 60)];
    stored.labels = [("env".to_owned(), "prod".to_owned())].into();
    let mut all = vec![
        Merged::Identity(who),
        Merged::Credential(password),
        Merged::Grant(grant("db/role/app", "select", PrivilegeLevel::Read)),
        Merged::Grant(grant("db/role/app", "superuser", PrivilegeLevel::Admin)),
    ];
    all.extend(items([stored]));
    bench.scan(all).await?;
    let detail = bench.store.details(bench.now(), &Selection::default()).await?.remove(0);
    let view = &detail.credential;
    assert_eq!(view.owner.as_deref(), Some("team-web"));
    let owners: Vec<_> = detail.owners.iter().map(|one| one.owner.as_str()).collect();
    assert_eq!(owners, ["team-web", "team-db", "weak"]);
    assert_eq!((view.age_days, view.long_lived, view.state), (Some(10), true, CredentialState::Active));
    assert_eq!(view.labels.get("env").map(String::as_str), Some("prod"));
    let identity = detail.identity.expect("it has one");
    assert_eq!(
        (identity.privilege, identity.credentials, identity.owner.as_deref()),
        (PrivilegeLevel::Admin, 1, Some("team-db"))
    );
    assert_eq!(identity.grants[0].privilege, "superuser");
    assert_eq!(bench.store.identities(&Selection::default()).await?, [identity]);
    assert_eq!(detail.history.iter().filter(|one| one.change == "appeared").count(), 3);
    // A day's life is short; past its end it is expired.
    let mut short = role("db/role/short");
    short.created_at = Some(bench.now());
    short.expires_at = Some(bench.now() + chrono::Duration::hours(20));
    bench.scan(vec![Merged::Credential(short)]).await?;
    let view = bench.credentials().await?.remove(0);
    assert_eq!((view.long_lived, view.state), (false, CredentialState::Active));
    bench.clock.advance(chrono::Duration::days(1));
    assert_eq!(bench.credentials().await?[0].state, CredentialState::Expired);
    Ok(())
}

pub(crate) async fn lists_are_ordered_by_bytes_and_paged_without_loss(bench: Bench) -> Result<()> {
    // Upper before lower case, and a tilde after letters, whatever the database's language.
    let long = "x".repeat(5000);
    let mut places: Vec<String> =
        (0..1203).map(|i| format!("k/{}/S{i:04}#p", ["a", "B", "ü", "~", "_"][i % 5])).collect();
    places.push(format!("k/{long}#p"));
    places.push(format!("k/{long}#q"));
    let all = places.iter().enumerate().map(|(i, place)| {
        let mut fingerprint = [0; 32];
        fingerprint[..8].copy_from_slice(&(i as u64).to_be_bytes());
        let fingerprint = Some((
            claviger_core::fingerprint::Form::Text,
            claviger_core::fingerprint::Fingerprint(fingerprint),
        ));
        MergedCopy { fingerprint, ..copy(place, 0) }
    });
    bench.scan(items(all)).await?;
    places[..1203].sort();
    places.sort_by_key(|place| place.chars().take(512).collect::<String>());
    let whole: Vec<String> = bench.credentials().await?.into_iter().map(|one| one.at.to_string()).collect();
    let cut = |list: &[String]| {
        list.iter().map(|place| place.chars().take(600).collect::<String>()).collect::<Vec<_>>()
    };
    assert_eq!(cut(&whole), cut(&places));
    let mut paged = Vec::new();
    let mut selection = Selection { limit: Some(100), ..Selection::default() };
    loop {
        let page = bench.store.details(bench.now(), &selection).await?;
        let Some(last) = page.last() else { break };
        selection.after = Some(last.credential.at.clone());
        assert!(page.len() <= 101);
        paged.extend(page.into_iter().map(|one| one.credential.at.to_string()));
    }
    assert_eq!(paged, whole);
    assert_eq!(bench.store.copies(&Selection { limit: Some(3), ..Selection::default() }).await?.len(), 3);
    Ok(())
}

pub(crate) async fn findings_keep_when_they_began_and_close(bench: Bench) -> Result<()> {
    bench.scan(items([copy("k/a#p", 1)])).await?;
    let finding = |slug: &str, severity, title: &str| FindingView {
        slug: slug.to_owned(),
        severity,
        subject: at("k/a#p"),
        title: title.to_owned(),
        evidence: claviger_core::model::Attributes::new(),
        frameworks: Vec::new(),
        first_seen: bench.now(),
        last_seen: bench.now(),
        suggested: "rotate".to_owned(),
        waived: None,
    };
    let rules = ["age", "owner"];
    let put = async |findings: Vec<FindingView>| -> Result<MergeSummary> {
        let mut sum = MergeSummary::default();
        // In pages, the last one twice.
        for finding in findings.iter().chain(findings.last()) {
            let noted = bench.store.note_findings(bench.now(), "scan", vec![finding.clone()]).await?;
            sum.appeared += noted.appeared;
            sum.changed += noted.changed;
            sum.unchanged += noted.unchanged;
        }
        sum.vanished = bench.store.close_findings(bench.now(), &rules).await?;
        Ok(sum)
    };
    let begun = bench.now();
    let low = finding("age", Severity::Low, "old");
    let high = finding("owner", Severity::High, "nobody");
    assert_eq!(put(vec![low.clone(), high.clone()]).await?.appeared, 2);
    let foreign = finding("other", Severity::Info, "from another run");
    bench.store.note_findings(bench.now(), "scan", vec![foreign]).await?;
    let slugs: Vec<_> = bench.store.findings().await?.into_iter().map(|one| one.slug).collect();
    assert_eq!(slugs, ["owner", "age", "other"], "worst first");
    assert_eq!(bench.credentials().await?[0].findings, ["age", "other", "owner"]);
    bench.clock.advance(chrono::Duration::hours(1));
    assert_eq!(
        put(vec![low.clone(), high.clone()]).await?,
        MergeSummary { unchanged: 3, ..Default::default() }
    );
    let kept = bench.store.findings().await?.remove(0);
    assert_eq!((kept.first_seen, kept.last_seen), (begun, bench.now()));
    bench.clock.advance(chrono::Duration::hours(1));
    let older = finding("age", Severity::Low, "older");
    assert_eq!(
        put(vec![older]).await?,
        MergeSummary { changed: 1, unchanged: 1, vanished: 1, ..Default::default() }
    );
    let open = bench.store.findings().await?;
    assert_eq!(
        open.iter().map(|one| (one.title.as_str(), one.first_seen)).collect::<Vec<_>>(),
        [("older", begun), ("from another run", begun),]
    );
    bench.clock.advance(chrono::Duration::hours(1));
    assert_eq!(put(vec![high]).await?.appeared, 1);
    assert_eq!(bench.store.findings().await?[0].first_seen, bench.now(), "it began anew");
    Ok(())
}

pub(crate) async fn a_rotation_and_a_revocation_show_before_the_next_scan(bench: Bench) -> Result<()> {
    let estate = |byte, version: &str| {
        let mut all = vec![Merged::Credential(role("db/role/app"))];
        let mut stored = linked(copy("k/a#p", byte), "db/role/app", LinkEvidence::Verifier);
        stored.version = Some(version.to_owned());
        all.extend(items([stored, copy("k/z#p", 9)]));
        all
    };
    bench.scan(estate(1, "1")).await?;
    let id = bench.id_of("db/role/app").await?;
    bench.clock.advance(chrono::Duration::days(3));
    let rotated = bench.now();
    bench
        .store
        .record_rotation(
            rotated,
            id,
            vec![(at("k/a#p"), Some("2".to_owned()), value(2))],
            RotationEnd::Rotated { successor: None },
        )
        .await?;
    let detail = bench.store.credential(bench.now(), id).await?.expect("there");
    assert_eq!((detail.credential.last_rotated_at, detail.credential.age_days), (Some(rotated), Some(0)));
    assert_eq!(detail.copies[0].fingerprint, Some(value(2).to_string()));
    assert_eq!(detail.copies[0].version.as_deref(), Some("2"));
    assert!(detail.history.iter().any(|one| one.entity == "credential" && one.change == "rotated"));
    assert_eq!(bench.store.by_fingerprint(&[value(1), value(2)]).await?, [(value(1), id), (value(2), id)]);
    let (merged, linked) = bench.scan(estate(2, "2")).await?;
    assert_eq!((merged.changed, linked), (0, MergeSummary::default()), "the scan finds what was recorded");
    assert_eq!(bench.id_of("db/role/app").await?, id);

    // Without an issuer: the id stays with the copies.
    let alone = bench.id_of("k/z#p").await?;
    bench
        .store
        .record_rotation(
            bench.now(),
            alone,
            vec![(at("k/z#p"), Some("1".to_owned()), value(10))],
            RotationEnd::Rotated { successor: None },
        )
        .await?;
    let mut all = estate(2, "2");
    all.pop();
    all.extend(items([copy("k/z#p", 10)]));
    bench.scan(all).await?;
    assert_eq!(bench.id_of("k/z#p").await?, alone);

    // A value that came back is as old as it was.
    bench.clock.advance(chrono::Duration::hours(1));
    let back = vec![(at("k/a#p"), Some("3".to_owned()), value(1))];
    bench.store.record_rotation(bench.now(), id, back, RotationEnd::RolledBack).await?;
    let detail = bench.store.credential(bench.now(), id).await?.expect("there");
    assert_eq!(detail.credential.last_rotated_at, Some(rotated));
    assert_eq!(detail.copies[0].fingerprint, Some(value(1).to_string()));
    assert!(detail.history.iter().any(|one| one.entity == "credential" && one.change == "rolled-back"));

    bench.clock.advance(chrono::Duration::hours(1));
    bench.store.record_state(bench.now(), id, CredentialState::RevokedProven, "a login was refused").await?;
    let detail = bench.store.credential(bench.now(), id).await?.expect("there");
    assert_eq!(detail.credential.state, CredentialState::RevokedProven);
    assert_eq!((detail.history[0].change.as_str(), detail.history[0].at), ("revoked", bench.now()));
    // The issuer no longer lists it: it stays revoked, and is not merely gone.
    bench.scan(items([copy("k/z#p", 10)])).await?;
    let detail = bench.store.credential(bench.now(), id).await?.expect("there");
    assert_eq!(detail.credential.state, CredentialState::RevokedProven);
    // It is back.
    bench.scan(estate(2, "2")).await?;
    let detail = bench.store.credential(bench.now(), id).await?.expect("there");
    assert_eq!(detail.credential.state, CredentialState::Active);
    let nobody = CredentialId(uuid::Uuid::from_u128(1));
    assert!(bench.store.record_state(bench.now(), nobody, CredentialState::Active, "").await.is_err());
    assert!(bench.store.credential(bench.now(), nobody).await?.is_none());
    Ok(())
}

/// A leaked new value is the new credential's, not that of the dead one before it.
pub(crate) async fn what_follows_under_a_name_of_its_own_holds_the_copies(bench: Bench) -> Result<()> {
    let estate = |name: &str, byte| {
        let mut all = vec![Merged::Identity(identity("db/role/app")), Merged::Credential(role(name))];
        all.extend(items([linked(copy("k/a#p", byte), name, LinkEvidence::Lookup)]));
        all
    };
    bench.scan(estate("v/token/1", 1)).await?;
    let old = bench.id_of("v/token/1").await?;
    bench.clock.advance(chrono::Duration::days(3));
    let end = || RotationEnd::Rotated { successor: Some(at("v/token/2")) };
    let copies = || vec![(at("k/a#p"), Some("2".to_owned()), value(2))];
    bench.store.record_rotation(bench.now(), old, copies(), end()).await?;
    bench.store.record_state(bench.now(), old, CredentialState::RevokedProven, "refused").await?;
    let new = bench.id_of("v/token/2").await?;
    assert_ne!(new, old);
    assert_eq!(bench.store.by_fingerprint(&[value(1), value(2)]).await?, [(value(1), old), (value(2), new)]);
    let dead = bench.store.credential(bench.now(), old).await?.expect("there");
    assert_eq!((dead.credential.state, dead.copies.len()), (CredentialState::RevokedProven, 0));
    let detail = bench.store.credential(bench.now(), new).await?.expect("there");
    assert_eq!((detail.credential.state, detail.credential.age_days), (CredentialState::Active, Some(0)));
    assert_eq!(detail.credential.kind, dead.credential.kind);
    assert_eq!(detail.credential.identity, dead.credential.identity);
    assert_eq!(detail.copies[0].version.as_deref(), Some("2"));
    // After a crash it is recorded again: the same.
    bench.store.record_rotation(bench.now(), old, copies(), end()).await?;
    assert_eq!(bench.id_of("v/token/2").await?, new);
    bench.clock.advance(chrono::Duration::hours(1));
    bench.scan(estate("v/token/2", 2)).await?;
    assert_eq!(bench.id_of("v/token/2").await?, new, "the scan finds what was recorded");
    let detail = bench.store.credential(bench.now(), new).await?.expect("there");
    assert_eq!(detail.copies.len(), 1);
    let dead = bench.store.credential(bench.now(), old).await?.expect("there");
    assert_eq!(dead.credential.state, CredentialState::RevokedProven);
    Ok(())
}

pub(crate) async fn coverage_is_the_newest_scan_of_each_backend(bench: Bench) -> Result<()> {
    assert!(bench.store.last_scan().await?.is_none());
    let first = bench.begin().await?;
    for name in ["k", "db"] {
        bench.store.end_backend(first, bench.now(), &backend_view(name), &[]).await?;
    }
    bench.store.end_scan(first, bench.now(), true).await?;
    let second = bench.begin().await?;
    let mut broken = backend_view("k");
    (broken.status, broken.error) = ("failed".to_owned(), Some("refused".to_owned()));
    bench.store.end_backend(second, bench.now(), &broken, &[]).await?;
    assert_eq!(
        bench.store.last_scan().await?.map(|scan| scan.scan_id),
        Some(first),
        "the second has not ended"
    );
    bench.store.end_scan(second, bench.now(), false).await?;
    let coverage = bench.store.coverage().await?;
    assert_eq!(coverage, [backend_view("db"), broken.clone()]);
    let last = bench.store.last_scan().await?.expect("there");
    assert_eq!((last.scan_id, last.complete, last.backends), (second, false, vec![broken]));
    Ok(())
}

pub(crate) async fn comparisons_are_remembered(bench: Bench) -> Result<()> {
    let results =
        vec![(value(1), value(100), true), (value(2), value(100), false), (value(1), value(101), false)];
    bench.store.cache_links(results).await?;
    bench.store.cache_links(vec![(value(2), value(100), false)]).await?;
    let mut found = bench.store.cached_links(&value(100)).await?;
    found.sort();
    assert_eq!(found, [(value(1), true), (value(2), false)]);
    assert!(bench.store.cached_links(&value(7)).await?.is_empty());
    Ok(())
}

pub(crate) async fn odd_names_are_kept_and_break_nothing(bench: Bench) -> Result<()> {
    let odd =
        ["k/'; drop table credential_copy; --#p", "k/<script>#\u{1b}[31m", "k/=HYPERLINK(1)#p", "k/a\0b#p"];
    let all: Vec<_> = odd
        .iter()
        .zip(1..)
        .map(|(place, byte)| {
            let mut one = copy(place, byte);
            one.labels = [("nul\0".to_owned(), "\0".to_owned())].into();
            one.subject = Some("a\0b".to_owned());
            one
        })
        .collect();
    bench.scan(items(all.clone())).await?;
    let (again, linked) = bench.scan(items(all)).await?;
    assert_eq!((again.unchanged, linked), (4, MergeSummary::default()));
    let copies = bench.store.copies(&Selection::default()).await?;
    assert_eq!(copies.len(), 4);
    assert!(copies.iter().any(|copy| copy.at.as_str() == "k/a\u{fffd}b#p"));
    assert_eq!(copies[0].labels.get("nul\0").map(String::as_str), Some("\0"));
    Ok(())
}

pub(crate) async fn pages_of_several_backends_merge_at_the_same_time(bench: Bench) -> Result<()> {
    let scan = bench.begin().await?;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..4_u8 {
        let store = bench.another().await?;
        let now = bench.now();
        workers.spawn(async move {
            for round in 0..5 {
                let copies = (0..50).map(|i| copy(&format!("b{worker}/{round}/{i}#p"), worker));
                let page = MergedPage {
                    backend: format!("b{worker}"),
                    scope: ns(),
                    items: items(copies),
                    former: Vec::new(),
                };
                store.merge(scan, now, page).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let other = bench.another().await?;
    let (one, two) = tokio::join!(bench.store.link(scan, bench.now()), other.link(scan, bench.now()));
    assert_eq!(one?.appeared + two?.appeared, 4);
    let counts: Vec<_> = bench.credentials().await?.iter().map(|one| one.copies).collect();
    assert_eq!(counts, [250; 4]);
    Ok(())
}
