//! Pictures as inline SVG: they scale, print, follow light and dark through the page's style sheet, and each has its numbers as text.

mod ages;
mod coverage;
mod graph;

pub(crate) use self::{
    ages::ages,
    coverage::coverage,
    graph::{graph, worst},
};
