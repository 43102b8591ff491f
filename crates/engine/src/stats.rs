//! What the engine counts.

use std::sync::atomic::AtomicU64;

/// Counters of one worker, read by anybody.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Open connections, both sides.
    pub connections: AtomicU64,
    /// Commands whose handle was stale.
    pub stale: AtomicU64,
    /// Verdicts that came after their deadline.
    pub late: AtomicU64,
    /// Pipes with bytes in them.
    pub pipes: AtomicU64,
    /// Buffers with bytes in them.
    pub buffers: AtomicU64,
    /// Doorbells rung.
    pub wakes: AtomicU64,
    /// Events written.
    pub events: AtomicU64,
    /// Times an event had to wait for room.
    pub ring_full: AtomicU64,
    /// Turns that the thread which answers has run.
    pub led: AtomicU64,
}

/// The sum over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Open connections, both sides.
    pub connections: u64,
    /// Commands whose handle was stale.
    pub stale: u64,
    /// Verdicts that came after their deadline.
    pub late: u64,
    /// Pipes with bytes in them.
    pub pipes: u64,
    /// Buffers with bytes in them.
    pub buffers: u64,
    /// Doorbells rung.
    pub wakes: u64,
    /// Events written.
    pub events: u64,
    /// Times an event had to wait for room.
    pub ring_full: u64,
    /// Turns that the thread which answers has run.
    pub led: u64,
}
