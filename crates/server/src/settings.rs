use std::time::Duration;

use claviger_engine::saga::RunOptions;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Plans firings and scans. Of several processes one at a time does.
    Scheduler,
    /// Answers the API.
    Api,
    /// Takes firings and carries them out, and takes up what was left.
    Worker,
}

/// The roles of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// See [`Role::Scheduler`].
    pub scheduler: bool,
    /// See [`Role::Worker`].
    pub worker: bool,
    /// See [`Role::Api`].
    pub api: bool,
}

impl Roles {
    /// These roles.
    pub fn of(roles: &[Role]) -> Self {
        let has = |role| roles.contains(&role);
        Self { scheduler: has(Role::Scheduler), worker: has(Role::Worker), api: has(Role::Api) }
    }
}

/// How a process runs its duties.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its roles.
    pub roles: Roles,
    /// How sagas are run.
    pub run: RunOptions,
    /// Firings of this process at a time.
    pub at_once: usize,
    /// How long after it has found nothing to do a worker looks again.
    pub tick: Duration,
    /// How often everything is planned anew; what was changed by ourselves is planned at once.
    pub replan: Duration,
    /// How often unfinished work that nobody has is looked for.
    pub recover: Duration,
    /// How old the newest scan may get; `None`: the service does not scan.
    pub scan_every: Option<Duration>,
    /// How old the newest trial of what was revoked may get; `None`: the service does not try.
    pub reprobe_every: Option<Duration>,
    /// In which backends drills are held, and how often.
    pub drills: Vec<(String, Duration)>,
    /// How long after a verification of all copies was begun the next one is; `None`: the service does not verify.
    pub verify_every: Option<Duration>,
    /// How long running steps have to come to a boundary once it is told to stop.
    pub drain: Duration,
}

impl Default for Settings {
    /// All roles, 16 firings at a time, a look each second, planned anew each minute, no scans, ten seconds to stop.
    fn default() -> Self {
        Self {
            roles: Roles { scheduler: true, worker: true, api: true },
            // What waits for longer gives its place to another one, and is taken up when its time has come.
            run: RunOptions {
                patience: Duration::from_secs(1),
                linger: Duration::from_secs(15),
                ..RunOptions::default()
            },
            at_once: 16,
            tick: Duration::from_secs(1),
            replan: Duration::from_secs(60),
            recover: Duration::from_secs(5),
            scan_every: None,
            reprobe_every: None,
            drills: Vec::new(),
            verify_every: None,
            drain: Duration::from_secs(10),
        }
    }
}
