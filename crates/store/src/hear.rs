//! Hearing PostgreSQL's notifications, over a connection of its own.

use std::time::Duration;

use sqlx::{
    Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{Hint, watch::ANSWER};

/// The channel of all hints. Never changed: processes of two versions may share a database.
pub(crate) const CHANNEL: &str = "claviger";
/// How long after a connection was lost the next one is tried. Doubled each time that it fails.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// After such a silence the connection is asked whether it is still one: what lies between may have forgotten it.
const SILENCE: Duration = Duration::from_secs(20);
const CONNECTING: Duration = Duration::from_secs(5);

/// A hint as it is sent. One with an origin is meant for everybody but that process.
pub(crate) fn payload(hint: Hint, origin: Option<Uuid>) -> String {
    match origin {
        Some(origin) => format!("{} {}", hint.as_str(), origin.simple()),
        None => hint.as_str().to_owned(),
    }
}

/// What a payload says to this process.
fn said(payload: &str, own: Uuid) -> Option<Hint> {
    match payload.split_once(' ') {
        Some((_, origin)) if origin.parse() == Ok(own) => None,
        Some((word, _)) => Hint::parse(word),
        None => Hint::parse(payload),
    }
}

/// Hears hints until it is dropped.
pub(crate) async fn hear(options: PgConnectOptions, own: Uuid, heard: &(dyn Fn(Hint) + Send + Sync)) {
    let mut pause = FIRST;
    loop {
        match listening(&options).await {
            Ok(mut listener) => {
                tracing::debug!("hints of other processes are heard");
                pause = FIRST;
                Hint::ALL.into_iter().for_each(heard);
                let why = until_lost(&mut listener, own, heard).await;
                tracing::info!(
                    why,
                    "hints of other processes are not heard: work is found by looking for it"
                );
            }
            Err(error) => tracing::debug!(%error, "hints of other processes cannot be heard"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn listening(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECTING)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Gives why nothing can be heard any more.
async fn until_lost(listener: &mut PgListener, own: Uuid, heard: &(dyn Fn(Hint) + Send + Sync)) -> String {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Some(hint) = said(notification.payload(), own) {
                    heard(hint);
                }
            }
            Ok(Ok(None)) => return "the connection was lost".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => match timeout(ANSWER, listener.execute("select 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the server does not answer".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_understood_and_one_s_own_is_not_heard() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for hint in Hint::ALL {
            assert_eq!(said(&payload(hint, None), own), Some(hint));
            assert_eq!(said(&payload(hint, Some(other)), own), Some(hint));
            assert_eq!(said(&payload(hint, Some(own)), own), None);
        }
        // A later version may say more.
        assert_eq!(said("weather", own), None);
        assert_eq!(said("weather 00000000000000000000000000000002", own), None);
        assert_eq!(said("", own), None);
    }
}
