//! Access tokens: made beside one another, never rotated in place, ended and proven.

use claviger_backend::{Effect, ErrorKind, Issuer, Verdict};
use reqwest::Method;

use super::*;

/// A call as anybody makes it.
async fn call(server: &Gitlab, method: Method, path: &str, token: &str) -> u16 {
    server.call(method, path, token).await.expect("an answer")
}

fn told(server: &Gitlab, id: u64) -> String {
    server.state().by_number(id).expect("a token").value.clone()
}

/// Why claviger never sends it: whoever does it twice, as after a lost answer, has nothing left.
#[tokio::test]
async fn the_fake_ends_the_whole_family_of_a_token_that_is_rotated_again() {
    let server = Gitlab::start().await.expect("a fake");
    let (id, dana) = {
        let mut state = server.state();
        let dana = state.user("dana", false);
        (state.personal(dana, "deploy", &["api"]), dana)
    };
    let old = told(&server, id);
    assert_eq!(call(&server, Method::POST, "personal_access_tokens/self/rotate", &old).await, 200);
    let new = server.state().tokens.iter().rfind(|token| token.user == dana).expect("the next").clone();
    assert_eq!(call(&server, Method::GET, "personal_access_tokens/self", &old).await, 401);
    assert_eq!(call(&server, Method::GET, "personal_access_tokens/self", &new.value).await, 200);
    // By number, as the administrator: the token that was sent before is not even needed.
    let path = format!("personal_access_tokens/{id}/rotate");
    assert_eq!(call(&server, Method::POST, &path, &server.token()).await, 401);
    assert_eq!(call(&server, Method::GET, "personal_access_tokens/self", &new.value).await, 401);
}

/// The answer is lost after the effect: the effect is unknown, and what was made is found by its name and by nothing else.
#[tokio::test]
async fn a_token_whose_answer_was_lost_is_found_and_nothing_is_sent_again() {
    let server = Gitlab::start().await.expect("a fake");
    let id = {
        let mut state = server.state();
        state.home("acme/shop", true);
        state.of_home("acme/shop", "deploy", &["read_registry", "api"], 30)
    };
    let (backend, op) = (backend(&server), operation("lost"));
    let subject = at(&format!("forge/acme/shop/access-tokens/{id}"));
    server.state().lose = Some(("POST".to_owned(), 1));
    let error = backend.issue(&op, &subject, None).await.err().expect("no answer");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    let made = backend.made_by(&op, &subject).await.expect("a list");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_ne!(made[0], subject);
    {
        let state = server.state();
        let new = state.tokens.last().expect("the new one").clone();
        assert_eq!(made[0].as_str(), format!("forge/acme/shop/access-tokens/{}", new.id));
        assert!(
            new.name.starts_with("deploy (claviger ") && new.name.contains(&op.key.to_string()),
            "{}",
            new.name
        );
        assert_eq!(
            (new.scopes.clone(), new.of.clone()),
            (vec!["read_registry".to_owned(), "api".to_owned()], Some(("acme/shop".to_owned(), 30)))
        );
        let posts: Vec<_> = state.seen.iter().filter(|seen| seen.method == "POST").collect();
        assert_eq!(posts.len(), 1, "{posts:?}");
        assert!(!state.seen.iter().any(|seen| seen.path.contains("rotate")), "it was rotated");
    }
    // The orphan is taken away, the old one goes on.
    backend.revoke(&op, &made[0], None).await.expect("ended");
    assert!(backend.made_by(&op, &subject).await.expect("a list").is_empty());
    let probe = backend.verify(&subject, &value(&told(&server, id))).await.expect("a probe");
    assert_eq!(probe.verdict, Verdict::Accepted);
}

/// 401 proves something only while our own token is let in at the same place.
#[tokio::test]
async fn a_server_that_refuses_everybody_refuses_nobody() {
    let server = Gitlab::start().await.expect("a fake");
    let (id, other) = {
        let mut state = server.state();
        let dana = state.user("dana", false);
        (state.personal(dana, "deploy", &["read_user"]), state.personal(dana, "other", &["api"]))
    };
    let backend = backend(&server);
    let (subject, held) = (at(&format!("forge/users/dana/access-tokens/{id}")), value(&told(&server, id)));
    let verdict = async || backend.verify(&subject, &held).await.expect("a probe").verdict;
    assert_eq!(verdict().await, Verdict::Accepted, "whatever it is for");
    let mixed = backend.verify(&subject, &value(&told(&server, other))).await.expect("a probe");
    assert!(
        matches!(&mixed.verdict, Verdict::Inconclusive(why) if why.contains("another token")),
        "{mixed:?}"
    );
    server.state().shut = true;
    assert!(
        matches!(verdict().await, Verdict::Inconclusive(_)),
        "nobody is let in, and it is called refused"
    );
    server.state().shut = false;
    backend.revoke(&operation("end"), &subject, None).await.expect("ended");
    assert!(matches!(verdict().await, Verdict::Refused(why) if why.contains("401")));
    let probe = backend.verify(&subject, &value(&told(&server, other))).await.expect("a probe");
    assert!(matches!(probe.verdict, Verdict::Inconclusive(_)), "the other one is still let in");
}

#[tokio::test]
async fn a_limit_is_told_with_the_time_to_wait() {
    let server = Gitlab::start().await.expect("a fake");
    let backend = backend(&server);
    server.state().throttle = (1, 7);
    let error = backend.check().await.expect_err("refused");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(7))));
    server.state().throttle = (1, 7);
    let subject = at("forge/users/root/access-tokens/2");
    let error = backend.verify(&subject, &value("glpat-nothing")).await.expect_err("no verdict");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

/// Users may not make their own by the API; planned, not found out halfway.
#[tokio::test]
async fn what_only_administrators_may_make_is_refused_when_planned() {
    let server = Gitlab::start().await.expect("a fake");
    let (id, own, read) = {
        let mut state = server.state();
        let dana = state.user("dana", false);
        state.home("acme/shop", true);
        state.members.insert((dana, "acme/shop".to_owned()), 40);
        let id = state.personal(dana, "deploy", &["api"]);
        (id, state.personal(dana, "claviger", &["api"]), state.personal(dana, "reader", &["read_api"]))
    };
    let subject = at(&format!("forge/users/dana/access-tokens/{id}"));
    let refused = |token: String| {
        let (server, subject) = (&server, &subject);
        async move { backend_as(server, &token).prospect(subject).await.expect("an answer").refused }
    };
    assert_eq!(refused(told(&server, own)).await.map(|(code, _)| code), Some("not-administrator"));
    assert_eq!(refused(server.token()).await, None);
    let project = server.state().of_home("acme/shop", "ci", &["api"], 30);
    let project = at(&format!("forge/acme/shop/access-tokens/{project}"));
    let reader = backend_as(&server, &told(&server, read));
    let refused = reader.prospect(&project).await.expect("an answer").refused;
    assert_eq!(refused.map(|(code, _)| code), Some("no-scope"));
    let gone = at("forge/acme/shop/access-tokens/999999");
    let refused = backend(&server).prospect(&gone).await.expect("an answer").refused;
    assert_eq!(refused.map(|(code, _)| code), Some("already-gone"));
}

#[tokio::test]
async fn whose_a_value_is_is_asked_of_the_servers_own_look_up_and_of_nothing_else() {
    let server = Gitlab::start().await.expect("a fake");
    let (personal, impersonation, group) = {
        let mut state = server.state();
        let dana = state.user("dana", false);
        state.home("acme/web/shop", true);
        let made = state.personal(dana, "as dana", &["api"]);
        state.tokens.iter_mut().filter(|token| token.id == made).for_each(|token| token.impersonation = true);
        (state.personal(dana, "deploy", &["api"]), made, state.of_home("acme/web", "ci", &["api"], 50))
    };
    let backend = backend(&server);
    for (id, expected) in [
        (personal, format!("forge/users/dana/access-tokens/{personal}")),
        (impersonation, format!("forge/users/dana/impersonation-tokens/{impersonation}")),
        (group, format!("forge/acme/web/access-tokens/{group}")),
    ] {
        let found = backend.identify(&value(&told(&server, id))).await.expect("an answer");
        assert_eq!(found.map(|found| found.at.to_string()), Some(expected));
    }
    let used = server.state().by_number(personal).and_then(|token| token.last_used_at.clone());
    assert_eq!(used, None, "the look-up counts as a use");
    let before = server.state().seen.len();
    assert!(backend.identify(&value("some-password-0123456789")).await.expect("an answer").is_none());
    assert_eq!(server.state().seen.len(), before, "a value that is none of its own was sent there");
    let other = backend_as(&server, &told(&server, personal));
    let error = other.identify(&value(&told(&server, group))).await.expect_err("not allowed");
    assert_eq!(error.kind(), ErrorKind::Denied, "who may not ask says no");
}
