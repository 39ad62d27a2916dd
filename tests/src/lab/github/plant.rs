//! What a test plants, and the tricks that it has played.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::route::deploy_key;
use super::state::{App, Token, Trick, TrickKind, now, written};
use super::{Github, random_text, shape};

/// An alert of secret scanning.
pub struct Alert<'a> {
    /// Where: `acme/shop`.
    pub repository: &'a str,
    /// What was found.
    pub secret: &'a str,
    /// `github_personal_access_token`, …
    pub rule: &'a str,
    /// The file.
    pub path: &'a str,
}

fn rights(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, right)| ((*name).to_owned(), (*right).to_owned())).collect()
}

impl Github {
    /// Makes an organisation.
    pub fn organisation(&self, name: &str, single_sign_on: bool) {
        self.shared.state().organisations.insert(name.to_owned(), single_sign_on);
    }

    /// Makes a repository, `owner/name`; its number.
    pub fn repository(&self, name: &str) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        state.repositories.insert(name.to_owned(), id);
        id
    }

    /// Makes a classic token that sees these owners and has these rights (`("secrets", "write")`; `*` for all).
    pub fn token(&self, login: &str, sees: &[&str], all: &[(&str, &str)]) -> String {
        self.token_like("ghp_", 36, login, sees, all)
    }

    /// The same with another beginning and length: `github_pat_`, 82.
    pub fn token_like(
        &self,
        prefix: &str,
        length: usize,
        login: &str,
        sees: &[&str],
        all: &[(&str, &str)],
    ) -> String {
        let value = format!("{prefix}{}", random_text(length));
        let token = Token {
            login: login.to_owned(),
            sees: sees.iter().map(ToString::to_string).collect(),
            rights: rights(all),
            is_app: false,
            expires_at: None,
        };
        self.shared.state().tokens.insert(value.clone(), token);
        value
    }

    /// From now on a token sees these owners and no others: what is theirs is missing for it.
    pub fn sees(&self, token: &str, owners: &[&str]) {
        if let Some(token) = self.shared.state().tokens.get_mut(token) {
            token.sees = owners.iter().map(ToString::to_string).collect();
        }
    }

    /// Installs the App that claviger works as: its id, the public half of its key, whose tokens work for so many seconds.
    pub fn app(&self, id: &str, public_key: &str, account: &str, all: &[(&str, &str)], lifetime: i64) {
        let mut state = self.shared.state();
        let installation = state.number();
        let (id, account, public_key) = (id.to_owned(), account.to_owned(), public_key.to_owned());
        state.app = Some(App { id, installation, account, public_key, rights: rights(all), lifetime });
    }

    /// Makes an application with a secret.
    pub fn application(&self, client: &str, secret: &str) {
        self.shared.state().applications.insert(client.to_owned(), secret.to_owned());
    }

    /// Files a secret, as people do in the settings: `("repos/acme/shop/actions", "DB_PASSWORD", …)`.
    pub fn put_secret(&self, place: &str, name: &str, value: &str) {
        self.shared.state().put(place, name, value);
    }

    /// Says that only these repositories read an organisation's secret.
    pub fn select(&self, place: &str, name: &str, repositories: &[u64]) {
        if let Some(secret) = self.shared.state().secrets.get_mut(place).and_then(|all| all.get_mut(name)) {
            secret.visibility = Some("selected".to_owned());
            secret.selected = repositories.to_vec();
        }
    }

    /// Files a variable.
    pub fn variable(&self, place: &str, name: &str, value: &str) {
        let mut state = self.shared.state();
        state.variables.entry(place.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// Makes an environment.
    pub fn environment(&self, repository: &str, name: &str) {
        let mut state = self.shared.state();
        state.environments.entry(repository.to_owned()).or_default().insert(name.to_owned());
    }

    /// Adds a file to the default branch.
    pub fn file(&self, repository: &str, path: &str, text: &str) {
        let mut state = self.shared.state();
        state.files.entry(repository.to_owned()).or_default().insert(path.to_owned(), text.to_owned());
    }

    /// Registers a deploy key by its public half; its number.
    pub fn deploy_key(&self, repository: &str, title: &str, public: &str, read_only: bool) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        let key: Vec<&str> = public.split_whitespace().take(2).collect();
        let made = deploy_key(repository, id, title, &key.join(" "), read_only);
        if let Some(ssh) = &state.ssh {
            ssh.registered(repository, id, &key.join(" "), read_only);
        }
        state.deploy_keys.entry(repository.to_owned()).or_default().insert(id, made);
        id
    }

    /// Makes a webhook below `repos/acme/shop` or `orgs/acme`; its number.
    pub fn hook(&self, below: &str, url: &str, secret: bool) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        let at = format!("https://api.github.example/{below}/hooks/{id}");
        let is_organisation = below.starts_with("orgs/");
        let mut config = json!({"url": url, "content_type": "json", "insecure_ssl": "0"});
        if secret {
            config["secret"] = json!("********");
        }
        let kind = if is_organisation { "Organization" } else { "Repository" };
        let mut hook = json!({"id": id, "url": at, "type": kind, "name": "web", "active": true, "events": ["push"], "config": config,
            "ping_url": format!("{at}/pings"), "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-02-01T00:00:00Z"});
        if !is_organisation {
            hook["test_url"] = json!(format!("{at}/tests"));
            hook["last_response"] = json!({"code": 200, "status": "active", "message": null});
        }
        state.hooks.entry(below.to_owned()).or_default().push(hook);
        id
    }

    /// Lets a fine-grained token into an organisation; the number of the grant.
    pub fn grant(&self, organisation: &str, login: &str, token: &str, permissions: &Value) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        let grant = json!({"id": id, "owner": shape::account(login, false), "repository_selection": "all",
            "repositories_url": format!("https://api.github.example/orgs/{organisation}/personal-access-tokens/{id}/repositories"),
            "permissions": permissions, "access_granted_at": written(now()), "token_id": id + 1, "token_name": "deploys", "token_expired": false,
            "token_expires_at": null, "token_last_used_at": null});
        state.grants.entry(organisation.to_owned()).or_default().push((grant, token.to_owned()));
        id
    }

    /// Authorises a classic token for an organisation's single sign-on; its number there.
    pub fn authorize(&self, organisation: &str, login: &str, token: &str, scopes: &[&str]) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        let end = &token[token.len().saturating_sub(8)..];
        let one = json!({"login": login, "credential_id": id, "credential_type": "personal access token", "token_last_eight": end,
            "credential_authorized_at": written(now()), "scopes": scopes, "credential_accessed_at": null, "authorized_credential_id": id + 1,
            "authorized_credential_note": "old laptop", "authorized_credential_expires_at": null});
        state.authorizations.entry(organisation.to_owned()).or_default().push((one, token.to_owned()));
        id
    }

    /// Installs somebody's App in an organisation; the number.
    pub fn install(&self, organisation: &str, app: &str, permissions: &Value) -> u64 {
        let mut state = self.shared.state();
        let id = state.number();
        let one = shape::installation(id, (app, 42), organisation, permissions);
        state.installations.entry(organisation.to_owned()).or_default().push(one);
        id
    }

    /// Sets the form of `sub` below `repos/acme/shop` or `orgs/acme`.
    pub fn claim(&self, below: &str, claim: Value) {
        self.shared.state().claims.insert(below.to_owned(), claim);
    }

    /// Opens an alert; its number.
    pub fn alert(&self, alert: &Alert<'_>) -> u64 {
        let mut state = self.shared.state();
        let number = state.number();
        let at =
            format!("https://api.github.example/repos/{}/secret-scanning/alerts/{number}", alert.repository);
        let page = format!("https://github.example/{}/security/secret-scanning/{number}", alert.repository);
        let whole = json!({"number": number, "created_at": written(now()), "url": at, "html_url": page, "locations_url": format!("{at}/locations"),
            "state": "open", "resolution": null, "resolved_at": null, "resolved_by": null, "secret_type": alert.rule,
            "secret_type_display_name": alert.rule, "secret": alert.secret, "validity": "active", "publicly_leaked": true, "multi_repo": false,
            "first_location_detected": {"path": alert.path, "start_line": 1, "end_line": 1, "start_column": 1, "end_column": 40, "blob_sha": "b10b",
                "blob_url": at, "commit_sha": "c0ffee", "commit_url": at, "html_url": page},
            "has_more_locations": false});
        state.alerts.entry(alert.repository.to_owned()).or_default().push(whole);
        number
    }

    /// All public keys are replaced: what was sealed for one of them is not opened any more.
    pub fn turn_keys(&self) {
        self.shared.state().turn_keys();
    }

    /// The same right after the next request of this method whose path contains this.
    pub fn turn_keys_after(&self, method: &'static str, part: &str) {
        self.trick(method, part, TrickKind::TurnKeys);
    }

    /// The next request of this method whose path contains this is refused.
    pub fn refuse(
        &self,
        method: &'static str,
        part: &str,
        (status, message): (u16, &'static str),
        headers: &[(&'static str, &str)],
    ) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.trick(method, part, TrickKind::Refuse { status, headers, message });
    }

    /// The same is done, and its answer is lost.
    pub fn cut(&self, method: &'static str, part: &str) {
        self.trick(method, part, TrickKind::Cut);
    }

    /// The same says that its next page lies at another origin.
    pub fn lead_elsewhere(&self, part: &str, origin: &str) {
        self.trick("GET", part, TrickKind::Elsewhere(origin.to_owned()));
    }

    fn trick(&self, method: &'static str, part: &str, kind: TrickKind) {
        self.shared.state().tricks.push_back(Trick { method, part: part.to_owned(), kind });
    }

    /// So many requests are left, and new ones come after so many seconds.
    pub fn budget(&self, left: u64, seconds: i64) {
        self.shared.state().budget = Some((left, now() + TimeDelta::seconds(seconds)));
    }

    /// No page holds more items than this.
    pub fn page_of(&self, most: usize) {
        self.shared.state().most = Some(most);
    }
}
