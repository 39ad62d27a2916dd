//! A database password in a Secret gives way to accounts that OpenBao lends.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use claviger_backend::{Backend as _, Candidate, Holder, Offered, Operation, Reads, StoreState, Verdict};
use claviger_backend_postgresql::{PostgresqlBackend, PostgresqlConfig};
use claviger_backend_vault::{VaultAuth, VaultBackend, VaultConfig};
use claviger_core::{
    clock::SystemClock,
    id::{OperationKey, SagaId},
    reference::Ref,
    secret::SecretValue,
};
use claviger_tests::{
    lab::{kubernetes::Kubernetes, openbao::OpenBao, postgres::Postgres, private::random_token},
    require_lab,
};
use reqwest::Method;
use serde_json::json;
use tokio_postgres::{Config, NoTls};

use crate::{KILLS, Owner, Place, WITHIN, carried_out, halfway, moment, text, token_for, workload};

const AUDIENCE: &str = "openbao";
/// The role with which OpenBao's database engine logs in.
const ENGINE: &str = "engine";

struct Servers {
    cluster: &'static Kubernetes,
    bao: OpenBao,
    postgres: Postgres,
    namespace: &'static str,
}

/// The servers, and claviger beside them.
struct Estate {
    servers: Servers,
    place: Place,
}

impl std::ops::Deref for Estate {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        &self.servers
    }
}

/// A role that logs in with a password.
struct Account {
    role: String,
    password: String,
}

impl Account {
    fn subject(&self) -> String {
        format!("db/role/{}", self.role)
    }
}

impl Servers {
    async fn start(namespace: &'static str) -> Result<Self> {
        let cluster = Kubernetes::shared().await?;
        let (bao, postgres) = (OpenBao::start().await?, Postgres::start().await?);
        let reviewer = format!("{namespace}-reviewer");
        cluster.create(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": reviewer, "namespace": namespace}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": reviewer},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
                "subjects": [{"kind": "ServiceAccount", "name": reviewer, "namespace": namespace}]}),
        ])?;
        let client = postgres.connect("postgres").await?;
        let password = random_token()?;
        client.batch_execute(&format!("CREATE ROLE {ENGINE} LOGIN CREATEROLE PASSWORD '{password}'")).await?;
        bao.write("sys/mounts/database", &json!({"type": "database"})).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable",
            postgres.port()
        );
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url,
            "username": ENGINE, "password": password,
        });
        bao.write("database/config/pg", &connection).await?;
        bao.write("sys/auth/kubernetes", &json!({"type": "kubernetes"})).await?;
        let jwt = cluster.service_account_token(namespace, &reviewer, 86_400).await?;
        let login = json!({
            "kubernetes_host": cluster.url(), "kubernetes_ca_cert": std::fs::read_to_string(cluster.ca())?,
            "token_reviewer_jwt": jwt, "disable_local_ca_jwt": true,
        });
        bao.write("auth/kubernetes/config", &login).await?;
        Ok(Self { cluster, bao, postgres, namespace })
    }

    /// A role with a membership and grants by it; its password in a Secret, and a Deployment that reads it.
    async fn plant(&self, role: &str) -> Result<Account> {
        let password = random_token()?;
        let client = self.postgres.connect("postgres").await?;
        client
            .batch_execute(&format!(
                "CREATE ROLE {role} LOGIN PASSWORD '{password}'; CREATE ROLE {role}_readers; GRANT {role}_readers TO {role};
                 CREATE TABLE {role}_orders (id int); GRANT SELECT, INSERT ON {role}_orders TO {role}_readers"
            ))
            .await?;
        let version: i32 =
            client.query_one("SELECT current_setting('server_version_num')::int", &[]).await?.try_get(0)?;
        if version >= 160_000 {
            client
                .batch_execute(&format!("GRANT {role} TO {ENGINE} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"))
                .await?;
        }
        self.cluster.create(&workload(
            self.namespace,
            role,
            &[("username", role), ("password", &password)],
        ))?;
        Ok(Account { role: role.to_owned(), password })
    }

    /// Logs in; the SQLSTATE of a refusal.
    async fn login(
        &self,
        user: &str,
        password: &str,
    ) -> Result<std::result::Result<tokio_postgres::Client, String>> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.postgres.port()).user(user).password(password).dbname("postgres");
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                Ok(Ok(client))
            }
            Err(error) => Ok(Err(error.code().context("an answer")?.code().to_owned())),
        }
    }

    async fn works(&self, account: &Account) -> Result<bool> {
        let Ok(client) = self.login(&account.role, &account.password).await? else { return Ok(false) };
        client.batch_execute(&format!("SELECT * FROM {}_orders", account.role)).await?;
        Ok(true)
    }

    fn name(&self, account: &Account) -> String {
        format!("claviger-{0}-{1}-{1}", self.namespace, account.role)
    }

    /// What OpenBao has of the swap: the engine's role, the login's, the policy.
    async fn made(&self, account: &Account) -> Result<[bool; 3]> {
        let name = self.name(account);
        let mut there = [false; 3];
        for (seen, path) in there.iter_mut().zip([
            format!("database/roles/{name}"),
            format!("auth/kubernetes/role/{name}"),
            format!("sys/policies/acl/{name}"),
        ]) {
            *seen = self.bao.request(Method::GET, &path, None).await?.status == 200;
        }
        Ok(there)
    }

    /// A token of OpenBao for this ServiceAccount; `None` when it is not let in.
    async fn enter(&self, account: &Account, as_account: &str) -> Result<Option<String>> {
        let jwt = token_for(self.cluster, self.namespace, as_account, AUDIENCE).await?;
        let body = json!({"role": self.name(account), "jwt": jwt});
        let answer = self.bao.request_as("", Method::POST, "auth/kubernetes/login", Some(&body)).await?;
        Ok((answer.status == 200).then(|| text(&answer.body["auth"], "client_token").to_owned()))
    }

    /// The old password is dead; the workload's account is lent one that is renewed, may do the same, and dies when it is given back.
    async fn swapped(&self, account: &Account) -> Result<()> {
        match self.login(&account.role, &account.password).await? {
            Err(code) => ensure!(code == "28P01", "refused with {code}"),
            Ok(_) => bail!("the old password of {} still works", account.role),
        }
        ensure!(self.enter(account, "default").await?.is_none(), "another account was let in");
        let token = self.enter(account, &account.role).await?.context("the account is let in")?;
        let path = format!("database/creds/{}", self.name(account));
        let taken = self.bao.request_as(&token, Method::GET, &path, None).await?.good("an account")?;
        let (user, password) = (text(&taken["data"], "username"), text(&taken["data"], "password"));
        let client = match self.login(user, password).await? {
            Ok(client) => client,
            Err(code) => bail!("the lent account is refused: {code}"),
        };
        let row = client.query_one("SELECT current_user::text, session_user::text", &[]).await?;
        let (current, session): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        ensure!(current == account.role && session == user, "it is {current}, logged in as {session}");
        client.batch_execute(&format!("INSERT INTO {}_orders VALUES (1)", account.role)).await?;
        let lease = text(&taken, "lease_id");
        let ends = async || -> Result<String> {
            let found = self.bao.write("sys/leases/lookup", &json!({"lease_id": lease})).await?;
            Ok(text(&found["data"], "expire_time").to_owned())
        };
        let before = ends().await?;
        let body = json!({"lease_id": lease});
        let renewed = self.bao.request_as(&token, Method::PUT, "sys/leases/renew", Some(&body)).await?;
        renewed.good("renew")?;
        ensure!(ends().await? > before, "the lease was not renewed");
        self.bao.write("sys/leases/revoke", &json!({"lease_id": lease, "sync": true})).await?;
        ensure!(self.login(user, password).await?.is_err(), "the lent account outlives its lease");
        ensure!(client.batch_execute("SELECT 1").await.is_err(), "its session outlives its lease");
        Ok(())
    }

    /// Accounts that are lent now.
    async fn lent(&self) -> Result<i64> {
        let client = self.postgres.connect("postgres").await?;
        let count = client.query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await?;
        Ok(count.try_get(0)?)
    }
}

impl Estate {
    async fn start(namespace: &'static str) -> Result<Self> {
        let servers = Servers::start(namespace).await?;
        let configuration = format!(
            "[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"{}\"\ninclude = [\"{namespace}\"]\n\
             [backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"token\" }}\n\
             [backends.db]\nkind = \"postgresql\"\nurl = \"postgres://{}@127.0.0.1:{}/postgres?sslmode=disable\"\npassword = {{ file = \"password\" }}\n\
             [policies.passwords]\nmatch = \"kind=password\"\nevidence = \"blind\"\n",
            servers.cluster.kubeconfig().display(),
            servers.bao.address(),
            servers.postgres.user(),
            servers.postgres.port()
        );
        let place = Place::new(
            &configuration,
            &[("token", servers.bao.token()), ("password", servers.postgres.password())],
        )?;
        Ok(Self { servers, place })
    }
}

/// The backends by themselves, without a saga: what is made, lent and compared, and what is refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_may_do_the_same_and_no_more() -> Result<()> {
    let servers = require_lab!(Servers::start("lent").await, Ok(()));
    let account = servers.plant("shop").await?;
    let vault = VaultConfig {
        address: servers.bao.address().to_owned(),
        ca: None,
        namespace: None,
        auth: VaultAuth::Token(SecretValue::from_text(servers.bao.token().to_owned())),
        include: Vec::new(),
        exclude: Vec::new(),
        mounts: Vec::new(),
        version_key: None,
    };
    let vault = VaultBackend::new("vault", vault, Arc::new(SystemClock))?;
    let db = PostgresqlConfig {
        url: format!(
            "postgres://{}@127.0.0.1:{}/postgres?sslmode=disable",
            servers.postgres.user(),
            servers.postgres.port()
        ),
        ca: None,
        password: Some(SecretValue::from_text(servers.postgres.password().to_owned())),
        identify_budget: 100,
    };
    let db = PostgresqlBackend::new("db", db, Arc::new(SystemClock))?;
    let (lender, teller) = (vault.federation().context("a lender")?, db.federation().context("a teller")?);

    let holder = Holder {
        consumer: Ref::from_text("prod/lent/Deployment/shop"),
        account: Ref::from_text("prod/lent/ServiceAccount/shop"),
        reads: Reads::Fixed("read-once", "read when it starts".to_owned()),
        notes: Vec::new(),
        issuer: None,
        changeable: StoreState::Writable,
        runs: None,
    };
    let (subject, object) = (Ref::from_text(account.subject()), Ref::from_text("prod/lent/Secret/shop"));
    let candidate =
        Candidate { subject: &subject, issuer: db.info(), identity: None, object: &object, holder: &holder };
    let proposal = match lender.offers(&candidate).await? {
        Offered::Yes(proposal) => *proposal,
        Offered::No { code, reason } => bail!("{code}: {reason}"),
    };
    let arrangement = &proposal.arrangement;
    let operation = |step: &str| Operation {
        key: OperationKey::derive(SagaId(uuid::Uuid::nil()), step, "vault", 0),
        deadline: Duration::from_secs(20),
    };
    let (op, other) = (operation("federate"), operation("another"));
    ensure!(!lender.federated(&op, arrangement).await?, "it was there");
    for _ in 0..2 {
        lender.federate(&op, arrangement).await?;
        ensure!(lender.federated(&op, arrangement).await?, "it is not as arranged");
    }
    ensure!(servers.made(&account).await? == [true; 3], "half of it");
    ensure!(!lender.federated(&other, arrangement).await?, "another operation's");
    ensure!(lender.federate(&other, arrangement).await.is_err(), "taken over by another operation");

    let token = token_for(servers.cluster, "lent", "shop", AUDIENCE).await?;
    let loan = lender.borrow(arrangement, &SecretValue::from_text(token)).await?.context("a loan")?;
    ensure!(loan.probe.verdict == Verdict::Accepted && loan.ends_at.is_some(), "{:?}", loan.probe);
    let lent = loan.account.context("an account")?;
    let password = SecretValue::from_text(account.password.clone());
    let former = teller.reach(&subject, &password).await?;
    let new = teller.reach(&lent.at, &lent.value).await?;
    ensure!(
        former.probe.verdict == Verdict::Accepted && new.probe.verdict == Verdict::Accepted,
        "{:?}",
        new.probe
    );
    ensure!(
        former.may == new.may && former.may.contains("has the privileges of shop_readers"),
        "{:?} and {:?}",
        former.may,
        new.may
    );

    // What is granted to the lent account by its own name is more, and a setting of the former one is something else.
    let client = servers.postgres.connect("postgres").await?;
    let user = lent.at.as_str().trim_start_matches("db/role/").to_owned();
    client
        .batch_execute(&format!("CREATE TABLE secret (id int); GRANT SELECT ON secret TO \"{user}\""))
        .await?;
    let more = teller.reach(&lent.at, &lent.value).await?;
    ensure!(more.may.iter().any(|right| right.contains("by its own name")), "{:?}", more.may);
    client
        .batch_execute(&format!(
            "REVOKE SELECT ON secret FROM \"{user}\"; ALTER ROLE shop SET statement_timeout = '7s'"
        ))
        .await?;
    let set = teller.reach(&subject, &password).await?;
    ensure!(set.may.contains("has statement_timeout = 7000") && set.may != new.may, "{:?}", set.may);

    // Another account of the cluster is let in nowhere, and what is given back is dead.
    let token = token_for(servers.cluster, "lent", "default", AUDIENCE).await?;
    let refused = lender.borrow(arrangement, &SecretValue::from_text(token)).await?.context("an answer")?;
    ensure!(
        matches!(refused.probe.verdict, Verdict::Refused(_)) && refused.account.is_none(),
        "{:?}",
        refused.probe
    );
    for _ in 0..2 {
        lender.give_back(&lent.handle).await?;
    }
    let gone = async || Ok::<_, anyhow::Error>(servers.lent().await? == 0);
    for _ in 0..100 {
        if gone().await? {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(gone().await?, "what was given back is there");
    lender.unfederate(&other, arrangement).await?;
    ensure!(servers.made(&account).await? == [true; 3], "taken away by another operation");
    for _ in 0..2 {
        lender.unfederate(&op, arrangement).await?;
        ensure!(servers.made(&account).await? == [false; 3], "something is left");
    }
    ensure!(servers.works(&account).await?, "the password works as before");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_gives_way_to_accounts_that_are_lent() -> Result<()> {
    let estate = require_lab!(Estate::start("leases").await, Ok(()));
    let account = estate.plant("shop").await?;
    let place = &estate.place;
    place.run(&["scan"])?;
    let subject = account.subject();
    let plan = place.run(&["swap", &subject, "--dry-run", "-o", "json"])?.expect(0)?.json()?;
    let shown = plan.to_string();
    for word in ["federate", "try-identity", "await-unread", "revoke", "prove-refused", "IN ROLE"] {
        ensure!(shown.contains(word), "the plan does not say {word}: {plan:#}");
    }
    ensure!(!shown.contains(&account.password), "the plan shows the password");
    ensure!(estate.made(&account).await? == [false; 3], "a dry run makes nothing");

    carried_out(place, &subject, "patches", &mut Owner::new(estate.cluster, "leases", "shop"), None).await?;
    let (_, state) = place.state(&subject)?.context("a swap")?;
    ensure!(state == "done", "it is {state}");
    ensure!(estate.lent().await? == 0, "what was tried was not given back");
    estate.swapped(&account).await?;
    let shown = place.run(&["show", &subject, "-o", "json"])?.expect(0)?.json()?;
    ensure!(shown["credential"]["state"] == "revoked-proven", "{shown:#}");
    place.run(&["audit", "verify"])?.expect(0)?;
    Ok(())
}

/// A setting of the role is not given to what is lent in its place: seen when both are compared, and everything is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_differ_take_the_swap_back() -> Result<()> {
    let estate = require_lab!(Estate::start("leases-differ").await, Ok(()));
    let account = estate.plant("shop").await?;
    let client = estate.postgres.connect("postgres").await?;
    client.batch_execute("ALTER ROLE shop SET statement_timeout = '7s'").await?;
    let place = &estate.place;
    place.run(&["scan"])?;
    let mut owner = Owner::new(estate.cluster, "another", "nobody");
    carried_out(place, &account.subject(), "patches", &mut owner, None).await?;
    let (_, state) = place.state(&account.subject())?.context("a swap")?;
    ensure!(state == "unwound", "it is {state}");
    ensure!(estate.works(&account).await?, "the password works as before");
    ensure!(estate.made(&account).await? == [false; 3], "what was made is gone");
    ensure!(estate.lent().await? == 0, "what was lent is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_taken_back_leaves_everything_as_it_was() -> Result<()> {
    let estate = require_lab!(Estate::start("leases-undone").await, Ok(()));
    let account = estate.plant("shop").await?;
    let place = &estate.place;
    place.run(&["scan"])?;
    let id = halfway(place, &account.subject(), "patches").await?;
    ensure!(estate.made(&account).await? == [true; 3] && estate.works(&account).await?, "both side by side");
    place.run(&["rollback", &id, "--yes"])?.expect(0)?;
    let (_, state) = place.state(&account.subject())?.context("a swap")?;
    ensure!(state == "unwound", "it is {state}");
    ensure!(estate.works(&account).await?, "the password works as before");
    ensure!(estate.made(&account).await? == [false; 3], "what was made is gone");
    ensure!(estate.lent().await? == 0, "what was lent is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_swap_to_lent_accounts_loses_access() -> Result<()> {
    let estate = require_lab!(Estate::start("leases-killed").await, Ok(()));
    let mut whole = Duration::ZERO;
    let (mut done, mut never) = (0, 0);
    for turn in 0..=KILLS {
        let account = estate.plant(&format!("shop{turn}")).await?;
        estate.place.run(&["scan"])?;
        let kill = moment(whole, turn);
        let mut owner = Owner::new(estate.cluster, estate.namespace, &account.role);
        let subject = account.subject();
        let took = carried_out(&estate.place, &subject, &format!("patches{turn}"), &mut owner, kill).await?;
        if turn == 0 {
            whole = took;
        }
        match estate.place.state(&subject)? {
            Some((_, state)) if state == "done" => {
                estate.swapped(&account).await.with_context(|| format!("killed after {kill:?}"))?;
                done += 1;
            }
            None => {
                let made = estate.made(&account).await?;
                ensure!(
                    estate.works(&account).await? && made == [false; 3],
                    "killed after {kill:?} before it began"
                );
                never += 1;
            }
            Some((_, state)) => bail!("killed after {kill:?}: it is {state}"),
        }
    }
    estate.place.run(&["audit", "verify"])?.expect(0)?;
    ensure!(KILLS - never >= WITHIN, "only {} kills fell into the swap", KILLS - never);
    println!("{KILLS} kills over {whole:?}: {done} came to their end, {never} had not begun");
    Ok(())
}
