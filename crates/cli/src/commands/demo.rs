use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use claviger_backend_simulated::{EstateFile, estate};
use claviger_core::{
    clock::{Clock, SystemClock},
    model::CredentialKind,
    random::{OsRandom, Random},
    reference::Ref,
    saga::Cause,
};
use claviger_engine::{
    plan::RotateOptions, progress::Silent, saga::RunOptions, scan::ScanOptions, selector::Selector,
};

use super::plan;
use crate::{
    args::{DemoArgs, Global, ReportFormat, ReportKind},
    compose::{self, Composed, Needs},
    config::Loaded,
    error::{Exit, Failure, Result},
    keys, output,
};

const CONFIG: &str = "\
# Made by `claviger demo`: a simulated estate in a file. Every command works here, e.g. `claviger list findings`.
database = \"sqlite://claviger.db\"
keys = \"keys\"

[backends.sim]
kind = \"simulated\"
path = \"estate.json\"

[policies.databases]
match = \"kind=password\"
max_age = \"90d\"
strategy = \"replace\"
";

/// The whole loop on a built-in estate.
pub(super) async fn run(global: &Global, args: &DemoArgs) -> Result<Exit> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => free(Path::new("claviger-demo"))?,
    };
    prepare(&dir).await?;
    let here = Global {
        server: None,
        token_file: None,
        server_ca: None,
        config: Some(dir.join("claviger.toml")),
        database: None,
        operator: global.operator.clone(),
        output: global.output,
        quiet: global.quiet,
        verbose: global.verbose,
        no_color: global.no_color,
        log_format: global.log_format,
    };
    let composed = compose::compose(&here, Needs::Backends).await?;

    output::heading("1. Scan: what is there, and what could not be read");
    let view = composed.engine.scan(&ScanOptions::default(), &Silent).await?;
    super::scan::print(&here, &view)?;

    output::heading("2. Findings: what is wrong");
    super::list::run(
        &here,
        &crate::args::ListArgs {
            thing: crate::args::Thing::Findings,
            selector: Vec::new(),
            condition: crate::args::ConditionArgs { condition: None },
            gone: false,
        },
    )
    .await?;

    output::heading("3. Rotate a database password that lies in several places");
    rotate(&here, &composed).await?;

    output::heading("4. Revoke a Kubernetes token that never expires, and prove it");
    revoke(&here, &composed).await?;

    output::heading("5. Report");
    composed.engine.scan(&ScanOptions::default(), &Silent).await?;
    let report = crate::args::ReportArgs {
        kind: ReportKind::Inventory,
        format: ReportFormat::Html,
        out: dir.join("report.html"),
        id: None,
    };
    super::report::run(&here, &report).await?;
    output::text(&format!(
        "Everything lies in {0}: open {0}/report.html, or go on there:\n  cd {0}\n  claviger list credentials\n  claviger show sim/db/role/payments_app\n  claviger audit verify\n",
        dir.display()
    ));
    Ok(Exit::Done)
}

async fn prepare(dir: &Path) -> Result<()> {
    if dir.exists() && fs::read_dir(dir).map_err(|error| Failure::file("read", dir, &error))?.next().is_some()
    {
        return Err(Failure::config(26, format!("`{}` is not empty", dir.display()))
            .hint("give another directory with `--dir`; the demo never overwrites anything"));
    }
    fs::create_dir_all(dir).map_err(|error| Failure::file("make the directory", dir, &error))?;
    let config = dir.join("claviger.toml");
    fs::write(&config, CONFIG).map_err(|error| Failure::file("write", &config, &error))?;
    keys::create(&dir.join("keys"), &OsRandom)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let estate = estate::demo(random.as_ref(), clock.now());
    EstateFile::new(dir.join("estate.json"))
        .create(&estate)
        .map_err(|error| Failure::new(11, Exit::Failed, error.to_string()))?;
    let loaded = Loaded::read(&config)?;
    let url = format!("sqlite://{}", dir.join("claviger.db").display());
    let global = Global {
        server: None,
        token_file: None,
        server_ca: None,
        config: Some(config),
        database: Some(url),
        operator: None,
        output: crate::args::Format::Table,
        quiet: true,
        verbose: 0,
        no_color: true,
        log_format: crate::args::LogFormat::Text,
    };
    compose::open(&global, &loaded, &clock, &random).await?.migrate().await?;
    Ok(())
}

fn free(base: &Path) -> Result<PathBuf> {
    (1..1000)
        .map(|number| {
            if number == 1 { base.to_owned() } else { base.with_file_name(format!("claviger-demo-{number}")) }
        })
        .find(|dir| !dir.exists())
        .ok_or_else(|| {
            Failure::config(26, "there are too many demos here").hint("give a directory with `--dir`")
        })
}

async fn rotate(global: &Global, composed: &Composed) -> Result<()> {
    let selector = Selector::parse("sim/db/role/payments_app")?;
    let planned = composed.engine.plan_rotation(&selector, &RotateOptions::default()).await?;
    plan::show(global, &plan::document(&planned));
    let mut outcomes = Vec::new();
    for subject in planned.subjects {
        let id = composed.engine.begin(subject, Cause::Manual, Some("demo".to_owned())).await?;
        outcomes.push(composed.engine.drive(id, &RunOptions::default(), &Silent).await?);
    }
    finish(&outcomes)
}

async fn revoke(global: &Global, composed: &Composed) -> Result<()> {
    let token = token(composed).await?;
    let planned = composed.engine.plan_revocation(&Selector::parse(token.as_str())?).await?;
    plan::show(global, &plan::document(&planned));
    let mut outcomes = Vec::new();
    for subject in planned.subjects {
        let id =
            composed.engine.begin(subject, Cause::Manual, Some("demo: it never expires".to_owned())).await?;
        outcomes.push(composed.engine.drive(id, &RunOptions::default(), &Silent).await?);
    }
    finish(&outcomes)
}

/// The first legacy token whose value lies in its Secret.
async fn token(composed: &Composed) -> Result<Ref> {
    let all = composed
        .engine
        .select(&Selector::parse(&format!("kind={}", CredentialKind::ServiceAccountToken))?)
        .await?;
    all.into_iter()
        .find(|credential| credential.copies > 0)
        .map(|credential| credential.at)
        .ok_or_else(|| Failure::bug("the demo's estate has no service account token"))
}

fn finish(outcomes: &[claviger_engine::saga::SagaOutcome]) -> Result<()> {
    plan::show_outcomes(outcomes);
    match plan::exit(outcomes, false) {
        Exit::Done if !outcomes.is_empty() => Ok(()),
        _ => Err(Failure::bug("the demo's saga did not come to its end")),
    }
}
