//! Database mounts: the root account of each connection, and static roles, whose password the server rotates by itself.

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    canonical::bundle_of,
    model::{Attributes, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels, Place, Scope},
    observation::{Content, Observation, ObservedCopy, ObservedCredential, ObservedIdentity},
    reference::Ref,
    secret::SecretValue,
};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Gaps, Survey};
use crate::{client::ApiPath, labels::time};

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    plugin_name: String,
    #[serde(default)]
    connection_details: Details,
    #[serde(default)]
    verify_connection: Option<bool>,
    #[serde(default)]
    allowed_roles: Option<Vec<String>>,
}

/// The server leaves the password out.
#[derive(Deserialize, Default)]
struct Details {
    #[serde(default)]
    connection_url: String,
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct StaticRole {
    #[serde(default)]
    db_name: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    last_vault_rotation: String,
    #[serde(default)]
    rotation_period: Value,
    #[serde(default)]
    rotation_schedule: Option<String>,
}

#[derive(Deserialize)]
struct StaticCredential {
    #[serde(default)]
    username: String,
    password: Option<String>,
    #[serde(default)]
    last_vault_rotation: String,
}

impl Survey<'_> {
    pub(super) async fn database(&self, mount: &str, leases: Option<u64>, sink: &mut ScanSink) -> Result<()> {
        self.connections(mount, leases, sink).await?;
        let scope = Scope::new(mount, "static-roles");
        let roles = match self.api.list("inventory", &format!("{mount}/static-roles")).await {
            Ok(roles) => roles,
            Err(error) => {
                return Gaps::of(&format!("LIST {mount}/static-roles"), &error).end(&scope, sink).await;
            }
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        for name in roles {
            let path = format!("{mount}/static-roles/{name}");
            match self.api.get::<StaticRole>("inventory", &path).await {
                Ok(Some(role)) => {
                    let user = self.database_user(mount, &role.db_name, &role.username);
                    let mut attributes = Attributes::from([
                        ("db_name".to_owned(), json!(role.db_name)),
                        ("username".to_owned(), json!(role.username)),
                        ("rotation_period".to_owned(), role.rotation_period),
                        ("rotated_by_server".to_owned(), json!(true)),
                        ("last_vault_rotation".to_owned(), json!(role.last_vault_rotation)),
                    ]);
                    if let Some(schedule) = role.rotation_schedule.filter(|schedule| !schedule.is_empty()) {
                        attributes.insert("rotation_schedule".to_owned(), json!(schedule));
                    }
                    page.push(Observation::Credential(password(
                        self.names.object(&path),
                        &user,
                        time(&role.last_vault_rotation),
                        attributes,
                    )));
                    page.push(Observation::Identity(user));
                }
                Ok(None) => {}
                Err(error) => gaps.add(&name, &error),
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    async fn connections(&self, mount: &str, leases: Option<u64>, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(mount, "connections");
        let names = match self.api.list("inventory", &format!("{mount}/config")).await {
            Ok(names) => names,
            Err(error) => return Gaps::of(&format!("LIST {mount}/config"), &error).end(&scope, sink).await,
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        for name in names {
            let path = format!("{mount}/config/{name}");
            match self.api.get::<Connection>("inventory", &path).await {
                Ok(Some(connection)) => {
                    let mut attributes = Attributes::from([
                        ("plugin".to_owned(), json!(connection.plugin_name)),
                        ("username".to_owned(), json!(connection.connection_details.username)),
                        ("allowed_roles".to_owned(), json!(connection.allowed_roles.unwrap_or_default())),
                        ("root_of_mount".to_owned(), json!(true)),
                    ]);
                    if let Some(verify) = connection.verify_connection {
                        attributes.insert("verify_connection".to_owned(), json!(verify));
                    }
                    if let Some(host) = host(&connection.connection_details.connection_url) {
                        attributes.insert("host".to_owned(), json!(host));
                    }
                    if let Some(leases) = leases {
                        attributes.insert("leases_count".to_owned(), json!(leases));
                    }
                    let user = self.database_user(mount, &name, &connection.connection_details.username);
                    page.push(Observation::Credential(password(
                        self.names.object(&path),
                        &user,
                        None,
                        attributes,
                    )));
                    page.push(Observation::Identity(user));
                }
                Ok(None) => {}
                Err(error) => gaps.add(&name, &error),
            }
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    /// The present password of each static role: the server hands it to whoever may read it, so it is a copy of that credential.
    pub(super) async fn static_credentials(&self, mount: &str, sink: &mut ScanSink) -> Result<()> {
        let scope = Scope::new(mount, "static-creds");
        let roles = match self.api.list("inventory", &format!("{mount}/static-roles")).await {
            Ok(roles) => roles,
            Err(error) => {
                return Gaps::of(&format!("LIST {mount}/static-roles"), &error).end(&scope, sink).await;
            }
        };
        let mut gaps = Gaps::default();
        let mut page = Vec::new();
        for name in roles {
            let path = format!("{mount}/static-creds/{name}");
            let what = format!("GET {path}");
            let call = self.api.call("inventory", &what, false);
            let read = async {
                let answer = self
                    .api
                    .send(call, Method::GET, &ApiPath::new("inventory", &path)?, "", None, None)
                    .await?
                    .good(call)?;
                answer.data::<StaticCredential>(call)
            };
            let (content, found) = match read.await {
                Ok(Some(mut found)) => match found.password.take() {
                    Some(password) => (Content::Value(SecretValue::from_text(password)), Some(found)),
                    // Certificates and key pairs of other plugins.
                    None => continue,
                },
                Ok(None) => continue,
                Err(error) => {
                    gaps.add(&name, &error);
                    (
                        Content::Unreadable(
                            "reading the password is denied to us, or the database did not answer".to_owned(),
                        ),
                        None,
                    )
                }
            };
            let mut bundle = bundle_of(std::iter::empty());
            bundle.user = found.as_ref().map(|found| found.username.clone()).filter(|user| !user.is_empty());
            page.push(Observation::Copy(ObservedCopy {
                at: self.names.object(&path).field("password"),
                key: "password".to_owned(),
                version: None,
                stage: CopyStage::Current,
                place: Place::SecretStore,
                content,
                bundle,
                kind: Some(CredentialKind::Password),
                issuer: Some(self.names.object(&format!("{mount}/static-roles/{name}"))),
                created_at: None,
                updated_at: found.as_ref().and_then(|found| time(&found.last_vault_rotation)),
                last_used_at: None,
                labels: Labels::new(),
                owners: Vec::new(),
                attributes: Attributes::from([
                    ("managed_by".to_owned(), json!(format!("{mount}/static-roles/{name}"))),
                    (
                        "shown_for".to_owned(),
                        json!(self.names.object(&format!("{mount}/static-roles/{name}"))),
                    ),
                ]),
            }));
        }
        sink.page(&scope, page).await?;
        gaps.end(&scope, sink).await
    }

    fn database_user(&self, mount: &str, connection: &str, username: &str) -> ObservedIdentity {
        ObservedIdentity {
            at: self.names.object(&format!("{mount}/config/{connection}/user/{username}")),
            kind: IdentityKind::DatabaseRole,
            created_at: None,
            last_used_at: None,
            disabled: false,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: Attributes::from([
                ("username".to_owned(), json!(username)),
                ("connection".to_owned(), json!(connection)),
            ]),
        }
    }
}

fn password(
    at: Ref,
    user: &ObservedIdentity,
    rotated_at: Option<chrono::DateTime<chrono::Utc>>,
    attributes: Attributes,
) -> ObservedCredential {
    ObservedCredential {
        at,
        kind: CredentialKind::Password,
        identity: Some(user.at.clone()),
        state: CredentialState::Active,
        created_at: None,
        rotated_at,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes,
    }
}

/// Host of a connection URL whose user and password are templates (`postgresql://{{username}}:{{password}}@db:5432/app`). A URL that
/// holds a password itself gives no more than its host either.
fn host(url: &str) -> Option<String> {
    let plain = url.replace("{{", "").replace("}}", "");
    Url::parse(&plain).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn only_the_host_leaves_a_connection_url() {
        assert_eq!(
            host("postgresql://{{username}}:{{password}}@db.internal:5432/app?sslmode=require").as_deref(),
            Some("db.internal")
        );
        assert_eq!(host("postgres://root:hunter2@10.0.0.1/db").as_deref(), Some("10.0.0.1"));
        assert_eq!(host("{{username}}:{{password}}@tcp(db:3306)/"), None);
    }
}
