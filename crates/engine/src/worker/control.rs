//! What the program tells a worker besides commands about connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustix::fd::OwnedFd;
use sluice_wire::errors::{by, code, phase, reason};

use super::Worker;
use crate::listener::Listener;
use crate::poller::Waker;
use crate::route::Route;
use crate::stats::WorkerStats;
use crate::stream::StreamId;

/// A message from the program to a worker. Rare: commands about connections
/// go through the ring.
#[derive(Debug)]
pub enum Control {
    /// Accept from this socket. `shared`: other workers have it too.
    Listen {
        /// The listener.
        listener: Arc<Listener>,
        /// This worker's socket.
        socket: Arc<OwnedFd>,
        /// Other workers accept from the same socket.
        shared: bool,
    },
    /// Close a listener's socket once those are served whom the kernel has accepted.
    Unlisten(u32),
    /// Close it now.
    Abandon(u32),
    /// Register a way out.
    Route(i32, Arc<Route>),
    /// Forget a way out.
    Unroute(i32),
    /// End every connection and return.
    Stop,
    /// Have the poller refuse so many connections, to test that it is survived.
    Refuse(usize),
    /// Panic, to test that a panic is survived.
    Panic,
}

/// What a worker and the program share.
#[derive(Debug)]
pub struct Mailbox {
    /// Messages that wait.
    pub messages: std::sync::Mutex<Vec<Control>>,
    /// True where there are some.
    pub full: AtomicBool,
    /// Wakes the worker.
    pub waker: Waker,
    /// What the worker counts.
    pub stats: WorkerStats,
}

/// Limits of the whole process.
#[derive(Debug)]
pub struct Limits {
    /// Accepted connections at once.
    pub maxconn: usize,
    /// Accepted connections now, in all workers.
    pub open: AtomicUsize,
    /// Workers that hold a listener back until a connection of another worker
    /// ends: bit `index % 64`.
    pub waiting: AtomicU64,
}

impl Worker {
    pub(super) fn read_messages(&mut self) {
        if !self.mailbox.full.swap(false, Ordering::SeqCst) {
            return;
        }
        let messages = match self.mailbox.messages.lock() {
            Ok(mut messages) => std::mem::take(&mut *messages),
            Err(poisoned) => std::mem::take(&mut *poisoned.into_inner()),
        };
        for message in messages {
            match message {
                Control::Listen {
                    listener,
                    socket,
                    shared,
                } => {
                    self.add_listener(listener, socket, shared);
                }
                Control::Unlisten(id) => self.close_listener(id),
                Control::Abandon(id) => self.remove_listener(id),
                Control::Route(id, route) => {
                    self.routes.insert(id, route);
                }
                Control::Unroute(id) => {
                    self.routes.remove(&id);
                }
                Control::Stop => self.stopping = true,
                Control::Refuse(count) => self.refuse_next = count,
                Control::Panic => panic!("asked to panic by a test"),
            }
        }
    }

    /// Ends every connection and closes every listener.
    pub(super) fn end_everything(&mut self) {
        while let Some((&id, _)) = self.listeners.first_key_value() {
            self.remove_listener(id);
        }
        let open: Vec<StreamId> = self.streams.open().collect();
        for id in open {
            self.end_with(id, reason(by::PROXY, phase::CLOSE, code::SHUTDOWN), 0);
        }
        for slot in 0..self.slots.used() {
            if self.slots.get(slot).ctrl.is_some() {
                self.discard(slot);
            }
        }
    }
}
