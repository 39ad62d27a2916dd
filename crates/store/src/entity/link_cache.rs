//! The outcome of comparing a candidate value with a verifier.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_cache")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) verifier: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) equal: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
