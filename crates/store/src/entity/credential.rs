//! A credential as we know it: its issuer's, or a group of copies that no issuer claims.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) at: String,
    pub(crate) backend: String,
    pub(crate) kind: String,
    pub(crate) issuer_key: Option<Uuid>,
    pub(crate) group_key: Option<Uuid>,
    pub(crate) state: Option<String>,
    pub(crate) state_at: Option<DateTimeUtc>,
    pub(crate) rotated_at: Option<DateTimeUtc>,
    pub(crate) dirty: bool,
    pub(crate) first_seen: DateTimeUtc,
    pub(crate) gone_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
