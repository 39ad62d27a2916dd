//! Actions secrets: written, not read back, and what a job is given.

use claviger_backend::{ErrorKind, Expect, Letterbox as _, Store as _, StoreState};
use claviger_tests::{lab::runner::Runner, require_lab};

use super::*;

const WORKFLOW: &str = "on: workflow_dispatch\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - run: echo ${{ secrets.DB_PASSWORD }}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_given_what_was_put_there_and_people_keep_their_words() {
    let server = require_lab!(Gitea::shared().await);
    server.user("posts").await.expect("a user");
    server.repository("posts", "app").await.expect("a repository");
    server.secret("repos/posts/app", "DB_PASSWORD", "before-1234", "used by deploy").await.expect("a secret");
    server.file("posts/app", ".gitea/workflows/deploy.yml", WORKFLOW).await.expect("a file");
    let runner = Runner::register(server, "posts/app").await.expect("a runner");
    assert_eq!(runner.secrets("deploy.yml").await.expect("a job")["DB_PASSWORD"], "before-1234");

    let forge = backend(config(server, &["posts"]));
    let secret = at("forge/posts/app/actions/secrets/DB_PASSWORD");
    let before = forge.marked(&secret).await.expect("an answer").expect("it is there");
    assert_eq!(before.written_by, None);
    let op = operation("post");
    let expect = Expect::Version(before.version.clone());
    let marked = forge.post(&op, &secret, &value("after-\"quoted\"-\\-ü"), &expect).await.expect("a write");
    assert_eq!(marked.version, op.key.to_string());
    assert_eq!(runner.secrets("deploy.yml").await.expect("a job")["DB_PASSWORD"], "after-\"quoted\"-\\-ü");
    let description = server.descriptions("repos/posts/app").await.expect("a list").remove(0).1;
    assert!(description.starts_with(&format!("used by deploy [claviger {} ", op.key)), "{description}");

    // Somebody writes without our marker: the version is another one, and what was expected no longer holds.
    server.secret("repos/posts/app", "DB_PASSWORD", "by-hand-1234", "mine now").await.expect("a secret");
    let other = forge.marked(&secret).await.expect("an answer").expect("it is there");
    assert!(other.written_by.is_none() && other.version != marked.version, "{other:?}");
    let lost =
        forge.post(&operation("late"), &secret, &value("lost-1234"), &Expect::Version(marked.version)).await;
    assert_eq!(lost.expect_err("a conflict").kind(), ErrorKind::Conflict);
    assert_eq!(runner.secrets("deploy.yml").await.expect("a job")["DB_PASSWORD"], "by-hand-1234");
    let read = forge.read(&secret).await.err().expect("nobody can read it");
    assert_eq!(read.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_is_told_before_anything_is_written() {
    let server = require_lab!(Gitea::shared().await);
    server.user("reads").await.expect("a user");
    server.repository("reads", "app").await.expect("a repository");
    server.secret("repos/reads/app", "DB_PASSWORD", "before-1234", "").await.expect("a secret");
    let secret = at("forge/reads/app/actions/secrets/DB_PASSWORD");
    for (scopes, writable) in
        [(["read:user", "read:repository"], false), (["read:user", "write:repository"], true)]
    {
        let (_, token) = server.token_for("reads", scopes[1], &scopes).await.expect("a token");
        let config = GiteaConfig { token: Some(value(&token)), login: None, ..config(server, &["reads"]) };
        let state = backend(config).open(&secret).await.expect("an answer");
        assert_eq!(state == StoreState::Writable, writable, "{scopes:?}: {state:?}");
    }
    let names = server.descriptions("repos/reads/app").await.expect("a list");
    assert_eq!(names, [("DB_PASSWORD".to_owned(), String::new())], "asking made nothing");
}
