//! Accounts that OpenBao lends in the place of a database password.

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

use crate::{token_for, workload};

const AUDIENCE: &str = "openbao";
/// The role with which OpenBao's database engine logs in.
const ENGINE: &str = "engine";

struct Servers {
    cluster: &'static Kubernetes,
    bao: OpenBao,
    postgres: Postgres,
    namespace: &'static str,
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

    /// Accounts that are lent now.
    async fn lent(&self) -> Result<i64> {
        let client = self.postgres.connect("postgres").await?;
        let count = client.query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'", &[]).await?;
        Ok(count.try_get(0)?)
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
