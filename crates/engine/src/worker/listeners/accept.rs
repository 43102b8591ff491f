//! Accepting.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::acceptfrom_with;
use sluice_wire::events::event;
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::states::conn_state;

use super::ACCEPT_REST;
use crate::clock::Moment;
use crate::connection::{Connection, Mode, Side};
use crate::listener::Listener;
use crate::stream::Deadline;
use crate::sys;
use crate::transport::Ctrl;
use crate::worker::{Worker, record};

/// Connections accepted from one listener before others get their turn.
const ACCEPT_BATCH: usize = 64;

impl Worker {
    /// Accepts what is expected to wait. Asking until the kernel says EAGAIN
    /// costs a call a wake-up; what is left over wakes the worker again.
    pub(in crate::worker) fn accept(&mut self, id: u32) {
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

    /// Accepts what waits in the queue of a listener that is being closed, as far as
    /// there is room, and closes it once nobody does.
    pub(super) fn accept_last(&mut self, id: u32) {
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
        begin_accepted(connection, socket, listener);
        connection.opened_at = Moment::at(self.now);
        let id = self.begin(slot);
        if spec.handshake_timeout > 0 {
            let at = self.now + spec.handshake_timeout;
            self.set_deadline(id, Deadline::Handshake, at);
        }
        let stream = self.streams.get(id);
        self.slots.mirror_open(slot, Some(stream), src, dst);
        self.run_incoming(slot);
    }
}

/// True where a connection waits to be accepted.
fn someone_waits(socket: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let now = Timespec::default();
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The connection and the handshakes that its listener wants.
fn begin_accepted(connection: &mut Connection, socket: OwnedFd, listener: &Listener) {
    let handshakes = listener.spec.handshakes;
    let unix = !listener.tcp;
    connection.ctrl = Some(Ctrl::Socket { fd: socket, unix });
    connection.side = Side::Client;
    connection.mode = Mode::Handshake;
    connection.listener = listener.id;
    connection.set_handshakes(handshakes | handshake::ACCEPT_SESSION);
    connection.set_state(conn_state::ACCEPTED);
    connection.flags = conn_flag::FD_ALLOCATED
        | conn_flag::CTRL_INIT
        | conn_flag::CTRL_CONNECTED
        | conn_flag::DATA_INIT
        | conn_flag::DATA_CONNECTED;
    if handshakes & handshake::ACCEPT_PROXY != 0 {
        connection.set_step(conn_flag::PROXY_IN_STARTED, step::WANTED);
    }
    if handshakes & handshake::TLS != 0 {
        connection.set_step(conn_flag::DATA_OPEN_STARTED, step::WANTED);
        connection.flags &= !conn_flag::DATA_CONNECTED;
    }
    // Inherited from a TCP listener on Linux, unknown to unix sockets.
    connection.nodelay = unix || cfg!(target_os = "linux");
}
