//! Who may do what over the API. Nobody may do anything that nothing here allows.
//!
//! [`decide`] is the one function that decides; it is pure, and `access/matrix.rs` compares it with a table that was written by hand. To add a verb: a
//! variant of [`Verb`], its line in [`Role::may`], its column in the table, and the routes that want it in `api/route.rs`.

#[cfg(test)]
mod matrix;
pub mod oidc;
mod principal;
mod role;
mod rule;
mod scope;
mod sight;
pub mod token;

pub use self::{
    principal::{Grant, Principal},
    role::{Role, Verb},
    rule::Rule,
    scope::{Scope, Subject},
    sight::Sight,
};

/// May somebody with this role in this scope do this to that?
pub fn decide(role: Role, verb: Verb, scope: &Scope, subject: &Subject<'_>) -> bool {
    role.may(verb) && scope.covers(subject)
}
