use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use claviger_core::{model::Labels, random::Random};

use crate::estate::{
    AccessKey, CloudUser, ConfigMap, Container, Deployment, EnvSource, Estate, KvEntry, Mount, Namespace,
    ObjectKind, ObjectName, Password, Planted, Role, Secret, SecretType, ServiceAccount, VaultToken, Witness,
};

/// Puts things into an estate.
pub(super) struct Maker<'a> {
    pub(super) random: &'a dyn Random,
    now: DateTime<Utc>,
    pub(super) estate: Estate,
}

pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `Secret/db#password` as an environment variable.
pub(super) fn from(kind: ObjectKind, name: &str, key: &str) -> EnvSource {
    EnvSource::Field { object: ObjectName { kind, name: name.to_owned() }, key: key.to_owned() }
}

impl<'a> Maker<'a> {
    pub(super) fn new(random: &'a dyn Random, now: DateTime<Utc>) -> Self {
        Self { random, now, estate: Estate::empty(random) }
    }

    pub(super) fn ago(&self, days: i64) -> DateTime<Utc> {
        // Not to the second at the same hour: nothing in an estate is.
        self.now - Duration::days(days) - Duration::minutes(17 + days % 50)
    }

    pub(super) fn value(&self, length: usize) -> Planted {
        Planted::random(self.random, length)
    }

    pub(super) fn role(&mut self, name: &str, password: &Planted, age: i64, used: Option<i64>) -> &mut Role {
        let mut salt = [0_u8; 16];
        self.random.fill(&mut salt);
        let role = Role {
            password: Some(Password::scram(password.expose(), &salt)),
            version: self.estate.next_revision(),
            created_at: self.ago(age + 30),
            rotated_at: self.ago(age),
            last_used_at: used.map(|days| self.ago(days)),
            valid_until: None,
            nologin: false,
            superuser: false,
            createrole: false,
            replication: false,
            acts_as: None,
            made_by: None,
            sessions: Vec::new(),
        };
        self.estate.database.roles.entry(name.to_owned()).or_insert(role)
    }

    /// Versions of a path, oldest first, each with its age in days.
    pub(super) fn kv(&mut self, path: &str, meta: Labels, versions: Vec<(i64, Vec<(&str, Planted)>)>) {
        let mut entry = KvEntry { versions: Vec::new(), labels: meta, denied: false };
        for (age, fields) in versions {
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            entry.push(fields, self.ago(age), None);
        }
        self.estate.secret_store.paths.insert(path.to_owned(), entry);
    }

    pub(super) fn vault_token(
        &mut self,
        name: &str,
        policy: &str,
        age: i64,
        ends_in: Option<Duration>,
    ) -> Planted {
        let value = super::forms::prefixed(self.random, "hvs.", 90);
        let accessor = self.value(24).expose_text().to_owned();
        let token = VaultToken {
            value: value.clone(),
            display_name: name.to_owned(),
            policies: vec![policy.to_owned()],
            created_at: self.ago(age),
            expires_at: ends_in.map(|duration| self.now + duration),
            made_by: None,
            entity: None,
        };
        self.estate.secret_store.tokens.insert(accessor, token);
        value
    }

    pub(super) fn cloud_user(&mut self, name: &str, tags: Labels, policy: &str, age: i64) {
        let user = CloudUser {
            created_at: self.ago(age),
            tags,
            policies: vec![policy.to_owned()],
            keys: BTreeMap::new(),
            sessions: Vec::new(),
            sessions_denied_before: None,
        };
        self.estate.cloud.users.insert(name.to_owned(), user);
    }

    pub(super) fn access_key(&mut self, user: &str, age: i64, used: Option<i64>) -> (Planted, Planted) {
        let (id, secret) = (super::forms::access_key_id(self.random), self.value(40));
        let key = AccessKey {
            secret: secret.clone(),
            created_at: self.ago(age),
            last_used_at: used.map(|days| self.ago(days)),
            disabled: false,
        };
        if let Some(user) = self.estate.cloud.users.get_mut(user) {
            user.keys.insert(id.clone(), key);
        }
        (Planted::text(id), secret)
    }

    pub(super) fn namespace(&mut self, name: &str, env: &str) -> &mut Namespace {
        let namespace = Namespace { labels: labels([("env", env)]), ..Namespace::default() };
        self.estate.cluster.namespaces.entry(name.to_owned()).or_insert(namespace)
    }

    fn uid(&self) -> String {
        let hex = Planted::random_hex(self.random, 16);
        let hex = hex.expose_text();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    pub(super) fn secret(
        &mut self,
        namespace: &str,
        name: &str,
        age: i64,
        data: Vec<(&str, Planted)>,
    ) -> &mut Secret {
        let secret = Secret {
            uid: self.uid(),
            version: self.estate.next_revision(),
            kind: SecretType::Opaque,
            created_at: self.ago(age),
            updated_at: self.ago(age),
            labels: Labels::new(),
            annotations: Labels::new(),
            immutable: false,
            managed_by: None,
            written_by: None,
            data: data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        self.held(namespace).secrets.entry(name.to_owned()).or_insert(secret)
    }

    pub(super) fn config_map(&mut self, namespace: &str, name: &str, age: i64, data: Vec<(&str, Planted)>) {
        let map = ConfigMap {
            version: self.estate.next_revision(),
            created_at: self.ago(age),
            updated_at: self.ago(age),
            labels: Labels::new(),
            written_by: None,
            data: data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        self.held(namespace).config_maps.insert(name.to_owned(), map);
    }

    pub(super) fn service_account(&mut self, namespace: &str, name: &str, age: i64) {
        let account = ServiceAccount {
            uid: self.uid(),
            created_at: self.ago(age),
            labels: Labels::new(),
            annotations: Labels::new(),
        };
        self.held(namespace).service_accounts.insert(name.to_owned(), account);
    }

    /// A legacy token Secret; gives its token.
    pub(super) fn legacy_token(
        &mut self,
        namespace: &str,
        name: &str,
        account: &str,
        age: i64,
        kind: (bool, Option<i64>),
    ) -> Planted {
        let last_used = kind.1.map(|days| self.ago(days));
        self.secret(namespace, name, age, Vec::new()).kind = SecretType::ServiceAccountToken {
            account: account.to_owned(),
            auto_generated: kind.0,
            last_used,
            invalid_since: None,
        };
        self.estate.legacy_token(namespace, name, account).expect("its ServiceAccount was planted before")
    }

    pub(super) fn deployment(
        &mut self,
        namespace: &str,
        name: &str,
        age: i64,
        env: Vec<(&str, EnvSource)>,
    ) -> &mut Deployment {
        let env = env.into_iter().map(|(key, source)| (key.to_owned(), source)).collect();
        let deployment = Deployment {
            version: self.estate.next_revision(),
            created_at: self.ago(age),
            labels: Labels::new(),
            replicas: 2,
            service_account: None,
            image_pull_secrets: Vec::new(),
            containers: vec![Container { name: "app".to_owned(), env, ..Container::default() }],
            witness: None,
            broken: None,
            breaks: 0,
            pods: Vec::new(),
            rollouts: Vec::new(),
            written_by: None,
            projections: Vec::new(),
        };
        self.held(namespace).deployments.entry(name.to_owned()).or_insert(deployment)
    }

    /// The estate, with the pods of all Deployments started.
    pub(super) fn finish(mut self) -> Estate {
        let started = self.now - Duration::hours(30);
        let namespaces: Vec<String> = self.estate.cluster.namespaces.keys().cloned().collect();
        for namespace in namespaces {
            let tokens = self.estate.legacy_tokens(&namespace);
            let namespace = self.held(&namespace);
            let names: Vec<String> = namespace.deployments.keys().cloned().collect();
            for name in names {
                namespace.start(&name, started, &tokens).expect("all that a Deployment reads was planted");
            }
        }
        self.estate
    }

    fn held(&mut self, namespace: &str) -> &mut Namespace {
        self.estate.cluster.namespaces.get_mut(namespace).expect("its namespace was planted before")
    }
}

pub(super) fn witness(role: &str, reads: &str) -> Option<Witness> {
    Some(Witness { role: role.to_owned(), reads: reads.to_owned() })
}

pub(super) fn mount(name: &str) -> Mount {
    Mount { object: ObjectName { kind: ObjectKind::Secret, name: name.to_owned() }, sub_path: None }
}
