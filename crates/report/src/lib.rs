//! Renderers: a model in, bytes out. Reports for people (HTML, CSV) and machines (JSON), and the lists that `-o` prints.
//!
//! This crate does no I/O of its own and has no clock: it writes to the [`std::io::Write`] that it is given, and the time of a report is part of
//! its model. It knows the views of `claviger-core` and nothing of databases, backends or the command line.
//!
//! Names come from other systems and are hostile until shown otherwise: a Secret may be called `=cmd()`, `<script>` or carry terminal escapes and
//! characters that turn the reading direction. Every renderer makes such characters visible ([`visible`]) and then escapes for its format;
//! JSON and JSON Lines keep the text as it is and write the characters as `\u` escapes.
//!
//! Coverage comes first in every report: what was not read is not clean.
//!
//! To add a report: a file beside [`inventory`] with one function per format. To add a format to lists: a word in [`ListFormat`] and an arm
//! in `list.rs`. To add a picture: a file in `picture/`; pictures are inline SVG without scripts and without `style` attributes,
//! because the page's content security policy allows only the one style sheet whose hash it names.

mod csv;
mod error;
pub mod findings;
mod html;
pub mod incident;
pub mod inventory;
mod json;
mod list;
mod model;
mod picture;
#[cfg(test)]
mod sample;
mod table;
#[cfg(test)]
mod tests;
mod visible;
mod yaml;

pub use self::{
    error::{Error, Result},
    incident::IncidentReport,
    list::{Column, ListFormat, Shown, render_document, render_list},
    model::{Chains, InventoryReport, ReportFormat},
    visible::visible,
};
