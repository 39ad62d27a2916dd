//! What the fake keeps.

use std::collections::BTreeMap;

use super::super::twin::Twin;

/// A user. Those of project and group tokens are bots.
#[derive(Debug, Clone)]
pub struct User {
    /// Number.
    pub id: u64,
    /// Name.
    pub username: String,
    /// Sees and may do everything.
    pub admin: bool,
    /// Is there for one token.
    pub bot: bool,
}

/// A group or project.
#[derive(Debug, Clone)]
pub struct Home {
    /// Number; those of groups and of projects are counted apart by GitLab, and here not.
    pub id: u64,
    /// The whole path.
    pub path: String,
    /// Project, else group.
    pub project: bool,
    /// Where it is fetched from by SSH.
    pub ssh: Option<String>,
}

/// An access token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Number.
    pub id: u64,
    /// Whose.
    pub user: u64,
    /// Name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it is for.
    pub scopes: Vec<String>,
    /// Ended by somebody.
    pub revoked: bool,
    /// When it was made.
    pub created_at: String,
    /// The day at whose beginning it ends.
    pub expires_at: Option<String>,
    /// When it was last used.
    pub last_used_at: Option<String>,
    /// Made by an administrator for the user.
    pub impersonation: bool,
    /// Of a group or project token: the path, and the role there.
    pub of: Option<(String, u32)>,
    /// The first of those that were rotated into one another.
    pub family: u64,
}

/// A CI/CD variable.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Path of its owner; `-` for the instance.
    pub home: String,
    /// Key.
    pub key: String,
    /// Value, also of a hidden one.
    pub value: String,
    /// Environment scope.
    pub scope: String,
    /// No call shows its value.
    pub hidden: bool,
    /// Kept out of logs.
    pub masked: bool,
    /// Is not expanded.
    pub raw: bool,
    /// Description.
    pub description: Option<String>,
}

/// A deploy token, a deploy key, a trigger or a runner.
#[derive(Debug, Clone)]
pub struct Listed {
    /// `deploy_tokens`, `deploy_keys`, `triggers`, `runners`.
    pub kind: &'static str,
    /// Path of its owner; `-` for the instance.
    pub home: String,
    /// Number.
    pub id: u64,
    /// What GitLab shows of it, as JSON.
    pub shown: serde_json::Value,
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path below `/api/v4`, as it came.
    pub path: String,
    /// The query, as it came.
    pub query: String,
}

/// Everything.
pub struct State {
    next: u64,
    /// Users.
    pub users: Vec<User>,
    /// Groups and projects.
    pub homes: Vec<Home>,
    /// Roles by user and path; they hold below it too.
    pub members: BTreeMap<(u64, String), u32>,
    /// Tokens, the administrator's first.
    pub tokens: Vec<Token>,
    /// Variables.
    pub variables: Vec<Variable>,
    /// The rest.
    pub listed: Vec<Listed>,
    /// Files on the default branch, by project and name.
    pub files: BTreeMap<(String, String), String>,
    /// What was asked.
    pub seen: Vec<Seen>,
    /// How often anything was changed.
    pub changes: u64,
    /// Most items in a page.
    pub page: usize,
    /// So many requests are refused with this `Retry-After`.
    pub throttle: (u32, u64),
    /// Answers of requests with this method are lost after their effect, so many.
    pub lose: Option<(String, u32)>,
    /// Nobody is let in, whatever the token.
    pub shut: bool,
    /// Who is told of each deploy key that comes or goes.
    pub(super) ssh: Option<Twin>,
}

impl State {
    pub(super) fn new() -> Self {
        let mut state = Self {
            next: 0,
            users: Vec::new(),
            homes: Vec::new(),
            members: BTreeMap::new(),
            tokens: Vec::new(),
            variables: Vec::new(),
            listed: Vec::new(),
            files: BTreeMap::new(),
            seen: Vec::new(),
            changes: 0,
            page: 100,
            throttle: (0, 0),
            lose: None,
            shut: false,
            ssh: None,
        };
        let root = state.user("root", true);
        state.personal(root, "claviger", &["api"]);
        state
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A time that goes on with everything that is made.
    pub(super) fn now(&self) -> String {
        format!("2026-11-28T06:{:02}:{:02}.000Z", self.next / 60 % 60, self.next % 60)
    }

    /// Makes a user; its number.
    pub fn user(&mut self, username: &str, admin: bool) -> u64 {
        let id = self.number();
        self.users.push(User { id, username: username.to_owned(), admin, bot: false });
        id
    }

    /// Makes a group or project, and the groups above it.
    pub fn home(&mut self, path: &str, project: bool) {
        if let Some((above, _)) = path.rsplit_once('/') {
            self.home(above, false);
        }
        if !self.homes.iter().any(|home| home.path == path) {
            let id = self.number();
            self.homes.push(Home { id, path: path.to_owned(), project, ssh: None });
        }
    }

    /// Makes a user's own token; its number.
    pub fn personal(&mut self, user: u64, name: &str, scopes: &[&str]) -> u64 {
        self.token(user, name, scopes, None)
    }

    /// Makes a token of a group or project with a bot of its own; its number.
    pub fn of_home(&mut self, path: &str, name: &str, scopes: &[&str], level: u32) -> u64 {
        let (kind, number) = match self.homes.iter().find(|home| home.path == path) {
            Some(home) if home.project => ("project", home.id),
            Some(home) => ("group", home.id),
            None => ("project", 0),
        };
        let bot = self.number();
        let username = format!("{kind}_{number}_bot_{bot}");
        self.users.push(User { id: bot, username, admin: false, bot: true });
        self.members.insert((bot, path.to_owned()), level);
        self.token(bot, name, scopes, Some((path.to_owned(), level)))
    }

    pub(super) fn token(&mut self, user: u64, name: &str, scopes: &[&str], of: Option<(String, u32)>) -> u64 {
        let id = self.number();
        // Another one each time, in GitLab's form.
        let value = format!("glpat-{}", crate::lab::private::random_token().unwrap_or_default());
        let token = Token {
            id,
            user,
            name: name.to_owned(),
            value,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            revoked: false,
            created_at: self.now(),
            expires_at: Some("2099-01-01".to_owned()),
            last_used_at: None,
            impersonation: false,
            of,
            family: id,
        };
        self.tokens.push(token);
        id
    }

    /// The token with this number.
    pub fn by_number(&self, id: u64) -> Option<&Token> {
        self.tokens.iter().find(|token| token.id == id)
    }

    /// Puts a variable there that is shown and neither masked nor raw.
    pub fn variable(&mut self, home: &str, key: &str, value: &str) -> &mut Variable {
        let variable = Variable {
            home: home.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
            scope: "*".to_owned(),
            hidden: false,
            masked: false,
            raw: false,
            description: None,
        };
        self.variables.push(variable);
        let last = self.variables.len() - 1;
        &mut self.variables[last]
    }

    /// Puts a deploy token, trigger or runner there; its number.
    pub fn list(&mut self, kind: &'static str, home: &str, mut shown: serde_json::Value) -> u64 {
        let id = self.number();
        shown["id"] = id.into();
        self.listed.push(Listed { kind, home: home.to_owned(), id, shown });
        id
    }

    /// What a variable holds, hidden or not.
    pub fn holds(&self, home: &str, key: &str, scope: &str) -> Option<&Variable> {
        let is_it = |one: &&Variable| one.home == home && one.key == key && one.scope == scope;
        self.variables.iter().find(is_it)
    }
}
