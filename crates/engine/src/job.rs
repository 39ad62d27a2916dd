//! Work at the database beside our own: on a thread that is free, so that neither waits for the other's next step.

use tokio::task::JoinHandle;

use crate::Result;

/// A call to the database that runs by itself. Dropped before its end it is ended, as a call that is awaited would be.
pub(crate) struct Job<T>(JoinHandle<claviger_store::Result<T>>);

impl<T: Send + 'static> Job<T> {
    pub(crate) fn start(work: impl Future<Output = claviger_store::Result<T>> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Its answer.
    pub(crate) async fn end(mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(answer) => Ok(answer?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(claviger_store::Error::Unavailable("the program is ending".to_owned()).into()),
            },
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_job_runs_before_it_is_awaited_and_gives_its_answer() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let job = Job::start(async move {
            let _ = sender.send(());
            Ok(7)
        });
        receiver.await.expect("it began by itself");
        assert_eq!(job.end().await.expect("an answer"), 7);
        let failed = Job::<()>::start(async { Err(claviger_store::Error::Fenced) });
        assert!(failed.end().await.is_err());
    }

    #[tokio::test]
    async fn a_job_that_is_dropped_ends() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let job = Job::start(async move {
            let _held = sender;
            std::future::pending::<claviger_store::Result<()>>().await
        });
        drop(job);
        let gone = tokio::time::timeout(Duration::from_secs(30), receiver).await.expect("it was ended");
        assert!(gone.is_err());
    }
}
