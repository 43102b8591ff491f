//! The byte-moving engine of Sluice: poller, connections, handshakes,
//! forwarding. It has mechanism only: it never chooses a server, evaluates a
//! rule or reads a stick table. What it needs to know it is told through the
//! rings of `sluice-wire`.
//!
//! There is no N-API here: `cargo test` is enough to test all of it.

pub mod clock;
pub mod connection;
pub mod engine;
pub mod handshake;
pub mod lead;
pub mod listener;
pub mod memory;
pub mod notify;
pub mod poller;
pub mod ring;
pub mod route;
pub mod slab;
pub mod stats;
pub mod stream;
pub mod sys;
pub mod timer;
pub mod tls;
pub mod transport;
pub mod worker;
