use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Decoys, Federation, Issuer, Offspring, Permission, PermissionStatus,
    Phase, Result, Runtime, ScanSink, Store, Turns,
};
use claviger_core::{clock::Clock, model::Scope};

use crate::{
    config::{PostgresqlConfig, Target},
    inventory,
    role::{Role, Server},
    session::Session,
    tls,
};

/// From this version on CREATEROLE alters only roles that one administers.
const ADMIN_OPTION_NEEDED: i32 = 160_000;

/// One PostgreSQL server.
pub struct PostgresqlBackend {
    pub(crate) info: BackendInfo,
    pub(crate) session: Session,
    pub(crate) identify_budget: usize,
    clock: Arc<dyn Clock>,
}

impl PostgresqlBackend {
    /// Checks the configuration. Nothing is sent: the first call connects.
    ///
    /// # Errors
    /// `Config`: the URL cannot be used or holds a password, or the authorities cannot be read.
    pub fn new(name: &str, config: PostgresqlConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let target = Target::parse(name, &config.url, config.ca.is_some())?;
        let tls = tls::connector(name, target.tls, config.ca.as_deref())?;
        let info = BackendInfo { name: name.to_owned(), kind: "postgresql", endpoint: target.endpoint() };
        let session = Session::new(target, tls, config.password);
        Ok(Self { info, session, identify_budget: config.identify_budget, clock })
    }

    fn name(&self) -> &str {
        &self.info.name
    }
}

#[async_trait]
impl Backend for PostgresqlBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_mints: false,
            issue_by_name: false,
            issue_marks: false,
            issue_adds: false,
            issue_asked: false,
            issue_hidden: false,
            siblings: true,
            disable: true,
            verify: true,
            identify: true,
            restore: true,
            revoke: true,
            alternate: true,
            revoke_cache_seconds: 0,
            read: false,
            write: false,
            write_with_expect: false,
            write_together: false,
            pending: false,
            write_keeps_former: false,
            post: false,
            post_unmarked: false,
            refresh: false,
            adopted: false,
            repoint: false,
            federate: false,
            bind: false,
            vouch: false,
        }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        unread.area == missing.area
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        let client = self.session.client("check").await?;
        let server = Server::ask(&self.session, &client, "check").await?;
        let own = Role::find(&self.session, &client, "check", server, &self.session.target.user).await?;
        let standby = self.session.query(&client, "check", "SELECT pg_is_in_recovery()", &[]).await?;
        let standby = standby.first().is_some_and(|row| row.get(0));
        let statistics = "SELECT pg_has_role('pg_read_all_stats', 'USAGE')";
        let statistics = self.session.query(&client, "check", statistics, &[]).await?;
        let statistics = statistics.first().is_some_and(|row| row.get(0));
        let signals = "SELECT pg_has_role('pg_signal_backend', 'USAGE')";
        let signals = self.session.query(&client, "check", signals, &[]).await?;
        let signals = signals.first().is_some_and(|row| row.get(0));
        let permission = |flow, name: &str, status| Permission { flow, name: name.to_owned(), status };
        let verifiers = || {
            if server.verifiers {
                PermissionStatus::Present
            } else {
                PermissionStatus::Missing(inventory::missing_grant(&self.session))
            }
        };
        let user = self.session.target.user.replace('"', "\"\"");
        let signal = || match signals {
            true => PermissionStatus::Present,
            false => PermissionStatus::Missing(format!(
                "a superuser can run: GRANT pg_signal_backend TO \"{user}\""
            )),
        };
        let alter = match own {
            _ if standby => {
                PermissionStatus::Missing("the server is a standby: name the primary in `url`".to_owned())
            }
            Some(own) if own.superuser => PermissionStatus::Present,
            Some(own) if own.createrole && server.version < ADMIN_OPTION_NEEDED => PermissionStatus::Present,
            Some(own) if own.createrole => PermissionStatus::Unknown(format!(
                "each role needs: GRANT \"<role>\" TO \"{user}\" WITH ADMIN OPTION"
            )),
            _ => PermissionStatus::Missing(format!("a superuser can run: ALTER ROLE \"{user}\" CREATEROLE")),
        };
        Ok(vec![
            permission("scan", "SELECT on pg_roles", PermissionStatus::Present),
            permission("scan", "SELECT (rolname, rolpassword) on pg_authid", verifiers()),
            permission("rotate", "ALTER ROLE … PASSWORD", alter.clone()),
            permission("revoke", "ALTER ROLE … NOLOGIN PASSWORD NULL", alter.clone()),
            permission("revoke", "pg_signal_backend, to end the sessions of a revoked role", signal()),
            permission(
                "rotate",
                "CREATE ROLE, GRANT, ALTER ROLE … SET, COMMENT, for strategy `alternating`",
                alter.clone(),
            ),
            permission("swap", "ALTER ROLE … NOLOGIN PASSWORD NULL", alter),
            permission("swap", "pg_signal_backend, to end the sessions of the former role", signal()),
            permission(
                "rotate",
                "pg_read_all_stats, for strategy `alternating`: when and from where sessions were begun",
                // Sessions are counted without it.
                if statistics {
                    PermissionStatus::Present
                } else {
                    PermissionStatus::Unknown(format!(
                        "not granted, and not needed to see whether there are any; a superuser can run: GRANT pg_read_all_stats TO \"{user}\""
                    ))
                },
            ),
            permission(
                "rotate",
                "SELECT (rolname, rolpassword) on pg_authid, for a rollback without the old password",
                verifiers(),
            ),
        ])
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        match phase {
            Phase::Issuers => inventory::read(self.name(), &self.session, self.clock.now(), sink).await,
            Phase::Stores => Ok(()),
        }
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        Some(self)
    }

    fn offspring(&self) -> Option<&dyn Offspring> {
        Some(self)
    }

    fn decoys(&self) -> Option<&dyn Decoys> {
        Some(self)
    }

    fn store(&self) -> Option<&dyn Store> {
        None
    }

    fn federation(&self) -> Option<&dyn Federation> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}
