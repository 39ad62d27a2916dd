use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use claviger_core::model::Labels;
use serde::{Deserialize, Serialize};

use super::Planted;

/// A cloud account.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cloud {
    /// Users by name.
    pub users: BTreeMap<String, CloudUser>,
}

/// A user with static keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudUser {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Tags.
    #[serde(default)]
    pub tags: Labels,
    /// Names of attached policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Keys by id.
    pub keys: BTreeMap<String, AccessKey>,
    /// Session credentials that keys of it obtained.
    #[serde(default)]
    pub sessions: Vec<CloudSession>,
    /// Session credentials that were issued before are denied everything; static keys are not.
    #[serde(default)]
    pub sessions_denied_before: Option<DateTime<Utc>>,
}

/// Session credentials: they go on when the key is gone that obtained them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudSession {
    /// The key's id.
    pub key: String,
    /// When they were issued.
    pub issued_at: DateTime<Utc>,
}

impl CloudUser {
    /// How many keys a user may have, as in IAM.
    pub const SLOTS: u32 = 2;
}

/// A static key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// The secret half.
    pub secret: Planted,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last use; `None` is never.
    #[serde(default)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Suspended: refused until it is enabled again.
    #[serde(default)]
    pub disabled: bool,
}
