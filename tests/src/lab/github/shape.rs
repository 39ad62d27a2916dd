//! Objects as GitHub's description wants them: what nobody of us reads is there all the same.

use serde_json::{Map, Value, json};

/// Addresses below a repository, by the last word of their keys.
const BELOW: [&str; 36] = [
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
];

/// A user or an organisation as others show it.
pub(super) fn account(login: &str, is_organisation: bool) -> Value {
    let api = format!("https://api.github.example/users/{login}");
    let kind = if is_organisation { "Organization" } else { "User" };
    let mut whole = json!({"login": login, "id": number(login), "node_id": node(login), "avatar_url": format!("{api}/avatar"), "gravatar_id": "",
        "url": api, "html_url": format!("https://github.example/{login}"), "type": kind, "site_admin": false});
    for part in [
        "followers",
        "following",
        "gists",
        "starred",
        "subscriptions",
        "organizations",
        "repos",
        "events",
        "received_events",
    ] {
        whole[format!("{part}_url")] = json!(format!("{api}/{part}"));
    }
    whole
}

/// A user as it is shown to itself.
pub(super) fn user(login: &str) -> Value {
    let mut whole = account(login, false);
    for key in ["name", "company", "location", "email", "hireable", "bio"] {
        whole[key] = Value::Null;
    }
    for key in ["public_repos", "public_gists", "followers", "following"] {
        whole[key] = json!(0);
    }
    whole["blog"] = json!("");
    whole["created_at"] = json!("2020-01-01T00:00:00Z");
    whole["updated_at"] = json!("2020-01-01T00:00:00Z");
    whole
}

/// An organisation in a list.
pub(super) fn organisation(login: &str) -> Value {
    let api = format!("https://api.github.example/orgs/{login}");
    let mut whole = json!({"login": login, "id": number(login), "node_id": node(login), "url": api, "avatar_url": format!("{api}/avatar"), "description": null});
    for part in ["repos", "events", "hooks", "issues", "members", "public_members"] {
        whole[format!("{part}_url")] = json!(format!("{api}/{part}"));
    }
    whole
}

/// What of a repository all forms have.
fn short(name: &str, id: u64, is_organisation: bool) -> Map<String, Value> {
    let (owner, own) = name.split_once('/').unwrap_or(("", name));
    let api = format!("https://api.github.example/repos/{name}");
    let mut whole = Map::new();
    for part in BELOW {
        whole.insert(format!("{part}_url"), json!(format!("{api}/{part}")));
    }
    for (key, value) in [
        ("id", json!(id)),
        ("node_id", json!(node(name))),
        ("name", json!(own)),
        ("full_name", json!(name)),
        ("owner", account(owner, is_organisation)),
        ("private", json!(true)),
        ("html_url", json!(format!("https://github.example/{name}"))),
        ("description", Value::Null),
        ("fork", json!(false)),
        ("url", json!(api)),
    ] {
        whole.insert(key.to_owned(), value);
    }
    whole
}

/// A repository in a short list.
pub(super) fn minimal_repository(name: &str, id: u64, is_organisation: bool) -> Value {
    Value::Object(short(name, id, is_organisation))
}

/// A repository.
pub(super) fn repository(name: &str, id: u64, is_organisation: bool) -> Value {
    let mut whole = short(name, id, is_organisation);
    let page = format!("https://github.example/{name}");
    for (key, value) in [
        ("clone_url", json!(format!("{page}.git"))),
        ("git_url", json!(format!("git://github.example/{name}.git"))),
        ("ssh_url", json!(format!("git@github.example:{name}.git"))),
        ("svn_url", json!(page)),
        ("default_branch", json!("main")),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("updated_at", json!("2020-01-01T00:00:00Z")),
        ("pushed_at", json!("2020-01-01T00:00:00Z")),
    ] {
        whole.insert(key.to_owned(), value);
    }
    for key in ["homepage", "language", "mirror_url", "license"] {
        whole.insert(key.to_owned(), Value::Null);
    }
    for key in [
        "forks",
        "forks_count",
        "open_issues",
        "open_issues_count",
        "size",
        "stargazers_count",
        "watchers",
        "watchers_count",
    ] {
        whole.insert(key.to_owned(), json!(0));
    }
    for key in
        ["has_downloads", "has_issues", "has_projects", "has_wiki", "has_pages", "archived", "disabled"]
    {
        whole.insert(key.to_owned(), json!(false));
    }
    Value::Object(whole)
}

/// A file, or one entry of a folder where the text is left out.
pub(super) fn file(repository: &str, path: &str, base64: Option<&str>, size: usize) -> Value {
    let at = format!("https://api.github.example/repos/{repository}/contents/{path}");
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut whole = json!({"type": "file", "size": size, "name": name, "path": path, "sha": node(path), "url": at, "git_url": at, "html_url": at,
        "download_url": at, "_links": {"self": at, "git": at, "html": at}});
    if let Some(text) = base64 {
        whole["content"] = json!(text);
        whole["encoding"] = json!("base64");
    }
    whole
}

/// An installation of an App.
pub(super) fn installation(id: u64, app: (&str, u64), account_name: &str, permissions: &Value) -> Value {
    let at = format!("https://api.github.example/app/installations/{id}");
    json!({"id": id, "account": account(account_name, true), "repository_selection": "all", "access_tokens_url": format!("{at}/access_tokens"),
        "repositories_url": "https://api.github.example/installation/repositories", "html_url": at, "app_id": app.1, "app_slug": app.0,
        "target_id": number(account_name), "target_type": "Organization", "permissions": permissions, "events": [], "single_file_name": null,
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "suspended_by": null, "suspended_at": null})
}

/// Another one for another name.
pub(super) fn number(name: &str) -> u64 {
    name.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003)
}

fn node(name: &str) -> String {
    format!("N_{}", number(name))
}
