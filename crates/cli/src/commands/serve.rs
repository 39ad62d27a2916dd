use std::{net::IpAddr, pin::Pin, sync::Arc};

use claviger_core::{
    clock::{Clock, SystemClock},
    random::{OsRandom, Random},
    secret::SecretValue,
    signing::PrivateKey,
};
use claviger_engine::firing::Scheduler;
use claviger_server::{
    Ended, Listing, Load, Pair, Relisting, Renewal, Role, Roles, Service, Settings, Stopper, Tls,
    access::oidc::Oidc,
    api::{Api, Bearer},
    notify as notices, webhook as webhooks,
};
use claviger_store::{Hints, SeaStore};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    args::{Global, RoleName, ServeArgs},
    compose::{Composed, Needs, assemble, compose},
    config::{Fixed, Loaded, access, notify, webhook},
    error::{Exit, Failure, Result},
    output,
    reviewer::Reviewer,
    telemetry::Telemetry,
};

/// Runs the service until it is told to stop: SIGTERM or SIGINT once for a clean end, twice to cut it off. SIGHUP has it read its configuration anew.
pub(super) async fn run(global: &Global, args: &ServeArgs) -> Result<Exit> {
    let mut composed = compose(global, Needs::Backends).await?;
    composed.may_change()?;
    // Without the key everything is answered but exports.
    let signing = composed.take_signing().map(Arc::new);
    for (name, _, error) in &composed.engine.estate.broken {
        output::remark(global, &format!("backend `{name}` is left out: {}", error.message()));
    }
    let mut settings = composed.loaded.service()?;
    let able = composed.engine.drillable();
    if let Some((name, _)) = settings.drills.iter().find(|(name, _)| !able.contains(name)) {
        return Err(Failure::new(
            431,
            Exit::Usage,
            format!("`[drills.{name}]`: no decoys can be made there"),
        )
        .hint(match able.is_empty() {
            true => "PostgreSQL can make them: a role that may log in and do nothing".to_owned(),
            false => format!("drills can be held in {}", able.join(", ")),
        }));
    }
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
    let tls = tls(&composed).await?;
    let (relist, reporters) = Relisting::new(reporters(&composed.loaded, settings.roles)?);
    let api = api(&composed, &settings, (signing, reporters), (args.listen.ip(), tls.is_some())).await?;
    let (retell, notify) = Relisting::new(told(&composed.loaded, settings.roles)?);
    let address = listener.local_addr().unwrap_or(args.listen);
    output::remark(
        global,
        &format!("listening on {}://{address}", if tls.is_some() { "https" } else { "http" }),
    );
    let hints = composed.loaded.config.service.hears().then(|| Arc::clone(&composed.store));
    let hints = hints.map(|store| store as Arc<dyn Hints>);
    let (renewal, current) = Renewal::new(composed.scheduler()?);
    let roles = settings.roles;
    let service = Service { current, settings, hints, joins: Telemetry::joins(), api, tls, notify };
    let stopper = Stopper::default();
    let running = service.run(listener, stopper.listener());
    tokio::pin!(running);
    // Told to while it does, it begins again: what was read may be older than what is there.
    let mut reading: Option<Reading<'_>> = None;
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = hangup.recv() => reading = Some(Box::pin(read_anew(global, Arc::clone(&store), &fixed, roles))),
            read = of(&mut reading) => {
                reading = None;
                match read {
                    Ok(anew) => {
                        renewal.renew(anew.scheduler);
                        retell.put(anew.told);
                        relist.put(anew.reporters);
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

/// The certificate and its key, of their files: read again when they change.
async fn tls(composed: &Composed) -> Result<Option<Tls>> {
    let service = &composed.loaded.config.service;
    let (certificate, key) = match (&service.certificate, &service.key) {
        (Some(certificate), Some(key)) => (composed.loaded.path(certificate), composed.loaded.path(key)),
        (None, None) => return Ok(None),
        _ => {
            return Err(Failure::config(
                635,
                "[service] has one of `certificate` and `key`, and TLS wants both",
            ));
        }
    };
    let load: Load = Arc::new(move || {
        let read = |file: &std::path::Path| {
            std::fs::read(file).map_err(|error| format!("`{}`: {}", file.display(), error.kind()))
        };
        Ok(Pair { certificate: read(&certificate)?, key: SecretValue::new(read(&key)?) })
    });
    let tls = Tls::new(load).await;
    tls.map(Some).map_err(|why| {
        Failure::config(635, format!("[service]: {why}"))
            .hint("both files are PEM; the chain begins with the certificate of that key")
    })
}

/// What the API needs. A token that anybody on the way can read is nobody's: without TLS it listens to this machine alone, unless that was allowed.
async fn api(
    composed: &Composed,
    settings: &Settings,
    (signing, receivers): (Option<Arc<PrivateKey>>, Listing<webhooks::Receiver>),
    (listens, tls): (IpAddr, bool),
) -> Result<Option<Api>> {
    if !settings.roles.api {
        return Ok(None);
    }
    if !tls && !listens.is_loopback() && !composed.loaded.config.service.plaintext {
        let message =
            format!("the API would send tokens over the network in the clear: {listens} is not this machine");
        return Err(Failure::new(636, Exit::Refused, message)
            .hint("`certificate` and `key` of `[service]` have it speak TLS; `plaintext = true` allows it where something in front does"));
    }
    let mut bearers: Vec<Arc<dyn Bearer>> = Vec::new();
    if let Some(oidc) = &composed.loaded.config.service.oidc {
        let settings = access::provider(&composed.loaded, oidc)?;
        let provider = Oidc::new(settings, Arc::clone(&composed.engine.clock));
        let provider = provider.map_err(|why| Failure::config(637, format!("[service.oidc]: {why}")))?;
        bearers.push(Arc::new(provider));
    }
    if let Some(cluster) = &composed.loaded.config.service.kubernetes {
        bearers.push(Arc::new(Reviewer::of(&composed.loaded, cluster).await?));
    }
    let store = &composed.store;
    Ok(Some(Api {
        tokens: store.clone(),
        requests: store.clone(),
        bearers,
        signing,
        receivers,
        deliveries: store.clone(),
    }))
}

/// What a configuration that was read anew comes to.
struct Anew {
    scheduler: Scheduler,
    told: Vec<notices::Receiver>,
    reporters: Vec<webhooks::Receiver>,
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Anew>> + 'a>>;

/// Who is told what happens, by a worker.
fn told(loaded: &Loaded, roles: Roles) -> Result<Vec<notices::Receiver>> {
    if roles.worker { notify::receivers(loaded) } else { Ok(Vec::new()) }
}

/// Who may report leaks to the API.
fn reporters(loaded: &Loaded, roles: Roles) -> Result<Vec<webhooks::Receiver>> {
    if roles.api { webhook::receivers(loaded) } else { Ok(Vec::new()) }
}

/// The result of what is being read. Never, where nothing is.
async fn of(reading: &mut Option<Reading<'_>>) -> Result<Anew> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// Builds everything anew on the same database: backends, policies, exceptions, blackouts, owners, approvers, guards, budgets, who is told and who may report.
/// All of it or nothing.
async fn read_anew(global: &Global, store: Arc<SeaStore>, fixed: &Fixed, roles: Roles) -> Result<Anew> {
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
    let (told, reporters) = (told(&composed.loaded, roles)?, reporters(&composed.loaded, roles)?);
    Ok(Anew { scheduler: composed.scheduler()?, told, reporters })
}

fn role(name: RoleName) -> Role {
    match name {
        RoleName::Api => Role::Api,
        RoleName::Scheduler => Role::Scheduler,
        RoleName::Worker => Role::Worker,
    }
}
