use tracing::{Instrument, field};

use super::Call;
use crate::{BackendInfo, ErrorKind, Result};

/// Runs a call within its span and says how it ended.
pub(super) async fn traced<T>(
    info: &BackendInfo,
    call: &Call<'_>,
    run: impl Future<Output = Result<T>>,
) -> Result<T> {
    let span = tracing::info_span!(
        "backend.call",
        backend.name = %info.name,
        backend.kind = info.kind,
        operation.name = call.name,
        operation.key = field::Empty,
        operation.target = field::Empty,
    );
    if let Some(key) = call.key {
        span.record("operation.key", field::display(key));
    }
    if let Some(target) = call.target {
        span.record("operation.target", field::display(target));
    }
    async {
        let result = run.await;
        match &result {
            Ok(_) => tracing::debug!("done"),
            // Lost races are part of a saga's life: it observes and goes on.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                tracing::debug!(error.kind = ?error.kind(), error.message = error.message(), "refused");
            }
            Err(error) => tracing::warn!(
                error.kind = ?error.kind(),
                error.retry = ?error.retry(),
                error.effect = ?error.effect(),
                error.message = error.message(),
                "failed"
            ),
        }
        result
    }
    .instrument(span)
    .await
}
