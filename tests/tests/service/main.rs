//! The service through the real binary, on a simulated estate: what is due is rotated once, by however many processes, however they end.

mod api;
mod asked;
mod course;
mod crash;
mod fleet;
mod full;
mod full_postgres;
mod hints;
mod house;
mod keys;
mod notify;
mod refusal;
mod reload;
mod restored;
mod rounds;
mod silent;
mod telemetry;
mod throttle;
mod verify;
mod webhook;
