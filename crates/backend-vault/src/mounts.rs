//! What is mounted where.

use std::collections::BTreeMap;

use claviger_backend::{ErrorKind, Result};
use serde::Deserialize;

use crate::{client::Api, config::MountFilter};

/// What a mount is, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountKind {
    /// Key-value store without versions.
    Kv1,
    /// Key-value store with versions.
    Kv2,
    /// Database engine.
    Database,
    /// Certificate authority.
    Pki,
    /// AppRole login.
    AppRole,
    /// User and password login.
    Userpass,
    /// Login by a token of a cluster.
    Kubernetes,
    /// Login by a token of an OIDC issuer.
    Jwt,
    /// Holds no credential that lives long by itself: tokens (read by accessor), federated logins, the server's own parts.
    Nothing,
    /// May hold credentials, and we cannot read it. The type's name.
    Foreign(String),
}

/// A mounted engine or login method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Without slash at its end: `secret`, `auth/approle`.
    pub(crate) path: String,
    pub(crate) kind: MountKind,
}

/// Every mount that we are to read.
pub(crate) struct Mounts {
    pub(crate) mounts: Vec<Mount>,
    /// Folders inside KV mounts that the configuration names, as (mount's path, folder with slash at its end).
    pub(crate) folders: Vec<(String, String)>,
    /// Why mounts may be missing that we are to read.
    pub(crate) gap: Option<String>,
    /// Mounts that are asked for by name and were not found.
    pub(crate) missing: Vec<String>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
    /// Only in answers about one path: the mount that it belongs to.
    #[serde(default)]
    path: Option<String>,
}

#[derive(Deserialize)]
struct Visible {
    #[serde(default)]
    secret: BTreeMap<String, Described>,
    #[serde(default)]
    auth: BTreeMap<String, Described>,
}

impl Described {
    fn mount(&self, path: &str) -> Mount {
        let version2 = self
            .options
            .as_ref()
            .and_then(|options| options.get("version"))
            .is_some_and(|version| version == "2");
        let login = path.starts_with("auth/");
        let kind = match (login, self.kind.as_str()) {
            (false, "kv") if version2 => MountKind::Kv2,
            (false, "kv" | "generic") => MountKind::Kv1,
            (false, "database") => MountKind::Database,
            (false, "pki") => MountKind::Pki,
            // Keys that never leave the server, tokens' private corners and the server's own parts.
            (
                false,
                "transit" | "cubbyhole" | "identity" | "system" | "ns_cubbyhole" | "ns_identity"
                | "ns_system",
            ) => MountKind::Nothing,
            (true, "approle") => MountKind::AppRole,
            (true, "userpass") => MountKind::Userpass,
            (true, "kubernetes") => MountKind::Kubernetes,
            (true, "jwt" | "oidc") => MountKind::Jwt,
            // Whoever logs in here proves who they are with a credential that lives elsewhere.
            (true, _) => MountKind::Nothing,
            (false, other) => MountKind::Foreign(other.to_owned()),
        };
        Mount { path: path.trim_matches('/').to_owned(), kind }
    }
}

impl Mounts {
    /// Reads the list: `sys/mounts` and `sys/auth`, else what the token may see of it (`sys/internal/ui/mounts`), and what the
    /// configuration names beside.
    ///
    /// # Errors
    /// When the server cannot be asked at all.
    pub(crate) async fn read(api: &Api, filter: &MountFilter, extra: &[String]) -> Result<Self> {
        let (mut mounts, gap) = match whole(api).await {
            Ok(mounts) => (mounts, None),
            Err(error) if error.kind() == ErrorKind::Denied => {
                let visible: Visible = api
                    .get("inventory", "sys/internal/ui/mounts")
                    .await?
                    .unwrap_or(Visible { secret: BTreeMap::new(), auth: BTreeMap::new() });
                let gap = "sys/mounts and sys/auth may not be read: only the mounts that our token has a rule for were seen";
                (described(&visible.secret, &visible.auth), Some(gap.to_owned()))
            }
            Err(error) => return Err(error),
        };
        let mut folders = Vec::new();
        for path in extra {
            let path = path.trim_matches('/');
            if let Some(mount) = resolve(api, "inventory", path).await? {
                let folder =
                    path.strip_prefix(mount.path.as_str()).unwrap_or_default().trim_start_matches('/');
                if folder.is_empty() {
                    mounts.push(mount);
                } else {
                    folders.push((mount.path.clone(), format!("{folder}/")));
                    mounts.push(mount);
                }
            }
        }
        mounts.retain(|mount| filter.admits(&mount.path));
        mounts.sort_by(|left, right| left.path.cmp(&right.path));
        mounts.dedup_by(|left, right| left.path == right.path);
        let (gap, missing) = match filter.exact() {
            None => (gap, Vec::new()),
            // Asked for by name: a list that shows less than all is no gap, as long as each of them is there.
            Some(names) => {
                let absent = |name: &&String| {
                    *name != "auth/token"
                        && filter.admits(name)
                        && !mounts.iter().any(|mount| mount.path == **name)
                };
                (None, names.iter().filter(absent).cloned().collect())
            }
        };
        Ok(Self { mounts, folders, gap, missing })
    }
}

async fn whole(api: &Api) -> Result<Vec<Mount>> {
    let secret: BTreeMap<String, Described> = api.get("inventory", "sys/mounts").await?.unwrap_or_default();
    let auth: BTreeMap<String, Described> = api.get("inventory", "sys/auth").await?.unwrap_or_default();
    Ok(described(&secret, &auth))
}

fn described(secret: &BTreeMap<String, Described>, auth: &BTreeMap<String, Described>) -> Vec<Mount> {
    let secret = secret.iter().map(|(path, mount)| mount.mount(path));
    let auth = auth.iter().map(|(path, mount)| mount.mount(&format!("auth/{path}")));
    secret.chain(auth).collect()
}

/// The mount that a path belongs to; `None` when there is none, or none that our token has a rule for.
pub(crate) async fn resolve(api: &Api, operation: &'static str, path: &str) -> Result<Option<Mount>> {
    match api.get::<Described>(operation, &format!("sys/internal/ui/mounts/{path}")).await {
        Ok(found) => Ok(found.and_then(|mount| mount.path.as_deref().map(|path| mount.mount(path)))),
        Err(error) if error.kind() == ErrorKind::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_type_and_version() {
        let mount =
            |path: &str, json: &str| serde_json::from_str::<Described>(json).expect("JSON").mount(path).kind;
        assert_eq!(mount("secret/", r#"{"type":"kv","options":{"version":"2"}}"#), MountKind::Kv2);
        assert_eq!(mount("old/", r#"{"type":"kv","options":null}"#), MountKind::Kv1);
        assert_eq!(mount("old/", r#"{"type":"generic"}"#), MountKind::Kv1);
        assert_eq!(mount("auth/approle/", r#"{"type":"approle"}"#), MountKind::AppRole);
        assert_eq!(mount("auth/kubernetes/", r#"{"type":"kubernetes"}"#), MountKind::Kubernetes);
        assert_eq!(mount("auth/github-actions/", r#"{"type":"jwt"}"#), MountKind::Jwt);
        assert_eq!(mount("auth/cert/", r#"{"type":"cert"}"#), MountKind::Nothing);
        assert_eq!(mount("kubernetes/", r#"{"type":"kubernetes"}"#), MountKind::Foreign("kubernetes".into()));
    }
}
