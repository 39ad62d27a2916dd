use chrono::DateTime;

use super::{
    super::{AuditDraft, head::Extent},
    *,
};
use crate::{random::SeededRandom, signing::PrivateKey};

fn key() -> PrivateKey {
    PrivateKey::generate(&SeededRandom::new(11))
}

/// Entries with all that JSON can write in more than one way: escapes, numbers, nothing.
fn chain(n: i64) -> Vec<AuditEntry> {
    let mut before = (Seq(0), AuditHash::GENESIS);
    (1..=n)
        .map(|i| {
            let draft = AuditDraft {
                kind: if i % 3 == 0 { AuditKind::Receipt } else { AuditKind::Intent },
                actor: "dana@desk".into(),
                subject: format!("db/role/{i}\u{1f}\u{1f511}é\"\\/"),
                saga: None,
                step: (i % 2 == 0).then(|| "write-copy:a/b#c".to_owned()),
                detail: serde_json::json!({ "verdict": "proven", "n": i, "big": u64::MAX, "none": null, "list": [1.5, true, "\n"] }),
            };
            let at = DateTime::from_timestamp(i, 123_000).expect("in range");
            let entry = AuditEntry::chain(draft, at, before);
            before = (entry.seq, entry.hash);
            entry
        })
        .collect()
}

fn tail(entries: &[AuditEntry], receipts: &[i64], key: &PrivateKey) -> String {
    let (first, last) = (entries.first().expect("some"), entries.last().expect("some"));
    let extent = Extent {
        first: (first.seq, first.prev_hash),
        last: (last.seq, last.hash),
        receipts: receipts.iter().copied().map(Seq).collect(),
    };
    head_line(SignedHead::sign(extent, DateTime::from_timestamp(99, 0).expect("in range"), key))
}

fn lines(entries: &[AuditEntry], receipts: &[i64]) -> Vec<String> {
    entries.iter().map(entry_line).chain([tail(entries, receipts, &key())]).map(|line| line + "\n").collect()
}

fn verify_with(
    lines: &[impl AsRef<[u8]>],
    key: Option<PublicKey>,
    witness: Option<Witness>,
) -> ExportVerdict {
    let mut verifier = ExportVerifier::new(key, witness);
    lines.iter().for_each(|line| verifier.push(line.as_ref()));
    verifier.finish()
}

fn verify(lines: &[impl AsRef<[u8]>]) -> ExportVerdict {
    verify_with(lines, Some(key().public()), None)
}

#[test]
fn an_export_holds_and_shows_its_receipts() {
    let all = chain(9);
    let verdict = verify(&lines(&all, &[]));
    assert!(verdict.valid && verdict.pinned, "{verdict:?}");
    assert_eq!((verdict.entries, verdict.first_bad, verdict.receipts.len()), (9, None, 0));
    // A part of a chain: from the receipt to the signed head.
    let verdict = verify(&lines(&all[5..], &[6]));
    assert!(verdict.valid, "{verdict:?}");
    assert_eq!((verdict.from, verdict.receipts.len()), (Some(Seq(6)), 1));
    assert_eq!(verdict.receipts[0].receipt["verdict"], "proven");
    // Without a key it says who signed it, and that nobody vouched for that.
    let verdict = verify_with(&lines(&all, &[]), None, None);
    assert!(verdict.valid && !verdict.pinned && verdict.signed_by == Some(key().public()), "{verdict:?}");
}

#[test]
fn every_change_of_a_single_byte_is_found_at_its_exact_entry() {
    let all = chain(4);
    let whole: Vec<u8> = lines(&all[1..], &[3]).concat().into_bytes();
    let mut places = Vec::new();
    for at in 0..whole.len() {
        places.push(
            i64::try_from(whole[..at].iter().filter(|byte| **byte == b'\n').count()).expect("small") + 2,
        );
    }
    let mut tried = 0;
    for at in 0..whole.len() {
        // A bit, the case of a letter, a digit, white space, an end of line, and a byte that is no text.
        for change in [whole[at] ^ 1, whole[at] ^ 0x20, b'\n', 0xff] {
            if change == whole[at] {
                continue;
            }
            let mut changed = whole.clone();
            changed[at] = change;
            let verdict = verify(&changed.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>());
            assert!(!verdict.valid, "byte {at}: {} -> {change}", whole[at]);
            assert_eq!(
                verdict.first_bad,
                Some(places[at].min(5)),
                "byte {at} ({}) -> {change}: {verdict:?}",
                whole[at]
            );
            assert!(verdict.receipts.is_empty());
            tried += 1;
        }
        if at % 5 != 0 {
            continue;
        }
        // Taken out, and doubled.
        let without = [&whole[..at], &whole[at + 1..]].concat();
        let doubled = [&whole[..=at], &whole[at..]].concat();
        for changed in [without, doubled] {
            let verdict = verify(&changed.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>());
            assert!(!verdict.valid, "byte {at}");
        }
        // Cut off.
        let verdict = verify(&whole[..at].split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>());
        assert!(!verdict.valid, "cut at {at}");
    }
    assert!(tried > 4_000, "{tried}");
}

#[test]
fn entries_that_are_removed_repeated_or_moved_are_found_at_their_place() {
    let all = chain(9);
    let good = lines(&all, &[]);
    for at in 0..9 {
        let place = Some(i64::try_from(at).expect("small") + 1);
        let mut removed = good.clone();
        removed.remove(at);
        assert_eq!(verify(&removed).first_bad, place, "removed {at}");
        let mut repeated = good.clone();
        repeated.insert(at + 1, good[at].clone());
        assert_eq!(verify(&repeated).first_bad, place.map(|place| place + 1), "repeated {at}");
        if at < 8 {
            let mut moved = good.clone();
            moved.swap(at, at + 1);
            assert_eq!(verify(&moved).first_bad, place, "moved {at}");
        }
        // Cut, and closed with the head that was there.
        let mut cut = good[..at].to_vec();
        cut.push(good[9].clone());
        assert_eq!(verify(&cut).first_bad, place, "cut {at}");
    }
    // A line of another export, and the head twice.
    let mut behind = good.clone();
    behind.push(good[9].clone());
    assert_eq!(verify(&behind).flaw, Some(Flaw::BehindHead));
    let none: [&[u8]; 0] = [];
    assert_eq!(verify(&none).first_bad, Some(1));
}

#[test]
fn a_chain_that_was_hashed_anew_is_not_signed() {
    let mut forged = chain(5);
    let mut before = (forged[1].seq, forged[1].hash);
    for entry in &mut forged[2..] {
        let draft = AuditDraft { actor: "mallory".into(), ..entry.draft.clone() };
        *entry = AuditEntry::chain(draft, entry.at, before);
        before = (entry.seq, entry.hash);
    }
    let mut export = lines(&forged, &[]);
    export[5] = lines(&chain(5), &[])[5].clone();
    let verdict = verify(&export);
    assert_eq!((verdict.flaw, verdict.first_bad), (Some(Flaw::Extent), Some(5)));
    // Signed with a key of the forger's own.
    let other = PrivateKey::generate(&SeededRandom::new(12));
    export[5] = tail(&forged, &[], &other) + "\n";
    assert_eq!(verify(&export).flaw, Some(Flaw::OtherKey));
    let verdict = verify_with(&export, None, None);
    assert!(verdict.valid && !verdict.pinned, "nobody said whose key it should be: {verdict:?}");
}

#[test]
fn what_a_witness_noted_shows_an_older_export_and_another_chain() {
    let all = chain(9);
    let older = lines(&all[..6], &[]);
    let noted = |seq: usize| Witness::Passes(all[seq - 1].seq, all[seq - 1].hash);
    let flaw = |witness| {
        let verdict = verify_with(&older, Some(key().public()), Some(witness));
        (verdict.flaw, verdict.first_bad)
    };
    assert_eq!(flaw(noted(4)), (None, None));
    assert_eq!(flaw(noted(6)), (None, None));
    assert_eq!(flaw(noted(8)), (Some(Flaw::Witness), Some(7)), "replayed: the chain was longer already");
    assert_eq!(flaw(Witness::Passes(Seq(4), all[4].hash)), (Some(Flaw::Witness), Some(4)));
    assert_eq!(flaw(Witness::Ends(Seq(6), all[5].hash)), (None, None));
    assert_eq!(flaw(Witness::Ends(Seq(9), all[8].hash)), (Some(Flaw::Witness), Some(7)));
    assert_eq!(flaw(Witness::Ends(Seq(6), all[4].hash)), (Some(Flaw::Witness), Some(6)));
    // A part that begins behind what was noted proves nothing about it; one that begins right there does.
    let part = |from: usize, witness| verify_with(&lines(&all[from..], &[]), None, Some(witness)).valid;
    assert!(part(4, noted(4)) && part(3, noted(4)) && !part(5, noted(4)));
    // An export of before they were signed, with and without a witness.
    let unsigned: Vec<String> = older[..6].to_vec();
    let end = Witness::Ends(Seq(6), all[5].hash);
    assert!(verify_with(&unsigned, None, Some(end)).valid);
    assert_eq!(verify_with(&unsigned, None, None).flaw, Some(Flaw::NoHead));
    assert_eq!(verify_with(&unsigned, Some(key().public()), Some(end)).flaw, Some(Flaw::NoHead));
}

#[test]
fn a_head_that_names_no_receipt_as_one_is_refused() {
    let verdict = verify(&lines(&chain(6), &[3, 4]));
    assert_eq!((verdict.flaw, verdict.first_bad), (Some(Flaw::NoReceipt), Some(4)));
}
