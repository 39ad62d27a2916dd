//! Real servers on free loopback ports, each in a directory of its own, ended by pid.
//!
//! A type per server: [`kubernetes::Kubernetes`], [`gitea::Gitea`], [`openbao::OpenBao`], [`postgres::Postgres`], [`ministack::Ministack`],
//! [`moto::Moto`]; and one fake, [`github::Github`], which nothing real can be had for. `start()` returns when the server has answered a real request; dropping it ends the processes. When
//! the test process dies in any other way (`kill -9`, a panic in a static, a lost terminal) the [`reaper`] ends them.
//!
//! Servers take seconds and memory, so a test binary shares one of each: `Kubernetes::shared().await`. The programs
//! come from `tests/lab/install`. A test asks for a server by [`require_lab!`](crate::require_lab), which skips loudly
//! when the program is not installed and fails when `CI` is set.

pub mod assets;
pub mod cutter;
pub mod daemon;
pub mod gitea;
pub mod github;
pub mod gitlab;
pub mod http;
pub mod jenkins;
pub mod kubernetes;
pub mod microburst;
pub mod ministack;
pub mod moto;
pub mod openbao;
pub mod ports;
pub mod postgres;
pub mod private;
pub mod reaper;
pub mod runner;
pub mod skip;
pub mod swallower;
pub mod tls;
mod twin;

pub use skip::require;
