//! Logins with an SSH key, made by OpenSSH's own programs: `ssh-agent` holds the key, which reaches it through a pipe and no file, and `ssh` asks
//! the forge for one repository with it.
//!
//! A refusal counts only if the server's host key is one that was known before, and if the key was in fact offered: the client prints both.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use claviger_backend::{Probe, Verdict};
use claviger_core::secret::SecretValue;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// Longest login, with the key exchange.
const LOGIN: Duration = Duration::from_secs(25);
/// Longest wait for the agent's socket, and for a key to be taken in.
const AGENT: Duration = Duration::from_secs(10);
/// Names that tell the programs what to do behind our back.
const PASSED: [&str; 3] = ["PATH", "LANG", "TMPDIR"];

/// Where a repository is reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The forge's system user, mostly `git`.
    pub(crate) user: String,
    /// Host name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// `acme/shop.git`, as the forge's URL has it.
    pub(crate) repository: String,
}

impl Remote {
    /// Reads `ssh://git@host:port/owner/name.git` and `git@host:owner/name.git`. `None` for anything else, and for words that a shell or an
    /// option could be made of.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (authority, repository, port) = match url.strip_prefix("ssh://") {
            Some(rest) => {
                let (authority, path) = rest.split_once('/')?;
                // The last colon outside of brackets begins the port.
                match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
                    Some((authority, port)) => (authority, path, port.parse().ok()?),
                    None => (authority, path, 22),
                }
            }
            None => {
                let (authority, path) = url.split_once(':')?;
                (authority, path, 22)
            }
        };
        let (user, host) = authority.split_once('@')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let plain = |text: &str, more: &[u8]| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        let sound = plain(user, b"._-") && plain(host, b".:-") && plain(repository, b"._-/");
        sound.then(|| Self {
            user: user.to_owned(),
            host: host.to_owned(),
            port,
            repository: repository.to_owned(),
        })
    }

    /// How the login is named in receipts.
    fn path(&self) -> String {
        format!("ssh {}@{} port {} git-upload-pack {}", self.user, self.host, self.port, self.repository)
    }
}

/// Logs in with a private key and asks for the repository's refs. Changes nothing.
pub(crate) async fn login(remote: &Remote, known_hosts: &Path, key: &SecretValue) -> Probe {
    let verdict = match attempt(remote, known_hosts, key).await {
        Ok(verdict) => verdict,
        Err(why) => Verdict::Inconclusive(why),
    };
    Probe { verdict, path: remote.path() }
}

/// What stops us before the server could say anything.
type Why = String;

async fn attempt(remote: &Remote, known_hosts: &Path, key: &SecretValue) -> Result<Verdict, Why> {
    let agent = Agent::start().await?;
    let fingerprint = agent.take(key).await?;
    let mut command = program("ssh");
    let socket = format!("IdentityAgent={}", agent.socket.display());
    let hosts = format!("UserKnownHostsFile=\"{}\"", known_hosts.display());
    for option in [
        socket.as_str(),
        hosts.as_str(),
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "IdentityFile=none",
        "BatchMode=yes",
        "PreferredAuthentications=publickey",
        "ForwardAgent=no",
        "ConnectTimeout=10",
    ] {
        command.args(["-o", option]);
    }
    let asked = format!("git-upload-pack '{}'", remote.repository);
    command.args(["-v", "-T", "-F", "none", "-p", &remote.port.to_string(), "-l", &remote.user]);
    command.args(["--", &remote.host, &asked]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|_| missing("ssh"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A flush packet: we want nothing. A server that has hung up by now says so in its answer.
        let _ = stdin.write_all(b"0000").await;
    }
    let output = timeout(LOGIN, child.wait_with_output())
        .await
        .map_err(|_| format!("no answer from the SSH server in {} s", LOGIN.as_secs()))?
        .map_err(|_| "ssh could not be waited for".to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(judge(&said, &output.stdout, output.status.success(), &fingerprint))
}

/// What the client's log says of this key.
fn judge(said: &str, sent: &[u8], success: bool, fingerprint: &str) -> Verdict {
    let line = |word: &str| said.lines().any(|line| line.contains(word));
    let offered = said.lines().any(|line| line.contains("Offering public key") && line.contains(fingerprint));
    // A list of refs begins with the length of its first line, or is empty.
    let refs = sent.get(..4).is_some_and(|head| head.iter().all(u8::is_ascii_hexdigit));
    let why = if line("Host key verification failed") {
        "the server's host key is not the one in `known_hosts`"
    } else if !offered {
        "the SSH server could not be reached, or ended the connection before the key was offered"
    } else if success && refs {
        return Verdict::Accepted;
    } else if line("Permission denied (") && !line("Authenticated to ") {
        return Verdict::Refused(format!("Permission denied (publickey) for {fingerprint}"));
    } else if line("Authenticated to ") {
        "the key is still let in, and not to this repository: it is registered elsewhere too"
    } else {
        "the SSH server ended the connection"
    };
    Verdict::Inconclusive(why.to_owned())
}

/// An agent of our own. It ends with this.
struct Agent {
    socket: PathBuf,
    _process: Child,
    _home: tempfile::TempDir,
}

impl Agent {
    async fn start() -> Result<Self, Why> {
        // Readable by nobody else, as `tempfile` makes it.
        let home = tempfile::Builder::new()
            .prefix("claviger-")
            .tempdir()
            .map_err(|_| "no temporary directory".to_owned())?;
        let socket = home.path().join("agent");
        let mut command = program("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().map_err(|_| missing("ssh-agent"))?;
        let listening = async {
            while !socket.exists() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(AGENT, listening).await.map_err(|_| "ssh-agent does not start".to_owned())?;
        Ok(Self { socket, _process: process, _home: home })
    }

    /// Gives the agent a private key; its fingerprint.
    async fn take(&self, key: &SecretValue) -> Result<String, Why> {
        let mut command = self.add();
        command.arg("-q").arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|_| missing("ssh-add"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A text without a line break at its end is no key to OpenSSH.
            let _ = stdin.write_all(key.expose()).await;
            let _ = stdin.write_all(b"\n").await;
        }
        let status = timeout(AGENT, child.wait()).await.ok().and_then(Result::ok);
        if !status.is_some_and(|status| status.success()) {
            return Err("the value is no private key that ssh-agent takes without a passphrase".to_owned());
        }
        let mut command = self.add();
        command.args(["-l", "-E", "sha256"]).stdin(Stdio::null()).stderr(Stdio::null());
        let listed = timeout(AGENT, command.output()).await.ok().and_then(Result::ok);
        let listed =
            listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let fingerprint = listed.split_whitespace().find(|word| word.starts_with("SHA256:"));
        fingerprint.map(str::to_owned).ok_or_else(|| "ssh-agent does not list the key".to_owned())
    }

    fn add(&self) -> Command {
        let mut command = program("ssh-add");
        command.env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS_REQUIRE", "never");
        command
    }
}

/// With nothing of our own environment that could lead it elsewhere, and ended with us.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().kill_on_drop(true);
    for name in PASSED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn missing(name: &str) -> Why {
    format!("`{name}` is not installed: OpenSSH's client programs are needed to try an SSH key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_url_are_read_and_words_for_a_shell_are_not() {
        let remote = |host: &str, port| Remote {
            user: "git".into(),
            host: host.into(),
            port,
            repository: "acme/shop.git".into(),
        };
        for (url, found) in [
            ("ssh://git@127.0.0.1:2222/acme/shop.git", Some(remote("127.0.0.1", 2222))),
            ("ssh://git@forge.example/acme/shop.git", Some(remote("forge.example", 22))),
            ("ssh://git@[::1]:2222/acme/shop.git", Some(remote("::1", 2222))),
            ("git@forge.example:acme/shop.git", Some(remote("forge.example", 22))),
            ("ssh://git@-oProxyCommand=x/acme/shop.git", None),
            ("git@forge.example:acme/$(id).git", None),
            ("git@forge.example:acme/a'b.git", None),
            ("https://forge.example/acme/shop.git", None),
        ] {
            assert_eq!(Remote::parse(url), found, "{url}");
        }
    }

    #[test]
    fn only_a_key_that_was_offered_can_be_refused() {
        let (ours, other) = ("SHA256:abc", "SHA256:xyz");
        let offer = format!("debug1: Offering public key: comment ED25519 {ours} agent\n");
        let denied = "git@127.0.0.1: Permission denied (publickey).\n";
        let verdict = |said: &str, sent: &[u8], success| judge(said, sent, success, ours);
        assert_eq!(verdict(&format!("{offer}debug1: x\n"), b"00a1...", true), Verdict::Accepted);
        assert!(matches!(verdict(&format!("{offer}{denied}"), b"", false), Verdict::Refused(_)));
        for (said, why) in [
            (denied.to_owned(), "before the key was offered"),
            (offer.replace(ours, other) + denied, "before the key was offered"),
            ("Host key verification failed.\n".to_owned(), "host key"),
            (
                format!("{offer}Authenticated to 127.0.0.1 using \"publickey\".\nGitea: denied\n"),
                "registered elsewhere",
            ),
            (format!("{offer}Connection reset by peer\n"), "ended the connection"),
            ("ssh: connect to host: Connection refused\n".to_owned(), "could not be reached"),
        ] {
            let found = verdict(&said, b"", false);
            assert!(
                matches!(&found, Verdict::Inconclusive(text) if text.contains(why)),
                "{found:?} of {said}"
            );
        }
        // A greeting is no list of refs.
        let greeted = format!("{offer}Authenticated to 127.0.0.1\n");
        assert!(matches!(verdict(&greeted, b"Hi there", true), Verdict::Inconclusive(_)));
    }
}
