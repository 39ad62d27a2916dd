use anyhow::Result;
use claviger_core::{
    audit::AuditKind,
    fingerprint::Fingerprint,
    id::{CredentialId, SagaId},
    model::{CredentialState, ScopeStatus},
    own_key::{KeyId, KeyKind, KeyState, OwnKey},
    random::SeededRandom,
    seal::{Frame, SagaSalt, SealingKey, Slot},
    secret::SecretValue,
};
use claviger_store::{
    AuditLog as _, Error, Inventory as _, Journal as _, KeyTurn, MergeSummary, Merged, MergedPage, SealedRow,
};
use uuid::Uuid;

use super::{
    Bench,
    audit::{draft, verify},
    journal::new_saga,
    seen::{backend_view, copy, items, ns, role, value},
};

fn id(byte: u8) -> KeyId {
    KeyId([byte; 8])
}

fn turn(kind: KeyKind, from: u8, to: u8, fate: KeyState) -> KeyTurn {
    let mut audit = draft("keys");
    audit.kind = AuditKind::KeyChanged;
    KeyTurn { kind, from: id(from), fate, to: id(to), public: None, succession: None, audit }
}

impl Bench {
    async fn own_key(&self, kind: KeyKind, byte: u8) -> Result<OwnKey> {
        let known = self.store.own_keys().await?;
        Ok(known.into_iter().find(|key| key.kind == kind && key.id == id(byte)).expect("it is known"))
    }

    /// A scan whose values were known by other fingerprints.
    async fn scan_again(
        &self,
        items: Vec<Merged>,
        former: &[(u8, u8)],
    ) -> Result<(MergeSummary, MergeSummary)> {
        let scan = self.begin().await?;
        let former: Vec<(Fingerprint, Fingerprint)> =
            former.iter().map(|(old, new)| (value(*old), value(*new))).collect();
        let page = MergedPage { backend: "k".to_owned(), scope: ns(), items, former };
        let merged = self.store.merge(scan, self.now(), page).await?;
        self.end(scan, &ns(), ScopeStatus::Complete).await?;
        let linked = self.store.link(scan, self.now()).await?;
        let missing = self.store.missing_scopes(scan, "k").await?;
        self.store.end_backend(scan, self.now(), &backend_view("k"), &missing).await?;
        self.store.end_scan(scan, self.now(), true).await?;
        Ok((merged, linked))
    }
}

fn changes(summary: (MergeSummary, MergeSummary)) -> u64 {
    [summary.0, summary.1].iter().map(|sum| sum.appeared + sum.changed + sum.vanished).sum()
}

pub(crate) async fn a_key_follows_another_by_one_commit(bench: Bench) -> Result<()> {
    let (store, kind) = (&bench.store, KeyKind::Sealing);
    store.register_key(kind, id(1), None).await?;
    store.register_key(kind, id(9), None).await?;
    assert_eq!(store.own_keys().await?.len(), 1, "the first one stays");
    let entries = store.head().await?.0;
    let refused = store.turn_key(turn(kind, 9, 2, KeyState::Former)).await.expect_err("not in force");
    assert!(matches!(refused, Error::Keys(_)), "{refused}");
    assert_eq!(store.turn_key(turn(kind, 1, 2, KeyState::Former)).await?.epoch, 2);
    let again = store.turn_key(turn(kind, 2, 1, KeyState::Former)).await.expect_err("it was in force before");
    assert!(matches!(again, Error::Keys(_)), "{again}");
    let states: Vec<_> = store.own_keys().await?.iter().map(|key| (key.id, key.state)).collect();
    assert_eq!(states, [(id(1), KeyState::Former), (id(2), KeyState::Current)]);
    // Two at once: one of them does it.
    let other = bench.another().await?;
    let (left, right) = tokio::join!(
        store.turn_key(turn(kind, 2, 3, KeyState::Former)),
        other.turn_key(turn(kind, 2, 4, KeyState::Former))
    );
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    assert_eq!(store.own_keys().await?.iter().filter(|key| key.state == KeyState::Current).count(), 1);
    assert_eq!(store.head().await?.0.0, entries.0 + 2, "one entry for each");
    assert!(verify(&bench).await?.1);
    Ok(())
}

pub(crate) async fn what_is_seen_again_takes_its_fingerprint_along(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.register_key(KeyKind::Fingerprint, id(1), None).await?;
    let mut weak = copy("kv/weak#password", 3);
    weak.strong = false;
    let before = |copies: Vec<_>| {
        let mut all = vec![Merged::Credential(role("db/role/app"))];
        all.extend(items(copies));
        all
    };
    let (a, b, dead) = (copy("kv/a#password", 1), copy("kv/b#password", 1), copy("kv/dead#token", 2));
    bench.scan(before(vec![a.clone(), b, dead, weak])).await?;
    let groups = bench.groups().await?;
    let ids: Vec<_> = bench.credentials().await?.iter().map(|one| one.id).collect();
    let revoked = bench.id_of("kv/dead#token").await?;
    store.record_state(bench.now(), revoked, CredentialState::RevokedProven, "refused").await?;
    // Its only copy goes: nothing of it is kept but its fingerprint.
    let mut weak = copy("kv/weak#password", 3);
    weak.strong = false;
    bench.scan(before(vec![a, copy("kv/b#password", 1), weak])).await?;
    store.turn_key(turn(KeyKind::Fingerprint, 1, 2, KeyState::Former)).await?;
    assert_eq!(bench.own_key(KeyKind::Fingerprint, 1).await?.left, 4, "three values and a verifier");

    let mut app = role("db/role/app");
    app.verifier = Some(value(201));
    let after = |copies: Vec<_>| {
        let mut all = vec![Merged::Credential(app.clone())];
        all.extend(items(copies));
        all
    };
    let mut weak = copy("kv/weak#password", 103);
    weak.strong = false;
    let seen = after(vec![copy("kv/a#password", 101), copy("kv/b#password", 101), weak.clone()]);
    let changed = bench.scan_again(seen, &[(1, 101), (3, 103), (200, 201)]).await?;
    assert_eq!(changes(changed), 0, "nothing has changed but the key: {changed:?}");
    let now: Vec<_> =
        bench.credentials().await?.iter().map(|one| one.id).filter(|one| *one != revoked).collect();
    assert_eq!(now, ids.into_iter().filter(|one| *one != revoked).collect::<Vec<_>>());
    let without: Vec<_> = groups.into_iter().filter(|(at, _)| at != "kv/dead#token").collect();
    assert_eq!(bench.groups().await?, without);
    assert_eq!(bench.own_key(KeyKind::Fingerprint, 1).await?.left, 1, "the revoked one");
    let found = store.by_fingerprint(&[value(1), value(101)]).await?;
    assert!(found.iter().all(|(print, _)| *print == value(101)) && found.len() == 1, "{found:?}");

    // It comes back elsewhere, and is known by what was kept under the former key.
    let seen = after(vec![
        copy("kv/a#password", 101),
        copy("kv/b#password", 101),
        weak,
        copy("kv/elsewhere#token", 102),
    ]);
    bench.scan_again(seen, &[(1, 101), (2, 102), (3, 103), (200, 201)]).await?;
    let returned = store.returned().await?;
    assert_eq!(returned.len(), 1, "{returned:?}");
    assert_eq!(returned[0].copy.as_ref().map(|copy| copy.as_str()), Some("kv/elsewhere#token"));
    let left = bench.own_key(KeyKind::Fingerprint, 1).await?;
    assert_eq!(left.left, 0);
    store.drop_key(&left, draft("dropped")).await?;
    assert_eq!(bench.own_key(KeyKind::Fingerprint, 1).await?.state, KeyState::Dropped);
    Ok(())
}

pub(crate) async fn a_value_that_changed_meanwhile_is_a_change(bench: Bench) -> Result<()> {
    bench.store.register_key(KeyKind::Fingerprint, id(1), None).await?;
    bench.scan(items([copy("kv/a#password", 1), copy("kv/b#password", 1)])).await?;
    bench.store.turn_key(turn(KeyKind::Fingerprint, 1, 2, KeyState::Former)).await?;
    let seen = items([copy("kv/a#password", 101), copy("kv/b#password", 150)]);
    let (merged, _) = bench.scan_again(seen, &[(1, 101), (50, 150)]).await?;
    assert_eq!((merged.changed, merged.unchanged), (1, 1));
    Ok(())
}

pub(crate) async fn of_a_lost_key_nothing_is_claimed(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.register_key(KeyKind::Fingerprint, id(1), None).await?;
    bench.scan(items([copy("kv/a#password", 1), copy("kv/b#password", 1)])).await?;
    let before = bench.credentials().await?;
    store.turn_key(turn(KeyKind::Fingerprint, 1, 2, KeyState::Lost)).await?;
    bench.scan_again(items([copy("kv/a#password", 101), copy("kv/b#password", 101)]), &[]).await?;
    let after = bench.credentials().await?;
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, after[0].last_rotated_at), (before[0].id, before[0].last_rotated_at));
    Ok(())
}

pub(crate) async fn a_process_of_before_a_rotation_writes_no_fingerprint(bench: Bench) -> Result<()> {
    let store = &bench.store;
    store.register_key(KeyKind::Fingerprint, id(1), None).await?;
    bench.scan(items([copy("kv/a#password", 1)])).await?;
    let old = bench.another().await?;
    old.bind_fingerprint_key(id(1));
    assert_eq!(old.by_fingerprint(&[value(1)]).await?.len(), 1);
    // While something is under way, nothing is rotated.
    let saga = old.create(new_saga(1, 1)).await?.expect("created");
    let refused = store.turn_key(turn(KeyKind::Fingerprint, 1, 2, KeyState::Former)).await;
    assert!(matches!(refused, Err(Error::Keys(_))), "{refused:?}");
    assert_eq!(bench.own_key(KeyKind::Fingerprint, 1).await?.state, KeyState::Current);
    let raw = bench.raw().await?;
    sea_orm::ConnectionTrait::execute_unprepared(&raw, "update saga set finished_at = created_at").await?;
    store.turn_key(turn(KeyKind::Fingerprint, 1, 2, KeyState::Former)).await?;
    let keys = |result: claviger_store::Result<()>| matches!(result, Err(Error::Keys(_)));
    let scan = bench.begin().await?;
    let page = MergedPage {
        backend: "k".to_owned(),
        scope: ns(),
        items: items([copy("kv/a#password", 2)]),
        former: Vec::new(),
    };
    assert!(keys(old.merge(scan, bench.now(), page).await.map(|_| ())), "a page");
    assert!(keys(old.create(new_saga(2, 2)).await.map(|_| ())), "a saga");
    assert!(keys(old.by_fingerprint(&[value(1)]).await.map(|_| ())), "a look-up");
    assert!(store.create(new_saga(3, 3)).await?.is_some(), "who is not bound is not asked: {saga}");
    Ok(())
}

pub(crate) async fn a_sealing_key_is_kept_until_nothing_is_sealed_with_it(bench: Bench) -> Result<()> {
    let (store, random) = (&bench.store, SeededRandom::new(4));
    let (first, second) = ([1; 32], [2; 32]);
    let ids = [KeyId::of(KeyKind::Sealing, &first), KeyId::of(KeyKind::Sealing, &second)];
    store.register_key(KeyKind::Sealing, ids[0], None).await?;
    let (saga, salt) = (SagaId(Uuid::from_u128(1)), SagaSalt([3; 32]));
    let frame = Frame { saga, credential: CredentialId(Uuid::from_u128(1)), slot: Slot::Old, salt: &salt };
    let seal = |key: [u8; 32]| {
        let value = SecretValue::from_text("hunter2".to_owned());
        SealingKey::new(key).seal(&frame, &value, &random).expect("sealed")
    };
    let rows = |key| vec![SealedRow { slot: Slot::Old.word(), sealed: seal(key) }];
    let mut new = new_saga(1, 1);
    new.seal = rows(first);
    store.create(new).await?.expect("created");
    let mut said = turn(KeyKind::Sealing, 0, 0, KeyState::Former);
    (said.from, said.to) = (ids[0], ids[1]);
    store.turn_key(said).await?;
    let known = store.own_keys().await?;
    assert_eq!(known.iter().map(|key| key.left).collect::<Vec<_>>(), [1, 0]);
    let refused = store.drop_key(&known[0], draft("dropped")).await;
    assert!(matches!(refused, Err(Error::Keys(_))), "{refused:?}");
    assert_eq!(store.own_keys().await?[0].state, KeyState::Former);
    let raw = bench.raw().await?;
    sea_orm::ConnectionTrait::execute_unprepared(&raw, "delete from sealed_value").await?;
    store.drop_key(&known[0], draft("dropped")).await?;
    // Whoever still has it seals nothing with it.
    let mut late = new_saga(2, 2);
    late.seal = rows(first);
    let refused = store.create(late).await;
    assert!(matches!(refused, Err(Error::Keys(_))), "{refused:?}");
    let mut late = new_saga(2, 2);
    late.seal = rows(second);
    assert!(store.create(late).await?.is_some());
    Ok(())
}
