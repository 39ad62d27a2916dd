//! What a scan sees, and what it says that it could not see.

use claviger_core::model::{CopyStage, CredentialKind, HandleScheme, PrivilegeLevel};
use claviger_core::observation::Content;
use claviger_tests::{lab::github::Alert, require_lab};
use serde_json::json;

use super::*;

const WORKFLOW: &str = "on: push\npermissions: { id-token: write }\njobs:\n  deploy:\n    runs-on: x\n    environment: live\n    steps:\n      - uses: other/action@v1\n        with: { key: \"${{ secrets.DB_PASSWORD }}\" }\n      - run: echo ${{ secrets.SHARED }} ${{ secrets.LIVE }} ${{ secrets.NOBODYS }}\n";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

fn plant(server: &Github) {
    server.organisation("acme", true);
    let shop = server.repository("acme/shop");
    server.environment("acme/shop", "live");
    for (place, name) in [
        ("repos/acme/shop/actions", "DB_PASSWORD"),
        ("repos/acme/shop/dependabot", "REGISTRY"),
        ("repos/acme/shop/codespaces", "DEV"),
        ("repos/acme/shop/environments/live", "LIVE"),
        ("orgs/acme/actions", "SHARED"),
        ("orgs/acme/actions", "DB_PASSWORD"),
        ("orgs/acme/dependabot", "REGISTRY"),
    ] {
        server.put_secret(place, name, "planted-1234");
    }
    server.select("orgs/acme/actions", "SHARED", &[shop]);
    server.variable("repos/acme/shop/actions", "DATABASE_URL", "postgres://app:aB3dE6gH9jK2@db.internal/app");
    server.variable("orgs/acme/actions", "REGION", "eu");
    server.file("acme/shop", ".github/workflows/deploy.yml", WORKFLOW);
    server.hook("repos/acme/shop", "https://hooks.example/services/T0", true);
    server.hook("orgs/acme", "https://plain.example/", false);
    server.deploy_key("acme/shop", "deploys", KEY, false);
    server.install("acme", "helper", &json!({"contents": "write", "workflows": "write"}));
    server.claim(
        "repos/acme/shop",
        json!({"use_default": false, "include_claim_keys": ["repo", "job_workflow_ref"]}),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_there_is_listed_and_what_is_not_shown_is_said() {
    let server = require_lab!(Github::start());
    plant(&server);
    let leaked = server.token("dana", &["acme"], ALL);
    let classic = server.authorize("acme", "dana", &leaked, &["repo", "admin:org"]);
    let alert = server.alert(&Alert {
        repository: "acme/shop",
        secret: &leaked,
        rule: "github_personal_access_token",
        path: "a.env",
    });
    let owner = server.token("root", &["acme"], ALL);
    let own = server.authorize("acme", "root", &owner, &["admin:org"]);
    let seen = Everything::of(&backend(config(&server, &owner))).await;

    let secret = seen.copy("forge/acme/shop/actions/secrets/DB_PASSWORD");
    assert!(matches!(secret.content, Content::Unreadable(_)) && secret.updated_at.is_some());
    for other in [
        "forge/acme/shop/dependabot/secrets/REGISTRY",
        "forge/acme/shop/codespaces/secrets/DEV",
        "forge/acme/shop/environments/live/secrets/LIVE",
        "forge/orgs/acme/actions/secrets/SHARED",
        "forge/orgs/acme/dependabot/secrets/REGISTRY",
    ] {
        assert!(matches!(seen.copy(other).content, Content::Unreadable(_)), "{other}");
    }
    assert_eq!(
        seen.copy("forge/orgs/acme/actions/secrets/SHARED").attributes["visibility"],
        json!("selected")
    );
    let Content::Value(shown) = &seen.copy("forge/acme/shop/actions/variables/DATABASE_URL").content else {
        panic!("a variable's value is shown")
    };
    assert!(shown.expose_text().is_some_and(|text| text.contains("aB3dE6gH9jK2")));

    let key =
        seen.credentials.iter().find(|one| one.at.as_str().contains("/deploy-keys/")).expect("a deploy key");
    let handle = key.handle.as_ref().expect("a fingerprint");
    assert_eq!(handle.scheme, HandleScheme::SshFingerprint);
    assert_eq!(handle.value, "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
    assert_eq!(key.attributes["read_only"], json!(false));
    let token = seen.credential(&format!("forge/orgs/acme/credential-authorizations/{classic}"));
    assert_eq!(
        (token.kind, token.identity.as_ref().map(Ref::as_str)),
        (CredentialKind::Token, Some("forge/users/dana"))
    );
    assert_eq!((&token.attributes["classic"], &token.attributes["no_expiry"]), (&json!(true), &json!(true)));
    assert!(!token.attributes.contains_key("own"));
    let own = seen.credential(&format!("forge/orgs/acme/credential-authorizations/{own}"));
    assert_eq!(own.attributes["own"], json!(true));
    let app =
        seen.grants.iter().find(|grant| grant.identity.as_str().contains("/installations/")).expect("an app");
    assert_eq!(
        (app.level, app.privilege.as_str()),
        (PrivilegeLevel::Sensitive, "contents:write, workflows:write")
    );
    let jobs =
        seen.identities.iter().find(|one| one.at.as_str() == "forge/acme/shop/actions").expect("an identity");
    assert_eq!(jobs.attributes["oidc_subject"], json!(["repo", "job_workflow_ref"]));

    let hooks: Vec<_> = seen.copies.iter().filter(|copy| copy.at.as_str().contains("/hooks/")).collect();
    assert_eq!(hooks.len(), 3, "a secret and an address, and an address alone");
    let printed = format!("{:?}", hooks.iter().map(|hook| &hook.attributes).collect::<Vec<_>>());
    assert!(!printed.contains("T0") && !printed.contains("***"), "{printed}");

    let leak = seen.copy(&format!("forge/acme/shop/secret-scanning/alerts/{alert}#secret"));
    assert_eq!((leak.stage, &leak.attributes["leaked"]), (CopyStage::Former, &json!(true)));
    assert!(matches!(&leak.content, Content::Value(found) if found.expose_text() == Some(&leaked)));
    assert_eq!(
        (&leak.attributes["leak_path"], &leak.attributes["publicly_leaked"]),
        (&json!("a.env"), &json!(true))
    );

    let job = "forge/acme/shop/workflows/.github/workflows/deploy.yml#jobs/deploy";
    let reads: Vec<_> = seen.consumers.iter().map(|one| (one.at.as_str(), one.reads.as_str())).collect();
    assert_eq!(
        reads,
        [
            (job, "forge/acme/shop/actions/secrets/DB_PASSWORD"),
            (job, "forge/acme/shop/environments/live/secrets/LIVE"),
            (job, "forge/acme/shop/actions/secrets/NOBODYS"),
            (job, "forge/orgs/acme/actions/secrets/SHARED"),
        ]
    );
    for (area, part, status) in [
        ("instance", "organisations", ScopeStatus::Complete),
        ("instance", "repositories", ScopeStatus::Complete),
        ("orgs/acme", "authorizations", ScopeStatus::Complete),
        // Which fine-grained tokens there are is told to Apps alone.
        ("orgs/acme", "tokens", ScopeStatus::Denied),
        ("orgs/acme", "apps", ScopeStatus::Complete),
        ("orgs/acme", "leaks", ScopeStatus::Complete),
        ("acme/shop", "secrets", ScopeStatus::Complete),
        ("acme/shop", "secret-values", ScopeStatus::Unreadable),
        ("acme/shop", "hook-secrets", ScopeStatus::Unreadable),
        ("acme/shop", "environments", ScopeStatus::Complete),
        ("acme/shop/environments/live", "secret-values", ScopeStatus::Unreadable),
        ("acme/shop", "workflows", ScopeStatus::Complete),
    ] {
        assert_eq!(seen.end(area, part), status, "{area}/{part}");
    }
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_told_of_fine_grained_tokens() {
    let server = require_lab!(Github::start());
    plant(&server);
    let fine = server.token_like("github_pat_", 82, "dana", &["acme"], ALL);
    let grant = server.grant(
        "acme",
        "dana",
        &fine,
        &json!({"organization": {"members": "read"}, "repository": {"contents": "write", "metadata": "read"}}),
    );
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    server.app("Iv23", &key.public_key_pem(), "acme", ALL, 3600);
    let app = claviger_backend_forge::App {
        id: "Iv23".to_owned(),
        key: value(&key.serialize_pem()),
        installation: None,
    };
    let forge = backend(GithubConfig { token: None, app: Some(app), ..config(&server, "") });
    let seen = Everything::of(&forge).await;
    let at_ = format!("forge/orgs/acme/personal-access-tokens/{grant}");
    let token = seen.credential(&at_);
    assert_eq!(token.identity.as_ref().map(Ref::as_str), Some("forge/users/dana"));
    assert_eq!(token.attributes["scopes"]["contents"], json!("write"));
    let granted = seen.grants.iter().find(|one| one.source.as_str() == at_).expect("a grant");
    assert_eq!(granted.level, PrivilegeLevel::Write);
    assert_eq!(seen.end("orgs/acme", "tokens"), ScopeStatus::Complete);

    use claviger_backend::Issuer as _;
    forge.revoke_held(&operation("fine"), &token.at, &value(&fine), None).await.expect("an end");
    assert!(!server.lets_in(&fine));
    as_described(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_is_told_so_and_reads_the_rest() {
    let server = require_lab!(Github::start());
    plant(&server);
    let narrow = server.token("dana", &["acme"], &[("secrets", "read"), ("contents", "read")]);
    let forge = backend(config(&server, &narrow));
    let seen = Everything::of(&forge).await;
    for (area, part, status) in [
        ("acme/shop", "secrets", ScopeStatus::Complete),
        ("acme/shop", "workflows", ScopeStatus::Complete),
        ("acme/shop", "deploy-keys", ScopeStatus::Denied),
        ("acme/shop", "hooks", ScopeStatus::Denied),
        ("acme/shop", "environments", ScopeStatus::Denied),
        ("orgs/acme", "secrets", ScopeStatus::Denied),
        ("orgs/acme", "leaks", ScopeStatus::Denied),
    ] {
        assert_eq!(seen.end(area, part), status, "{area}/{part}");
    }
    let permissions = forge.check().await.expect("an answer");
    let missing = |name: &str| {
        let found = permissions.iter().find(|held| held.name.starts_with(name)).expect(name);
        matches!(found.status, claviger_backend::PermissionStatus::Missing(_))
    };
    assert!(
        missing("write Actions secrets")
            && missing("list deploy keys")
            && missing("list fine-grained tokens")
    );
    assert!(!missing("know who we are") && !missing("list organisations"));
    as_described(&server);
}
