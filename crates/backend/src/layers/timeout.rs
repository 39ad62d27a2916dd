use tokio::time::{Instant, timeout_at};

use super::{Call, Nature};
use crate::{Effect, Error, ErrorKind, Result};

/// Ends an attempt that takes too long.
pub(super) async fn bounded<T>(
    call: &Call<'_>,
    deadline: Instant,
    attempt: impl Future<Output = Result<T>>,
) -> Result<T> {
    let until = deadline.min(Instant::now() + call.attempt);
    match timeout_at(until, attempt).await {
        Ok(result) => result,
        Err(_) => {
            // Dropping the future may have come after the request went out.
            let effect = match call.nature {
                Nature::Reads => Effect::NotApplied,
                Nature::Changes => Effect::Unknown,
            };
            Err(Error::new(ErrorKind::Unavailable, call.operation, "no answer in time").with_effect(effect))
        }
    }
}
