use std::sync::Arc;

use async_trait::async_trait;
use claviger_backend::{
    Backend, BackendInfo, Capability, Eraser, ErrorKind, Federation, Issuer, Offspring, Permission, Phase,
    Result, Runtime, ScanSink, Store, Turns,
};
use claviger_core::{clock::Clock, model::Scope};

use crate::{
    check,
    clients::{Account, Caller},
    config::AwsConfig,
    iam::{self, Scan},
    parameter, secret,
};

/// How long IAM may still accept a key that was ended: changes reach all its servers within seconds, not at once.
const END_SECONDS: u32 = 30;
/// How long it may not know a new one.
const BEGIN_SECONDS: u32 = 10;

/// One AWS account in one region.
pub struct AwsBackend {
    pub(crate) info: BackendInfo,
    pub(crate) account: Account,
    pub(crate) clock: Arc<dyn Clock>,
    propagation: Option<u32>,
}

impl AwsBackend {
    /// Checks the configuration. Nothing is sent: the first call connects. AWS's times are its own; the clock says from when on sessions are denied.
    ///
    /// # Errors
    /// `Config`: half a key, no region, an endpoint that is none.
    pub fn new(name: &str, config: AwsConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.check(name)?;
        let info = BackendInfo { name: name.to_owned(), kind: "aws", endpoint: config.endpoint_text() };
        let propagation = config.propagation_seconds;
        Ok(Self { info, account: Account::new(config), clock, propagation })
    }

    /// How long, in seconds, IAM may not know a new key.
    pub(crate) fn settles_within(&self) -> u32 {
        self.propagation.unwrap_or(BEGIN_SECONDS)
    }

    pub(crate) async fn scan(&self) -> Result<Scan<'_>> {
        Ok(Scan { backend: &self.info.name, account: &self.account, clients: self.account.clients().await? })
    }

    /// Who we are; somebody unknown where a compatible server does not let us ask.
    async fn caller(&self, operation: &'static str) -> Result<&Caller> {
        const NOBODY: &Caller = &Caller { arn: String::new(), key_id: None };
        match self.account.caller(operation).await {
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unsupported) => Ok(NOBODY),
            other => other,
        }
    }
}

#[async_trait]
impl Backend for AwsBackend {
    fn info(&self) -> &BackendInfo {
        &self.info
    }

    fn capability(&self) -> Capability {
        Capability {
            inventory: true,
            issue: true,
            issue_mints: true,
            issue_by_name: false,
            issue_marks: false,
            issue_adds: false,
            issue_asked: false,
            issue_hidden: false,
            siblings: true,
            disable: true,
            verify: true,
            identify: false,
            restore: false,
            revoke: true,
            alternate: false,
            revoke_cache_seconds: self.propagation.unwrap_or(END_SECONDS),
            read: true,
            write: true,
            write_with_expect: true,
            write_together: true,
            pending: true,
            write_keeps_former: true,
            post: false,
            post_unmarked: false,
            refresh: false,
            adopted: false,
            repoint: false,
            federate: true,
            bind: false,
            vouch: false,
        }
    }

    fn may_hide(&self, unread: &Scope, missing: &Scope) -> bool {
        // Each service has one list of its own, and no service names another's things.
        unread.area == missing.area
    }

    async fn check(&self) -> Result<Vec<Permission>> {
        let caller = self.caller("check").await?;
        check::permissions(self.scan().await?, caller).await
    }

    async fn inventory(&self, phase: Phase, sink: &mut ScanSink) -> Result<()> {
        // A key that is not accepted reads nothing at all: said once, not scope by scope.
        let caller = self.caller("inventory").await?;
        let scan = self.scan().await?;
        match phase {
            Phase::Issuers => iam::read(scan, caller, sink).await,
            Phase::Stores => {
                secret::read(scan, sink).await?;
                parameter::read(scan, sink).await
            }
        }
    }

    fn issuer(&self) -> Option<&dyn Issuer> {
        Some(self)
    }

    fn turns(&self) -> Option<&dyn Turns> {
        None
    }

    fn offspring(&self) -> Option<&dyn Offspring> {
        Some(self)
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn eraser(&self) -> Option<&dyn Eraser> {
        Some(self)
    }

    fn federation(&self) -> Option<&dyn Federation> {
        Some(self)
    }

    fn runtime(&self) -> Option<&dyn Runtime> {
        None
    }
}
