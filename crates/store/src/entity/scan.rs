//! A scan.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "scan")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) epoch: i64,
    pub(crate) id: Uuid,
    pub(crate) started_at: DateTimeUtc,
    pub(crate) finished_at: Option<DateTimeUtc>,
    pub(crate) complete: Option<bool>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
