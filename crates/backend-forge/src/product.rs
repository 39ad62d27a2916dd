//! One module per product.

pub(crate) mod gitea;
