//! What claviger does: scan, link, evaluate, plan, rotate, revoke, recover.
//!
//! The engine knows the backend contract and the store's ports, and no vendor, no SQL and no terminal. It changes a target only inside a
//! saga step, after the step's audit intent is durable.
//!
//! To add a saga: a planner in `plan/`, a runner per new action in `saga/step/`, and the generic tests on it.

pub mod approval;
pub mod chain;
pub mod condition;
pub mod drill;
mod engine;
mod error;
mod estate;
pub mod exception;
pub mod fault;
pub mod firing;
pub mod guard;
pub mod incident;
mod job;
pub mod own;
pub mod permission;
pub mod plan;
pub mod policy;
pub mod progress;
pub mod reprobe;
pub mod saga;
pub mod scan;
pub mod selector;
pub mod timing;
pub mod trace;
pub mod verify;

pub use self::{
    engine::{Engine, Keys, Ports},
    error::{Error, Result},
    estate::{Declared, Estate, Member, OwnerRule},
};
