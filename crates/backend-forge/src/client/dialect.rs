//! What products want to hear with each request.

/// A way of speaking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// What stands before a token in `Authorization`.
    pub(crate) scheme: &'static str,
    /// `Accept`.
    pub(crate) accept: &'static str,
    /// Further headers.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

impl Default for Dialect {
    /// Gitea's.
    fn default() -> Self {
        Self { scheme: "token", accept: "application/json", headers: &[] }
    }
}
