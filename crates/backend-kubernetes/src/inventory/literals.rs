//! Values that are written into a pod's specification itself: environment variables, arguments, commands.
//!
//! An environment variable is a name and a value. An argument is looked through for what can carry a value: `--name=value`,
//! `--name value`, `NAME=value`, `-pvalue` and URLs, also within a shell script. What is a secret the engine says.

use claviger_core::secret::SecretValue;

use crate::wire::{Container, Text};

/// A shell script's words are looked at up to here.
const MOST_WORDS: usize = 4000;
/// Words without a name are kept from this length: a token that says by itself what it is.
const LEAST_BARE: usize = 16;

/// One value and where it stands below its container.
pub(super) struct Literal {
    /// `env/DB_PASSWORD`, `args/3`, `args/0/PGPASSWORD`.
    pub(super) pointer: String,
    /// Name of the variable or option; empty where there is none.
    pub(super) key: String,
    pub(super) value: SecretValue,
}

/// All of a container's literals.
pub(super) fn of(container: &mut Container<'_>) -> Vec<Literal> {
    let mut found = Vec::new();
    for variable in &mut container.env {
        if let Some(value) = variable.value.take()
            && !value.is_empty()
            && !is_composed(value.as_str())
        {
            let key = variable.name.plain();
            found.push(Literal {
                pointer: format!("env/{key}"),
                key,
                value: SecretValue::from_text(value.into_value()),
            });
        }
    }
    arguments("command", &container.command, &mut found);
    arguments("args", &container.args, &mut found);
    found
}

/// Is the secret part of a value only a reference to another variable, `$(NAME)`? Then it is no literal: the variable is consumed.
fn is_composed(value: &str) -> bool {
    if !value.contains("$(") {
        return false;
    }
    match value.split_once("://") {
        // In a URL the password counts.
        Some((_, rest)) => {
            let authority = rest.split('/').next().unwrap_or_default();
            let password = authority
                .rsplit_once('@')
                .and_then(|(user, _)| user.split_once(':'))
                .map(|(_, password)| password);
            password.is_none_or(is_reference)
        }
        None => is_reference(value),
    }
}

fn is_reference(text: &str) -> bool {
    text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')).is_some_and(is_name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn arguments(list: &str, words: &[Text<'_>], found: &mut Vec<Literal>) {
    let mut before: Option<&str> = None;
    for (index, word) in words.iter().enumerate() {
        let text = word.as_str();
        let pointer = format!("{list}/{index}");
        if text.contains(char::is_whitespace) {
            script(&pointer, text, found);
        } else if let Some((key, value)) = named(text, before) {
            push(found, pointer, key, value);
        }
        before = Some(text);
    }
}

/// The words of a shell script, each with the name it carries; a bare word has none and is let go unless it is a URL.
fn script(pointer: &str, text: &str, found: &mut Vec<Literal>) {
    let separators =
        |letter: char| letter.is_whitespace() || matches!(letter, ';' | '&' | '|' | '(' | ')' | '`');
    let words: Vec<&str> = text.split(separators).filter(|word| !word.is_empty()).take(MOST_WORDS).collect();
    let mut before: Option<&str> = None;
    let mut nameless = 0;
    let from = found.len();
    for word in words {
        let word = word.trim_matches(['"', '\'']);
        if let Some((key, value)) = named(word, before) {
            let value = value.trim_matches(['"', '\'']);
            // `$NAME` and `${NAME}` are the shell's references.
            if !value.starts_with('$') {
                let leaf = if key.is_empty() {
                    nameless += 1;
                    nameless.to_string()
                } else {
                    key.to_owned()
                };
                push(found, format!("{pointer}/{leaf}"), key, value);
            }
        }
        before = Some(word);
    }
    // The same option twice in one script: the ref must still be unique.
    for index in from..found.len() {
        let earlier = found[from..index].iter().filter(|other| other.pointer == found[index].pointer).count();
        if earlier > 0 {
            found[index].pointer = format!("{}~{earlier}", found[index].pointer);
        }
    }
}

fn push(found: &mut Vec<Literal>, pointer: String, key: &str, value: &str) {
    if !value.is_empty() && !is_composed(value) {
        found.push(Literal { pointer, key: key.to_owned(), value: SecretValue::from_text(value.to_owned()) });
    }
}

/// The name and value in a word, given the word before it.
fn named<'t>(word: &'t str, before: Option<&'t str>) -> Option<(&'t str, &'t str)> {
    if let Some(option) =
        word.strip_prefix("--").or_else(|| word.strip_prefix('-').filter(|rest| rest.contains('=')))
    {
        let (key, value) = option.split_once('=')?;
        return is_name(key).then_some((key, value));
    }
    if let Some(rest) = word.strip_prefix("-p").filter(|rest| rest.len() >= 3) {
        // mysql's `-pPASSWORD`; `-p8080` is a port.
        return (!rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'))
            .then_some(("password", rest));
    }
    if word.starts_with('-') {
        return None;
    }
    if let Some((key, value)) = word.split_once('=')
        && is_name(key)
    {
        return Some((key, value));
    }
    if let Some(option) = before.and_then(|before| before.strip_prefix("--"))
        && is_name(option)
    {
        return Some((option, word));
    }
    if word.contains("://") && word.contains('@') {
        return Some(("", word));
    }
    let bare = word.len() >= LEAST_BARE && !word.contains(['/', '$', '*', '<', '>']);
    bare.then_some(("", word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn found(json: serde_json::Value) -> Vec<(String, String, String)> {
        let json = json.to_string();
        let mut container: Container<'_> = wire::read(json.as_bytes()).expect("a container");
        of(&mut container)
            .into_iter()
            .map(|literal| {
                (literal.pointer, literal.key, literal.value.expose_text().unwrap_or_default().to_owned())
            })
            .collect()
    }

    fn triple(pointer: &str, key: &str, value: &str) -> (String, String, String) {
        (pointer.to_owned(), key.to_owned(), value.to_owned())
    }

    #[test]
    fn variables_with_a_value_of_their_own() {
        let json = serde_json::json!({"env": [
            {"name": "DB_PASSWORD", "value": "hunter2"},
            {"name": "EMPTY", "value": ""},
            {"name": "REF", "value": "$(DB_PASSWORD)"},
            {"name": "URL", "value": "postgres://app:$(DB_PASSWORD)@db/app"},
            {"name": "REAL_URL", "value": "postgres://app:real@$(HOST)/app"},
            {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}},
        ]});
        assert_eq!(
            found(json),
            [
                triple("env/DB_PASSWORD", "DB_PASSWORD", "hunter2"),
                triple("env/REAL_URL", "REAL_URL", "postgres://app:real@$(HOST)/app"),
            ]
        );
    }

    #[test]
    fn options_in_all_their_forms() {
        let json = serde_json::json!({"command": ["server", "--verbose"], "args": [
            "--password=hunter2", "--token", "abc", "-p8080", "-phunter3", "--flag", "--other=", "redis://:pw@cache:6379", "serve",
            "API_KEY=xyz", "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        ]});
        assert_eq!(
            found(json),
            [
                triple("args/0", "password", "hunter2"),
                triple("args/2", "token", "abc"),
                triple("args/4", "password", "hunter3"),
                triple("args/7", "", "redis://:pw@cache:6379"),
                triple("args/9", "API_KEY", "xyz"),
                triple("args/10", "", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"),
            ]
        );
    }

    #[test]
    fn a_shell_script_is_taken_apart() {
        let json = serde_json::json!({"command": ["sh", "-c"], "args": [
            "export PGPASSWORD='hunter2'; psql --host=$HOST -U app && curl https://u:pw@h/x\nPGPASSWORD=two run --password=${P}"
        ]});
        assert_eq!(
            found(json),
            [
                triple("args/0/PGPASSWORD", "PGPASSWORD", "hunter2"),
                triple("args/0/1", "", "https://u:pw@h/x"),
                triple("args/0/PGPASSWORD~1", "PGPASSWORD", "two"),
            ]
        );
    }

    #[test]
    fn odd_words_do_no_harm() {
        let json = serde_json::json!({"args": ["", "=", "--=", "--", "-", "-p", "--=x", "🔑=é", "\u{1b}[31m\u{0}", "<script>alert(1)</script>", "a\tb\n\n"]});
        assert_eq!(found(json), []);
    }
}
