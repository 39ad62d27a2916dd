use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claviger_core::{audit::AuditDraft, model::Labels};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A token of the API as it is kept: its value is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The public name within it.
    pub handle: String,
    /// What people call it. Of those that were not revoked each has a name of its own.
    pub name: String,
    /// SHA-256 of the whole.
    pub hash: Vec<u8>,
    /// The role's word.
    pub role: String,
    /// Backends in which the role holds, with globs. None: all.
    pub backends: Vec<String>,
    /// Labels of what the role holds for. None: whatever it has.
    pub labels: Labels,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Tokens of the API.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new one, with its audit entry. `false`: another one that was not revoked has its name, and nothing was written.
    async fn create_token(&self, token: &ApiToken, audit: AuditDraft) -> Result<bool>;

    /// The one with this public name. Absence is an answer.
    async fn token(&self, handle: &str) -> Result<Option<ApiToken>>;

    /// All of them, revoked ones too, newest first.
    async fn tokens(&self) -> Result<Vec<ApiToken>>;

    /// Revokes one, with its audit entry. `false`: there is none, or it was revoked already, and nothing was written.
    async fn revoke_token(&self, handle: &str, actor: &str, audit: AuditDraft) -> Result<bool>;

    /// Notes that one was used. Within a minute after the last note nothing is written.
    async fn token_used(&self, handle: &str, at: DateTime<Utc>) -> Result<()>;
}

/// What was answered to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names and values of the headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What is known of a request that was given a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is the caller's to carry out, and nobody else's.
    New,
    /// It was carried out.
    Answered(Answer),
    /// It is being carried out, or its process ended before it was: nobody knows.
    UnderWay,
    /// The key was given to another request.
    Other,
}

/// Requests that were given a key by whoever asks, so that a repeat is not carried out again.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Keeps a request before it is carried out, once for each actor and key: of several at a time one gets [`Known::New`]. `hash` tells requests apart.
    async fn begin_request(&self, actor: &str, key: &str, hash: &[u8], at: DateTime<Utc>) -> Result<Known>;

    /// Keeps what was answered.
    async fn answer_request(&self, actor: &str, key: &str, answer: &Answer) -> Result<()>;

    /// Nothing was carried out: the key is free again. One that was answered stays.
    async fn forget_request(&self, actor: &str, key: &str) -> Result<()>;

    /// Forgets what was kept before that. Gives how many.
    async fn purge_requests(&self, before: DateTime<Utc>) -> Result<u64>;
}
