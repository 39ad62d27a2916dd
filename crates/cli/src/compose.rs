//! Puts the program together: configuration, keys, database, backends.

use std::sync::Arc;

use claviger_backend::layers::{Guarded, LayerConfig};
use claviger_core::{
    approval::Approver,
    clock::{Clock, SystemClock},
    id::new_id,
    random::{OsRandom, Random},
    reference::Ref,
    signing::PrivateKey,
};
use claviger_engine::{Declared, Engine, Estate, Member, OwnerRule, Ports, firing::Scheduler};
use claviger_store::{MigrationState, SeaStore};

use crate::{
    args::Global,
    config::Loaded,
    error::{Exit, Failure, Result},
    keys,
    registry::Parts,
    witness::{Keeper, Witnessed},
};

/// The engine and the configuration that it was built from.
pub(crate) struct Composed {
    pub(crate) engine: Engine,
    pub(crate) loaded: Loaded,
    /// The database, for what is no port of the engine.
    pub(crate) store: Arc<SeaStore>,
    signing: Option<PrivateKey>,
    keeper: Arc<Keeper>,
}

impl Composed {
    /// Who says whether the database went back in time.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(&self.keeper)
    }

    /// Refuses what would have an effect while the database is an older one than was seen.
    pub(crate) fn may_change(&self) -> Result<()> {
        match self.keeper.went_back() {
            None => Ok(()),
            Some(why) => Err(claviger_store::Error::WentBack(why).into()),
        }
    }

    /// The same key, for whoever signs for as long as the process runs; `None`: there is none.
    pub(crate) fn take_signing(&mut self) -> Option<PrivateKey> {
        self.signing.take()
    }

    /// The key that signs heads of the audit log. Installations of before there was one get it by `init`.
    pub(crate) fn signing(&self) -> Result<&PrivateKey> {
        let dir = self.loaded.keys();
        self.signing.as_ref().ok_or_else(|| {
            Failure::new(113, Exit::Usage, format!("there is no signing key in `{}`", dir.display())).hint(
                "if this installation had one, restore it: exports signed with another key are refused; where it is lost, `claviger init` and then `claviger keys adopt` go on with a new one. If it had none, `claviger init` makes it and leaves the other keys as they are",
            )
        })
    }

    /// The scheduler on this engine, under a name that no other process has.
    pub(crate) fn scheduler(self) -> Result<Scheduler> {
        let id = new_id(self.engine.clock.as_ref(), self.engine.random.as_ref()).simple().to_string();
        // The end of a time-ordered id is the random part.
        let owner = format!("worker:{}#{}", self.engine.actor, &id[id.len() - 8..]);
        let budgets = self.loaded.budgets()?;
        Ok(Scheduler { engine: Arc::new(self.engine), firings: self.store, budgets, owner })
    }
}

/// Which backends a command needs: a listing needs none, and should work although all of them are down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Only the database.
    Database,
    /// The database and every backend.
    Backends,
}

/// Builds everything. A backend that cannot be built is reported as failed by whoever needs it.
pub(crate) async fn compose(global: &Global, needs: Needs) -> Result<Composed> {
    let loaded = Loaded::find(global)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let store = Arc::new(open(global, &loaded, &clock, &random).await?);
    // An empty database is nobody's: it is made ready, with keys if there are none. One with data is never touched unasked.
    if store.schema_status().await?.with(MigrationState::Applied).is_empty() {
        store.migrate().await?;
        for path in keys::create(&loaded.keys(), random.as_ref())? {
            crate::output::remark(
                global,
                &format!("made {}: back it up, apart from the database", path.display()),
            );
        }
    }
    store.require_schema().await?;
    assemble(global, needs, loaded, store, clock, random).await
}

/// The same on a database that is open already: what a configuration that was read anew comes to.
pub(crate) async fn assemble(
    global: &Global,
    needs: Needs,
    loaded: Loaded,
    store: Arc<SeaStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Composed> {
    let keys::Ready { keys, signing } = keys::ready(&store, &loaded.keys()).await?;
    let mut estate = Estate::default();
    estate.policies = loaded.policies()?;
    estate.exceptions = loaded.exceptions()?;
    estate.blackouts = loaded.blackouts()?;
    estate.approvers = loaded.approvers()?;
    estate.guards = loaded.guards()?;
    estate.break_glass = loaded.break_glass()?;
    not_our_own(&estate.approvers, signing.as_ref())?;
    estate.operator = operator(global, &loaded, &estate.approvers)?;
    let actor = actor(estate.operator.as_deref());
    estate.owners = loaded
        .config
        .owners
        .iter()
        .map(|rule| OwnerRule { pattern: rule.r#match.clone(), owner: rule.owner.clone() })
        .collect();
    estate.declared = loaded
        .config
        .credentials
        .iter()
        .map(|declared| Declared {
            credential: Ref::from_text(declared.r#ref.clone()),
            copies: declared.copies.iter().cloned().map(Ref::from_text).collect(),
        })
        .collect();
    if needs == Needs::Backends {
        let version_key = Arc::new(keys.fingerprint.oldest());
        let parts = Parts { loaded: &loaded, clock: Arc::clone(&clock), version_key };
        for (name, config, member) in loaded.backends()? {
            match config.build(&name, &parts).await? {
                Ok(backend) => estate.add(Member {
                    backend: Arc::new(Guarded::new(backend, LayerConfig::default())),
                    labels: member.labels.clone(),
                    link_by_login: member.link_by_login,
                }),
                Err(error) => estate.broken.push((name, config.kind().to_owned(), Arc::new(error))),
            }
        }
    }
    let keeper = Arc::new(Keeper::open(&loaded.keys(), store.clone()).await?);
    let ports = Ports {
        inventory: store.clone(),
        journal: Arc::new(Witnessed { journal: store.clone(), keeper: Arc::clone(&keeper) }),
        audit: store.clone(),
        approvals: store.clone(),
        incidents: store.clone(),
        notifications: store.clone(),
    };
    let engine = Engine { estate, ports, keys: Arc::new(keys), clock, random, actor };
    Ok(Composed { engine, loaded, store, signing, keeper })
}

/// The installation plans: its own key approves nothing.
fn not_our_own(approvers: &[Approver], own: Option<&PrivateKey>) -> Result<()> {
    let Some(own) = own else { return Ok(()) };
    match approvers.iter().find(|approver| approver.key == own.public()) {
        None => Ok(()),
        Some(approver) => Err(Failure::config(
            30,
            format!("the key of approver `{}` is this installation's own: the planner's key cannot approve its plans", approver.name),
        )
        .hint("`claviger approve --new-key FILE` makes a key for a person")),
    }
}

/// Opens the lifecycle database without looking at its schema.
pub(crate) async fn open(
    global: &Global,
    loaded: &Loaded,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<SeaStore> {
    let url = loaded.database(global);
    if !url.starts_with("sqlite://") && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Failure::config(9, "the database's URL begins with neither sqlite:// nor postgres://")
            .hint("e.g. `sqlite://claviger.db` or `postgres://claviger@db.internal/claviger`"));
    }
    let password = loaded
        .config
        .database_password
        .as_ref()
        .map(|source| source.fetch(loaded, "database_password"))
        .transpose()?;
    Ok(SeaStore::connect(&url, password, Arc::clone(clock), Arc::clone(random)).await?)
}

/// Who has shown their key: by `--as`, or by the configuration. Whom a key belongs to `[[approvers]]` says.
fn operator(global: &Global, loaded: &Loaded, approvers: &[Approver]) -> Result<Option<String>> {
    let configured = loaded.config.operator.key.as_ref().map(|key| loaded.path(key));
    let Some(file) = global.operator.clone().or(configured) else { return Ok(None) };
    let key = keys::person(&file)?.public();
    match approvers.iter().find(|approver| approver.key == key) {
        Some(approver) => Ok(Some(approver.name.clone())),
        None => Err(Failure::config(
            35,
            format!("the key in `{}` is nobody's: no approver of the configuration has it", file.display()),
        )
        .hint(format!("add it to [[approvers]]: `public_key = \"{key}\"`"))),
    }
}

/// Who acts, for the audit log: who has shown a key, else the account that this process runs as, on this machine.
pub(crate) fn actor(operator: Option<&str>) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let user = operator.map_or_else(account, str::to_owned);
    format!("{user}@{}", host.trim())
}

/// The name of the account that this process runs as: its number where it has no name.
fn account() -> String {
    let number = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&accounts, number).unwrap_or_else(|| format!("uid-{number}"))
}

/// passwd(5): name, password, number, and more, with colons between.
fn named(accounts: &str, number: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_the_name_that_passwd_gives_its_number() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\n:x:7:\ndana:x:1000:1000::/home/dana:/bin/sh\n";
        assert_eq!(named(accounts, 0).as_deref(), Some("root"));
        assert_eq!(named(accounts, 1000).as_deref(), Some("dana"));
        assert_eq!((named(accounts, 7), named(accounts, 100)), (None, None));
        // Who has shown a key is that person, whoever runs the process.
        assert!(actor(Some("eve")).starts_with("eve@"));
        assert_eq!(actor(None).split('@').next(), Some(account().as_str()));
    }
}
