//! What was revoked and is there again.
//!
//! A place that held the value when it was revoked is a leftover and no return, for as long as each evaluation still finds the value there.

use chrono::{DateTime, Utc};
use claviger_core::{
    id::CredentialId,
    model::CredentialState,
    reference::Ref,
    view::{ReprobeView, ReturnedView},
};
use sea_orm::{DatabaseTransaction, FromQueryResult};

use super::{
    super::{
        SeaStore, sql,
        text::{from_json, from_word, micros, text},
    },
    facts::IssuedFacts,
};
use crate::Result;

const REVOKED: &str = "('revoked-proven', 'revoked-attested', 'revoked-unproven')";
const CREDENTIAL: &str = "credential";

#[derive(FromQueryResult)]
struct Held {
    at: String,
    state: String,
    state_at: DateTime<Utc>,
    copy: String,
}

#[derive(FromQueryResult)]
struct Listed {
    at: String,
    state: String,
    state_at: DateTime<Utc>,
    facts: String,
}

#[derive(FromQueryResult)]
struct Tried {
    at: String,
    state: String,
    state_at: DateTime<Utc>,
    probed_at: DateTime<Utc>,
    answer: String,
    evidence: String,
}

/// Notes which places hold the value now that it is revoked.
pub(super) async fn note_leftovers(transaction: &DatabaseTransaction, id: CredentialId) -> Result<()> {
    let sql = "insert into revoked_leftover (credential_id, copy_id) \
         select distinct f.credential_id, p.id from credential_fingerprint f join credential_copy p on p.fingerprint = f.fingerprint \
         where f.credential_id = $1 and p.gone_at is null on conflict do nothing";
    sql::run(transaction, sql, vec![id.0.into()]).await?;
    Ok(())
}

impl SeaStore {
    pub(super) async fn note_reprobe(&self, id: CredentialId, probe: &ReprobeView) -> Result<()> {
        let transaction = self.database.begin().await?;
        let sql = "insert into revoked_probe (credential_id, at, answer, evidence) values ($1, $2, $3, $4) \
             on conflict (credential_id) do update set at = excluded.at, answer = excluded.answer, evidence = excluded.evidence";
        let values = vec![
            id.0.into(),
            micros(probe.at).into(),
            probe.answer.as_str().into(),
            text(&probe.evidence).into(),
        ];
        sql::run(&transaction, sql, values).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(super) async fn list_returned(&self) -> Result<Vec<ReturnedView>> {
        let transaction = self.database.begin().await?;
        let prune = "delete from revoked_leftover where not exists (\
             select 1 from credential_copy p join credential_fingerprint f on f.fingerprint = p.fingerprint \
             where p.id = revoked_leftover.copy_id and f.credential_id = revoked_leftover.credential_id and p.gone_at is null)";
        sql::run(&transaction, prune, Vec::new()).await?;
        // From the copies on, each of which looks itself up: of most values nothing was ever revoked.
        let held = format!(
            "select distinct c.at as at, c.state as state, c.state_at as state_at, p.at as copy from credential_copy p \
             join credential_fingerprint f on f.fingerprint = p.fingerprint join credential c on c.id = f.credential_id \
             where p.gone_at is null and p.stage <> 'former' and p.strong and c.state in {REVOKED} and c.state_at is not null \
             and not exists (select 1 from revoked_leftover l where l.credential_id = c.id and l.copy_id = p.id)"
        );
        let held: Vec<Held> = sql::rows(&transaction, held, Vec::new()).await?;
        let listed = format!(
            "select c.at as at, c.state as state, c.state_at as state_at, i.facts as facts from credential c \
             join issued_credential i on i.id = c.issuer_key \
             where c.state in {REVOKED} and i.gone_at is null and i.last_seen > c.state_at"
        );
        let listed: Vec<Listed> = sql::rows(&transaction, listed, Vec::new()).await?;
        let tried = format!(
            "select c.at as at, c.state as state, c.state_at as state_at, r.at as probed_at, r.answer as answer, r.evidence as evidence \
             from revoked_probe r join credential c on c.id = r.credential_id where c.state in {REVOKED} and r.at > c.state_at"
        );
        let tried: Vec<Tried> = sql::rows(&transaction, tried, Vec::new()).await?;
        transaction.commit().await?;
        let mut returned = Vec::new();
        for row in held {
            returned.push(ReturnedView {
                credential: Ref::from_text(row.at),
                state: from_word(CREDENTIAL, &row.state)?,
                revoked_at: row.state_at,
                copy: Some(Ref::from_text(row.copy)),
                probe: None,
            });
        }
        for row in listed {
            let facts: IssuedFacts = from_json("issued_credential", &row.facts)?;
            if facts.state == CredentialState::Active {
                returned.push(ReturnedView {
                    credential: Ref::from_text(row.at),
                    state: from_word(CREDENTIAL, &row.state)?,
                    revoked_at: row.state_at,
                    copy: None,
                    probe: None,
                });
            }
        }
        for row in tried {
            let probe = ReprobeView {
                at: row.probed_at,
                answer: from_word("revoked_probe", &row.answer)?,
                evidence: row.evidence,
            };
            let credential = Ref::from_text(row.at);
            let known =
                returned.iter().any(|one: &ReturnedView| one.credential == credential && one.copy.is_none());
            if probe.answer.is_back() && !known {
                returned.push(ReturnedView {
                    credential: credential.clone(),
                    state: from_word(CREDENTIAL, &row.state)?,
                    revoked_at: row.state_at,
                    copy: None,
                    probe: None,
                });
            }
            for one in returned.iter_mut().filter(|one| one.credential == credential) {
                one.probe = Some(probe.clone());
            }
        }
        returned.sort_by(|left, right| (&left.credential, &left.copy).cmp(&(&right.credential, &right.copy)));
        Ok(returned)
    }
}
