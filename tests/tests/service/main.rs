//! The service through the real binary, on a simulated estate: what is due is rotated once, by however many processes, however they end.

mod asked;
mod course;
mod crash;
mod house;
mod keys;
mod refusal;
mod restored;
mod verify;
