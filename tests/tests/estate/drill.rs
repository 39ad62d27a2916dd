//! A drill at a real PostgreSQL: the role is made with the rights that claviger has, refused after its revocation, and dropped.

use anyhow::{Result, ensure};
use claviger_tests::{estate::Estate, require_lab};

use crate::access_key::place;

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_at_a_real_database_leaves_no_role() -> Result<()> {
    let estate = require_lab!(Estate::start().await, Ok(()));
    let place = place(&estate, "drill.db");
    let drill = place.run(&["drill", "db", "--yes", "-o", "json"], None)?.expect(0)?.json()?;
    ensure!(drill["passed"] == true && drill["refused_at"].is_string(), "{drill:#}");
    let admin = estate.postgres.connect("postgres").await?;
    let sql = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname::text, 'claviger_drill_')";
    let left: i64 = admin.query_one(sql, &[]).await?.get(0);
    ensure!(left == 0, "{left} are left");
    ensure!(place.list("drills")?.len() == 1);
    place.run(&["drill", "vault", "--yes"], None)?.expect(4)?;
    place.run(&["audit", "verify"], None)?.expect(0)?;
    Ok(())
}
