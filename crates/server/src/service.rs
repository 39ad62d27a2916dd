//! The duties of one process, from its start to its end.

use std::sync::Arc;

use claviger_store::Hints;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Current, Health, Joins, Listing, Metrics, Settings, Stage, Stop, Stopper, Tls, api,
    drilling::Drilling,
    hinting::{self, Wakes},
    http, notify, notifying, planning, probing, recovering, renewing,
    reprobing::Reprobing,
    round, scanning,
    verifying::Verifying,
    working,
};

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything came to a boundary.
    Drained,
    /// Something did not within its time, or a second stop came: it was cut off, and is taken up by whoever comes next.
    CutOff,
    /// A duty ended by itself: a bug.
    Failed(String),
}

/// A service.
pub struct Service {
    /// What plans and carries out.
    pub current: Current,
    /// How.
    pub settings: Settings,
    /// Who tells of work at once; without it each duty finds it by looking.
    pub hints: Option<Arc<dyn Hints>>,
    /// Who takes over what a request says of its trace.
    pub joins: Option<Joins>,
    /// What the API needs, for whoever has that role.
    pub api: Option<api::Api>,
    /// What the listener shows; without it it speaks in the clear.
    pub tls: Option<Tls>,
    /// Who is told what happens, by whoever has the role of a worker.
    pub notify: Listing<notify::Receiver>,
}

impl Service {
    /// Runs until it is told to stop. `listener` answers health and metrics for every role, and goes on until all else has ended.
    pub async fn run(self, listener: TcpListener, stop: Stop) -> Ended {
        let Self { current, settings, hints, joins, api, tls, notify } = self;
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let wakes = Wakes::default();
        let (roles, mut duties, mut beside) = (settings.roles, JoinSet::new(), JoinSet::new());
        let (h, m) = (|| Arc::clone(&health), || Arc::clone(&metrics));
        if roles.scheduler {
            duties.spawn(planning::run(
                current.clone(),
                settings.clone(),
                h(),
                m(),
                Arc::clone(&wakes.plan),
                stop.clone(),
            ));
            if let Some(every) = settings.scan_every {
                duties.spawn(scanning::run(
                    current.clone(),
                    every,
                    h(),
                    m(),
                    Arc::clone(&wakes.plan),
                    stop.clone(),
                ));
            }
            if let Some(every) = settings.verify_every {
                let verifying = Verifying { metrics: m() };
                duties.spawn(round::run(verifying, every, current.clone(), h(), stop.clone()));
            }
        }
        if roles.worker {
            let run = settings.run;
            if let Some(every) = settings.reprobe_every {
                let reprobing = Reprobing { run, metrics: m() };
                duties.spawn(round::run(reprobing, every, current.clone(), h(), stop.clone()));
            }
            for (backend, every) in &settings.drills {
                let drilling = Drilling::new(backend, run, m());
                duties.spawn(round::run(drilling, *every, current.clone(), h(), stop.clone()));
            }
            let (firing, saga) = (Arc::clone(&wakes.firing), Arc::clone(&wakes.saga));
            duties.spawn(working::run(current.clone(), settings.clone(), h(), m(), firing, stop.clone()));
            duties.spawn(notifying::run(notify, settings.clone(), current.clone(), m(), stop.clone()));
            duties.spawn(recovering::run(current.clone(), settings.clone(), h(), m(), saga, stop.clone()));
        }
        if let Some(hints) = hints.filter(|_| roles.scheduler || roles.worker) {
            duties.spawn(hinting::run(hints, wakes, m(), stop.clone()));
        }
        let work = api::Work::new(stop.clone());
        let context = api.filter(|_| roles.api).map(|api| api::Context {
            api,
            current: current.clone(),
            run: settings.run,
            stop: stop.clone(),
            work: work.clone(),
        });
        // What the API began comes to a boundary with the other duties.
        let draining = (work, stop.clone());
        duties.spawn(async move {
            let (work, stop) = draining;
            stop.reached(Stage::Draining).await;
            work.drain().await;
        });
        // Every process has its own connections.
        duties.spawn(renewing::run(current.clone(), h(), m(), stop.clone()));
        // These two end last, when the others have: what stops is still asked how it is.
        let last = Stopper::default();
        let scheduler = current.now();
        beside.spawn(probing::run(scheduler.clone(), h(), m(), last.listener()));
        let shared = http::Shared { scheduler, health: h(), metrics: m(), joins };
        beside.spawn(http::run(listener, shared, context, tls, last.listener()));
        let ended = tokio::select! {
            Some(ended) = duties.join_next() => Some(early("a duty", ended)),
            Some(ended) = beside.join_next() => Some(early("the listener or the probe", ended)),
            () = stop.reached(Stage::Draining) => None,
        };
        health.draining();
        let ended = match ended {
            // What is left is driven no further than by a crash.
            Some(why) if stop.stage() == Stage::Running => Ended::Failed(why),
            _ => drain(&mut duties, &settings, &stop).await,
        };
        duties.shutdown().await;
        last.next();
        last.next();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), async {
            while beside.join_next().await.is_some() {}
        })
        .await;
        beside.shutdown().await;
        ended
    }
}

async fn drain(duties: &mut JoinSet<()>, settings: &Settings, stop: &Stop) -> Ended {
    let all = async {
        let mut failed = None;
        while let Some(ended) = duties.join_next().await {
            if let Err(error) = ended {
                failed = Some(error.to_string());
            }
        }
        failed
    };
    tokio::select! {
        failed = all => failed.map_or(Ended::Drained, Ended::Failed),
        () = tokio::time::sleep(settings.drain) => Ended::CutOff,
        () = stop.reached(Stage::Aborting) => Ended::CutOff,
    }
}

fn early(what: &str, ended: Result<(), tokio::task::JoinError>) -> String {
    match ended {
        Ok(()) => format!("{what} ended by itself"),
        Err(error) => format!("{what} ended badly: {error}"),
    }
}
