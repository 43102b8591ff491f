//! Outgoing connections: the handshakes that follow the connect, how they end, and
//! what becomes of the client.

mod connect;
pub(super) mod knock;
mod proxy;
mod socks;
mod tls;

use std::net::SocketAddr;

use rustix::io::Errno;
use sluice_wire::commands::connect_flag;
use sluice_wire::errors::{by, phase, reason};
use sluice_wire::events::event;
use sluice_wire::flags::conn_flag;
use sluice_wire::handshakes::handshake;
use sluice_wire::states::conn_state;

use super::Worker;
use super::incoming::phase_of;
use crate::clock::Moment;
use crate::connection::{Mode, Watch};
use crate::route::Destination;
use crate::stream::{Deadline, StreamId};
use crate::sys;
use crate::timer::Kind;

/// Milliseconds after which an established session lasts: only then its server's
/// connection gets keep-alive, so that short ones do not pay system calls for it.
const LASTING: u64 = 1000;

impl Worker {
    /// Runs the pending handshakes of the server's connection.
    pub(in crate::worker) fn advance_connect(&mut self, id: StreamId) {
        let server = self.streams.get(id).server;
        loop {
            let connection = self.slots.get_mut(server);
            let bit = connection.next_handshake();
            match bit {
                0 => return self.establish(id),
                handshake::L4_CONNECT => {
                    if !connection.ready.writes() {
                        return;
                    }
                    let error = if connection.ready.has_hangup() {
                        connection.take_error()
                    } else {
                        None
                    };
                    if let Some(error) = error {
                        return self.fail_connect_with(id, error);
                    }
                    connection.shake(handshake::L4_CONNECT);
                    connection.flags |= conn_flag::CTRL_CONNECTED;
                }
                handshake::SOCKS => {
                    if !self.run_socks(id) {
                        return self.mirror_waiting(id, server);
                    }
                }
                handshake::TLS_OUT => return self.queue_handshake(server),
                _ => {
                    if !self.send_proxy(id) {
                        return self.mirror_waiting(id, server);
                    }
                }
            }
        }
    }

    /// Every handshake is done: payload flows.
    pub(in crate::worker) fn establish(&mut self, id: StreamId) {
        let now = Moment::at(self.now);
        let stream = self.streams.get_mut(id);
        let (client, server) = (stream.client, stream.server);
        stream.established_at = now;
        stream.client_io = now;
        stream.server_io = now;
        let done = conn_flag::CTRL_HANDLERS_DONE | conn_flag::DATA_HANDLERS_DONE;
        let (source, target) = self.slots.pair(client, server);
        for connection in [&mut *source, &mut *target] {
            connection.set_state(conn_state::ESTABLISHED);
            connection.mode = Mode::Stream;
            connection.flags |= done;
            // Handshakes are over: an idle session keeps nothing of theirs.
            connection.extra = None;
        }
        target.flags |= conn_flag::CTRL_CONNECTED | conn_flag::DATA_CONNECTED;
        let elapsed = target.opened_at.ago(self.now) as i32;
        let flags = i32::from(target.connect_flags);
        let wanted = flags & connect_flag::WANT_CONNECTED != 0;
        let local = match target.socket() {
            Some(fd) if flags & connect_flag::WANT_SOURCE != 0 => sys::local_address(fd),
            _ => None,
        };
        // The connect may have left bytes of a handshake's answer behind.
        let answered = target.input.holds() || target.ready.reads();
        let probes = target.route.as_ref().is_some_and(|route| route.probes());
        self.set_idle_deadline(id);
        if probes {
            let lasts = self.now + LASTING;
            self.timers.schedule(Kind::Connection, server, lasts);
        }
        self.mirror_server(server, local);
        self.mirror(client);
        if wanted {
            self.emit(event::CONNECTED, client, [server as i32, elapsed, 0, 0, 0]);
        }
        self.watch(server, Watch::Read);
        self.watch(client, Watch::Read);
        let source = self.slots.get(client);
        if answered || source.ready.reads() || source.input.holds() || source.input.ended() {
            self.pump(id);
        } else {
            self.slots.mirror_bytes(client);
        }
    }

    /// A server's handshake waits for its peer, perhaps for long: the record says which
    /// one. Nothing is written where the step has failed; the record is final then.
    pub(in crate::worker) fn mirror_waiting(&self, id: StreamId, server: u32) {
        if self.streams.get(id).server == server {
            self.mirror(server);
        }
    }

    /// Writes a server's record; `source` is our own address, where somebody wants it.
    fn mirror_server(&self, server: u32, source: Option<SocketAddr>) {
        let route = self.slots.get(server).route.as_ref();
        let destination = route.and_then(|route| match route.destination {
            Destination::Tcp(address) => Some(address),
            Destination::Unix(_) => None,
        });
        let stream = self.owner_of(server).map(|id| self.streams.get(id));
        self.slots.mirror_open(server, stream, source, destination);
    }

    /// Sets the keep-alive of a server's connection that lasts. Where the kernel refuses,
    /// the connection is no worse than without.
    pub(in crate::worker) fn set_liveness(&mut self, server: u32) {
        let connection = self.slots.get(server);
        if let (Some(fd), Some(route)) = (connection.socket(), &connection.route) {
            let _ = route.liveness.apply(fd);
        }
    }

    /// The connect could not even start.
    fn connect_refused(&mut self, id: StreamId, by: i32, code: i32, errno: i32) {
        self.hold(id);
        let reason = reason(by, phase::CONNECT, code);
        self.tell_failed(id, [reason, errno, 0, 0, 0]);
    }

    /// The connect or a handshake behind it failed: the server's connection
    /// goes, the client's stays, and TypeScript decides.
    pub(in crate::worker) fn fail_connect(&mut self, id: StreamId, by: i32, code: i32, errno: i32) {
        let connection = self.slots.get(self.streams.get(id).server);
        let phase = phase_of(connection);
        let elapsed = connection.opened_at.ago(self.now) as i32;
        self.detach(id);
        self.hold(id);
        let reason = reason(by, phase, code);
        self.tell_failed(id, [reason, errno, elapsed, 0, 0]);
    }

    fn tell_failed(&mut self, id: StreamId, operands: [i32; 5]) {
        let client = self.streams.get(id).client;
        self.emit(event::CONNECT_FAILED, client, operands);
    }

    /// The same, after a system call.
    pub(in crate::worker) fn fail_connect_with(&mut self, id: StreamId, error: Errno) {
        let server = self.streams.get(id).server;
        let (by, code) = if phase_of(self.slots.get(server)) == phase::CONNECT {
            let code = sys::connect_code(error);
            (sys::connect_blame(code), code)
        } else {
            (by::SERVER, sys::code_of(error))
        };
        self.fail_connect(id, by, code, error.raw_os_error());
    }

    /// The client waits for TypeScript's next idea, without a deadline here.
    pub(in crate::worker) fn hold(&mut self, id: StreamId) {
        let stream = self.streams.get_mut(id);
        stream.deadline_kind = Deadline::None;
        let client = stream.client;
        let connection = self.slots.get_mut(client);
        connection.mode = Mode::Held;
        connection.set_handshakes(0);
        self.mirror(client);
        self.watch(client, Watch::Read);
    }
}
