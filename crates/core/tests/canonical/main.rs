//! Canonicalisation from outside: what the engine sees of it.

mod equality;
mod keys;
mod pairs;
mod places;
mod rewriting;
mod robustness;
mod support;
