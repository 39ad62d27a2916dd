//! Something that was noted of an incident. Nothing can change it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incident_note")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) audit_seq: i64,
    pub(crate) incident_id: Uuid,
    pub(crate) kind: String,
    pub(crate) at: DateTimeUtc,
    pub(crate) actor: String,
    pub(crate) note: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
