//! What is alike of deploy keys at all forges. The pair is made on our side and sealed before the forge is told of its public half, so no answer that is
//! lost loses anything: by the public half the key is found again. Its title carries the mark of the operation for people, who may change it.

use std::path::Path;

use claviger_backend::{Effect, Error, ErrorKind, Offer, Operation, Overlap, Prospect, Result, ValueForm};
use claviger_core::{reference::Ref, secret::SecretValue, ssh_key};

/// What a repository has of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// It may fetch.
    Read,
    /// It may push too.
    Write,
}

impl Right {
    pub(crate) fn of(read_only: bool) -> Self {
        if read_only { Self::Read } else { Self::Write }
    }

    pub(crate) fn is_read_only(self) -> bool {
        self == Self::Read
    }

    fn words(self) -> &'static str {
        match self {
            Self::Read => "may only read",
            Self::Write => "may read and write",
        }
    }
}

/// The public half of a new pair.
pub(crate) struct Half {
    /// As `authorized_keys` has it.
    pub(crate) line: String,
    /// As forges show it.
    pub(crate) fingerprint: String,
}

impl Half {
    /// # Errors
    /// `Invalid` where the value is no private key.
    pub(crate) fn of(value: Option<&SecretValue>) -> Result<Self> {
        let both = value.and_then(|value| Some((ssh_key::public_line(value)?, ssh_key::fingerprint(value)?)));
        let (line, fingerprint) = both.ok_or_else(|| {
            let text = "the private half of an SSH key pair has to be given: the forge makes none";
            Error::new(ErrorKind::Invalid, "issue", text)
        })?;
        Ok(Self { line, fingerprint })
    }
}

/// Any number of keys, each with its own name.
pub(crate) fn offer() -> Offer {
    Offer::set_by_us(Overlap::Dual, ValueForm::SshKey)
}

/// What the reader of a plan should know, or why no other can be made.
pub(crate) fn prospect(
    at: &Ref,
    repository: &str,
    present: Option<Right>,
    known_hosts: Option<&Path>,
) -> Prospect {
    let Some(right) = present else {
        return Prospect::refuse("already-gone", format!("{at} is no longer there: scan again"));
    };
    if known_hosts.is_none() {
        let text = "no login with a new key could be shown, as `known_hosts` is not set for this backend: put the SSH server's host key in a file and name it there";
        return Prospect::refuse("no-known-hosts", text);
    }
    let notes = vec![
        format!("the new one {} {repository}, as the old one", right.words()),
        "it is an Ed25519 key in OpenSSH's own format, whatever the old one was; a public half that lies beside a private one in a copy is not written".to_owned(),
    ];
    Prospect { notes, ..Prospect::default() }
}

/// The key whose place another one is to take.
pub(crate) fn gone(at: &Ref) -> Error {
    Error::new(ErrorKind::NotFound, "issue", format!("{at} is no longer there"))
}

/// The forge has this public half somewhere else already. A forge takes each only once.
pub(crate) fn taken(at: &Ref, half: &Half) -> Error {
    let text = format!(
        "{at}: the forge has the key {} already, elsewhere than at this repository, and takes none twice",
        half.fingerprint
    );
    Error::new(ErrorKind::Conflict, "issue", text).with_hint(
        "nothing was registered; take the rotation back and begin another, which makes another key",
    )
}

/// It was registered with another right than it was asked for, which is no key to be given to anybody.
pub(crate) fn otherwise(at: &Ref, wanted: Right) -> Error {
    let text = format!(
        "{at}: the forge registered a key that does not have the right that was asked for ({}); another key takes its place only if it may do the same",
        wanted.words()
    );
    Error::new(ErrorKind::Unexpected, "issue", text)
}

/// Ends a call by its deadline.
///
/// # Errors
/// `Unavailable` with an unknown effect when the deadline passes; what the call fails with.
pub(crate) async fn by_deadline<T>(
    op: &Operation,
    at: &Ref,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = |_| {
        Error::new(ErrorKind::Unavailable, "issue", format!("{at}: no answer by the deadline"))
            .with_effect(Effect::Unknown)
    };
    tokio::time::timeout(op.deadline, work).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use claviger_core::random::SeededRandom;

    use super::*;

    #[test]
    fn only_a_private_key_has_a_half_and_an_error_repeats_no_value() {
        let half = Half::of(Some(&ssh_key::ed25519(&SeededRandom::new(1)))).expect("a key");
        assert!(half.line.starts_with("ssh-ed25519 AAAA") && half.fingerprint.starts_with("SHA256:"));
        let canary = SecretValue::from_text("canary-0123456789".to_owned());
        for value in [None, Some(&canary)] {
            let error = Half::of(value).err().expect("no key");
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn without_a_known_server_no_key_is_made() {
        let at = Ref::from_text("forge/acme/shop/deploy-keys/1");
        let ask = |present, hosts| prospect(&at, "acme/shop", present, hosts);
        let hosts = Some(Path::new("known_hosts"));
        assert_eq!(ask(None, hosts).refused.map(|(code, _)| code), Some("already-gone"));
        assert_eq!(ask(Some(Right::Read), None).refused.map(|(code, _)| code), Some("no-known-hosts"));
        let prospect = ask(Some(Right::of(false)), hosts);
        assert!(prospect.refused.is_none() && prospect.notes[0].contains("may read and write acme/shop"));
    }
}
