//! The service: what runs for years without anyone looking at it.
//!
//! [`Service`] runs the duties of its [`Roles`] until it is told to [`Stop`]: it plans firings, takes and carries them out, takes up what was left, scans, and
//! answers over HTTP. All that is decided is decided in `claviger_engine`; here are loops, health and the wire. It must not know SQL, a vendor or the
//! terminal, and it reads no file: the command line hands over what it needs. The documents of the API ([`document`]) are the command line's too.
//!
//! Each loop works on what the database says, so that any number of processes run the same ones, and one that is killed leaves nothing that another does not
//! find. To add a duty: a file with its loop, and a line in `service.rs`. To add a metric: a line in `metrics.rs` and one in `metrics.md`.

pub mod access;
mod address;
pub mod api;
mod current;
pub mod document;
mod drilling;
mod health;
mod hinting;
mod http;
mod metrics;
pub mod notify;
mod notifying;
mod planning;
mod probing;
mod recovering;
mod renewing;
mod reprobing;
mod round;
mod scanning;
mod service;
mod settings;
mod stop;
mod tls;
mod verifying;
pub mod webhook;
mod working;

pub use self::{
    current::{Current, Listing, Relisting, Renewal},
    health::{Check, Health, Report},
    http::Joins,
    metrics::{DECLARED, Declared, Metrics},
    service::{Ended, Service},
    settings::{Role, Roles, Settings},
    stop::{Stage, Stop, Stopper},
    tls::{Load, Pair, Tls},
};
