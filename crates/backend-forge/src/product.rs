//! One module per product.

pub(crate) mod gitea;
pub(crate) mod github;
