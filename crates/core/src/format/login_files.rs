//! Files in which client programs keep their logins: `.pgpass`, `.netrc`, `.npmrc` and `.git-credentials`.

use std::ops::Range;

use super::{
    database_url,
    slot::{self, Encoding, Says, Slot, Write},
};
use crate::{model::CredentialKind, observation::Bundle};

/// Which file a text is: by the field's name, as the contents of most could be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFile {
    /// PostgreSQL's `host:port:database:user:password`, one per line.
    Pgpass,
    /// `machine <host> login <user> password <password>`.
    Netrc,
    /// `//<registry>/:_authToken=<token>`.
    Npmrc,
    /// One URL per line.
    GitCredentials,
}

impl LoginFile {
    /// By a file's or field's name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().trim_start_matches(['.', '_']) {
            "pgpass" | "pgpass.conf" => Self::Pgpass,
            "netrc" => Self::Netrc,
            "npmrc" => Self::Npmrc,
            "git-credentials" => Self::GitCredentials,
            _ => return None,
        })
    }
}

/// One slot per login. Pointers name the host, and the user where a host has several: `db.lab/app`. `None` if nothing of the kind is in the text.
pub fn slots(file: LoginFile, text: &str) -> Option<Vec<Slot>> {
    let found = match file {
        LoginFile::Netrc => netrc(text),
        _ => lines(text).filter_map(|(start, line)| one_line(file, start, line)).collect(),
    };
    (!found.is_empty()).then_some(found)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        (!line.trim().is_empty() && !line.trim_start().starts_with(['#', ';'])).then_some((start, line))
    })
}

fn login(bundle: Bundle, value: &str, range: Range<usize>, encoding: Encoding, kind: CredentialKind) -> Slot {
    let host = bundle.host.as_deref().unwrap_or_default();
    let user = bundle.user.as_deref().unwrap_or_default();
    let pointer = slot::join(&slot::segment(host), &slot::segment(user));
    let pointer = if pointer.is_empty() { "~e".to_owned() } else { pointer };
    let slot = Slot::new(pointer, "password", value, Write::Ranges(vec![(range, encoding)]));
    Slot { says: Says::Secret(kind), subject: bundle.user.clone(), bundle, ..slot }
}

fn one_line(file: LoginFile, start: usize, line: &str) -> Option<Slot> {
    match file {
        LoginFile::Pgpass => pgpass(start, line),
        LoginFile::Npmrc => npmrc(start, line),
        LoginFile::GitCredentials => {
            let mut slot = database_url::parse_url(line)?.password?;
            let Write::Ranges(ranges) = &mut slot.write else { return None };
            for (range, _) in ranges {
                *range = range.start + start..range.end + start;
            }
            let host = slot.bundle.host.clone().unwrap_or_default();
            let user = slot.bundle.user.clone().unwrap_or_default();
            slot.pointer = slot::join(&slot::segment(&host), &slot::segment(&user));
            (!slot.pointer.is_empty()).then_some(slot)
        }
        LoginFile::Netrc => None,
    }
}

/// Fields are separated by colons; a colon or backslash in a field has a backslash before it. The password is not unescaped where it has
/// none.
fn pgpass(start: usize, line: &str) -> Option<Slot> {
    let mut ends = Vec::new();
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ':' => ends.push(at),
            _ => {}
        }
    }
    let [host, port, database, user] = *ends.first_chunk::<4>()?;
    let field = |from: usize, to: usize| {
        let text = line.get(from..to)?;
        (!text.is_empty() && text != "*").then(|| unescape(text))
    };
    let written = line.get(user + 1..)?;
    let bundle = Bundle {
        host: field(0, host),
        port: field(host + 1, port).and_then(|port| port.parse().ok()),
        database: field(port + 1, database),
        user: field(database + 1, user),
        engine: Some("postgres".to_owned()),
        ..Bundle::default()
    };
    let value = zeroize::Zeroizing::new(unescape(written));
    let range = start + user + 1..start + line.len();
    (!value.is_empty()).then(|| login(bundle, &value, range, Encoding::Pgpass, CredentialKind::Password))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            letter => out.push(letter),
        }
    }
    out
}

fn npmrc(start: usize, line: &str) -> Option<Slot> {
    let (name, value) = line.split_once('=')?;
    let (registry, field) = name.trim().rsplit_once(':').unwrap_or(("", name.trim()));
    if !matches!(field, "_authToken" | "_auth" | "_password") {
        return None;
    }
    let offset = start + name.len() + 1 + (value.len() - value.trim_start().len());
    let value = value.trim();
    let host = registry.trim_start_matches('/').trim_end_matches('/').to_owned();
    let bundle = Bundle { host: Some(host), engine: Some("npm".to_owned()), ..Bundle::default() };
    let range = offset..offset + value.len();
    (!value.is_empty()).then(|| login(bundle, value, range, Encoding::Line, CredentialKind::Token))
}

fn netrc(text: &str) -> Vec<Slot> {
    let mut found = Vec::new();
    let mut bundle = Bundle::default();
    let mut words = text.split_whitespace();
    let offset = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    while let Some(word) = words.next() {
        match word {
            "machine" => bundle = Bundle { host: words.next().map(str::to_owned), ..Bundle::default() },
            "default" => bundle = Bundle::default(),
            "login" => bundle.user = words.next().map(str::to_owned),
            "password" => {
                let Some(value) = words.next() else { break };
                let range = offset(value)..offset(value) + value.len();
                found.push(login(bundle.clone(), value, range, Encoding::Word, CredentialKind::Password));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::slot::write_ranges;

    fn shown(file: LoginFile, text: &str) -> Vec<(String, String)> {
        let value = |slot: &Slot| slot.value.expose_text().unwrap_or_default().to_owned();
        slots(file, text).unwrap_or_default().iter().map(|slot| (slot.pointer.clone(), value(slot))).collect()
    }

    #[test]
    fn each_file_is_read_and_rewritten() {
        for (file, text, expected) in [
            (
                LoginFile::Pgpass,
                "# c\ndb.lab:5432:*:app:p\\:w\\\\x\n*:*:*:other:q\n",
                vec![("db.lab/app", "p:w\\x"), ("other", "q")],
            ),
            (
                LoginFile::Netrc,
                "machine h login u\n  password p\ndefault login d password q\n",
                vec![("h/u", "p"), ("d", "q")],
            ),
            (
                LoginFile::Npmrc,
                "registry=https://r\n//r.lab/npm/:_authToken = tok\n_auth=abc\n",
                vec![("r.lab~1npm", "tok"), ("~e", "abc")],
            ),
            (
                LoginFile::GitCredentials,
                "https://u:p%40@git.lab\nhttps://git.lab\n",
                vec![("git.lab/u", "p@")],
            ),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(at, value)| (at.to_owned(), value.to_owned())).collect();
            assert_eq!(shown(file, text), expected, "{text}");
            for (index, slot) in slots(file, text).expect("logins").iter().enumerate() {
                let Write::Ranges(ranges) = &slot.write else { panic!("ranges") };
                let written = write_ranges(text, ranges, "n:e\\w").expect("written");
                let mut wanted = expected.clone();
                wanted[index].1 = "n:e\\w".to_owned();
                assert_eq!(shown(file, &written), wanted, "{}", written.as_str());
            }
        }
    }

    #[test]
    fn names_tell_the_files() {
        assert_eq!(LoginFile::of(".pgpass"), Some(LoginFile::Pgpass));
        assert_eq!(LoginFile::of("_netrc"), Some(LoginFile::Netrc));
        assert_eq!(LoginFile::of("notes.txt"), None);
        assert!(slots(LoginFile::Netrc, "nothing here").is_none());
    }
}
