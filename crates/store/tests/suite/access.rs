use std::sync::Arc;

use anyhow::Result;
use chrono::Duration;
use claviger_core::model::Labels;
use claviger_store::{Answer, ApiToken, AuditLog as _, Known, Requests as _, Tokens as _};

use super::{Bench, audit::draft};

fn token(handle: &str, name: &str) -> ApiToken {
    ApiToken {
        handle: handle.to_owned(),
        name: name.to_owned(),
        hash: vec![7; 32],
        role: "viewer".to_owned(),
        backends: vec!["db".to_owned()],
        labels: Labels::from([("env".to_owned(), "prod".to_owned())]),
        created_at: super::start(),
        created_by: "root@desk".to_owned(),
        expires_at: Some(super::start() + Duration::days(1)),
        last_used_at: None,
        revoked_at: None,
    }
}

pub(crate) async fn a_token_is_kept_used_and_revoked_once(bench: Bench) -> Result<()> {
    let store = &bench.store;
    assert!(store.create_token(&token("aa", "ci"), draft("ci")).await?);
    assert_eq!(store.token("aa").await?, Some(token("aa", "ci")));
    assert_eq!(store.token("bb").await?, None);
    assert!(!store.create_token(&token("bb", "ci"), draft("ci")).await?, "the name is taken");
    assert_eq!(store.head().await?.0.0, 1, "what was not written has no entry");

    let first = bench.now();
    store.token_used("aa", first).await?;
    store.token_used("aa", first + Duration::seconds(59)).await?;
    assert_eq!(store.token("aa").await?.and_then(|token| token.last_used_at), Some(first));
    store.token_used("aa", first + Duration::seconds(60)).await?;
    let used = store.token("aa").await?.and_then(|token| token.last_used_at);
    assert_eq!(used, Some(first + Duration::seconds(60)));

    assert!(store.revoke_token("aa", "dana@desk", draft("ci")).await?);
    assert!(!store.revoke_token("aa", "dana@desk", draft("ci")).await?, "once");
    assert!(!store.revoke_token("cc", "dana@desk", draft("ci")).await?, "there is none");
    assert_eq!(store.head().await?.0.0, 2);
    assert!(store.token("aa").await?.is_some_and(|token| token.revoked_at == Some(bench.now())));
    assert!(store.create_token(&token("bb", "ci"), draft("ci")).await?, "its name is free again");
    assert_eq!(store.tokens().await?.len(), 2);
    Ok(())
}

pub(crate) async fn a_request_is_carried_out_once_for_its_key(bench: Bench) -> Result<()> {
    let store = &bench.store;
    let at = bench.now();
    assert_eq!(store.begin_request("a", "k", b"1", at).await?, Known::New);
    assert_eq!(store.begin_request("a", "k", b"1", at).await?, Known::UnderWay);
    assert_eq!(store.begin_request("a", "k", b"2", at).await?, Known::Other);
    assert_eq!(store.begin_request("b", "k", b"2", at).await?, Known::New, "another one's key");
    let answer = Answer {
        status: 202,
        headers: vec![("location".to_owned(), "/x".to_owned())],
        body: "{}".to_owned(),
    };
    store.answer_request("a", "k", &answer).await?;
    assert_eq!(store.begin_request("a", "k", b"1", at).await?, Known::Answered(answer.clone()));
    assert_eq!(store.begin_request("a", "k", b"2", at).await?, Known::Other);
    store.forget_request("a", "k").await?;
    assert_eq!(store.begin_request("a", "k", b"1", at).await?, Known::Answered(answer));
    store.forget_request("b", "k").await?;
    assert_eq!(store.begin_request("b", "k", b"3", at).await?, Known::New);
    assert_eq!(store.purge_requests(at).await?, 0);
    assert_eq!(store.purge_requests(at + Duration::seconds(1)).await?, 2);
    assert_eq!(store.begin_request("a", "k", b"9", at).await?, Known::New);
    Ok(())
}

pub(crate) async fn of_many_that_come_at_once_one_is_carried_out(bench: Bench) -> Result<()> {
    let store = Arc::new(bench.another().await?);
    let (at, mut tasks) = (bench.now(), tokio::task::JoinSet::new());
    for _ in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.begin_request("a", "same", b"1", at).await });
    }
    let (mut new, mut waiting) = (0, 0);
    while let Some(known) = tasks.join_next().await {
        match known?? {
            Known::New => new += 1,
            Known::UnderWay => waiting += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new, waiting), (1, 15));
    Ok(())
}
