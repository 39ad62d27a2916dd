//! The schema's history: one file per migration, never edited once landed.

pub use sea_orm_migration::MigratorTrait;
