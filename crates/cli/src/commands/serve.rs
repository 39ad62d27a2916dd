use claviger_server::{Ended, Role, Roles, Service, Stopper};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    args::{Global, RoleName, ServeArgs},
    compose::{Needs, compose},
    error::{Exit, Failure, Result},
    output,
};

/// Runs the service until it is told to stop: SIGTERM or SIGINT once for a clean end, twice to cut it off.
pub(super) async fn run(global: &Global, args: &ServeArgs) -> Result<Exit> {
    let composed = compose(global, Needs::Backends).await?;
    composed.may_change()?;
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
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::new(602, Exit::Failed, format!("cannot listen on {}: {error}", args.listen))
            .hint("another process has the port, or the address is none of this machine: choose another one with `--listen`")
    })?;
    let address = listener.local_addr().unwrap_or(args.listen);
    output::remark(global, &format!("listening on http://{address}"));
    let service = Service { scheduler: composed.scheduler()?, settings };
    let stopper = Stopper::default();
    let running = service.run(listener, stopper.listener());
    tokio::pin!(running);
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
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

fn role(name: RoleName) -> Role {
    match name {
        RoleName::Scheduler => Role::Scheduler,
        RoleName::Worker => Role::Worker,
    }
}
