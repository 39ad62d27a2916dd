//! Decoys: login roles with no right of their own. What `PUBLIC` may do they may do too.

use async_trait::async_trait;
use claviger_backend::{DECOY, Decoys, Error, ErrorKind, Operation, Result};
use claviger_core::{reference::Ref, scram, secret::SecretValue};
use tokio_postgres::types::Type;

use crate::{
    backend::PostgresqlBackend,
    issuer::salt,
    role::{role_of, role_ref},
    statement,
};

#[async_trait]
impl Decoys for PostgresqlBackend {
    /// `CREATE ROLE … LOGIN` with a verifier and two connections; nothing is granted to it.
    async fn plant(&self, op: &Operation, value: &SecretValue) -> Result<Ref> {
        let key = op.key.0.simple().to_string();
        let name = format!("{DECOY}{}", &key[..12]);
        let (client, role) = self.find("plant", &name).await?;
        if role.is_none() {
            let verifier = scram::build(value, &salt(op.key, &name), scram::ITERATIONS);
            let sql = statement::create(&name, &verifier).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, "plant", "what was to be set is no verifier")
            })?;
            self.change_role(&client, "plant", op, &sql).await?;
        }
        Ok(role_ref(&self.info.name, &name))
    }

    async fn decoys(&self) -> Result<Vec<Ref>> {
        let client = self.session.client("decoys").await?;
        let sql = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1) ORDER BY rolname";
        let rows = self.session.query(&client, "decoys", sql, &[(&DECOY, Type::TEXT)]).await?;
        Ok(rows.iter().map(|row| role_ref(&self.info.name, row.get(0))).collect())
    }

    async fn clear(&self, op: &Operation, at: &Ref) -> Result<()> {
        let name = role_of(&self.info.name, "clear", at)?;
        if !name.starts_with(DECOY) {
            return Err(Error::new(ErrorKind::Invalid, "clear", format!("{at} is no decoy")));
        }
        let (client, role) = self.find("clear", name).await?;
        match role {
            Some(_) => self.change_role(&client, "clear", op, &statement::drop(name)).await,
            None => Ok(()),
        }
    }
}
