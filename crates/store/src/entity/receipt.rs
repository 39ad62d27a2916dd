//! Evidence that a credential is refused, or why there is none.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipt")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) audit_seq: i64,
    pub(crate) saga_id: Uuid,
    pub(crate) credential_id: Uuid,
    pub(crate) verdict: String,
    pub(crate) observed_at: DateTimeUtc,
    pub(crate) receipt: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
