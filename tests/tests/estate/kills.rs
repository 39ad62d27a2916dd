//! `kill -9` of the real binary at more than a hundred moments, over the real issuers and both lifecycle databases.

use anyhow::Result;

use crate::{
    access_key::kill_access_key,
    recovery::{Lifecycle, kill_password, kill_secret_id},
    turns::kill_turns,
};

/// Seventeen moments, so many milliseconds apart.
fn moments(first: u64, apart: u64) -> Vec<u64> {
    (0..17).map(|index| first + index * apart).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_password_s_rotation_loses_it() -> Result<()> {
    println!("{}", kill_password(&moments(40, 85), Lifecycle::Sqlite).await?);
    println!("{}", kill_password(&moments(80, 85), Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_secret_id_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_secret_id(&moments(40, 85), Lifecycle::Sqlite).await?);
    println!("{}", kill_secret_id(&moments(80, 85), Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_an_access_key_s_rotation_leaves_an_orphan() -> Result<()> {
    println!("{}", kill_access_key(&moments(60, 320), Lifecycle::Sqlite).await?);
    println!("{}", kill_access_key(&moments(220, 320), Lifecycle::Postgres).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: part of the campaign"]
async fn no_kill_of_a_turn_of_two_users_loses_one() -> Result<()> {
    println!("{}", kill_turns(&moments(40, 85), Lifecycle::Sqlite).await?);
    println!("{}", kill_turns(&moments(80, 85), Lifecycle::Postgres).await?);
    Ok(())
}
