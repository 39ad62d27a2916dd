//! The planted estate: small, and nasty.
