use std::time::Duration;

use anyhow::Result;
use chrono::TimeDelta;
use claviger_core::id::Seq;
use claviger_store::{AuditLog as _, NotificationEnd, Notifications as _, Queued};

use super::{Bench, audit::draft};

const LONG: Duration = Duration::from_secs(600);

fn queued(seq: i64) -> Queued {
    Queued {
        audit_seq: Seq(seq),
        id: format!("evt_{seq}"),
        event: "incident.opened".to_owned(),
        body: format!("{{\"n\":{seq}}}"),
    }
}

/// So many entries in the log, and a receiver that was there before them with all of them queued.
async fn filled(bench: &Bench, receiver: &str, count: i64) -> Result<()> {
    let begun = bench.store.told_until(receiver).await?;
    for number in 0..count {
        bench.store.append(vec![draft(&number.to_string())]).await?;
    }
    let new = (1..=count).map(|number| queued(begun.0 + number)).collect();
    assert!(bench.store.queue(receiver, begun, Seq(begun.0 + count), new).await?);
    Ok(())
}

pub(crate) async fn a_receiver_begins_at_the_end_of_the_log_and_misses_nothing_after_it(
    bench: Bench,
) -> Result<()> {
    let store = &bench.store;
    store.append(vec![draft("a"), draft("b")]).await?;
    assert_eq!(store.told_until("chat").await?, Seq(2), "what was before is not told");
    store.append(vec![draft("c"), draft("d")]).await?;
    assert_eq!(store.told_until("chat").await?, Seq(2));
    assert!(store.queue("chat", Seq(2), Seq(4), vec![queued(4)]).await?);
    assert_eq!(store.told_until("chat").await?, Seq(4));
    // Another process that had read the same has nothing to add.
    let other = bench.another().await?;
    assert!(!other.queue("chat", Seq(2), Seq(4), vec![queued(4)]).await?);
    assert!(!other.queue("nobody", Seq(2), Seq(4), vec![queued(4)]).await?);
    assert_eq!(bench.count("notification").await?, 1);
    // What cannot be queued moves no cursor.
    assert!(store.queue("chat", Seq(4), Seq(5), vec![queued(99)]).await.is_err(), "there is no such entry");
    assert_eq!(store.told_until("chat").await?, Seq(4));
    Ok(())
}

pub(crate) async fn what_is_queued_is_claimed_once_until_its_lease_ends(bench: Bench) -> Result<()> {
    filled(&bench, "chat", 40).await?;
    let now = bench.now();
    let (a, b) = (bench.another().await?, bench.another().await?);
    let claims = async |store: &claviger_store::SeaStore| -> Result<Vec<i64>> {
        let mut all = Vec::new();
        loop {
            let some = store.claim_notifications("chat", now, LONG, 7).await?;
            if some.is_empty() {
                return Ok(all);
            }
            assert!(some.iter().all(|one| one.attempts == 1 && one.epoch == 1), "{some:?}");
            all.extend(some.iter().map(|one| one.queued.audit_seq.0));
        }
    };
    let (mut all, others) = tokio::try_join!(claims(&a), claims(&b))?;
    all.extend(others);
    // Rows that somebody else was looking at are passed over, and are found by the next look.
    all.extend(claims(&a).await?);
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<_>>(), "each once");

    filled(&bench, "mail", 1).await?;
    let short = bench.store.claim_notifications("mail", now, Duration::from_millis(50), 5).await?;
    assert_eq!(short.len(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let again = bench.store.claim_notifications("mail", now, LONG, 5).await?;
    assert_eq!(
        (again.len(), again[0].attempts, &again[0].queued),
        (1, 2, &short[0].queued),
        "the same again"
    );
    assert!(
        !bench.store.settle_notification(&short[0], NotificationEnd::Sent, now).await?,
        "it is another's"
    );
    assert!(bench.store.settle_notification(&again[0], NotificationEnd::Sent, now).await?);
    assert!(!bench.store.settle_notification(&again[0], NotificationEnd::Sent, now).await?, "once");
    Ok(())
}

pub(crate) async fn what_failed_comes_again_and_what_is_given_up_is_shown(bench: Bench) -> Result<()> {
    filled(&bench, "chat", 3).await?;
    let (store, now) = (&bench.store, bench.now());
    let claimed = store.claim_notifications("chat", now, LONG, 9).await?;
    let later = now + TimeDelta::minutes(5);
    let again = NotificationEnd::Again { at: later, error: "503".to_owned() };
    assert!(store.settle_notification(&claimed[0], again, now).await?);
    let dead = NotificationEnd::Dead { error: "410".to_owned() };
    assert!(store.settle_notification(&claimed[1], dead, now).await?);
    assert!(store.settle_notification(&claimed[2], NotificationEnd::Sent, now).await?);
    let open = store.open_notifications().await?;
    let states: Vec<_> = open.iter().map(|one| (one.state.as_str(), one.last_error.as_deref())).collect();
    assert_eq!(states, [("pending", Some("503")), ("dead", Some("410"))]);
    assert_eq!((open[0].next_at, open[1].next_at), (Some(later), None));
    let counts = store.notification_counts().await?;
    assert_eq!((counts["pending"], counts["dead"]), (1, 1));
    assert!(store.claim_notifications("chat", later - TimeDelta::seconds(1), LONG, 9).await?.is_empty());
    let due = store.claim_notifications("chat", later, LONG, 9).await?;
    assert_eq!((due.len(), due[0].attempts), (1, 2));
    assert_eq!(store.purge_notifications(later).await?, 1, "only what was sent");
    assert_eq!(bench.count("notification").await?, 2);
    Ok(())
}

pub(crate) async fn one_receiver_s_queue_is_nobody_else_s(bench: Bench) -> Result<()> {
    filled(&bench, "slow", 5).await?;
    filled(&bench, "fast", 2).await?;
    let now = bench.now();
    let slow = bench.store.claim_notifications("slow", now, LONG, 5).await?;
    let fast = bench.store.claim_notifications("fast", now, LONG, 5).await?;
    assert_eq!((slow.len(), fast.len()), (5, 2));
    assert!(fast.iter().all(|one| one.receiver == "fast"));
    Ok(())
}
