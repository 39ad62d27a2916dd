//! The shipped OpenBao policies, tried like the roles: each flow with its policy alone, and once without each capability of each path.

use std::{process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use claviger_tests::{
    binary,
    lab::{openbao::OpenBao, postgres::Postgres, private::write_private},
    require_lab,
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::shipped;

const AT_ONCE: usize = 3;
const FLOWS: [&str; 3] = ["scan", "rotate", "revoke"];

/// A path with one of its capabilities.
pub(crate) type Right = (String, String);

pub(crate) fn rights(flow: &str) -> Result<Vec<Right>> {
    let text = std::fs::read_to_string(shipped(&format!("openbao/{flow}.hcl")))?;
    let mut rights = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let (path, capabilities) = words.split_first().with_context(|| line.to_owned())?;
        ensure!(line.starts_with("path ") && !capabilities.is_empty(), "{line}");
        rights.extend(capabilities.iter().map(|capability| ((*path).to_owned(), (*capability).to_owned())));
    }
    Ok(rights)
}

/// A policy of these rights. What two flows say of one path holds together.
pub(crate) fn policy(rights: &[Right]) -> String {
    let mut paths: std::collections::BTreeMap<&str, Vec<String>> = Default::default();
    for (path, capability) in rights {
        paths.entry(path).or_default().push(format!("\"{capability}\""));
    }
    let rule = |(path, capabilities): (&&str, &Vec<String>)| {
        format!("path \"{path}\" {{ capabilities = [{}] }}\n", capabilities.join(", "))
    };
    paths.iter().map(rule).collect()
}

struct Servers {
    openbao: OpenBao,
    postgres: Postgres,
}

impl Servers {
    async fn start() -> Result<Self> {
        let (openbao, postgres) = (OpenBao::start().await?, Postgres::start().await?);
        // What the development server brings along is none of it.
        openbao.request(Method::DELETE, "sys/mounts/secret", None).await?;
        openbao.write("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "2"}})).await?;
        openbao.write("sys/mounts/database", &json!({"type": "database"})).await?;
        openbao.write("sys/auth/approle", &json!({"type": "approle"})).await?;
        for method in ["kubernetes", "jwt"] {
            openbao.write(&format!("sys/auth/{method}"), &json!({"type": method})).await?;
        }
        let bound = json!({
            "bound_service_account_names": "web", "bound_service_account_namespaces": "payments", "audience": "bao",
        });
        openbao.write("auth/kubernetes/role/web", &bound).await?;
        let bound = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_subject": "repo:acme/web", "bound_audiences": "bao",
        });
        openbao.write("auth/jwt/role/web", &bound).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
            postgres.port()
        );
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url,
            "username": postgres.user(), "password": postgres.password(),
        });
        openbao.write("database/config/pg", &connection).await?;
        let job = "path \"kv/data/none\" { capabilities = [\"read\"] }";
        openbao.write("sys/policies/acl/job", &json!({"policy": job})).await?;
        openbao
            .write(
                "auth/token/roles/job",
                &json!({"allowed_policies": "job", "orphan": true, "token_period": "86400"}),
            )
            .await?;
        Ok(Self { openbao, postgres })
    }
}

/// One identity with its policy, and what only it works on.
struct Holder {
    servers: Arc<Servers>,
    name: String,
    directory: TempDir,
}

impl Holder {
    async fn new(servers: Arc<Servers>, name: &str, rights: &[Right]) -> Result<Self> {
        let bao = &servers.openbao;
        bao.write(&format!("sys/policies/acl/{name}"), &json!({"policy": policy(rights)})).await?;
        let made = json!({"policies": [name], "no_parent": true, "period": "24h", "display_name": name});
        let token = bao.write("auth/token/create", &made).await?["auth"]["client_token"].clone();
        let directory = tempfile::tempdir()?;
        write_private(&directory.path().join("token"), token.as_str().context("a token")?)?;
        let configuration = format!(
            "database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"token\" }}\n\n\
             [policies.hooks]\nmatch = \"vault/kv/{name}/hook*\"\nstrategy = \"copy-only\"\n\n[policies.rest]\nmatch = \"backend=vault\"\nevidence = \"blind\"\n\n\
             [guards]\nmax_targets = 1000\nmax_share = 1.0\ncanary = 0\n",
            bao.address()
        );
        std::fs::write(directory.path().join("claviger.toml"), configuration)?;
        let holder = Self { servers: Arc::clone(&servers), name: name.to_owned(), directory };
        holder.plant().await?;
        Ok(holder)
    }

    async fn plant(&self) -> Result<()> {
        let (bao, name) = (&self.servers.openbao, &self.name);
        let put = async |path: &str, data: Value| {
            bao.write(&format!("kv/data/{name}/{path}"), &json!({"data": data})).await
        };
        for value in [secret()?, secret()?] {
            put("hook", json!({"webhook-secret": value})).await?;
        }
        bao.write(
            &format!("kv/metadata/{name}/hook"),
            &json!({"custom_metadata": {"owner": format!("team-{name}")}}),
        )
        .await?;
        bao.write(&format!("auth/approle/role/{name}"), &json!({"token_policies": "job"})).await?;
        let role_id = bao
            .request(Method::GET, &format!("auth/approle/role/{name}/role-id"), None)
            .await?
            .good("role-id")?;
        let about = json!({"metadata": json!({"of": name}).to_string()});
        let given = bao.write(&format!("auth/approle/role/{name}/secret-id"), &about).await?;
        let pair = json!({"role_id": role_id["data"]["role_id"], "secret_id": given["data"]["secret_id"]});
        put("approle", pair.clone()).await?;
        // A token of it, which is to end with it.
        bao.write("auth/approle/login", &pair).await?;
        let orphan = json!({"policies": ["job"], "no_parent": true, "period": "24h"});
        for (path, place, body) in
            [("auth/token/create", "orphan", orphan), ("auth/token/create/job", "made", json!({}))]
        {
            let made = bao.write(path, &body).await?;
            put(place, json!({"token": made["auth"]["client_token"]})).await?;
        }
        let (role, password) = (format!("static_{}", name.replace('-', "_")), secret()?);
        let client = self.servers.postgres.connect("postgres").await?;
        client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'")).await?;
        bao.write(
            &format!("database/static-roles/{name}"),
            &json!({"db_name": "pg", "username": role, "rotation_period": "24h"}),
        )
        .await?;
        let statement = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let dynamic = json!({"db_name": "pg", "creation_statements": [statement], "default_ttl": "1h", "max_ttl": "2h"});
        bao.write(&format!("database/roles/dyn-{name}"), &dynamic).await?;
        bao.request(Method::GET, &format!("database/creds/dyn-{name}"), None).await?.good("a lease")?;
        bao.write("identity/entity", &json!({"name": name})).await?;
        Ok(())
    }

    async fn run(&self, arguments: &[&str]) -> Result<(i32, Value, String)> {
        let mut command = tokio::process::Command::from(binary::command(self.directory.path())?);
        let output = command
            .args(arguments)
            .args(["-o", "json"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let document = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        let code = output.status.code().unwrap_or(-1);
        Ok((code, document, format!("{arguments:?}: exit {code}\n{stderr}\n{stdout}")))
    }

    /// The credential whose value lies there.
    async fn at(&self, place: &str) -> Result<Option<String>> {
        let (_, listed, _) = self.run(&["list", "copies"]).await?;
        let at = format!("vault/kv/{}/{place}", self.name);
        let copies = listed["items"].as_array().context("copies")?;
        let found = copies.iter().find(|copy| copy["ref"] == at.as_str() && copy["stage"] == "current");
        Ok(found.and_then(|copy| copy["credential"].as_str()).map(str::to_owned))
    }

    /// Does the flow do its work? If not, what it said.
    async fn succeeds(&self, flow: &str) -> Result<Result<(), String>> {
        let (code, _, said) = self.run(&["scan"]).await?;
        if code != 0 {
            return Ok(Err(said));
        }
        let (_, listed, _) = self.run(&["list", "credentials"]).await?;
        if !listed.to_string().contains(&format!("team-{}", self.name)) {
            return Ok(Err("the owner that the store names is not known".to_owned()));
        }
        let (_, listed, said) = self.run(&["list", "copies"]).await?;
        let hook = format!("vault/kv/{}/hook#webhook-secret", self.name);
        let copies = listed["items"].as_array().context("copies")?;
        // Former versions, and what the store says of itself: without it nobody knows how many versions it keeps.
        let whole = copies.iter().any(|copy| {
            copy["ref"] == hook.as_str()
                && copy["stage"] != "current"
                && copy["attributes"]["cas_required"].is_boolean()
        });
        if !whole {
            return Ok(Err(format!("former versions are not known whole: {said}")));
        }
        let of = |kind: &str| format!("vault/{kind}/{}", self.name);
        let work: Vec<(Option<String>, Vec<&str>, &str)> = match flow {
            "scan" => Vec::new(),
            "rotate" => {
                let mut work = Vec::new();
                for place in ["hook#webhook-secret", "approle#secret_id", "orphan#token", "made#token"] {
                    work.push((self.at(place).await?, vec!["rotate", "--yes"], "done"));
                }
                work.push((Some(of("database/static-roles")), vec!["rotate", "--yes"], "done"));
                work
            }
            _ => {
                let revoke = || vec!["revoke", "--reason", "leaked", "--yes"];
                let scrub = || [revoke(), vec!["--scrub"]].concat();
                vec![
                    (self.at("hook#webhook-secret").await?, scrub(), "unprovable"),
                    (self.at("approle#secret_id").await?, revoke(), "proven"),
                    (self.at("orphan#token").await?, revoke(), "proven"),
                    (
                        Some(format!("vault/sys/leases/database/creds/dyn-{}", self.name)),
                        revoke(),
                        "attested",
                    ),
                    (Some(of("identity/entity")), revoke(), "attested"),
                ]
            }
        };
        for (subject, command, wanted) in work {
            let Some(subject) = subject else {
                return Ok(Err("the scan did not find what is planted".to_owned()));
            };
            let (_, document, said) = self.run(&[command, vec![subject.as_str()]].concat()).await?;
            let state = &document["rotations"][0]["state"];
            if *state != wanted && document["receipts"][0]["verdict"] != wanted {
                return Ok(Err(said));
            }
        }
        if flow == "revoke" {
            // A scrub without the right to destroy would leave it there, and say so.
            let path = format!("kv/data/{}/hook?version=2", self.name);
            let before = self.servers.openbao.request(Method::GET, &path, None).await?.body;
            if before["data"]["data"].is_object() {
                return Ok(Err(format!("the version before holds it: {before}")));
            }
        }
        Ok(Ok(()))
    }
}

fn secret() -> Result<String> {
    claviger_tests::lab::private::random_token()
}

async fn needed(flow: &'static str) -> Result<String> {
    let servers = Arc::new(require_lab!(Servers::start().await, Ok(String::new())));
    let (own, beside) = (rights(flow)?, if flow == "scan" { Vec::new() } else { rights("scan")? });
    let (places, mut tried) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (index, left_out) in std::iter::once(None).chain(own.iter().map(Some)).enumerate() {
        // What `scan` gives beside it is no less given.
        if left_out.is_some_and(|right| beside.contains(right)) {
            anyhow::bail!("{left_out:?} of `{flow}` is in `scan` already");
        }
        let all: Vec<Right> =
            own.iter().chain(&beside).filter(|right| Some(*right) != left_out).cloned().collect();
        let holder = Holder::new(Arc::clone(&servers), &format!("{flow}-{index}"), &all).await?;
        let (places, left_out) = (Arc::clone(&places), left_out.cloned());
        tried.spawn(async move {
            let _place = places.acquire_owned().await?;
            let outcome = tokio::time::timeout(Duration::from_secs(180), holder.succeeds(flow)).await;
            Ok::<_, anyhow::Error>((
                left_out,
                outcome.unwrap_or_else(|_| Ok(Err("it does not end".to_owned())))?,
            ))
        });
    }
    let (mut superfluous, mut broken) = (Vec::new(), 0);
    while let Some(answer) = tried.join_next().await {
        match answer?? {
            (None, Ok(())) => {}
            (None, Err(why)) => anyhow::bail!("`{flow}` does not do its work with its own policy: {why}"),
            (Some(left_out), Ok(())) => superfluous.push(left_out),
            (Some(_), Err(_)) => broken += 1,
        }
    }
    ensure!(superfluous.is_empty(), "`{flow}` does its work without {superfluous:?}");
    Ok(format!("{flow}: does its work with its policy; each of {broken} capabilities taken away breaks it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_needs_every_capability_of_its_policy() -> Result<()> {
    println!("{}", needed(FLOWS[0]).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_needs_every_capability_of_its_policy() -> Result<()> {
    println!("{}", needed(FLOWS[1]).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_needs_every_capability_of_its_policy() -> Result<()> {
    println!("{}", needed(FLOWS[2]).await?);
    Ok(())
}
