use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use super::Call;
use crate::{Error, ErrorKind, Result, Retry};

/// Waits for a permit, at most until the deadline. Nothing was sent before it is given.
pub(super) async fn permit<'a>(
    permits: &'a Semaphore,
    call: &Call<'_>,
    deadline: Instant,
) -> Result<SemaphorePermit<'a>> {
    let busy = || {
        let message = "too many calls at a time: no turn before the deadline";
        Error::new(ErrorKind::Unavailable, call.operation, message).with_retry(Retry::Persistent)
    };
    timeout_at(deadline, permits.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())
}
