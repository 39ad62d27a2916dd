//! `kill -9` of the real binary at more than a hundred moments, over the real issuers and both lifecycle databases.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    Place,
    access_key::kill_access_key,
    recovery::{Lifecycle, kill_password, kill_secret_id},
    token::kill_token,
    turns::kill_turns,
};

/// How many kills the gate spreads over a rotation.
pub(crate) const FEW: u32 = 6;
/// How many the campaign does, of each kind and on each database.
const MANY: u32 = 17;

/// Moments at which one command is killed, spread evenly over the time that it takes on this machine: before the first it runs once to
/// its end and is timed. Fixed moments hit nothing where the machine is faster or busier than the one on which they were chosen.
pub(crate) struct Kills {
    times: u32,
    done: u32,
    whole: Duration,
}

impl Kills {
    /// So many kills, after the run that is timed.
    pub(crate) fn new(times: u32) -> Self {
        Self { times, done: 0, whole: Duration::ZERO }
    }

    /// How often [`Self::strike`] is to be called.
    pub(crate) fn turns(&self) -> std::ops::RangeInclusive<u32> {
        0..=self.times
    }

    /// The moment that comes next, and what to say of it; none for the run that is timed.
    pub(crate) fn next(&mut self) -> (Option<Duration>, String) {
        let turn = self.done;
        self.done += 1;
        if turn == 0 {
            return (None, "not killed".to_owned());
        }
        // What comes before the first commit and after the last is the smaller part of it.
        let moment = self.whole.mul_f64(f64::from(turn) / f64::from(self.times + 1));
        (Some(moment), format!("killed after {} ms of {}", moment.as_millis(), self.whole.as_millis()))
    }

    /// Runs the command: the first time to its end, then each time up to the next moment. Says what was done.
    pub(crate) async fn strike(&mut self, place: &Place, arguments: &[&str]) -> Result<String> {
        let (moment, said) = self.next();
        match moment {
            Some(moment) => place.kill_after(moment, arguments).await?,
            None => {
                let started = Instant::now();
                place.run(arguments, None)?.expect(0)?;
                self.timed(started.elapsed());
            }
        }
        Ok(said)
    }

    /// For those who run the command themselves: how long it took.
    pub(crate) fn timed(&mut self, whole: Duration) {
        self.whole = whole;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_password_s_rotation_loses_it() -> Result<()> {
    println!("{}", kill_password(MANY, Lifecycle::Sqlite).await?);
    println!("{}", kill_password(MANY, Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_secret_id_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_secret_id(MANY, Lifecycle::Sqlite).await?);
    println!("{}", kill_secret_id(MANY, Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_an_access_key_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_access_key(MANY, Lifecycle::Sqlite).await?);
    println!("{}", kill_access_key(MANY, Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_turn_of_two_users_loses_one() -> Result<()> {
    println!("{}", kill_turns(MANY, Lifecycle::Sqlite).await?);
    println!("{}", kill_turns(MANY, Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_token_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_token(MANY, Lifecycle::Sqlite).await?);
    println!("{}", kill_token(MANY, Lifecycle::Postgres).await?);
    Ok(())
}
