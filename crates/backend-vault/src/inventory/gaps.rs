//! What a part of the inventory could not read, gathered into one status.

use claviger_backend::{Error, ErrorKind, Result, ScanSink};
use claviger_core::model::{Scope, ScopeStatus};

/// How many denied names a reason lists.
const NAMED: usize = 5;

/// Troubles of one scope.
#[derive(Default)]
pub(super) struct Gaps {
    denied: usize,
    named: Vec<String>,
    failed: Option<String>,
}

impl Gaps {
    /// Of a part whose first question already went wrong.
    pub(super) fn of(name: &str, error: &Error) -> Self {
        let mut gaps = Self::default();
        gaps.add(name, error);
        gaps
    }

    /// Notes that reading `name` went wrong. What has gone in the meantime is no gap.
    pub(super) fn add(&mut self, name: &str, error: &Error) {
        match error.kind() {
            ErrorKind::NotFound => {}
            ErrorKind::Denied => {
                self.denied += 1;
                if self.named.len() < NAMED {
                    self.named.push(name.to_owned());
                }
            }
            _ => {
                self.failed.get_or_insert_with(|| error.message().to_owned());
            }
        }
    }

    /// Ends the scope accordingly.
    pub(super) async fn end(self, scope: &Scope, sink: &mut ScanSink) -> Result<()> {
        if let Some(reason) = self.failed {
            return sink.end(scope, ScopeStatus::Failed, Some(reason)).await;
        }
        if self.denied == 0 {
            return sink.complete(scope).await;
        }
        let more = if self.denied > self.named.len() {
            format!(" and {} more", self.denied - self.named.len())
        } else {
            String::new()
        };
        let reason = format!("permission denied: {}{more}", self.named.join(", "));
        sink.end(scope, ScopeStatus::Denied, Some(reason)).await
    }
}
