//! How much a policy allows, read from its text.
//!
//! Policies are HCL or JSON (Vault's documentation, "Policies"): `path "pattern" { capabilities = ["read", …] }`, where a pattern may end in
//! `*` and hold `+` for one segment. Older ones say `policy = "read" | "write" | "sudo" | "deny"`. The level is a judgement for sorting, not
//! an evaluation: rules that take rights away from a wider one are not subtracted.

use claviger_core::model::PrivilegeLevel;
use serde_json::Value;

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) path: String,
    pub(super) capabilities: Vec<String>,
}

impl Rule {
    /// What the root policy stands for.
    pub(super) fn everything() -> Self {
        Self { path: "*".to_owned(), capabilities: vec!["root".to_owned()] }
    }

    /// `secret/data/* [read, list]`.
    pub(super) fn shown(&self) -> String {
        format!("{} [{}]", self.path, self.capabilities.join(", "))
    }

    fn may(&self, capabilities: &[&str]) -> bool {
        self.capabilities.iter().any(|has| capabilities.contains(&has.as_str()))
    }
}

/// The highest level of a policy's rules.
pub(super) fn level(rules: &[Rule]) -> PrivilegeLevel {
    // `PrivilegeLevel` is ordered from most to least.
    rules.iter().filter_map(level_of).min().unwrap_or(PrivilegeLevel::Read)
}

/// `None` for rules that every token has for looking after itself.
fn level_of(rule: &Rule) -> Option<PrivilegeLevel> {
    const WRITES: &[&str] = &["create", "update", "patch", "delete"];
    if rule.may(&["deny"]) || own_affairs(&rule.path) {
        return None;
    }
    let prefix = rule.path.split(['*', '+']).next().unwrap_or_default();
    let wide = rule.path.contains('*') || rule.path.contains('+');
    if rule.may(&["root", "sudo"]) {
        return Some(PrivilegeLevel::Admin);
    }
    // Whoever writes these gives themselves anything. A pattern counts when it may stand for one of them.
    let keys_of_the_house = [
        "sys/policies/acl/",
        "sys/policy/",
        "sys/policies/",
        "sys/auth/",
        "sys/mounts/",
        "sys/raw/",
        "sys/audit/",
        "auth/token/create",
        "auth/token/roles/",
        "identity/entity",
        "identity/group",
    ];
    let covers = |target: &str| prefix.starts_with(target) || (wide && target.starts_with(prefix));
    if rule.may(&["create", "update", "patch"]) && keys_of_the_house.iter().any(|target| covers(target)) {
        return Some(PrivilegeLevel::Admin);
    }
    let servers_own =
        prefix.starts_with("sys/") || prefix.starts_with("auth/") || prefix.starts_with("identity/");
    let makes_credentials =
        rule.path.contains("/secret-id") || rule.path.contains("/creds/") || rule.path.contains("/issue/");
    let names_only = rule.path.contains("/metadata/") || rule.path.ends_with("/metadata");
    if (rule.may(&["read"]) && !servers_own && !names_only)
        || (rule.may(&["read", "create", "update"]) && makes_credentials)
    {
        return Some(PrivilegeLevel::Sensitive);
    }
    if rule.may(WRITES) {
        return Some(PrivilegeLevel::Write);
    }
    if rule.may(&["read", "list", "scan"]) { Some(PrivilegeLevel::Read) } else { None }
}

/// What the policy `default` of a new server allows: a token's view of itself.
fn own_affairs(path: &str) -> bool {
    let self_service = [
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "sys/capabilities-self",
        "sys/renew",
    ];
    let below = [
        "cubbyhole/",
        "sys/wrapping/",
        "sys/tools/",
        "sys/internal/ui/",
        "sys/leases/renew",
        "sys/leases/lookup",
        "sys/control-group/request",
        "sys/storage/raft/autopilot/state",
        "identity/entity/id/{{",
        "identity/entity/name/{{",
        "identity/oidc/provider/",
    ];
    self_service.contains(&path) || below.iter().any(|prefix| path.starts_with(prefix))
}

/// The rules of a policy's text; `None` when it is neither HCL nor JSON that we understand.
pub(super) fn rules(text: &str) -> Option<Vec<Rule>> {
    if text.trim_start().starts_with('{') { from_json(text) } else { from_hcl(text) }
}

fn from_json(text: &str) -> Option<Vec<Rule>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let paths = document.get("path")?.as_object()?;
    let rule = |(path, body): (&String, &Value)| {
        let list = body.get("capabilities").and_then(Value::as_array);
        let mut capabilities: Vec<String> =
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if let Some(word) = body.get("policy").and_then(Value::as_str) {
            capabilities.extend(of_word(word));
        }
        Rule { path: path.clone(), capabilities }
    };
    Some(paths.iter().map(rule).collect())
}

fn from_hcl(text: &str) -> Option<Vec<Rule>> {
    let tokens = tokens(text)?;
    let mut rules = Vec::new();
    let mut depth = 0_usize;
    let mut key = String::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.checked_sub(1)?,
            Token::Word(word) if depth == 0 && word == "path" => match tokens.get(index + 1) {
                Some(Token::Text(path)) => rules.push(Rule { path: path.clone(), capabilities: Vec::new() }),
                _ => return None,
            },
            Token::Word(word) if depth == 1 => key.clone_from(word),
            // A key may be quoted as well: `"capabilities" = [...]`.
            Token::Text(text) if depth == 1 && matches!(tokens.get(index + 1), Some(Token::Equals)) => {
                key.clone_from(text)
            }
            Token::Text(text) if depth == 1 => {
                let rule = rules.last_mut()?;
                match key.as_str() {
                    "capabilities" => rule.capabilities.push(text.clone()),
                    "policy" => rule.capabilities.extend(of_word(text)),
                    _ => {}
                }
            }
            Token::Text(_) | Token::Word(_) | Token::Equals => {}
        }
    }
    (depth == 0).then_some(rules)
}

fn of_word(word: &str) -> Vec<String> {
    let capabilities: &[&str] = match word {
        "read" => &["read", "list"],
        "write" => &["create", "read", "update", "delete", "list"],
        "sudo" => &["create", "read", "update", "delete", "list", "sudo"],
        _ => &["deny"],
    };
    capabilities.iter().map(|capability| (*capability).to_owned()).collect()
}

enum Token {
    Open,
    Close,
    Equals,
    Word(String),
    Text(String),
}

/// HCL's tokens as far as policies use them. `None` for a text that is not closed.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '{' => found.push(Token::Open),
            '}' => found.push(Token::Close),
            '=' => found.push(Token::Equals),
            '#' => drop_line(&mut rest),
            '/' if rest.peek() == Some(&'/') => drop_line(&mut rest),
            '/' if rest.peek() == Some(&'*') => {
                let mut last = ' ';
                rest.next();
                loop {
                    let next = rest.next()?;
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            '"' => {
                let mut text = String::new();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => text.push(rest.next()?),
                        other => text.push(other),
                    }
                }
                found.push(Token::Text(text));
            }
            word if word.is_alphanumeric() || word == '_' => {
                let mut text = String::from(word);
                while let Some(next) =
                    rest.next_if(|next| next.is_alphanumeric() || matches!(next, '_' | '-'))
                {
                    text.push(next);
                }
                found.push(Token::Word(text));
            }
            _ => {}
        }
    }
    Some(found)
}

fn drop_line(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while rest.next_if(|next| *next != '\n').is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_text(text: &str) -> PrivilegeLevel {
        level(&rules(text).expect("a policy"))
    }

    #[test]
    fn levels_follow_what_the_rules_reach() {
        for (text, expected) in [
            (
                r#"path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"#,
                PrivilegeLevel::Admin,
            ),
            (r#"path "*" { capabilities = ["create", "update"] }"#, PrivilegeLevel::Admin),
            (r#"path "sys/*" { capabilities = ["update"] }"#, PrivilegeLevel::Admin),
            (
                r#"path "sys/policies/acl/team-*" { capabilities = ["create", "update"] }"#,
                PrivilegeLevel::Admin,
            ),
            (r#"path "auth/token/create" { capabilities = ["update"] }"#, PrivilegeLevel::Admin),
            (r#"path "sys/raw/*" { policy = "sudo" }"#, PrivilegeLevel::Admin),
            (r#"path "secret/data/app/*" { capabilities = ["read"] }"#, PrivilegeLevel::Sensitive),
            (r#"path "database/creds/app" { capabilities = ["read"] }"#, PrivilegeLevel::Sensitive),
            (
                r#"path "auth/approle/role/web/secret-id" { capabilities = ["update"] }"#,
                PrivilegeLevel::Sensitive,
            ),
            (r#"path "secret/data/inbox" { capabilities = ["create", "update"] }"#, PrivilegeLevel::Write),
            (r#"path "secret/metadata/*" { capabilities = ["list", "read"] }"#, PrivilegeLevel::Read),
            (
                r#"path "auth/token/lookup-self" { capabilities = ["read"] } path "cubbyhole/*" { policy = "write" }"#,
                PrivilegeLevel::Read,
            ),
            (r#"path "secret/*" { capabilities = ["deny"] }"#, PrivilegeLevel::Read),
            (r#"{"path": {"secret/*": {"capabilities": ["read"]}}}"#, PrivilegeLevel::Sensitive),
        ] {
            assert_eq!(level_text(text), expected, "{text}");
        }
    }

    #[test]
    fn comments_parameters_and_quoted_keys_are_read_through() {
        let text = "# path \"*\" { policy = \"sudo\" }\n/* path \"sys/*\" {} */\npath \"secret/data/a\" { // {\n  \"capabilities\" = [\"update\",\n \"list\"]\n\
                    allowed_parameters = { \"policy\" = [\"sudo\"] }\n}\n";
        let found = rules(text).expect("a policy");
        assert_eq!(
            found,
            [Rule { path: "secret/data/a".into(), capabilities: vec!["update".into(), "list".into()] }]
        );
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        for text in [r#"path "a { capabilities = []"#, r#"path "a" { "#, "} path", "{not json", "path { }"] {
            assert_eq!(rules(text), None, "{text}");
        }
    }
}
