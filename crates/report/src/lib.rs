//! Renderers: a model goes in, bytes come out. No I/O, no clock, no terminal.
//!
//! Names come from other systems and may hold anything: each renderer makes them harmless in its own way ([`text`] for terminals, [`csv`]
//! for spreadsheets).
//!
//! To add a format of lists: an arm in [`list`].

pub mod csv;
pub mod list;
pub mod table;
pub mod text;
