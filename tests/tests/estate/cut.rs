//! Answers that are cut after their effect, at the calls of a rotation, on the real servers: nothing is lost, and nothing is done twice.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    estate::{Estate, percent_encode},
    lab::cutter::Cutter,
    require_lab,
};
use reqwest::Method;

use crate::{Place, recovery::decoded, text};

/// How many of a rotation's exchanges with one server are cut, evenly spread.
#[derive(Clone, Copy)]
enum Depth {
    Some(u64),
    Each,
}

struct Server {
    name: &'static str,
    /// The setting that sends claviger through the proxy.
    setting: &'static str,
    value: String,
    proxy: Cutter,
}

async fn servers(estate: &Estate) -> Result<Vec<Server>> {
    let bare = |url: &str| url.split("://").nth(1).unwrap_or(url).trim_end_matches('/').to_owned();
    let mut servers = Vec::new();
    let proxy = Cutter::start(&format!("127.0.0.1:{}", estate.postgres.port())).await?;
    let value = format!("postgres://claviger@{}/postgres", proxy.address());
    servers.push(Server { name: "PostgreSQL", setting: "CLAVIGER_BACKENDS__DB__URL", value, proxy });
    let proxy = Cutter::start(&bare(estate.openbao.address())).await?;
    let value = format!("http://{}", proxy.address());
    servers.push(Server { name: "OpenBao", setting: "CLAVIGER_BACKENDS__VAULT__ADDRESS", value, proxy });
    let proxy = Cutter::start(&bare(estate.ministack.endpoint())).await?;
    let value = format!("http://{}", proxy.address());
    servers.push(Server { name: "AWS", setting: "CLAVIGER_BACKENDS__AWS__ENDPOINT", value, proxy });
    let upstream = bare(estate.kubernetes.url());
    let proxy = Cutter::start(&upstream).await?;
    let kubeconfig = fs::read_to_string(estate.directory().join("administrator.kubeconfig"))?;
    ensure!(kubeconfig.contains(&upstream), "the kubeconfig names another server");
    let path = estate.directory().join("cut.kubeconfig");
    fs::write(&path, kubeconfig.replace(&upstream, &proxy.address()))?;
    let value = "cut.kubeconfig".to_owned();
    servers.push(Server { name: "Kubernetes", setting: "CLAVIGER_BACKENDS__PROD__KUBECONFIG", value, proxy });
    Ok(servers)
}

/// What the Secret holds logs in, every copy holds the same, nothing is left to do, and the log is whole.
async fn whole(estate: &Estate, place: &Place) -> Result<()> {
    let get = async |path: &str| estate.kubernetes.request(Method::GET, path, None).await;
    let secret = get("/api/v1/namespaces/payments/secrets/db").await?;
    let held = decoded(&secret.body["data"]["password"])?;
    let held = held.trim_end_matches('\n');
    ensure!(estate.postgres.accepts("app", held).await?, "the Secret's password does not log in");
    let map = get("/api/v1/namespaces/payments/configmaps/app").await?;
    let url = text(&map.body["data"], "database-url").to_owned();
    ensure!(url.contains(&format!(":{}@", percent_encode(held))), "the ConfigMap is out of step");
    let stored = estate.openbao.request(Method::GET, "kv/data/payments/db", None).await?;
    ensure!(stored.body.to_string().contains(held), "OpenBao is out of step: {}", stored.status);
    let rotations = place.list("rotations")?;
    let open = rotations.iter().find(|one| !["done", "unwound"].contains(&text(one, "state")));
    ensure!(open.is_none(), "{open:#?}");
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}

async fn sweep(depth: Depth) -> Result<String> {
    let estate = require_lab!(Estate::start().await, Ok(String::new()));
    let mut told = String::new();
    let mut plain = Place::new(estate.directory(), "cut.db");
    plain.environment.push(("CLAVIGER_LEASE_SECONDS".to_owned(), "3".to_owned()));
    plain.run(&["scan"], None)?.expect(3)?;
    let arguments = ["rotate", "db/role/app", "--leave-stale", "--yes", "-o", "json"];
    for server in servers(&estate).await? {
        let mut through = Place::new(estate.directory(), "cut.db");
        through.environment.clone_from(&plain.environment);
        through.environment.push((server.setting.to_owned(), server.value.clone()));
        server.proxy.cut(None);
        through.run(&arguments, None)?.expect(0)?;
        let exchanges = server.proxy.exchanges();
        ensure!(exchanges > 3, "{}: the rotation does not go through the proxy", server.name);
        let step = match depth {
            Depth::Each => 1,
            Depth::Some(count) => exchanges.div_ceil(count).max(1),
        };
        let (mut cut, mut resumed, mut refused) = (0, 0, 0);
        for exchange in (0..exchanges).step_by(usize::try_from(step)?) {
            server.proxy.cut(Some(exchange));
            let run = through.run(&arguments, None)?;
            if !server.proxy.fired() {
                continue;
            }
            cut += 1;
            server.proxy.cut(None);
            let at = || format!("{}: answer {exchange} of {exchanges} was cut", server.name);
            let state = run.json().ok().map(|run| text(&run["rotations"][0], "state").to_owned());
            match (run.code, state.as_deref()) {
                (0, Some("done")) => {}
                // It could not be planned, or the first step was refused: nothing has happened.
                (1 | 3 | 4, None | Some("unwound")) => refused += 1,
                (5, Some("paused")) => {
                    let rotations = plain.list("rotations")?;
                    let id = text(&rotations[0], "rotation_id").to_owned();
                    through.run(&["resume", &id], None)?.expect(0).with_context(at)?;
                    resumed += 1;
                }
                (code, state) => {
                    anyhow::bail!("{}: exit {code}, {state:?}\n{}\n{}", at(), run.stdout, run.stderr)
                }
            }
            whole(&estate, &plain).await.with_context(at)?;
        }
        ensure!(cut >= 3, "{}: only {cut} answers were cut", server.name);
        told.push_str(&format!(
            "{}: {cut} of {exchanges} answers cut; {resumed} rotations had to be resumed, {refused} had not begun or unwound\n",
            server.name
        ));
    }
    Ok(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_loses_nothing() -> Result<()> {
    print!("{}", sweep(Depth::Some(6)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_cut_answer_loses_anything() -> Result<()> {
    print!("{}", sweep(Depth::Each).await?);
    Ok(())
}
