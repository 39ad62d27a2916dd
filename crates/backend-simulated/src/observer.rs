//! What a judge asks the estate: he sees everything and changes nothing.

use chrono::{DateTime, Utc};
use claviger_backend::Verdict;
use claviger_core::{clock::Clock, model::CopyStage, reference::Ref};

use crate::{
    estate::{Deployment, Effect, EnvSource, Estate, EstateError, EstateFile, Mount, Namespace, Planted},
    issuer::{role_verdict, token_accepted},
};

/// Looks at one estate.
pub struct Observer {
    name: String,
    file: EstateFile,
}

/// A place that holds a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundCopy {
    /// Where.
    pub at: Ref,
    /// What a reader gets, or a former version.
    pub stage: CopyStage,
    /// The whole field is the value; otherwise it is part of it, e.g. of a URL.
    pub whole: bool,
}

/// A login as an application makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessLogin {
    /// The Deployment.
    pub consumer: Ref,
    /// The role.
    pub role: String,
    /// Did it work?
    pub accepted: bool,
}

impl Observer {
    /// An observer of the file; `name` is the backend's name in refs.
    pub fn new(name: &str, file: EstateFile) -> Self {
        Self { name: name.to_owned(), file }
    }

    /// The estate as it is.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn estate(&self) -> Result<Estate, EstateError> {
        self.file.load()
    }

    /// Would the database accept this value for this role?
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn accepts(&self, role: &str, value: &[u8], clock: &dyn Clock) -> Result<bool, EstateError> {
        Ok(role_verdict(&self.estate()?, role, value, clock.now()) == Verdict::Accepted)
    }

    /// Would the cluster accept this token?
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn accepts_token(&self, value: &[u8], clock: &dyn Clock) -> Result<bool, EstateError> {
        Ok(token_accepted(&self.estate()?, value, clock.now()))
    }

    /// What was changed through backends, in order.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn effects(&self) -> Result<Vec<Effect>, EstateError> {
        Ok(self.estate()?.effects)
    }

    /// How many effective mutations there were.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn effective_mutations(&self) -> Result<u64, EstateError> {
        Ok(self.effects()?.last().map_or(0, |effect| effect.seq))
    }

    /// Each place that holds the value, alone or within something, sorted.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn copies_of(&self, value: &[u8]) -> Result<Vec<FoundCopy>, EstateError> {
        let estate = self.estate()?;
        let mut found = Vec::new();
        let mut look = |at: Ref, stage: CopyStage, held: &Planted| {
            let whole = held.is(value);
            if whole || contains(held.expose(), value) {
                found.push(FoundCopy { at, stage, whole });
            }
        };
        for (path, entry) in &estate.secret_store.paths {
            let current = entry.current().map(|version| version.number);
            for version in &entry.versions {
                let stage =
                    if Some(version.number) == current { CopyStage::Current } else { CopyStage::Former };
                for (key, held) in &version.fields {
                    look(Ref::new(&self.name, ["kv", path]).field(key), stage, held);
                }
            }
        }
        for (repository, secrets) in &estate.forge.repositories {
            for (name, secret) in secrets {
                let at = Ref::new(&self.name, ["forge", repository, "actions", "secrets", name]);
                look(at, CopyStage::Current, &secret.value);
            }
        }
        for (namespace, held) in &estate.cluster.namespaces {
            let at = |kind: &str, name: &str| Ref::new(&self.name, ["k8s", namespace, kind, name]);
            for (name, secret) in &held.secrets {
                if let crate::estate::SecretType::ServiceAccountToken { account, .. } = &secret.kind
                    && let Some(token) = estate.legacy_token(namespace, name, account)
                {
                    look(at("Secret", name).field("token"), CopyStage::Current, &token);
                }
                for (key, value) in &secret.data {
                    look(at("Secret", name).field(key), CopyStage::Current, value);
                }
            }
            for (name, map) in &held.config_maps {
                for (key, value) in &map.data {
                    look(at("ConfigMap", name).field(key), CopyStage::Current, value);
                }
            }
            for (name, deployment) in &held.deployments {
                for container in &deployment.containers {
                    for (variable, source) in &container.env {
                        if let EnvSource::Literal(value) = source {
                            let field = format!("containers/{}/env/{variable}", container.name);
                            look(at("Deployment", name).field(&field), CopyStage::Current, value);
                        }
                    }
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Lets each witness log in with what its pods hold: one login for each pod that is ready.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn witness_logins(&self, clock: &dyn Clock) -> Result<Vec<WitnessLogin>, EstateError> {
        let (estate, now) = (self.estate()?, clock.now());
        let mut logins = Vec::new();
        for (namespace, held) in &estate.cluster.namespaces {
            for (name, deployment) in &held.deployments {
                let Some(witness) = &deployment.witness else { continue };
                for value in held_by_pods(held, deployment, &witness.reads, now) {
                    let accepted = value.is_some_and(|value| {
                        role_verdict(&estate, &witness.role, password_in(value.expose()), now)
                            == Verdict::Accepted
                    });
                    let consumer = Ref::new(&self.name, ["k8s", namespace, "Deployment", name]);
                    logins.push(WitnessLogin { consumer, role: witness.role.clone(), accepted });
                }
            }
        }
        Ok(logins)
    }
}

/// The value in each serving pod: as read at start, or what lies in the volume now.
fn held_by_pods(
    held: &Namespace,
    deployment: &Deployment,
    reads: &str,
    now: DateTime<Utc>,
) -> Vec<Option<Planted>> {
    let Some(newest) = deployment.pods.iter().filter(|pod| pod.ready_at <= now).map(|pod| pod.ready_at).max()
    else {
        return Vec::new();
    };
    let serving = deployment.pods.iter().filter(|pod| pod.ready_at == newest);
    serving.map(|pod| live(held, deployment, reads).or_else(|| pod.holds.get(reads).cloned())).collect()
}

/// Files of a volume follow the object, those with a `subPath` do not.
fn live(held: &Namespace, deployment: &Deployment, reads: &str) -> Option<Planted> {
    let (object, key) = reads.split_once('#')?;
    let is_it = |mount: &&Mount| {
        mount.sub_path.is_none() && format!("{}/{}", mount.object.kind, mount.object.name) == object
    };
    let mount = deployment.containers.iter().flat_map(|container| &container.mounts).find(is_it)?;
    held.field(&mount.object, key).cloned()
}

/// The password of a URL, else the whole without a final line break.
fn password_in(value: &[u8]) -> &[u8] {
    let of_url = || {
        let text = std::str::from_utf8(value).ok()?;
        let (_, rest) = text.split_once("://")?;
        let (user_info, _) = rest.rsplit_once('@')?;
        user_info.split_once(':').map(|(_, password)| password.as_bytes())
    };
    of_url().unwrap_or_else(|| value.strip_suffix(b"\n").unwrap_or(value))
}

fn contains(held: &[u8], value: &[u8]) -> bool {
    !value.is_empty() && held.windows(value.len()).any(|window| window == value)
}
