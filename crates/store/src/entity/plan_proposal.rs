//! A plan that waits, or waited, for approval. Nothing can change it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan_proposal")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) hash: String,
    pub(crate) verb: String,
    pub(crate) document: String,
    pub(crate) needed: i32,
    pub(crate) reasons: String,
    pub(crate) actor: String,
    pub(crate) at: DateTimeUtc,
    pub(crate) audit_seq: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
