//! What we may do at each backend, flow by flow.

use claviger_backend::{Error, PermissionStatus};
use serde::Serialize;

use crate::{Estate, Result};

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Permissions {
    /// All backends answered, and nothing is known to be missing.
    pub complete: bool,
    /// Backend by backend.
    pub items: Vec<Permitted>,
}

/// One right, or that a backend is reached.
#[derive(Debug, Serialize)]
pub struct Permitted {
    /// The backend's name in the configuration.
    pub backend: String,
    /// What needs it; empty where everything does.
    pub flow: &'static str,
    /// The right, in the backend's words; `reach` for the connection.
    pub permission: String,
    /// `present`, `missing`, `unknown`, or `failed` of a connection.
    pub status: &'static str,
    /// What to do about it, or where it was asked.
    pub detail: String,
}

impl Estate {
    /// Asks each backend, or the one of this name, what we may do there. Nothing is changed.
    ///
    /// # Errors
    /// There is no backend of this name.
    pub async fn permissions(&self, backend: Option<&str>) -> Result<Permissions> {
        let wanted = |name: &str| backend.is_none_or(|given| given == name);
        if let Some(name) = backend
            && !self.broken.iter().any(|(broken, ..)| broken == name)
        {
            self.member(name)?;
        }
        let mut found = Permissions { complete: true, items: Vec::new() };
        for (name, _, error) in self.broken.iter().filter(|(name, ..)| wanted(name)) {
            found.fails(name, error);
        }
        for member in self.members().filter(|member| wanted(&member.backend.info().name)) {
            let info = member.backend.info();
            let permissions = match member.backend.check().await {
                Ok(permissions) => permissions,
                Err(error) => {
                    found.fails(&info.name, &error);
                    continue;
                }
            };
            found.tell(&info.name, "", "reach", "present", info.endpoint.clone());
            for permission in permissions {
                let (status, detail) = match permission.status {
                    PermissionStatus::Present => ("present", String::new()),
                    PermissionStatus::Missing(detail) => {
                        found.complete = false;
                        ("missing", detail)
                    }
                    PermissionStatus::Unknown(detail) => ("unknown", detail),
                };
                found.tell(&info.name, permission.flow, &permission.name, status, detail);
            }
        }
        Ok(found)
    }
}

impl Permissions {
    fn fails(&mut self, backend: &str, error: &Error) {
        self.complete = false;
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        self.tell(backend, "", "reach", "failed", format!("{}{hint}", error.message()));
    }

    fn tell(
        &mut self,
        backend: &str,
        flow: &'static str,
        permission: &str,
        status: &'static str,
        detail: String,
    ) {
        let (backend, permission) = (backend.to_owned(), permission.to_owned());
        self.items.push(Permitted { backend, flow, permission, status, detail });
    }
}
