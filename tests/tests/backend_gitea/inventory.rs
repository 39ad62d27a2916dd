//! What a scan sees, and what it says that it could not see.

use claviger_core::model::{CredentialKind, HandleScheme, PrivilegeLevel};
use claviger_core::observation::Content;
use claviger_tests::require_lab;
use serde_json::json;

use super::*;

const WORKFLOW: &str = "on: push\njobs:\n  deploy:\n    runs-on: lab\n    steps:\n      - uses: other/action@v1\n        with: { key: \"${{ secrets.DB_PASSWORD }}\" }\n      - run: echo ${{ secrets.SHARED }}\n";

#[tokio::test(flavor = "multi_thread")]
async fn everything_there_is_listed_and_what_is_not_shown_is_said() {
    let server = require_lab!(Gitea::shared().await);
    server.user("seen").await.expect("a user");
    server.make("orgs", &json!({"username": "seen-org"})).await.expect("an organisation");
    server.repository("seen-org", "app").await.expect("a repository");
    server.secret("repos/seen-org/app", "DB_PASSWORD", "x-1234", "by hand").await.expect("a secret");
    server.secret("orgs/seen-org", "SHARED", "y-1234", "").await.expect("a secret");
    let variable = json!({"value": "postgres://app:aB3dE6gH9jK2@db.internal/app"});
    server.make("repos/seen-org/app/actions/variables/DATABASE_URL", &variable).await.expect("a variable");
    server.file("seen-org/app", ".gitea/workflows/deploy.yml", WORKFLOW).await.expect("a file");
    let hook = json!({"type": "gitea", "active": true, "events": ["push"], "authorization_header": "Bearer hook-canary-1",
                      "config": {"url": "https://hooks.example/services/T0", "content_type": "json", "secret": "hook-canary-2"}});
    server.make("repos/seen-org/app/hooks", &hook).await.expect("a hook");
    let pair = server.key_pair("seen-deploy").expect("a key");
    let key = server.deploy_key("seen-org/app", "deploys", &pair).await.expect("a deploy key");
    let (token, used) = server.token_for("seen", "ci", &["read:user"]).await.expect("a token");
    server.login(&used).await.expect("a login");

    let seen = Everything::of(&backend(config(server, &["seen", "seen-org"]))).await;
    let found = seen.credential(&format!("forge/users/seen/tokens/{token}"));
    assert_eq!(
        (found.kind, found.identity.as_ref().map(Ref::as_str)),
        (CredentialKind::Token, Some("forge/users/seen"))
    );
    assert_eq!(found.attributes["scopes"], json!(["read:user"]));
    assert!(!found.attributes.contains_key("own"));
    let found = seen.credential(&format!("forge/seen-org/app/deploy-keys/{key}"));
    assert_eq!(found.handle.as_ref().map(|handle| handle.scheme), Some(HandleScheme::SshFingerprint));
    assert_eq!(found.attributes["read_only"], json!(true));
    assert!(
        seen.grants.iter().any(|grant| grant.reach == "seen-org/app" && grant.level == PrivilegeLevel::Read)
    );

    let secret = seen.copy("forge/seen-org/app/actions/secrets/DB_PASSWORD");
    assert!(matches!(secret.content, Content::Unreadable(_)));
    assert!(
        secret.version.as_deref().is_some_and(|version| version.starts_with("unmarked-")),
        "{:?}",
        secret.version
    );
    let variable = seen.copy("forge/seen-org/app/actions/variables/DATABASE_URL");
    let Content::Value(shown) = &variable.content else { panic!("a variable's value is shown") };
    assert!(shown.expose_text().is_some_and(|text| text.contains("aB3dE6gH9jK2")));
    let hooks: Vec<_> = seen.copies.iter().filter(|copy| copy.at.as_str().contains("/hooks/")).collect();
    assert_eq!(hooks.len(), 3, "secret, header, address");
    let header = hooks.iter().find(|copy| copy.key == "authorization_header").expect("a header");
    assert!(
        matches!(&header.content, Content::Value(text) if text.expose_text() == Some("Bearer hook-canary-1"))
    );
    let printed = format!("{:?}", hooks.iter().map(|hook| &hook.attributes).collect::<Vec<_>>());
    assert!(!printed.contains("T0") && !printed.contains("canary"), "{printed}");

    let reads: Vec<_> = seen.consumers.iter().map(|one| (one.at.as_str(), one.reads.as_str())).collect();
    let job = "forge/seen-org/app/workflows/.gitea/workflows/deploy.yml#jobs/deploy";
    assert_eq!(
        reads,
        [
            (job, "forge/seen-org/app/actions/secrets/DB_PASSWORD"),
            (job, "forge/orgs/seen-org/actions/secrets/SHARED")
        ]
    );
    assert_eq!(seen.consumers[0].attributes["third_party"], json!(["other/action@v1"]));
    assert_eq!(seen.consumers[1].attributes["third_party"], json!([]));

    for (area, part, status) in [
        ("instance", "users", ScopeStatus::Complete),
        ("instance", "organisations", ScopeStatus::Complete),
        ("users/seen", "tokens", ScopeStatus::Complete),
        ("users/seen", "secrets", ScopeStatus::Unreadable),
        ("users/seen", "oauth2", ScopeStatus::Denied),
        ("orgs/seen-org", "secrets", ScopeStatus::Complete),
        ("orgs/seen-org", "secret-values", ScopeStatus::Unreadable),
        ("seen-org/app", "secrets", ScopeStatus::Complete),
        ("seen-org/app", "secret-values", ScopeStatus::Unreadable),
        ("seen-org/app", "hook-secrets", ScopeStatus::Unreadable),
        ("seen-org/app", "deploy-keys", ScopeStatus::Complete),
        ("seen-org/app", "workflows", ScopeStatus::Complete),
    ] {
        assert_eq!(seen.end(area, part), status, "{area}/{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_that_we_work_with_is_known_as_our_own() {
    let server = require_lab!(Gitea::shared().await);
    let seen = Everything::of(&backend(config(server, &[ADMINISTRATOR]))).await;
    let own = seen.credentials.iter().filter(|one| one.attributes.contains_key("own")).count();
    assert_eq!(own, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_is_told_so_and_reads_the_rest() {
    let server = require_lab!(Gitea::shared().await);
    server.user("narrow").await.expect("a user");
    server.repository("narrow", "own").await.expect("a repository");
    let scopes = ["read:user", "read:organization", "read:repository"];
    let (_, token) = server.token_for("narrow", "reads", &scopes).await.expect("a token");
    let narrow = backend(GiteaConfig { token: Some(value(&token)), login: None, ..config(server, &[]) });
    let seen = Everything::of(&narrow).await;
    for (area, part, status) in [
        ("instance", "users", ScopeStatus::Denied),
        ("instance", "organisations", ScopeStatus::Denied),
        ("instance", "repositories", ScopeStatus::Complete),
        // No token may list tokens.
        ("users/narrow", "tokens", ScopeStatus::Denied),
        ("users/narrow", "oauth2", ScopeStatus::Complete),
        ("narrow/own", "deploy-keys", ScopeStatus::Complete),
        ("narrow/own", "secrets", ScopeStatus::Complete),
    ] {
        assert_eq!(seen.end(area, part), status, "{area}/{part}");
    }
    let listed: Vec<_> = seen.ends.iter().map(|(scope, ..)| scope.area.as_str()).collect();
    assert!(!listed.contains(&"users/lab-admin"), "{listed:?}");

    let permissions = narrow.check().await.expect("an answer");
    let missing = |name: &str| {
        let found = permissions.iter().find(|held| held.name.starts_with(name)).expect(name);
        matches!(found.status, claviger_backend::PermissionStatus::Missing(_))
    };
    assert!(missing("list users") && missing("list access tokens") && missing("write Actions secrets"));
    assert!(!missing("list deploy keys") && !missing("log in by SSH"));
    let all = backend(config(server, &["narrow"])).check().await.expect("an answer");
    let gaps: Vec<_> =
        all.iter().filter(|held| held.status != claviger_backend::PermissionStatus::Present).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
}
