//! Lines of names and values: environment files, Terraform variables.

use claviger_core::{
    canonical::bundle_of,
    observation::{Bundle, Content, Observation},
    secret::SecretValue,
};

use crate::sighting::{Home, is_reference};

/// A name and its value.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: SecretValue,
}

/// `NAME=value`, `export NAME=value`, quotes and trailing comments as the common readers take them. A line that is none of this is skipped.
pub(crate) fn dotenv(text: &str) -> Vec<Pair> {
    pairs(text, |line| line.strip_prefix("export ").unwrap_or(line))
}

/// `name = "value"` of the top level; blocks and lists are skipped.
pub(crate) fn terraform(text: &str) -> Vec<Pair> {
    let quoted = |line: &str| line.split_once('=').is_some_and(|(_, value)| value.trim().starts_with('"'));
    let lines: Vec<&str> = text.lines().filter(|line| quoted(line)).collect();
    pairs(&lines.join("\n"), |line| line)
}

fn pairs(text: &str, prepare: impl Fn(&str) -> &str) -> Vec<Pair> {
    let mut found: Vec<Pair> = Vec::new();
    for line in text.lines() {
        let line = prepare(line.trim()).trim();
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim();
        if line.starts_with('#') || !is_name(name) {
            continue;
        }
        let value = SecretValue::from_text(unquoted(value.trim()));
        // The last one wins, as when the file is read by a shell.
        match found.iter_mut().find(|pair| pair.name == name) {
            Some(pair) => pair.value = value,
            None => found.push(Pair { name: name.to_owned(), value }),
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let Some(quote) = quote else {
        // Without quotes a comment begins at ` #`.
        return value.split(" #").next().unwrap_or_default().trim_end().to_owned();
    };
    let mut out = String::new();
    let mut letters = value[1..].chars();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter == quote => break,
            '\\' if quote == '"' => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => break,
            },
            letter => out.push(letter),
        }
    }
    out
}

/// What stands beside a name: its siblings with the same first word (`DB_USER` beside `DB_PASSWORD`), without that word and with it.
pub(crate) fn bundle(name: &str, pairs: &[Pair]) -> Bundle {
    let first = |name: &str| name.split(['_', '-', '.']).next().unwrap_or_default().to_ascii_lowercase();
    let family = first(name);
    let mut fields: Vec<(String, &SecretValue)> = Vec::new();
    for pair in pairs.iter().filter(|pair| first(&pair.name) == family) {
        let full = pair.name.to_ascii_lowercase();
        if let Some(rest) = full.get(family.len() + 1..) {
            fields.push((rest.to_owned(), &pair.value));
        }
        fields.push((full, &pair.value));
    }
    bundle_of(fields.iter().map(|(name, value)| (name.as_str(), *value)))
}

/// The copies of a file of pairs.
pub(crate) fn observe(home: &Home, pairs: Vec<Pair>) -> Vec<Observation> {
    let bundles: Vec<Bundle> = pairs.iter().map(|pair| bundle(&pair.name, &pairs)).collect();
    let kept = pairs
        .into_iter()
        .zip(bundles)
        .filter(|(pair, _)| !pair.value.expose_text().is_some_and(is_reference));
    kept.map(|(pair, bundle)| {
        Observation::Copy(home.copy(&[&pair.name], &pair.name, Content::Value(pair.value), bundle))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pairs: &[Pair]) -> Vec<(&str, &str)> {
        pairs.iter().map(|pair| (pair.name.as_str(), pair.value.expose_text().unwrap())).collect()
    }

    #[test]
    fn environment_files_are_read_as_shells_read_them() {
        let text = "# c\nexport A=1\nB = 'two # 2' # c\nC=\"x\\\"y\\n\"\nD=plain # comment\nE=a#b\nnonsense\nA=3\nF=\n-- x=y\n";
        assert_eq!(
            shown(&dotenv(text)),
            [("A", "3"), ("B", "two # 2"), ("C", "x\"y\n"), ("D", "plain"), ("E", "a#b"), ("F", "")]
        );
    }

    #[test]
    fn variables_are_the_quoted_ones() {
        let text = "region = \"eu\"\ncount = 3\ntags = {\n  a = \"b\"\n}\ndb_password = \"p w\"\n";
        assert_eq!(shown(&terraform(text)), [("region", "eu"), ("a", "b"), ("db_password", "p w")]);
    }

    #[test]
    fn a_familys_members_describe_each_other() {
        let pairs = dotenv("DB_USERNAME=app\nDB_PASSWORD=x\nDB_HOST=h\nCACHE_HOST=other\n");
        let bundle = bundle("DB_PASSWORD", &pairs);
        assert_eq!((bundle.user.as_deref(), bundle.host.as_deref()), (Some("app"), Some("h")));
        let aws = dotenv("AWS_ACCESS_KEY_ID=AKIAQ2J5KLMNOPQRSTUV\nAWS_SECRET_ACCESS_KEY=s\n");
        assert_eq!(
            super::bundle("AWS_SECRET_ACCESS_KEY", &aws).aws_access_key_id.as_deref(),
            Some("AKIAQ2J5KLMNOPQRSTUV")
        );
    }
}
