use std::time::Duration;

use anyhow::Result;
use claviger_core::{
    audit::AuditKind,
    id::SagaId,
    own_key::{KeyId, KeyKind, KeyState},
    random::SeededRandom,
    seal::{Frame, SealingKey, Slot},
    secret::SecretValue,
};
use claviger_store::{
    Append, Error, FormerlySealed, Journal as _, KeyTurn, NewSaga, Resealed, SeaStore, SealedRow,
};
use uuid::Uuid;

use super::{
    Bench,
    audit::{draft, verify},
    journal::new_saga,
};

const LEASE: Duration = Duration::from_secs(60);

fn saga(number: u128) -> SagaId {
    SagaId(Uuid::from_u128(number))
}

/// A saga with one sealed value.
fn holding(number: u128, key: &SealingKey) -> NewSaga {
    let new = new_saga(number, number);
    let frame = Frame { saga: new.id, credential: new.plan.credential, slot: Slot::Old, salt: &new.salt };
    let value = SecretValue::from_text(format!("value {number}"));
    let sealed = key.seal(&frame, &value, &SeededRandom::new(9)).expect("sealed");
    NewSaga { seal: vec![SealedRow { slot: Slot::Old.word(), sealed }], ..new }
}

fn anew(of: FormerlySealed, key: &SealingKey) -> Resealed {
    let frame = Frame { saga: of.saga, credential: of.credential, slot: Slot::Old, salt: &of.salt };
    let sealed = key.reseal(&frame, &of.sealed, &SeededRandom::new(10)).expect("it opens");
    Resealed { of, sealed }
}

async fn former(store: &SeaStore, key: &SealingKey) -> Result<Vec<FormerlySealed>> {
    Ok(store.formerly_sealed(&key.head(), None, 100).await?)
}

fn turn(from: KeyId, to: KeyId) -> KeyTurn {
    let mut audit = draft("keys");
    audit.kind = AuditKind::KeyChanged;
    let (kind, fate) = (KeyKind::Sealing, KeyState::Former);
    KeyTurn { kind, from, fate, to, public: None, succession: None, audit }
}

pub(crate) async fn what_a_former_key_has_sealed_is_put_anew_once(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let old = SealingKey::new([1; 32]);
    let key = SealingKey::new([2; 32]).with_former(vec![SealingKey::new([1; 32])]);
    store.register_key(KeyKind::Sealing, old.id(), None).await?;
    for number in 1..=3 {
        assert!(store.create(holding(number, &old)).await?.is_some());
    }
    store.turn_key(turn(old.id(), key.id())).await?;
    assert!(store.create(holding(4, &key)).await?.is_some());
    // In order, some at a time, and nothing that the key in force has sealed.
    let two = store.formerly_sealed(&key.head(), None, 2).await?;
    assert_eq!(two.iter().map(|one| one.saga).collect::<Vec<_>>(), [saga(1), saga(2)]);
    let rest = store.formerly_sealed(&key.head(), two.last(), 2).await?;
    assert_eq!(rest.iter().map(|one| one.saga).collect::<Vec<_>>(), [saga(3)]);
    // Whoever drives one may know the former key alone.
    let claim = store.claim(saga(2), "w", LEASE).await?.expect("claimed");
    let free: Vec<_> = former(store, &key).await?.iter().map(|one| one.saga).collect();
    assert_eq!(free, [saga(1), saga(3)]);
    store.release(&claim).await?;

    let all = former(store, &key).await?;
    let (first, second) = (anew(all[0].clone(), &key), anew(all[1].clone(), &key));
    assert_eq!(store.put_resealed(&[first], draft("reseal")).await?, 1);
    let sealed = store.sealed(saga(1), "old").await?.expect("there");
    assert!(sealed.starts_with(&key.head()), "it is sealed anew");
    // Made of what does not lie there any more: nothing is put, and nothing is told.
    let (entries, _) = verify(&bench).await?;
    assert_eq!(store.put_resealed(&[anew(all[0].clone(), &key)], draft("reseal")).await?, 0);
    let mut claim = store.claim(saga(2), "w", LEASE).await?.expect("claimed");
    let shred = Append { shred: true, audit: vec![draft("shredded")], ..Append::default() };
    store.append(&mut claim, shred).await?;
    assert_eq!(store.put_resealed(&[second], draft("reseal")).await?, 0, "it was shredded");
    assert!(store.sealed(saga(2), "old").await?.is_none(), "what was shredded is back");
    assert_eq!(verify(&bench).await?, (entries + 1, true), "the shredding alone was told");

    // One whose key was taken away meanwhile is not put: nobody could open it.
    let last = anew(all[2].clone(), &key);
    let third = SealingKey::new([3; 32]);
    store.turn_key(turn(key.id(), third.id())).await?;
    for sealed in former(store, &third).await? {
        let frame =
            Frame { saga: sealed.saga, credential: sealed.credential, slot: Slot::Old, salt: &sealed.salt };
        let keys =
            SealingKey::new([3; 32]).with_former(vec![SealingKey::new([2; 32]), SealingKey::new([1; 32])]);
        let bytes = keys.reseal(&frame, &sealed.sealed, &SeededRandom::new(11)).expect("it opens");
        store.put_resealed(&[Resealed { of: sealed, sealed: bytes }], draft("reseal")).await?;
    }
    let known = store.own_keys().await?;
    let gone = known.iter().find(|one| one.id == key.id()).expect("known");
    store.drop_key(gone, draft("dropped")).await?;
    let refused = store.put_resealed(&[last], draft("reseal")).await;
    assert!(matches!(refused, Err(Error::Keys(_))), "{refused:?}");
    Ok(())
}
