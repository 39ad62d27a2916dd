//! What tests share: databases that can be thrown away, clocks and estates to run on. A dev-dependency only.
//!
//! It must not be needed by anything that ships. To add a fixture: a module named after the thing it stands for.

pub mod database;
pub mod postgres;
