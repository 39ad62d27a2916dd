//! Time, credentials, and what is held against what happened.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_core::{
    clock::ManualClock,
    id::{CredentialId, SagaId},
    random::SeededRandom,
    schedule::{Budget, Expression, Schedule, Steadiness, Window, jitter, zone},
    view::CredentialView,
};
use claviger_engine::{
    Estate,
    firing::{changes, wanted},
    policy::Policy,
    selector::Selector,
    timing::Timing,
};
use claviger_store::{Claimed, FiringEnd, Firings as _, Replan, SeaStore};
use claviger_testkit::database::{Kind, TestDatabase};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(3600);
/// Credentials of one service.
const SERVICE: u32 = 5;
const BACKENDS: u32 = 4;
/// How long a nightly credential's start may be spread.
const SPREAD: i64 = 45;

/// A day with a change of the clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    pub(crate) name: &'static str,
    pub(crate) from: &'static str,
    /// When 02:30 in Berlin is, in this night.
    pub(crate) nightly: &'static str,
}

impl Day {
    /// 26 hours: a day of 25 hours whole, and what is late.
    pub(crate) fn minutes(self) -> i64 {
        26 * 60
    }

    fn at(self, minute: i64) -> Result<DateTime<Utc>> {
        Ok(self.from.parse::<DateTime<Utc>>()? + TimeDelta::minutes(minute))
    }
}

/// The machine's clock is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jump {
    pub(crate) at: i64,
    pub(crate) lasts: i64,
    pub(crate) by: i64,
}

pub(crate) struct World {
    day: Day,
    estate: Estate,
    credentials: HashMap<CredentialId, CredentialView>,
    budgets: Vec<Budget>,
    _database: TestDatabase,
    store: SeaStore,
    steady: Steadiness,
    running: Vec<(i64, Claimed)>,
    /// Each start: credential, instant at which it was due, true minute.
    starts: Vec<(CredentialId, DateTime<Utc>, i64)>,
    sat_out: usize,
}

fn policy(name: &str, label: &str, max_age: Option<TimeDelta>, timing: Timing) -> Result<Policy> {
    Ok(Policy {
        name: name.to_owned(),
        selector: Selector::parse(&format!("label.class={label}"))?,
        max_age,
        strategy: None,
        approvals: 0,
        retain: false,
        re_revoke: false,
        password: None,
        grace: None,
        evidence: None,
        consumers_at_once: None,
        timing,
    })
}

fn credential(number: u32, day: Day) -> Result<CredentialView> {
    let class = ["nightly", "nightly", "daily", "window"][number as usize / SERVICE as usize % 4];
    // Somewhere in the day before; the nightly ones after the night before.
    let spread = i64::from(number.wrapping_mul(7919) % 1200);
    let changed = day.at(if class == "nightly" { spread / 2 - 900 } else { spread - 1410 })?;
    let seen = day.at(-2000)?;
    Ok(serde_json::from_value(serde_json::json!({
        "id": Uuid::from_u128(u128::from(number) + 1), "ref": format!("b{}/role/{number}", number % BACKENDS), "kind": "password",
        "backend": format!("b{}", number % BACKENDS), "identity": format!("b/service/{}", number / SERVICE), "owner": null, "state": "active",
        "long_lived": true, "created_at": null, "last_rotated_at": changed, "expires_at": null, "last_used_at": null, "age_days": 0,
        "next_due_at": null, "policy": null, "copies": 1, "consumers": 1, "findings": [], "link": "proven", "labels": { "class": class },
        "attributes": {}, "first_seen": seen, "last_seen": seen,
    }))?)
}

impl World {
    pub(crate) async fn new(day: Day, count: u32) -> Result<Self> {
        let berlin = zone("Europe/Berlin")?;
        let nightly = Timing {
            schedule: Some(Schedule::new(Expression::parse("30 2 * * *")?, berlin)),
            jitter: TimeDelta::minutes(SPREAD),
            ..Timing::default()
        };
        let window = Timing { window: Some(Window::parse("22:00-06:00", berlin)?), ..Timing::default() };
        let day_long = Some(TimeDelta::days(1));
        let mut estate = Estate::default();
        estate.policies = vec![
            policy("nightly", "nightly", None, nightly)?,
            policy("daily", "daily", day_long, Timing::default())?,
            policy("window", "window", day_long, window)?,
        ];
        let credentials = (0..count)
            .map(|number| credential(number, day).map(|credential| (credential.id, credential)))
            .collect::<Result<_>>()?;
        // A firing takes three minutes in the middle, and a third of the night's are due within an hour.
        let concurrency = usize::try_from(count)? / 40;
        let budgets = (0..BACKENDS)
            .map(|number| Budget {
                backend: format!("b{number}"),
                concurrency,
                per_minute: (number == 3).then_some(count / 60),
            })
            .collect();
        let clock = Arc::new(ManualClock::new(day.at(0)?));
        let random = Arc::new(SeededRandom::new(3));
        let made = TestDatabase::new(Kind::Sqlite, clock.clone(), random.clone()).await?;
        let database = made.context("a database")?;
        let store = database.open(clock, random).await?;
        Ok(Self {
            day,
            estate,
            credentials,
            budgets,
            _database: database,
            store,
            steady: Steadiness::default(),
            running: Vec::new(),
            starts: Vec::new(),
            sat_out: 0,
        })
    }

    /// Plans everything, as a process does at its start. Gives how much had to be changed.
    pub(crate) async fn plan_all(&mut self) -> Result<usize> {
        self.steady = Steadiness::default();
        let minute = self.starts.last().map_or(0, |(.., minute)| *minute);
        let now = self.day.at(minute)?;
        let mut all = Vec::new();
        for credential in self.credentials.values() {
            all.extend(wanted(&self.estate, credential, &[], &[], now)?);
        }
        let under_way: BTreeSet<_> = self.running.iter().map(|(_, claim)| claim.id).collect();
        let mut changed = changes(&self.store.planned().await?, &all, &BTreeSet::new());
        changed.retain(|change| match change {
            Replan::Put(one) => {
                !under_way.contains(&claviger_core::id::FiringId::derive(one.credential, one.due_at))
            }
            Replan::Drop(_) => true,
        });
        self.store.replan(now, &changed).await?;
        Ok(changed.len())
    }

    pub(crate) async fn tick(&mut self, minute: i64, jumps: &[Jump]) -> Result<()> {
        let jump = jumps.iter().find(|jump| (jump.at..jump.at + jump.lasts).contains(&minute));
        let wall = self.day.at(minute + jump.map_or(0, |jump| jump.by))?;
        let believed = self.steady.observe(wall, Duration::from_secs(u64::try_from(minute * 60)?)).is_none();
        self.finish(minute, wall).await?;
        if !believed {
            self.sat_out += 1;
            return Ok(());
        }
        let most = usize::MAX / 8;
        let claims = self.store.claim(wall, "w", LEASE, &self.budgets, most).await?;
        let mut put_back = Vec::new();
        for claim in claims {
            // As before a rotation is begun: everything is judged again.
            let one = wanted(&self.estate, &self.credentials[&claim.credential], &[], &[], wall)?;
            let one = one.filter(|one| one.due_at == claim.due_at).context("it is due at that instant")?;
            if one.starts_at > wall {
                put_back.push((claim, FiringEnd::Later { at: one.starts_at, pause: None }));
                continue;
            }
            self.starts.push((claim.credential, claim.due_at, minute));
            let takes = 2 + i64::try_from(claim.credential.0.as_u128() % 3)?;
            self.running.push((minute + takes, claim));
        }
        self.store.settle(wall, &put_back).await?;
        self.within_budgets(minute)
    }

    /// What has run long enough is over.
    async fn finish(&mut self, minute: i64, wall: DateTime<Utc>) -> Result<()> {
        let (over, running): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(until, _)| *until <= minute);
        self.running = running;
        let saga = SagaId(Uuid::nil());
        let ends: Vec<_> = over.into_iter().map(|(_, claim)| (claim, FiringEnd::Done { saga })).collect();
        if ends.is_empty() {
            return Ok(());
        }
        ensure!(
            self.store.settle(wall, &ends).await?.iter().all(|ours| *ours),
            "a firing was somebody else's"
        );
        let mut next = Vec::new();
        for (claim, _) in &ends {
            let credential = self.credentials.get_mut(&claim.credential).context("ours")?;
            credential.last_rotated_at = Some(wall);
            next.extend(wanted(&self.estate, credential, &[], &[], wall)?.map(Replan::Put));
        }
        Ok(self.store.replan(wall, &next).await?)
    }

    fn within_budgets(&self, minute: i64) -> Result<()> {
        let mut by_backend: BTreeMap<&str, usize> = BTreeMap::new();
        let mut services = BTreeSet::new();
        for (_, claim) in &self.running {
            *by_backend.entry(&claim.backend).or_default() += 1;
            let service = self.credentials[&claim.credential].identity.clone();
            ensure!(services.insert(service), "two of one service at minute {minute}: {}", claim.subject);
        }
        for budget in &self.budgets {
            let running = by_backend.get(budget.backend.as_str()).copied().unwrap_or(0);
            ensure!(running <= budget.concurrency, "{running} of {budget:?} at minute {minute}");
        }
        Ok(())
    }

    /// Holds every start against what should have been.
    pub(crate) fn verdict(&self) -> Result<String> {
        let mut once = BTreeSet::new();
        let mut of: HashMap<CredentialId, Vec<(DateTime<Utc>, i64)>> = HashMap::new();
        let mut latest = 0;
        for (credential, due_at, minute) in &self.starts {
            ensure!(once.insert((*credential, *due_at)), "{credential} fired twice for {due_at}");
            let now = self.day.at(*minute)?;
            ensure!(*due_at <= now, "{credential} fired at {now} and was due at {due_at}");
            latest = latest.max((now - *due_at).num_minutes());
            of.entry(*credential).or_default().push((*due_at, *minute));
        }
        let nightly: DateTime<Utc> = self.day.nightly.parse()?;
        let end = self.day.at(self.day.minutes() - 60)?;
        for (id, credential) in &self.credentials {
            let fired = of.get(id).map_or(&[][..], Vec::as_slice);
            match credential.labels["class"].as_str() {
                "nightly" => {
                    let due = nightly + jitter(*id, TimeDelta::minutes(SPREAD));
                    let of_the_night: Vec<_> = fired.iter().filter(|(at, _)| *at == due).collect();
                    ensure!(of_the_night.len() == 1 && fired.len() == 1, "{id}: {fired:?}, due at {due}");
                }
                class => {
                    // Of those that were due well before the end all came, the first of them by the state of the beginning.
                    let number = u32::try_from(id.0.as_u128() - 1)?;
                    let since = self::credential(number, self.day)?.last_rotated_at.context("a time")?;
                    let due = since + TimeDelta::days(1);
                    let is_open = class == "daily" || !(6..22).contains(&local_hour(due)?);
                    if due < end && is_open {
                        let first = fired.first();
                        ensure!(
                            first.is_some_and(|(at, _)| *at == due),
                            "{id} ({class}): {fired:?}, due at {due}"
                        );
                    }
                    if class == "window" {
                        for (_, minute) in fired {
                            let hour = local_hour(self.day.at(*minute)?)?;
                            ensure!(
                                !(6..22).contains(&hour),
                                "{id} started at {hour} o'clock, outside of its window"
                            );
                        }
                    }
                }
            }
        }
        ensure!(self.sat_out > 10, "the jumps were not noticed");
        Ok(format!(
            "{} fired, the latest {latest} min after it was due, {} ticks sat out",
            self.starts.len(),
            self.sat_out
        ))
    }
}

fn local_hour(at: DateTime<Utc>) -> Result<u32> {
    use chrono::Timelike as _;
    Ok(at.with_timezone(&zone("Europe/Berlin")?).hour())
}
