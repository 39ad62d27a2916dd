//! The installation's own keys. One commit puts a key in force; what was made with the one before is counted until nothing of it is left.

use chrono::{DateTime, Utc};
use claviger_core::{
    audit::AuditDraft,
    own_key::{KeyId, KeyKind, KeyState, OwnKey, Succession},
    seal::SealingKey,
    signing::PublicKey,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult};

use super::{
    SeaStore, audit, sql,
    text::{from_json, from_word, micros, to_json},
};
use crate::{Error, KeyTurn, Result};

const TABLE: &str = "own_key";

#[derive(FromQueryResult)]
struct Row {
    kind: String,
    epoch: i64,
    key_id: Vec<u8>,
    state: String,
    public_key: Option<String>,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

#[derive(FromQueryResult)]
struct Id {
    key_id: Vec<u8>,
}

#[derive(FromQueryResult)]
struct State {
    state: String,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

#[derive(FromQueryResult)]
struct EpochCount {
    epoch: i64,
    n: i64,
}

#[derive(FromQueryResult)]
struct Sealed {
    head: Vec<u8>,
    n: i64,
}

#[derive(FromQueryResult)]
struct Said {
    succession: String,
}

impl SeaStore {
    /// The keys that are known, each kind from its first epoch on, with what is left of each.
    ///
    /// # Errors
    /// The database.
    pub async fn own_keys(&self) -> Result<Vec<OwnKey>> {
        all(&self.database.read).await
    }

    /// Notes the first key of a kind. If one is known already, nothing happens.
    ///
    /// # Errors
    /// The database.
    pub async fn register_key(&self, kind: KeyKind, id: KeyId, public: Option<PublicKey>) -> Result<()> {
        let values = vec![
            kind.as_str().into(),
            id.0.to_vec().into(),
            public.map(|key| key.to_string()).into(),
            micros(self.clock.now()).into(),
        ];
        let transaction = self.database.begin().await?;
        sql::run(
            &transaction,
            "insert into own_key (kind, epoch, key_id, state, public_key, since) values ($1, 1, $2, 'current', $3, $4) \
             on conflict do nothing",
            values,
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// From now on this store writes fingerprints only while this key is in force: a process that was started before a rotation must not go on
    /// writing old ones.
    pub fn bind_fingerprint_key(&self, id: KeyId) {
        let _ = self.fingerprint_key.set(id);
    }

    /// Puts a key in force. One commit: before it the old one is, after it the new one.
    ///
    /// # Errors
    /// [`Error::Keys`]: another key is in force; the new one was in force before; or the fingerprint key is to be rotated while rotations or
    /// revocations are under way, whose records hold fingerprints. The database.
    pub async fn turn_key(&self, turn: KeyTurn) -> Result<OwnKey> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let values = vec![
            turn.kind.as_str().into(),
            turn.from.0.to_vec().into(),
            turn.fate.as_str().into(),
            now.into(),
        ];
        // Its lock is what makers of sagas wait for.
        let ended = sql::run(
            &transaction,
            "update own_key set state = $3, until = $4 where kind = $1 and key_id = $2 and state = 'current'",
            values,
        )
        .await?;
        if ended != 1 {
            return Err(Error::Keys(format!("another {} key than {} is in force", turn.kind, turn.from)));
        }
        let known: Vec<Row> = sql::rows(
            &transaction,
            "select kind, epoch, key_id, state, public_key, since, until from own_key where kind = $1 order by epoch",
            vec![turn.kind.as_str().into()],
        )
        .await?;
        if known.iter().any(|row| row.key_id == turn.to.0) {
            return Err(Error::Keys(format!("key {} was in force before", turn.to)));
        }
        let before = known.last().map_or(0, |row| row.epoch);
        if turn.kind == KeyKind::Fingerprint {
            if turn.fate == KeyState::Former {
                refuse_under_way(&transaction).await?;
            }
            keep_former(&transaction, before).await?;
        }
        let row = Row {
            kind: turn.kind.as_str().to_owned(),
            epoch: before + 1,
            key_id: turn.to.0.to_vec(),
            state: KeyState::Current.as_str().to_owned(),
            public_key: turn.public.map(|key| key.to_string()),
            since: now,
            until: None,
        };
        let values = vec![
            row.kind.clone().into(),
            row.epoch.into(),
            row.key_id.clone().into(),
            row.state.clone().into(),
            row.public_key.clone().into(),
            turn.succession.as_ref().map(to_json).into(),
            now.into(),
        ];
        sql::run(
            &transaction,
            "insert into own_key (kind, epoch, key_id, state, public_key, succession, since) \
             values ($1, $2, $3, $4, $5, $6, $7)",
            values,
        )
        .await?;
        audit::chain_one(&transaction, now, turn.audit).await?;
        transaction.commit().await?;
        key(row)
    }

    /// Notes that a former key is taken away. Refused as long as something of it is left.
    ///
    /// # Errors
    /// [`Error::Keys`]; the database.
    pub async fn drop_key(&self, key: &OwnKey, draft: AuditDraft) -> Result<()> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let values = vec![key.kind.as_str().into(), key.id.0.to_vec().into()];
        // Its lock first: whoever seals with it at this moment is waited for, and counted.
        let sql = "update own_key set state = 'dropped' where kind = $1 and key_id = $2 and state = 'former'";
        let dropped = sql::run(&transaction, sql, values).await?;
        let known = all(&transaction).await?;
        let left = known.iter().find(|other| other.kind == key.kind && other.id == key.id);
        if dropped != 1 || left.is_none_or(|known| known.left > 0) {
            return Err(Error::Keys(format!("something of {} key {} is left", key.kind, key.id)));
        }
        audit::chain_one(&transaction, now, draft).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that a former key is lost for good: what is left of it stays, and nobody can read it.
    ///
    /// # Errors
    /// [`Error::Keys`]: it is no former key. The database.
    pub async fn lose_key(&self, key: &OwnKey, draft: AuditDraft) -> Result<()> {
        let now = micros(self.clock.now());
        let transaction = self.database.begin().await?;
        let values = vec![key.kind.as_str().into(), key.id.0.to_vec().into()];
        let sql = "update own_key set state = 'lost' where kind = $1 and key_id = $2 and state = 'former'";
        if sql::run(&transaction, sql, values).await? != 1 {
            return Err(Error::Keys(format!("{} key {} is no former key", key.kind, key.id)));
        }
        audit::chain_one(&transaction, now, draft).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How signing keys followed each other, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn successions(&self) -> Result<Vec<Succession>> {
        let rows: Vec<Said> = sql::rows(
            &self.database.read,
            "select succession from own_key where succession is not null order by epoch",
            Vec::new(),
        )
        .await?;
        rows.into_iter().map(|row| from_json(TABLE, &row.succession)).collect()
    }

    /// Refuses where this store is bound to a fingerprint key that is no longer in force. Its row stays shared until the transaction ends.
    pub(super) async fn require_fingerprint_key(&self, transaction: &DatabaseTransaction) -> Result<()> {
        // SQLite has one writer.
        let lock = if transaction.get_database_backend() == DbBackend::Postgres { " for share" } else { "" };
        self.compare_fingerprint_key(transaction, lock).await
    }

    /// The same for whoever only looks up: with another key nothing is found, and that would be no answer.
    pub(super) async fn expect_fingerprint_key(&self) -> Result<()> {
        self.compare_fingerprint_key(&self.database.read, "").await
    }

    async fn compare_fingerprint_key<C: ConnectionTrait>(&self, connection: &C, lock: &str) -> Result<()> {
        let Some(own) = self.fingerprint_key.get() else { return Ok(()) };
        let sql =
            format!("select key_id from own_key where kind = 'fingerprint' and state = 'current'{lock}");
        let rows: Vec<Id> = sql::rows(connection, sql, Vec::new()).await?;
        if rows.iter().any(|row| row.key_id == own.0) {
            return Ok(());
        }
        Err(Error::Keys("the fingerprint key was rotated since this process was started".to_owned()))
    }
}

/// All keys, with what is left of each.
async fn all<C: ConnectionTrait>(connection: &C) -> Result<Vec<OwnKey>> {
    let rows: Vec<Row> = sql::rows(
        connection,
        "select kind, epoch, key_id, state, public_key, since, until from own_key order by kind, epoch",
        Vec::new(),
    )
    .await?;
    let mut keys = rows.into_iter().map(key).collect::<Result<Vec<OwnKey>>>()?;
    let prints: Vec<EpochCount> = sql::rows(
        connection,
        "select epoch, count(*) as n from former_fingerprint group by epoch",
        Vec::new(),
    )
    .await?;
    let sealed: Vec<Sealed> = sql::rows(
        connection,
        "select substr(sealed, 1, 9) as head, count(*) as n from sealed_value group by substr(sealed, 1, 9)",
        Vec::new(),
    )
    .await?;
    for key in &mut keys {
        key.left = match key.kind {
            KeyKind::Fingerprint => {
                let own = prints.iter().filter(|count| count.epoch == i64::from(key.epoch));
                own.map(|count| whole(count.n)).sum()
            }
            KeyKind::Sealing => {
                // What names no key was sealed when there was only the first one.
                let own = sealed.iter().filter(|count| match SealingKey::sealed_by(&count.head) {
                    Some(id) => id == key.id,
                    None => key.epoch == 1,
                });
                own.map(|count| whole(count.n)).sum()
            }
            KeyKind::Signing => 0,
        };
    }
    Ok(keys)
}

/// Refuses to keep what was sealed with a key that is gone: nobody could open it. The key's row stays shared until the transaction ends.
pub(super) async fn require_sealing_key(transaction: &DatabaseTransaction, sealed: &[u8]) -> Result<()> {
    let Some(id) = SealingKey::sealed_by(sealed) else { return Ok(()) };
    let mut sql = "select state from own_key where kind = 'sealing' and key_id = $1".to_owned();
    // SQLite has one writer.
    if transaction.get_database_backend() == DbBackend::Postgres {
        sql.push_str(" for share");
    }
    let rows: Vec<State> = sql::rows(transaction, sql, vec![id.0.to_vec().into()]).await?;
    let gone =
        |row: &State| row.state != KeyState::Current.as_str() && row.state != KeyState::Former.as_str();
    if rows.iter().any(gone) {
        return Err(Error::Keys("the sealing key was taken away since this process was started".to_owned()));
    }
    Ok(())
}

async fn refuse_under_way(transaction: &DatabaseTransaction) -> Result<()> {
    let sql = "select count(*) as n from saga where finished_at is null";
    let counts: Vec<Count> = sql::rows(transaction, sql, Vec::new()).await?;
    match counts.first().map_or(0, |count| count.n) {
        0 => Ok(()),
        n => Err(Error::Keys(format!(
            "{n} rotations and revocations are under way, and their records hold fingerprints"
        ))),
    }
}

/// The digest of an issued credential's verifier, as SQL.
pub(super) fn verifier(transaction: &DatabaseTransaction) -> &'static str {
    match transaction.get_database_backend() {
        DbBackend::Postgres => "decode(facts::json ->> 'verifier', 'hex')",
        _ => "unhex(json_extract(facts, '$.verifier'))",
    }
}

/// Everything that was made with the key of this epoch, before anything is made with the next one.
async fn keep_former(transaction: &DatabaseTransaction, epoch: i64) -> Result<()> {
    let verifier = verifier(transaction);
    for source in [
        "select distinct fingerprint, $1 from credential_fingerprint where true".to_owned(),
        "select distinct fingerprint, $1 from credential_copy where fingerprint is not null".to_owned(),
        format!(
            "select distinct {verifier}, $1 from issued_credential where gone_at is null and {verifier} is not null"
        ),
    ] {
        // PostgreSQL takes a bare parameter in a list for a text.
        let source = source.replace("$1", "cast($1 as bigint)");
        let sql =
            format!("insert into former_fingerprint (fingerprint, epoch) {source} on conflict do nothing");
        sql::run(transaction, sql, vec![epoch.into()]).await?;
    }
    // Results under the old key answer no question any more.
    sql::run(transaction, "delete from link_cache", Vec::new()).await?;
    Ok(())
}

fn key(row: Row) -> Result<OwnKey> {
    let id = row.key_id.try_into().map(KeyId).map_err(|_| Error::inconsistent(TABLE, "an id has 8 bytes"))?;
    let public = row.public_key.as_deref().map(PublicKey::parse).transpose();
    Ok(OwnKey {
        kind: from_word(TABLE, &row.kind)?,
        epoch: u32::try_from(row.epoch)
            .map_err(|_| Error::inconsistent(TABLE, "an epoch is a small number"))?,
        id,
        state: from_word(TABLE, &row.state)?,
        since: row.since,
        until: row.until,
        public: public.map_err(|error| Error::inconsistent(TABLE, error))?,
        left: 0,
    })
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
