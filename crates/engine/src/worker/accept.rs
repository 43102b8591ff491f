//! Accepting, and holding back: at a limit, while TypeScript is behind, and
//! when the kernel has no descriptors left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::acceptfrom_with;
use sluice_wire::errors::{by, reason};
use sluice_wire::events::event;
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::states::conn_state;

use super::incoming::phase_of;
use super::{LISTENER_TOKEN, SERVER_TOKEN, Worker, record};
use crate::connection::{Deadline, Mode, Side, Watch};
use crate::listener::{ListenAddress, Listener};
use crate::poller::ListenInterest;
use crate::sys;

/// Connections accepted from one listener before others get their turn.
const ACCEPT_BATCH: usize = 64;
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
    pub(super) fn add_listener(
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
    pub(super) fn resume_listeners(&mut self) {
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

    /// Accepts what is expected to wait. Asking until the kernel says EAGAIN
    /// costs a call a wake-up; what is left over wakes the worker again.
    pub(super) fn accept(&mut self, id: u32) {
        let expected = match self.listeners.get(&id) {
            Some(local) if local.closing.is_none() => local.expected,
            _ => return,
        };
        for accepted in 0..expected {
            let Some(local) = self.listeners.get(&id) else {
                return;
            };
            let listener = local.listener.clone();
            if !self.may_accept(local) || !self.reserve(&listener) {
                self.events.full += u64::from(self.events.congested());
                self.watch_listener(id, false);
                return;
            }
            let outcome = acceptfrom_with(&*local.socket, sys::SOCKET_FLAGS);
            if outcome.is_err() {
                self.give_back(&listener);
            }
            match outcome {
                Ok((socket, address)) => {
                    self.open_client(&listener, socket, sys::ip_address(address));
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => {
                    if let Some(local) = self.listeners.get_mut(&id) {
                        local.expected = accepted.max(1);
                    }
                    return;
                }
                Err(error) => {
                    self.rest(id, error);
                    return;
                }
            }
        }
        if let Some(local) = self.listeners.get_mut(&id) {
            // More only where the turn before left some over as well: one client
            // after the other never makes two turns in a row full.
            if local.filled_in + 1 == self.turn {
                local.expected = (expected + 1 + expected / 4).min(ACCEPT_BATCH);
            }
            local.filled_in = self.turn;
        }
    }

    /// Stops listening. Those whom the kernel has accepted, and whose bytes it may have
    /// acknowledged, are served first: closing the socket would reset them. An
    /// inherited socket lives on elsewhere, with its queue.
    pub(super) fn close_listener(&mut self, id: u32) {
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

    /// Accepts what waits in the queue of a listener that is being closed, as far as
    /// there is room, and closes it once nobody does.
    fn accept_last(&mut self, id: u32) {
        while let Some(local) = self.listeners.get(&id) {
            let left = local.closing.unwrap_or(0);
            let may = self.may_accept(local) || self.wait_for_room(local);
            if left == 0 || !may && !someone_waits(&local.socket) {
                return self.remove_listener(id);
            }
            if !may {
                return;
            }
            let listener = local.listener.clone();
            if !self.reserve(&listener) {
                // Another worker was faster: asked again, it is full.
                continue;
            }
            let outcome = acceptfrom_with(&*local.socket, sys::SOCKET_FLAGS);
            if outcome.is_err() {
                self.give_back(&listener);
            }
            match outcome {
                Ok((socket, address)) => {
                    if let Some(local) = self.listeners.get_mut(&id) {
                        local.closing = Some(left - 1);
                    }
                    self.open_client(&listener, socket, sys::ip_address(address));
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return self.remove_listener(id),
                Err(error) => return self.rest(id, error),
            }
        }
    }

    /// Closes a listener's socket.
    pub(super) fn remove_listener(&mut self, id: u32) {
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

    /// A client has gone, and its place is free: workers look again that hold
    /// their listeners back for want of one.
    pub(super) fn made_room(&self) {
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

    /// Out of descriptors or memory: serve on, accept later, say so once a rest.
    fn rest(&mut self, id: u32, error: Errno) {
        self.mover.pipes.shrink();
        if let Some(local) = self.listeners.get_mut(&id) {
            local.rests_until = self.now + ACCEPT_REST;
        }
        self.watch_listener(id, false);
        let operands = [error.raw_os_error(), 0, 0, 0, 0];
        self.events
            .emit(record(event::LISTENER_PAUSED, id as i32, 0, operands));
    }

    /// A client that was accepted; its place is reserved.
    fn open_client(
        &mut self,
        listener: &Listener,
        socket: OwnedFd,
        src: Option<std::net::SocketAddr>,
    ) {
        let spec = &listener.spec;
        let mut dst = listener.fixed_dst;
        if dst.is_none() && listener.tcp {
            dst = sys::local_address(&socket);
        }
        if spec.original_dst
            && let Some(src) = src
        {
            dst = sys::original_destination(&socket, src).or(dst);
        }
        // `may_accept` saw room for two.
        let Some(slot) = self.slots.take() else {
            return self.give_back(listener);
        };
        let connection = self.slots.get_mut(slot);
        connection.fd = Some(socket);
        connection.side = Side::Client;
        connection.mode = Mode::Handshake;
        connection.listener = listener.id;
        connection.handshakes = spec.handshakes | handshake::ACCEPT_SESSION;
        connection.set_state(conn_state::ACCEPTED);
        connection.flags = conn_flag::FD_ALLOCATED
            | conn_flag::CTRL_INIT
            | conn_flag::CTRL_CONNECTED
            | conn_flag::DATA_INIT
            | conn_flag::DATA_CONNECTED;
        if spec.handshakes & handshake::ACCEPT_PROXY != 0 {
            connection.set_step(conn_flag::PROXY_IN_STARTED, step::WANTED);
        }
        if spec.handshakes & handshake::TLS != 0 {
            connection.set_step(conn_flag::DATA_OPEN_STARTED, step::WANTED);
            connection.flags &= !conn_flag::DATA_CONNECTED;
        }
        // Inherited from a TCP listener on Linux, unknown to unix sockets.
        connection.unix = !listener.tcp;
        connection.nodelay = !listener.tcp || cfg!(target_os = "linux");
        connection.opened_at = self.now;
        connection.last_io = self.now;
        if spec.handshake_timeout > 0 {
            connection.deadline = self.now + spec.handshake_timeout;
            connection.deadline_kind = Deadline::Handshake;
            let deadline = connection.deadline;
            self.timers.schedule(slot, deadline);
        }
        self.slots.mirror_open(slot, src, dst);
        self.run_incoming(slot);
    }

    /// Starts to watch connections whose verdict takes longer than usual, so
    /// that a client's reset is noticed. Verdicts that come at once save the
    /// extra wake-up.
    pub(super) fn watch_unwatched(&mut self) {
        while let Some(&(slot, generation, since)) = self.unwatched.front() {
            let found = self.slots.find(slot as i32, generation);
            let waits = found.is_some_and(|slot| self.slots.get(slot).watch == Watch::No);
            if waits && self.now.saturating_sub(since) < super::RETRY {
                return;
            }
            self.unwatched.pop_front();
            if waits {
                self.watch(slot, Watch::Read);
            }
        }
    }

    /// Makes the poller watch this much.
    pub(super) fn watch(&mut self, slot: u32, wanted: Watch) {
        use crate::poller::Interest;
        let connection = self.slots.get_mut(slot);
        let Some(fd) = &connection.fd else { return };
        let side = match connection.side {
            Side::Client => 0,
            Side::Server => SERVER_TOKEN,
        };
        let token = (connection.generation as u64) << 32 | side | u64::from(slot);
        let interest = match wanted {
            Watch::No => return,
            Watch::Read => Interest::Read,
            Watch::ReadWrite => Interest::ReadWrite,
            Watch::Write => Interest::Write,
        };
        let outcome = match (connection.watch, wanted) {
            (Watch::No, _) if self.refuse_next > 0 => {
                self.refuse_next -= 1;
                Err(Errno::NOSPC)
            }
            (Watch::No, _) => self.poller.add(fd, token, interest),
            // Watching more than is wanted is cheaper than watching less.
            (now, wanted) if now == wanted => return,
            (Watch::ReadWrite, Watch::Read) => return,
            (Watch::Write, Watch::Read) => self.poller.modify(fd, token, Interest::ReadWrite),
            _ => self.poller.modify(fd, token, interest),
        };
        let wanted = match (connection.watch, wanted) {
            (Watch::Write, Watch::Read) => Watch::ReadWrite,
            _ => wanted,
        };
        match outcome {
            Ok(()) => connection.watch = wanted,
            // Without readiness the connection would hang for ever. Whoever asked goes
            // on with it: it is ended when nobody does.
            Err(error) => self.unwatchable.push((slot, connection.generation, error)),
        }
    }

    /// Ends connections that the poller refused, or fails their connect.
    pub(super) fn end_unwatchable(&mut self) {
        for (slot, generation, error) in std::mem::take(&mut self.unwatchable) {
            if self.slots.find(slot as i32, generation).is_none() {
                continue;
            }
            let connection = self.slots.get_mut(slot);
            connection.fail(error);
            let (code, errno) = (sys::code_of(error), error.raw_os_error());
            let client = match connection.side {
                Side::Client => slot,
                Side::Server => connection.peer,
            };
            if connection.side == Side::Server && connection.mode == Mode::Connecting {
                self.fail_connect(client, by::PROXY, code, errno);
            } else {
                let phase = phase_of(self.slots.get(client));
                self.end_with(client, reason(by::PROXY, phase, code), errno);
            }
        }
    }
}

/// Counts one more, unless `limit` is reached.
fn count_below(count: &AtomicUsize, limit: usize) -> bool {
    let more = |open: usize| (open < limit).then_some(open + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

/// True where a connection waits to be accepted.
fn someone_waits(socket: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
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
