use std::{pin::Pin, sync::Arc};

use claviger_core::{
    clock::{Clock, SystemClock},
    random::{OsRandom, Random},
};
use claviger_engine::firing::Scheduler;
use claviger_server::{Ended, Renewal, Role, Roles, Service, Stopper};
use claviger_store::SeaStore;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    args::{Global, RoleName, ServeArgs},
    compose::{Needs, assemble, compose},
    config::{Fixed, Loaded},
    error::{Exit, Failure, Result},
    output,
};

/// Runs the service until it is told to stop: SIGTERM or SIGINT once for a clean end, twice to cut it off. SIGHUP has it read its configuration anew.
pub(super) async fn run(global: &Global, args: &ServeArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    for (name, _, error) in &composed.engine.estate.broken {
        output::remark(global, &format!("backend `{name}` is left out: {}", error.message()));
    }
    let mut settings = composed.loaded.service()?;
    let roles: Vec<Role> = args.roles.iter().copied().map(role).collect();
    settings.roles = Roles::of(&roles);
    let signals = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(600, Exit::Failed, format!("signals cannot be listened to: {error}"))
        })
    };
    let (mut terminate, mut interrupt, mut hangup) = (
        signals(SignalKind::terminate())?,
        signals(SignalKind::interrupt())?,
        signals(SignalKind::hangup())?,
    );
    let (fixed, store) = (Fixed::of(&composed.loaded, global), Arc::clone(&composed.store));
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::new(602, Exit::Failed, format!("cannot listen on {}: {error}", args.listen))
            .hint("another process has the port, or the address is none of this machine: choose another one with `--listen`")
    })?;
    let address = listener.local_addr().unwrap_or(args.listen);
    output::remark(global, &format!("listening on http://{address}"));
    let (renewal, current) = Renewal::new(composed.scheduler()?);
    let service = Service { current, settings };
    let stopper = Stopper::default();
    let running = service.run(listener, stopper.listener());
    tokio::pin!(running);
    // Told to while it does, it begins again: what was read may be older than what is there.
    let mut reading: Option<Reading<'_>> = None;
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = hangup.recv() => reading = Some(Box::pin(read_anew(global, Arc::clone(&store), &fixed))),
            read = of(&mut reading) => {
                reading = None;
                match read {
                    Ok(scheduler) => {
                        renewal.renew(scheduler);
                        tracing::info!("the configuration was read anew");
                    }
                    // What ran goes on as it was.
                    Err(failure) => {
                        tracing::warn!(error = failure.line(), "the configuration was not taken over");
                    }
                }
            }
            _ = terminate.recv() => stopper.next(),
            _ = interrupt.recv() => stopper.next(),
        }
    };
    match ended {
        Ended::Drained => Ok(Exit::Done),
        Ended::CutOff => {
            output::remark(global, "cut off: whoever starts next takes up what was under way");
            Ok(Exit::Incomplete)
        }
        Ended::Failed(why) => Err(Failure::new(601, Exit::Failed, format!("the service ended by itself: {why}"))
            .hint("this is a bug in claviger: please report it with the log; what was under way is taken up by the next start")),
    }
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Scheduler>> + 'a>>;

/// The result of what is being read. Never, where nothing is.
async fn of(reading: &mut Option<Reading<'_>>) -> Result<Scheduler> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// Builds everything anew on the same database: backends, policies, exceptions, blackouts, owners, approvers, guards, budgets.
async fn read_anew(global: &Global, store: Arc<SeaStore>, fixed: &Fixed) -> Result<Scheduler> {
    let mut loaded = Loaded::find(global)?;
    for setting in fixed.changed(&Fixed::of(&loaded, global)) {
        tracing::warn!(setting, "it was changed, and is taken over at the next start");
    }
    // What is sealed under the keys of before is open.
    loaded.config.keys = Some(fixed.keys().to_owned());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let composed = assemble(global, Needs::Backends, loaded, store, clock, random).await?;
    for (backend, _, error) in &composed.engine.estate.broken {
        tracing::warn!(backend, error = error.message(), "a backend is left out");
    }
    composed.scheduler()
}

fn role(name: RoleName) -> Role {
    match name {
        RoleName::Scheduler => Role::Scheduler,
        RoleName::Worker => Role::Worker,
    }
}
