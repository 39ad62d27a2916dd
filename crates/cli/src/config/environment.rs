//! `CLAVIGER_…` settings: `CLAVIGER_DATABASE`, `CLAVIGER_BACKENDS__PROD__CONTEXT` (two underscores go one level down).

/// Variables that are no settings.
const OTHERS: &[&str] = &["CLAVIGER_CONFIG", "CLAVIGER_LOG", "CLAVIGER_LAB_CACHE"];

/// Lays the environment over the file. A value is text, or what TOML reads it as where the file has another type there.
pub(super) fn overlay(table: &mut toml::Table, variables: impl Iterator<Item = (String, String)>) {
    for (name, value) in variables {
        let Some(path) = name.strip_prefix("CLAVIGER_").filter(|_| !OTHERS.contains(&name.as_str())) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        if known(&path) {
            set(table, &path, value);
        }
    }
}

/// Other programs' variables may begin like ours (a test harness, a wrapper): only our settings are taken.
fn known(path: &[String]) -> bool {
    match path {
        [one] => matches!(one.as_str(), "database" | "keys" | "lease_seconds"),
        [first, second] => matches!(
            (first.as_str(), second.as_str()),
            ("operator", "key") | ("service", "certificate" | "key")
        ),
        [first, ..] => matches!(first.as_str(), "backends" | "policies") && path.len() >= 3,
        [] => false,
    }
}

fn set(table: &mut toml::Table, path: &[String], text: String) {
    let [first, rest @ ..] = path else { return };
    // Names in the file may be written in capitals; the environment has only one spelling.
    let key = table.keys().find(|key| key.to_lowercase() == *first).cloned().unwrap_or_else(|| first.clone());
    if rest.is_empty() {
        let typed =
            format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut parsed| parsed.remove("v"));
        let value = typed.filter(|value| !value.is_datetime()).unwrap_or(toml::Value::String(text));
        table.insert(key, value);
        return;
    }
    let entry = table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(inner) = entry {
        set(inner, rest, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file_and_leaves_strangers_alone() {
        let mut table: toml::Table =
            "database = 'sqlite://a'\n[backends.Prod]\nkind = 'kubernetes'\n".parse().expect("toml");
        let variables = [
            ("CLAVIGER_DATABASE", "postgres://db/claviger"),
            ("CLAVIGER_BACKENDS__PROD__CONTEXT", "blue"),
            ("CLAVIGER_LEASE_SECONDS", "5"),
            ("CLAVIGER_SERVICE__KEY", "/etc/claviger/tls/tls.key"),
            // A Service of that name makes such a variable in every pod.
            ("CLAVIGER_SERVICE_HOST", "10.0.0.1"),
            ("CLAVIGER_SOMETHING_ELSE", "x"),
        ];
        overlay(&mut table, variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(table["database"].as_str(), Some("postgres://db/claviger"));
        assert_eq!(table["backends"]["Prod"]["context"].as_str(), Some("blue"));
        assert_eq!(table["lease_seconds"].as_integer(), Some(5));
        assert_eq!(table["service"]["key"].as_str(), Some("/etc/claviger/tls/tls.key"));
        assert!(!table.contains_key("something_else") && !table.contains_key("service_host"));
    }
}
