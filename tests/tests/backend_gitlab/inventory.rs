//! What a scan shows, to an administrator and to somebody else.

use claviger_core::{
    model::{CredentialState, Place, PrivilegeLevel},
    observation::Content,
};
use serde_json::json;

use super::*;

const PIPELINE: &str = "
include: [{ remote: https://ci.example/all.yml }]
build: { script: [make] }
deploy:
  environment: production
  script: ['psql postgres://app:$DB_PASSWORD@db/app']
";

fn planted(server: &Gitlab) -> [u64; 4] {
    let mut state = server.state();
    state.page = 2;
    for number in 0..5 {
        state.home(&format!("acme/p{number}"), true);
    }
    let dana = state.user("dana", false);
    state.members.insert((dana, "acme/p1".to_owned()), 40);
    let personal = state.personal(dana, "deploy", &["api", "read_user"]);
    let project = state.of_home("acme/p1", "ci", &["read_api"], 30);
    let expired = state.personal(dana, "old", &["api"]);
    let revoked = state.personal(dana, "gone", &["api"]);
    for token in &mut state.tokens {
        if token.id == expired {
            token.expires_at = Some("2026-01-01".to_owned());
        }
        token.revoked = token.id == revoked;
    }
    state.variable("acme/p1", "DB_PASSWORD", "shown-12345678").scope = "production".to_owned();
    state.variable("acme/p1", "DB_PASSWORD", "elsewhere-12345").scope = "staging".to_owned();
    state.variable("acme", "UNNAMED", "read-by-nobody-known").masked = true;
    let hidden = state.variable("acme/p1", "KEY", "never-shown-1234");
    hidden.hidden = true;
    state.files.insert(("acme/p1".to_owned(), ".gitlab-ci.yml".to_owned()), PIPELINE.to_owned());
    let deploy = json!({ "name": "pull", "username": "gitlab+deploy-token-1", "expires_at": null,
        "revoked": false, "expired": false, "scopes": ["read_registry"] });
    state.list("deploy_tokens", "acme", deploy);
    let whole = json!({ "description": "nightly", "created_at": "2026-01-07T09:53:58.235Z", "last_used": null, "token": "glptt-0123456789abcdef0123456789abcdef" });
    let trigger = state.list("triggers", "acme/p1", whole);
    let short = json!({ "description": "of another", "created_at": "2026-01-07T09:53:58.235Z", "last_used": null, "token": "6d05" });
    state.list("triggers", "acme/p1", short);
    state.list("runners", "-", json!({ "description": "shared", "runner_type": "instance_type", "status": "online", "paused": false }));
    [personal, project, expired, trigger]
}

#[tokio::test]
async fn an_administrator_sees_all_of_it_page_by_page() {
    let server = Gitlab::start().await.expect("a fake");
    let [personal, project, expired, trigger] = planted(&server);
    let backend = backend(&server);
    let seen = Everything::of(&backend).await;
    let asked = server.state().seen.clone();
    let keyset = asked.iter().filter(|one| one.path == "projects" && one.query.contains("id_after")).count();
    assert!(keyset >= 2, "five projects, two to a page: {keyset} further pages by id");
    let numbered = |one: &&claviger_tests::lab::gitlab::Seen| {
        one.path == "personal_access_tokens" && one.query.contains("&page=2")
    };
    assert!(asked.iter().any(|one| numbered(&one)), "three tokens of one user, two to a page");
    for number in 0..5 {
        assert_eq!(seen.end(&format!("acme/p{number}"), "variables"), ScopeStatus::Complete);
    }

    let token = seen.credential(&format!("forge/users/dana/access-tokens/{personal}"));
    assert_eq!(token.identity.as_ref().map(Ref::as_str), Some("forge/users/dana"));
    assert_eq!(token.attributes["scopes"], json!(["api", "read_user"]));
    assert!(token.expires_at.is_some() && token.last_used_at.is_none() && token.created_at.is_some());
    let ours = seen.credentials.iter().filter(|one| one.attributes.get("own") == Some(&json!(true)));
    assert_eq!(ours.map(|one| one.at.as_str()).collect::<Vec<_>>(), ["forge/users/root/access-tokens/2"]);
    let old = seen.credential(&format!("forge/users/dana/access-tokens/{expired}"));
    assert_eq!(old.state, CredentialState::Expired);
    assert!(
        !seen.credentials.iter().any(|one| one.attributes.get("name") == Some(&json!("gone"))),
        "revoked is listed"
    );
    let of_project = format!("forge/acme/p1/access-tokens/{project}");
    let bot = seen.grants.iter().find(|grant| grant.identity.as_str() == of_project).expect("its role");
    assert_eq!(
        (bot.privilege.as_str(), bot.level, bot.reach.as_str()),
        ("developer", PrivilegeLevel::Write, "acme/p1")
    );
    assert!(!seen.identities.iter().any(|one| one.at.as_str().contains("_bot_")), "bots are nobody's");
    assert!(seen.credentials.iter().any(|one| one.at.as_str().starts_with("forge/acme/deploy-tokens/")));
    assert!(seen.credentials.iter().any(|one| one.at.as_str().starts_with("forge/-/runners/")));

    // What is redacted is never a value.
    let hidden = seen.copy("forge/acme/p1/hidden-variables/KEY@*");
    assert!(matches!(hidden.content, Content::Unreadable(_)) && hidden.place == Place::SecretStore);
    assert_eq!(seen.end("acme/p1", "hidden-values"), ScopeStatus::Unreadable);
    let shown = seen.copy("forge/acme/p1/variables/DB_PASSWORD@production");
    assert!(matches!(&shown.content, Content::Value(held) if held.expose_text() == Some("shown-12345678")));
    let whole = seen.copy(&format!("forge/acme/p1/triggers/{trigger}#token"));
    assert!(matches!(whole.content, Content::Value(_)) && whole.issuer.is_some());
    let shortened = seen.copies.iter().filter(|copy| copy.at.as_str().ends_with("#token"));
    assert_eq!(shortened.filter(|copy| matches!(copy.content, Content::Unreadable(_))).count(), 1);

    // The job that names it, in its environment; and the file as a whole for what nobody names.
    let readers = |copy: &str| {
        let found = seen.consumers.iter().filter(|one| one.reads.as_str() == copy);
        found.map(|one| one.at.as_str()).collect::<Vec<_>>()
    };
    let file = "forge/acme/p1/pipelines/.gitlab-ci.yml";
    assert_eq!(readers("forge/acme/p1/variables/DB_PASSWORD@production"), [format!("{file}#jobs/deploy")]);
    assert!(readers("forge/acme/p1/variables/DB_PASSWORD@staging").is_empty(), "no job deploys there");
    assert_eq!(readers("forge/acme/variables/UNNAMED@*"), [file]);
    assert_eq!(readers("forge/acme/p1/hidden-variables/KEY@*"), [file]);
    let job = seen.consumers.iter().find(|one| one.at.as_str().ends_with("#jobs/deploy")).expect("the job");
    assert_eq!(job.attributes["third_party_unpinned"], json!(["https://ci.example/all.yml"]));
    assert_eq!(job.attributes["environment"], json!("production"));
}

#[tokio::test]
async fn somebody_else_sees_what_they_are_in_and_the_rest_is_said_to_be_unread() {
    let server = Gitlab::start().await.expect("a fake");
    let [personal, ..] = planted(&server);
    let token = server.state().by_number(personal).expect("a token").value.clone();
    let backend = backend_as(&server, &token);
    let seen = Everything::of(&backend).await;
    for part in ["users", "groups", "projects"] {
        assert_eq!(seen.end("instance", part), ScopeStatus::Denied, "{part}");
    }
    assert_eq!(seen.end("-", "variables"), ScopeStatus::Denied);
    assert_eq!(seen.end("users/dana", "access-tokens"), ScopeStatus::Complete);
    assert_eq!(seen.end("users/dana", "impersonation-tokens"), ScopeStatus::Denied);
    assert_eq!(seen.end("acme/p1", "variables"), ScopeStatus::Complete);
    assert!(!seen.ends.iter().any(|(scope, ..)| scope.area == "acme/p0"), "another's project is listed");
    for (_, status, reason) in seen.ends.iter().filter(|(_, status, _)| *status != ScopeStatus::Complete) {
        let reason = reason.as_deref().unwrap_or_default();
        assert!(!reason.is_empty() && !reason.contains(&token), "{status}: {reason}");
    }
}
