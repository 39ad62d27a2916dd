//! Settings of a role, as `pg_db_role_setting` keeps them and `ALTER ROLE … SET` takes them.

use std::collections::BTreeMap;

use crate::statement::identifier;

/// Of one role: database (empty: all of them) and parameter, with the value as the catalog shows it.
pub(crate) type Settings = BTreeMap<(String, String), String>;

/// The parameter that makes a session another role from its start.
pub(crate) const ROLE: &str = "role";

/// Parameters that are lists of names: the server keeps them with the names quoted, and takes one literal per name.
/// `GUC_LIST_QUOTE`, as pg_dump knows them.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Takes an entry of `setconfig` apart.
pub(crate) fn entry(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}

/// `ALTER ROLE … SET`.
pub(crate) fn set(role: &str, database: &str, parameter: &str, value: &str) -> String {
    let value = if LISTS.contains(&parameter.to_ascii_lowercase().as_str()) {
        names(value).iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
    } else {
        literal(value)
    };
    format!("{} SET {} = {value}", alter(role, database), dotted(parameter))
}

/// `ALTER ROLE … RESET`.
pub(crate) fn reset(role: &str, database: &str, parameter: &str) -> String {
    format!("{} RESET {}", alter(role, database), dotted(parameter))
}

fn alter(role: &str, database: &str) -> String {
    let role = identifier(role);
    if database.is_empty() {
        return format!("ALTER ROLE {role}");
    }
    format!("ALTER ROLE {role} IN DATABASE {}", identifier(database))
}

/// A parameter of an extension has a dot in its name.
fn dotted(parameter: &str) -> String {
    parameter.split('.').map(identifier).collect::<Vec<_>>().join(".")
}

/// A literal that means the same whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The names of a list: bare words, or quoted with `"`, of which two are one.
fn names(list: &str) -> Vec<String> {
    let (mut found, mut name, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => name.push('"'),
            '"' => (quoted, any) = (!quoted, true),
            ',' if !quoted => {
                found.push(std::mem::take(&mut name));
                any = false;
            }
            letter if letter.is_whitespace() && !quoted => {}
            letter => {
                name.push(letter);
                any = true;
            }
        }
    }
    if any || !found.is_empty() {
        found.push(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_name_by_name() {
        assert_eq!(names("\"$user\", public, \"a \"\"b, c\""), ["$user", "public", "a \"b, c"]);
        assert_eq!(names("\"\""), [""]);
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(
            set("r", "", "search_path", "\"$user\", public"),
            "ALTER ROLE \"r\" SET \"search_path\" = E'$user', E'public'"
        );
    }

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(
            set("o\"x", "d\"b", "my.var", "it's \\ "),
            "ALTER ROLE \"o\"\"x\" IN DATABASE \"d\"\"b\" SET \"my\".\"var\" = E'it''s \\\\ '"
        );
        assert_eq!(reset("r", "", "work_mem"), "ALTER ROLE \"r\" RESET \"work_mem\"");
    }
}
