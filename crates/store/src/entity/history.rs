//! An interval, or an event on a credential.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "history")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) at: DateTimeUtc,
    pub(crate) valid_to: Option<DateTimeUtc>,
    pub(crate) entity: String,
    pub(crate) entity_id: Uuid,
    pub(crate) subject: String,
    pub(crate) change: String,
    pub(crate) detail: String,
    pub(crate) facts: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
