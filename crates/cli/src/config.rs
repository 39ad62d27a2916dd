//! The configuration: TOML, then `CLAVIGER_…` from the environment. An unknown key is an error that names the nearest known one.

pub(crate) mod access;
mod approver;
mod blackout;
mod environment;
mod exception;
mod fixed;
mod guard;
pub(crate) mod notify;
mod policy;
mod secret;
mod service;
pub(crate) mod telemetry;
pub(crate) mod webhook;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use claviger_core::{
    approval::Approver,
    schedule::{Blackout, Budget},
};
use claviger_engine::{exception::Exception, policy::Policy};
use claviger_server::Settings;
use serde::Deserialize;

pub(crate) use self::{fixed::Fixed, secret::SecretSource};
use crate::{
    args::Global,
    error::{Failure, Result},
    registry::BackendConfig,
};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Lifecycle database.
    pub(crate) database: Option<String>,
    /// Its password, where the URL has a user.
    pub(crate) database_password: Option<SecretSource>,
    /// Directory of the keys.
    pub(crate) keys: Option<PathBuf>,
    /// How long a worker owns a saga without renewal, in seconds.
    pub(crate) lease_seconds: Option<u64>,
    /// Backends by name.
    pub(crate) backends: BTreeMap<String, Member>,
    /// Policies, in file order.
    pub(crate) policies: toml::Table,
    /// What is waived for a while, in file order.
    pub(crate) exceptions: toml::Table,
    /// Times in which nothing starts by itself.
    pub(crate) blackouts: Vec<toml::Value>,
    /// Who answers for what.
    pub(crate) owners: Vec<Owner>,
    /// Links by hand.
    pub(crate) credentials: Vec<DeclaredCredential>,
    /// People who may approve.
    pub(crate) approvers: Vec<approver::Raw>,
    /// What is too much for one person.
    pub(crate) guards: guard::Guards,
    /// What an incident allows.
    pub(crate) incident: guard::Incident,
    /// Who runs this.
    pub(crate) operator: guard::Operator,
    /// What schedules may do at a backend, by its name.
    pub(crate) budgets: BTreeMap<String, service::Budget>,
    /// How fresh the service keeps the inventory.
    pub(crate) scan: service::Round,
    /// How often the service tries again what was revoked.
    pub(crate) reprobe: service::Round,
    /// How often it holds a drill, by backend.
    pub(crate) drills: BTreeMap<String, service::Round>,
    /// How often it reads copies and logs in with them.
    pub(crate) verify: service::Round,
    /// The service.
    pub(crate) service: service::Service,
    /// To which collector traces are sent.
    pub(crate) telemetry: telemetry::Telemetry,
    /// Who is let in to its API by what an identity provider says, in file order.
    pub(crate) access: Vec<access::Access>,
    /// Who may report leaks to it by a request.
    pub(crate) webhooks: BTreeMap<String, webhook::Webhook>,
    /// Who is told what happens.
    pub(crate) notify: BTreeMap<String, notify::Notify>,
}

/// A backend with what is common to all kinds.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    /// Labels of all its items.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// May candidate values be tried by logging in?
    #[serde(default)]
    pub(crate) link_by_login: bool,
    /// The rest is the kind's own.
    #[serde(flatten)]
    pub(crate) rest: toml::Table,
}

/// `[[owners]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    /// A ref with globs.
    pub(crate) r#match: String,
    /// Person or team.
    pub(crate) owner: String,
}

/// `[[credentials]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredCredential {
    /// The credential at its issuer.
    pub(crate) r#ref: String,
    /// Its copies.
    #[serde(default)]
    pub(crate) copies: Vec<String>,
}

/// A configuration with the place that its relative paths start from.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) base: PathBuf,
    /// The file, if there was one.
    pub(crate) file: Option<PathBuf>,
}

impl Loaded {
    /// Finds and reads the configuration.
    pub(crate) fn find(global: &Global) -> Result<Self> {
        match locate(global) {
            Some(file) => Self::read(&file),
            None => Err(Failure::config(2, "there is no configuration")
                .hint("`claviger init` writes one for what it finds on this machine; `claviger demo` needs none; `--config FILE` names one elsewhere")),
        }
    }

    /// Reads one file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let failure = Failure::config(3, format!("cannot read `{}`: {}", file.display(), error.kind()));
            failure.hint("`--config` or `CLAVIGER_CONFIG` names the file; `claviger init` writes one")
        })?;
        let mut table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| syntax(file, &text, &error))?;
        environment::overlay(&mut table, std::env::vars());
        let config: Config = serde::Deserialize::deserialize(toml::Value::Table(table))
            .map_err(|error: toml::de::Error| shape(file, &error))?;
        let base = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_owned();
        let loaded = Self { config, base, file: Some(file.to_owned()) };
        loaded.policies()?;
        loaded.exceptions()?;
        loaded.blackouts()?;
        loaded.approvers()?;
        loaded.guards()?;
        loaded.break_glass()?;
        loaded.backends()?;
        loaded.budgets()?;
        loaded.service()?;
        access::rules(&loaded.config.access)?;
        webhook::check(&loaded.config.webhooks)?;
        notify::check(&loaded.config.notify)?;
        Ok(loaded)
    }

    /// A path of the configuration, from the file's directory.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// The lifecycle database's URL: the command line, then the file, then `claviger.db` beside it.
    pub(crate) fn database(&self, global: &Global) -> String {
        if let Some(url) = &global.database {
            return url.clone();
        }
        let url = self.config.database.as_deref().unwrap_or("sqlite://claviger.db");
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.starts_with('/') && !path.starts_with(':') => {
                format!("sqlite://{}", self.path(Path::new(path)).display())
            }
            _ => url.to_owned(),
        }
    }

    /// The directory of the keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path(self.config.keys.as_deref().unwrap_or(Path::new("keys")))
    }

    /// The backends with their kind's configuration.
    pub(crate) fn backends(&self) -> Result<Vec<(String, BackendConfig, &Member)>> {
        self.config
            .backends
            .iter()
            .map(|(name, member)| {
                if name.is_empty() || name.contains(['/', '#', '*', '?', ' ', '=']) {
                    return Err(Failure::config(7, format!("`{name}` cannot be a backend's name"))
                        .hint("it is the first segment of every ref: letters, digits, `-`, `_` and `.`"));
                }
                let parsed = BackendConfig::deserialize(toml::Value::Table(member.rest.clone()))
                    .map_err(|error| self.shape(&format!("backends.{name}"), &error))?;
                Ok((name.clone(), parsed, member))
            })
            .collect()
    }

    /// The policies, in file order.
    pub(crate) fn policies(&self) -> Result<Vec<Policy>> {
        self.config
            .policies
            .iter()
            .map(|(name, value)| {
                policy::parse(name, value.clone())
                    .map_err(|error| self.shape(&format!("policies.{name}"), &error))
            })
            .collect()
    }

    /// The exceptions, in file order.
    pub(crate) fn exceptions(&self) -> Result<Vec<Exception>> {
        self.config
            .exceptions
            .iter()
            .map(|(name, value)| {
                exception::parse(name, value.clone())
                    .map_err(|error| self.shape(&format!("exceptions.{name}"), &error))
            })
            .collect()
    }

    /// The blackouts, in file order.
    pub(crate) fn blackouts(&self) -> Result<Vec<Blackout>> {
        let read = |value: &toml::Value| {
            blackout::parse(value.clone()).map_err(|error| self.shape("[blackouts]", &error))
        };
        self.config.blackouts.iter().map(read).collect()
    }

    /// The people who may approve.
    pub(crate) fn approvers(&self) -> Result<Vec<Approver>> {
        approver::read(&self.config.approvers)
    }

    /// The guards.
    pub(crate) fn guards(&self) -> Result<claviger_engine::guard::Guards> {
        self.config.guards.read()
    }

    /// How long an incident lets plans through without the approvals that they want.
    pub(crate) fn break_glass(&self) -> Result<chrono::TimeDelta> {
        self.config.incident.break_glass()
    }

    /// What schedules may do at each backend of which something is said.
    pub(crate) fn budgets(&self) -> Result<Vec<Budget>> {
        service::budgets(&self.config)
    }

    /// How the service runs its duties.
    pub(crate) fn service(&self) -> Result<Settings> {
        service::settings(&self.config)
    }

    fn shape(&self, section: &str, error: &toml::de::Error) -> Failure {
        let file = self.file.as_deref().unwrap_or(Path::new("claviger.toml"));
        let failure = shape(file, error);
        failure.within(section)
    }
}

impl Failure {
    fn within(self, section: &str) -> Self {
        self.map_message(|message| format!("{message} (in `[{section}]`)"))
    }
}

fn locate(global: &Global) -> Option<PathBuf> {
    if let Some(file) = &global.config {
        return Some(file.clone());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let places = [
        Some(PathBuf::from("claviger.toml")),
        std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".config")))
            .map(|dir| dir.join("claviger/config.toml")),
        Some(PathBuf::from("/etc/claviger/config.toml")),
    ];
    places.into_iter().flatten().find(|place| place.is_file())
}

/// A file that is no TOML. The message names the line; it never repeats the line, which may hold what should not be printed.
fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
    Failure::config(4, format!("`{}` is no TOML: line {line}: {}", file.display(), error.message()))
        .hint("config/claviger.toml in the source documents every setting")
}

/// A length of time: `90d`, `12h`, `30m`.
pub(crate) fn age(text: &str) -> Result<chrono::TimeDelta> {
    policy::age(text).map_err(|error| Failure::config(33, error.message()).hint("e.g. `24h`"))
}

/// A key or value that does not belong there.
fn shape(file: &Path, error: &toml::de::Error) -> Failure {
    let message = error.message();
    let failure = Failure::config(5, format!("`{}`: {message}", file.display()));
    match nearest(message) {
        Some(known) => failure.hint(format!("did you mean `{known}`?")),
        None => failure.hint("config/claviger.toml in the source documents every setting"),
    }
}

/// The known key that is most like the unknown one in serde's message: ``unknown field `x`, expected one of `a`, `b` ``.
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut words = rest.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    let closest = words.min_by_key(|known| distance(unknown, known))?;
    (distance(unknown, closest) <= unknown.len().max(3) / 2 + 1).then(|| closest.to_owned())
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let cost = if a == *b { diagonal } else { diagonal + 1 };
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Loaded> {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("claviger.toml");
        std::fs::write(&file, text).expect("written");
        Loaded::read(&file)
    }

    fn error(text: &str) -> String {
        format!("{:?}", read(text).err().expect("refused"))
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert!(error("databse = 'sqlite://x'").contains("did you mean `database`?"));
        assert!(
            error("[backends.db]\nkind = 'postgresql'\nurll = 'postgres://a@b/c'")
                .contains("did you mean `url`?")
        );
        assert!(error("[backends.db]\nkind = 'postgres'\nurl = 'x'").contains("did you mean `postgresql`?"));
        assert!(
            error("[policies.a]\nmatch = 'kind=password'\nmax_ages = '90d'")
                .contains("did you mean `max_age`?")
        );
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        let text =
            error("[backends.v]\nkind = 'vault'\naddress = 'http://127.0.0.1:1'\ntoken = 'hvs.SUPERSECRET'");
        assert!(text.contains("env"), "{text}");
        assert!(!text.contains("SUPERSECRET"), "{text}");
    }

    #[test]
    fn broken_toml_names_its_line_without_repeating_it() {
        let text = error("database = 'x'\npassword = SUPERSECRET\n");
        assert!(text.contains("line 2"), "{text}");
        assert!(!text.contains("SUPERSECRET"), "{text}");
    }
}
