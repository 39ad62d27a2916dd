//! One version of one place that holds a credential's value.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential_copy")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) scope_id: Uuid,
    pub(crate) backend: String,
    pub(crate) at: String,
    pub(crate) object_key: Uuid,
    pub(crate) current_id: Uuid,
    pub(crate) stage: String,
    pub(crate) kind: String,
    pub(crate) fingerprint: Option<Vec<u8>>,
    pub(crate) strong: bool,
    pub(crate) group_key: Uuid,
    pub(crate) handle: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) issuer_rank: Option<i16>,
    pub(crate) credential_id: Option<Uuid>,
    pub(crate) evidence: Option<String>,
    pub(crate) dirty: bool,
    pub(crate) digest: Vec<u8>,
    pub(crate) facts: String,
    pub(crate) last_used_at: Option<DateTimeUtc>,
    pub(crate) first_seen: DateTimeUtc,
    pub(crate) last_seen: DateTimeUtc,
    pub(crate) last_scan: i64,
    pub(crate) gone_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
