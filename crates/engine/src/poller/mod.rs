//! Readiness of descriptors. The poller knows only fds and 64-bit tokens.
//!
//! Edge-triggered: readiness is reported when it arrives, and the owner keeps
//! it until an operation would block. Listeners are level-triggered, so that a
//! worker may accept a few and come back.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use epoll::{Poller, Waker};

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kqueue;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub use kqueue::{Poller, Waker};

/// Token that a [`Waker`] reports.
pub const WAKE_TOKEN: u64 = u64::MAX;

/// What became ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Reading will not block.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The peer sent its FIN: a read that comes up short has seen everything.
    pub read_closed: bool,
    /// The socket failed or both directions are shut.
    pub hangup: bool,
    /// Urgent data is there: a read may come up short with more behind it.
    pub urgent: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Payload and FIN.
    Read,
    /// Payload, FIN, and room to write (or the end of a connect).
    ReadWrite,
    /// FIN and room to write: payload would only wake the worker in vain.
    Write,
}

/// How a listener is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenInterest {
    /// This worker has the socket for itself.
    Own,
    /// Several workers wait on the same socket; wake only one of them.
    Shared,
}
