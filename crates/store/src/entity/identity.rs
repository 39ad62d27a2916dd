//! An identity.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identity")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) scope_id: Uuid,
    pub(crate) backend: String,
    pub(crate) at: String,
    pub(crate) kind: String,
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
