//! SSH keys: the `openssh-key-v1` container (PROTOCOL.key of OpenSSH), public key lines (RFC 4253 section 6.6, `sshd(8)`), and the way between
//! an SSH public blob and a SubjectPublicKeyInfo, so that one key pair is one credential whichever tool wrote it down.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};

use super::der::{self, PublicKey, oid};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// What a container says about its first key. Holds only the public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256`...
    pub algorithm: String,
    /// The public blob.
    pub public: Vec<u8>,
    /// `none` for a key that lies there in the clear.
    pub cipher: String,
    /// The comment, often `person@machine`; not readable in an encrypted container.
    pub comment: Option<String>,
}

impl SshKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.public)
    }
}

/// A line of `authorized_keys` or a `.pub` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicLine {
    /// Algorithm.
    pub algorithm: String,
    /// The public blob.
    pub public: Vec<u8>,
    /// What follows the key.
    pub comment: Option<String>,
}

/// `SHA256:` and the unpadded base64 of the blob's SHA-256.
pub fn fingerprint(public: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(public)))
}

/// Parses the decoded body of an `OPENSSH PRIVATE KEY` block.
pub fn parse_container(bytes: &[u8]) -> Option<SshKey> {
    let mut wire = Wire(bytes.strip_prefix(MAGIC)?);
    let cipher = wire.text()?;
    wire.string()?; // key derivation function
    wire.string()?; // its options
    if wire.number()? == 0 {
        return None;
    }
    let public = wire.string()?.to_vec();
    let private = wire.string()?;
    let algorithm = Wire(&public).text()?;
    let comment = if cipher == "none" { comment(private) } else { None };
    Some(SshKey { algorithm, public, cipher, comment })
}

fn comment(private: &[u8]) -> Option<String> {
    let mut wire = Wire(private);
    if wire.number()? != wire.number()? {
        return None;
    }
    let fields = match wire.text()?.as_str() {
        "ssh-ed25519" => 2,
        "ssh-rsa" => 6,
        "ssh-dss" => 5,
        name if name.starts_with("ecdsa-sha2-") => 3,
        _ => return None,
    };
    for _ in 0..fields {
        wire.string()?;
    }
    wire.text().filter(|comment| !comment.is_empty())
}

/// Parses one line: options (which may hold quoted spaces), algorithm, base64 blob, comment.
pub fn parse_line(line: &str) -> Option<PublicLine> {
    let line = line.trim();
    let is_algorithm = |word: &str| {
        word.starts_with("ssh-")
            || word.starts_with("ecdsa-sha2-")
            || word.starts_with("sk-ssh-")
            || word.starts_with("sk-ecdsa-")
    };
    let mut rest = line;
    // Options or, in known_hosts, host names come first; the algorithm is never the third word.
    for _ in 0..2 {
        let (word, after) = rest.split_once(char::is_whitespace)?;
        if is_algorithm(word) {
            let after = after.trim_start();
            let (blob, comment) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
            let public = STANDARD.decode(blob).or_else(|_| STANDARD_NO_PAD.decode(blob)).ok()?;
            if Wire(&public).text()? != word {
                return None;
            }
            let comment = Some(comment.trim().to_owned()).filter(|comment| !comment.is_empty());
            return Some(PublicLine { algorithm: word.to_owned(), public, comment });
        }
        rest = skip_options(rest)?.trim_start();
    }
    None
}

fn skip_options(text: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return Some(&text[at..]),
            _ => {}
        }
    }
    None
}

/// SubjectPublicKeyInfo of an SSH public blob; `None` for hardware-bound keys, DSA and certificates.
pub fn spki(public: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Wire(public);
    match wire.text()?.as_str() {
        "ssh-rsa" => {
            let (exponent, modulus) = (wire.string()?, wire.string()?);
            Some(der::rsa_spki(modulus, exponent))
        }
        "ssh-ed25519" => Some(der::ed25519_spki(wire.string()?.try_into().ok()?)),
        name if name.starts_with("ecdsa-sha2-") => {
            let curve = match wire.string()? {
                b"nistp256" => oid::P256,
                b"nistp384" => oid::P384,
                b"nistp521" => oid::P521,
                _ => return None,
            };
            Some(der::ec_spki(curve, wire.string()?))
        }
        _ => None,
    }
}

/// SSH public blob of a SubjectPublicKeyInfo: the other way round.
pub fn public_blob(spki: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut push = |field: &[u8]| {
        out.extend(u32::try_from(field.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(field);
    };
    match PublicKey::parse(spki)? {
        PublicKey::Rsa(modulus, exponent) => {
            push(b"ssh-rsa");
            push(exponent);
            push(modulus);
        }
        PublicKey::Ec(curve, point) => {
            let (name, short): (&[u8], &[u8]) = match curve {
                oid::P256 => (b"ecdsa-sha2-nistp256", b"nistp256"),
                oid::P384 => (b"ecdsa-sha2-nistp384", b"nistp384"),
                oid::P521 => (b"ecdsa-sha2-nistp521", b"nistp521"),
                _ => return None,
            };
            push(name);
            push(short);
            push(point);
        }
        PublicKey::Ed25519(key) => {
            push(b"ssh-ed25519");
            push(key);
        }
    }
    Some(out)
}

/// Reads RFC 4251 section 5 data types.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn number(&mut self) -> Option<u32> {
        let (digits, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*digits))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        if self.0.len() < length {
            return None;
        }
        let (content, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(content)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.string()?.to_vec()).ok()
    }
}
