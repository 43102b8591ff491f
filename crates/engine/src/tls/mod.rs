//! TLS: what contexts are made from, and the data layer that encrypts.
//!
//! rustls does the protocol and has no I/O of its own here: the data layer reads
//! and writes the records. Which context a connection gets is policy's choice.

pub mod config;
pub mod contexts;
pub mod error;
pub mod layer;
mod parts;
pub mod sessions;
mod verify;
