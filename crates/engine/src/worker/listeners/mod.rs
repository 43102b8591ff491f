//! Listeners, and holding back: at a limit, while TypeScript is behind, and when the
//! kernel has no descriptors left.

mod accept;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use rustix::fd::OwnedFd;
use sluice_wire::events::event;

use super::{LISTENER_TOKEN, Worker, record};
use crate::listener::{ListenAddress, Listener};
use crate::poller::ListenInterest;

/// Rest after accept() failed for want of resources, in milliseconds.
const ACCEPT_REST: u64 = 100;

/// A listener as one worker has it.
#[derive(Debug)]
pub(super) struct LocalListener {
    listener: Arc<Listener>,
    socket: Arc<OwnedFd>,
    shared: bool,
    pub(super) watched: bool,
    /// Connections to expect from one wake-up, from those before.
    expected: usize,
    /// Turn in which as many came as were expected.
    filled_in: u64,
    /// Clock until which accepting rests after an error.
    pub(super) rests_until: u64,
    /// It is being closed: so many may still be waiting in its queue.
    closing: Option<usize>,
}

impl Worker {
    pub(in crate::worker) fn add_listener(
        &mut self,
        listener: Arc<Listener>,
        socket: Arc<OwnedFd>,
        shared: bool,
    ) {
        self.forget_specs();
        let id = listener.id;
        self.specs.insert(id, listener.clone());
        self.listeners.insert(
            id,
            LocalListener {
                listener,
                socket,
                shared,
                watched: false,
                expected: 1,
                filled_in: 0,
                rests_until: 0,
                closing: None,
            },
        );
        self.resume_listeners();
    }

    /// Watches listeners again whose obstacle is gone, and stops watching
    /// those that the operator paused.
    pub(in crate::worker) fn resume_listeners(&mut self) {
        let mut changed = Vec::new();
        let mut closing = Vec::new();
        for (&id, local) in &self.listeners {
            if local.closing.is_some() {
                closing.push(id);
                continue;
            }
            let paused = local.listener.paused.load(Ordering::Relaxed);
            if local.watched {
                if paused {
                    changed.push((id, false));
                }
            } else if self.may_accept(local) || !paused && self.wait_for_room(local) {
                changed.push((id, true));
            }
        }
        for (id, watch) in changed {
            self.watch_listener(id, watch);
        }
        for id in closing {
            self.accept_last(id);
        }
    }

    fn may_accept(&self, local: &LocalListener) -> bool {
        (local.closing.is_some() || !local.listener.paused.load(Ordering::Relaxed))
            && local.rests_until <= self.now
            && !self.is_full(local)
            && self.slots.room(2)
            && !self.events.congested()
    }

    /// True at the listener's limit or the process's, which workers share.
    fn is_full(&self, local: &LocalListener) -> bool {
        local.listener.open.load(Ordering::Relaxed) >= local.listener.spec.maxconn
            || self.limits.open.load(Ordering::Relaxed) >= self.limits.maxconn
    }

    /// Takes a place at both limits before accept(): workers share them, and who
    /// looked first and counted later would let in more than there is room for.
    fn reserve(&self, listener: &Listener) -> bool {
        if !count_below(&listener.open, listener.spec.maxconn) {
            return false;
        }
        if count_below(&self.limits.open, self.limits.maxconn) {
            return true;
        }
        listener.open.fetch_sub(1, Ordering::Relaxed);
        self.made_room();
        false
    }

    /// Gives a place back that nobody came for.
    fn give_back(&self, listener: &Listener) {
        listener.open.fetch_sub(1, Ordering::Relaxed);
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        self.made_room();
    }

    /// Asks other workers to say when a client has gone, where that is what is
    /// waited for; true where one has gone meanwhile.
    fn wait_for_room(&self, local: &LocalListener) -> bool {
        if self.is_full(local) {
            let own = 1 << (self.index % 64);
            self.limits.waiting.fetch_or(own, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        self.may_accept(local)
    }

    /// A client has gone, and its place is free: workers look again that hold
    /// their listeners back for want of one.
    pub(in crate::worker) fn made_room(&self) {
        // With the fence in `wait_for_room`: one of both sees the other.
        fence(Ordering::SeqCst);
        if self.limits.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let waiting = self.limits.waiting.swap(0, Ordering::SeqCst);
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if waiting & 1 << (index % 64) != 0 {
                mailbox.waker.wake();
            }
        }
    }

    fn watch_listener(&mut self, id: u32, watch: bool) {
        let Some(local) = self.listeners.get_mut(&id) else {
            return;
        };
        if local.watched == watch {
            return;
        }
        let outcome = if watch {
            let how = if local.shared {
                ListenInterest::Shared
            } else {
                ListenInterest::Own
            };
            let token = LISTENER_TOKEN | u64::from(id);
            self.poller.add_listener(&*local.socket, token, how)
        } else {
            self.poller.remove(&*local.socket)
        };
        match outcome {
            Ok(()) => local.watched = watch,
            // The kernel has no room to watch it now.
            Err(_) => local.rests_until = self.now + ACCEPT_REST,
        }
    }

    /// Stops listening. Those whom the kernel has accepted, and whose bytes it may have
    /// acknowledged, are served first: closing the socket would reset them. An
    /// inherited socket lives on elsewhere, with its queue.
    pub(in crate::worker) fn close_listener(&mut self, id: u32) {
        let Some(local) = self.listeners.get_mut(&id) else {
            return;
        };
        let spec = &local.listener.spec;
        if matches!(spec.address, ListenAddress::Inherited(_)) {
            return self.remove_listener(id);
        }
        // Nobody joins the queue any more, but for one at a time: hence the bound.
        local.closing = Some(spec.backlog.max(0) as usize + 1);
        let _ = rustix::net::listen(&*local.socket, 0);
        self.watch_listener(id, false);
        self.accept_last(id);
    }

    /// Closes a listener's socket.
    pub(in crate::worker) fn remove_listener(&mut self, id: u32) {
        let Some(local) = self.listeners.remove(&id) else {
            return;
        };
        if local.watched {
            let _ = self.poller.remove(&*local.socket);
        }
        drop(local);
        self.forget_specs();
        self.events
            .emit(record(event::LISTENER_CLOSED, id as i32, 0, [0; 5]));
    }

    /// Forgets listeners that are closed and have no connections left, in any worker.
    fn forget_specs(&mut self) {
        let listeners = &self.listeners;
        self.specs
            .retain(|id, spec| listeners.contains_key(id) || spec.open.load(Ordering::Relaxed) > 0);
    }
}

/// Counts one more, unless `limit` is reached.
fn count_below(count: &AtomicUsize, limit: usize) -> bool {
    let more = |open: usize| (open < limit).then_some(open + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_threads_share_never_passes_its_limit() {
        const LIMIT: usize = 3;
        let (count, inside) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let enter = || {
            for _ in 0..50_000 {
                if !count_below(&count, LIMIT) {
                    continue;
                }
                assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                inside.fetch_sub(1, Ordering::SeqCst);
                count.fetch_sub(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 * LIMIT {
                scope.spawn(enter);
            }
        });
        assert_eq!(count.into_inner(), 0);
    }
}
