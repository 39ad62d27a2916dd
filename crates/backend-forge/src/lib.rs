//! Forges: where code lies and what builds it.
