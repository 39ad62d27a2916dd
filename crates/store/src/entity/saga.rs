//! A saga: its plan, and who owns it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "saga")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) definition: String,
    pub(crate) credential_id: Uuid,
    pub(crate) subject: String,
    pub(crate) strategy: String,
    pub(crate) plan: String,
    pub(crate) cause: String,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) state: String,
    pub(crate) detail: Option<String>,
    pub(crate) wake_at: Option<DateTimeUtc>,
    pub(crate) epoch: i64,
    pub(crate) next_seq: i64,
    pub(crate) lease_owner: Option<String>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) finished_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
