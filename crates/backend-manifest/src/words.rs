//! Values within arguments and scripts: `--name=value`, `--name value`, `NAME=value`, `Bearer value`, URLs.
//!
//! What of it is a secret the engine says; here it is only taken apart.

use claviger_core::secret::SecretValue;

use crate::sighting::is_reference;

/// Words of one script that are looked at.
const MOST_WORDS: usize = 4000;

/// A value and the name that it came with.
pub(crate) struct Word {
    /// Name of the option or variable; `bearer`, `url` where there is none.
    pub(crate) name: String,
    pub(crate) value: SecretValue,
}

/// A command line that is already split.
pub(crate) fn of_arguments<'a>(arguments: impl Iterator<Item = &'a str>) -> Vec<Word> {
    let mut found = Vec::new();
    let mut before = "";
    for argument in arguments {
        if argument.contains(char::is_whitespace) {
            found.extend(of_script(argument));
        } else {
            take(argument, before, &mut found);
        }
        before = argument;
    }
    found
}

/// A shell script.
pub(crate) fn of_script(script: &str) -> Vec<Word> {
    let separators =
        |letter: char| letter.is_whitespace() || matches!(letter, ';' | '&' | '|' | '(' | ')' | '`');
    let mut found = Vec::new();
    let mut before = "";
    for word in script.split(separators).filter(|word| !word.is_empty()).take(MOST_WORDS) {
        let word = word.trim_matches(['"', '\'']);
        take(word, before, &mut found);
        before = word;
    }
    found
}

fn take(word: &str, before: &str, found: &mut Vec<Word>) {
    let option = |word: &str| word.starts_with("--") && word.len() > 2;
    let (name, value) = match word.split_once('=') {
        Some((name, value)) if is_name(name.trim_start_matches('-')) => (name.trim_start_matches('-'), value),
        _ if before.eq_ignore_ascii_case("bearer") => ("bearer", word),
        _ if has_password(word) => ("url", word),
        _ if option(before) && !before.contains('=') && !word.starts_with('-') => {
            (before.trim_start_matches('-'), word)
        }
        _ => return,
    };
    let value = value.trim_matches(['"', '\'']);
    if !is_reference(value) && !value.starts_with('$') {
        found.push(Word { name: name.to_owned(), value: SecretValue::from_text(value.to_owned()) });
    }
}

fn has_password(word: &str) -> bool {
    let user_info = word.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
    user_info.is_some_and(|(user_info, _)| {
        user_info.split_once(':').is_some_and(|(_, password)| !is_reference(password))
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[Word]) -> Vec<(&str, &str)> {
        words.iter().map(|word| (word.name.as_str(), word.value.expose_text().unwrap())).collect()
    }

    #[test]
    fn values_come_with_their_names() {
        let script = "export TOKEN=abc && curl -H \"Authorization: Bearer xyz\" --password hunter2 --user=$USER --flag -v\n\
                      psql postgres://app:pw@db/x; psql postgres://app:$PW@db/x; A=${B} C=\"$D\"";
        assert_eq!(
            shown(&of_script(script)),
            [("TOKEN", "abc"), ("bearer", "xyz"), ("password", "hunter2"), ("url", "postgres://app:pw@db/x")]
        );
    }

    #[test]
    fn arguments_are_words_or_scripts() {
        let arguments = ["serve", "--api-key", "k1", "--url=u", "sh -c 'KEY=v run'"];
        assert_eq!(
            shown(&of_arguments(arguments.into_iter())),
            [("api-key", "k1"), ("url", "u"), ("KEY", "v")]
        );
    }
}
