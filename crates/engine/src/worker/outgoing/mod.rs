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
use crate::connection::{Deadline, Mode, NONE, Watch};
use crate::route::Destination;
use crate::sys;
use crate::timer::Kind;

/// Milliseconds after which an established session lasts: only then its server's
/// connection gets keep-alive, so that short ones do not pay system calls for it.
const LASTING: u64 = 1000;

impl Worker {
    /// Runs the pending handshakes of the server's connection.
    pub(in crate::worker) fn advance_connect(&mut self, client: u32) {
        let server = self.slots.get(client).peer;
        loop {
            let connection = self.slots.get_mut(server);
            let bit = connection.handshakes & connection.handshakes.wrapping_neg();
            match bit {
                0 => return self.establish(client),
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
                        return self.fail_connect_with(client, error);
                    }
                    connection.handshakes &= !handshake::L4_CONNECT;
                    connection.flags |= conn_flag::CTRL_CONNECTED;
                }
                handshake::SOCKS => {
                    if !self.run_socks(client, server) {
                        return self.mirror_waiting(client, server);
                    }
                }
                handshake::TLS_OUT => return self.queue_handshake(server),
                _ => {
                    if !self.send_proxy(client, server) {
                        return self.mirror_waiting(client, server);
                    }
                }
            }
        }
    }

    /// Every handshake is done: payload flows.
    fn establish(&mut self, client: u32) {
        let now = self.now;
        let server = self.slots.get(client).peer;
        let done = conn_flag::CTRL_HANDLERS_DONE | conn_flag::DATA_HANDLERS_DONE;
        let (source, target) = self.slots.pair(client, server);
        for connection in [&mut *source, &mut *target] {
            connection.set_state(conn_state::ESTABLISHED);
            connection.mode = Mode::Stream;
            connection.established_at = now;
            connection.last_io = now;
            connection.flags |= done;
            // Handshakes are over: an idle session keeps nothing of theirs.
            connection.extra = None;
        }
        target.flags |= conn_flag::CTRL_CONNECTED | conn_flag::DATA_CONNECTED;
        let elapsed = (now - target.opened_at) as i32;
        let flags = i32::from(target.connect_flags);
        let wanted = flags & connect_flag::WANT_CONNECTED != 0;
        let local = match target.socket() {
            Some(fd) if flags & connect_flag::WANT_SOURCE != 0 => sys::local_address(fd),
            _ => None,
        };
        // The connect may have left bytes of a handshake's answer behind.
        let answered = target.input.holds() || target.ready.reads();
        let probes = target.route.as_ref().is_some_and(|route| route.probes());
        self.set_idle_deadline(client);
        if probes {
            self.timers.schedule(Kind::Liveness, server, now + LASTING);
        }
        self.mirror_server(server, local);
        self.slots.mirror(client);
        if wanted {
            self.emit(event::CONNECTED, client, [server as i32, elapsed, 0, 0, 0]);
        }
        self.watch(server, Watch::Read);
        self.watch(client, Watch::Read);
        let source = self.slots.get(client);
        if answered || source.ready.reads() || source.input.holds() || source.input.ended() {
            self.pump(client);
        } else {
            self.slots.mirror_bytes(client);
        }
    }

    /// A server's handshake waits for its peer, perhaps for long: the record says which
    /// one. Nothing is written where the step has failed; the record is final then.
    pub(in crate::worker) fn mirror_waiting(&self, client: u32, server: u32) {
        if self.slots.get(client).peer == server {
            self.slots.mirror(server);
        }
    }

    /// Writes a server's record; `source` is our own address, where somebody wants it.
    fn mirror_server(&self, server: u32, source: Option<SocketAddr>) {
        let route = self.slots.get(server).route.as_ref();
        let destination = route.and_then(|route| match route.destination {
            Destination::Tcp(address) => Some(address),
            Destination::Unix(_) => None,
        });
        self.slots.mirror_open(server, source, destination);
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
    fn connect_refused(&mut self, client: u32, by: i32, code: i32, errno: i32) {
        self.hold(client);
        let reason = reason(by, phase::CONNECT, code);
        self.emit(event::CONNECT_FAILED, client, [reason, errno, 0, 0, 0]);
    }

    /// The connect or a handshake behind it failed: the server's connection
    /// goes, the client's stays, and TypeScript decides.
    pub(in crate::worker) fn fail_connect(&mut self, client: u32, by: i32, code: i32, errno: i32) {
        let server = self.slots.get(client).peer;
        let connection = self.slots.get(server);
        let phase = phase_of(connection);
        let elapsed = (self.now - connection.opened_at) as i32;
        self.detach(client);
        self.hold(client);
        let reason = reason(by, phase, code);
        self.emit(
            event::CONNECT_FAILED,
            client,
            [reason, errno, elapsed, 0, 0],
        );
    }

    /// The same, after a system call.
    pub(in crate::worker) fn fail_connect_with(&mut self, client: u32, error: Errno) {
        let server = self.slots.get(client).peer;
        let (by, code) = if phase_of(self.slots.get(server)) == phase::CONNECT {
            let code = sys::connect_code(error);
            (sys::connect_blame(code), code)
        } else {
            (by::SERVER, sys::code_of(error))
        };
        self.fail_connect(client, by, code, error.raw_os_error());
    }

    /// The client waits for TypeScript's next idea, without a deadline here.
    pub(in crate::worker) fn hold(&mut self, client: u32) {
        let connection = self.slots.get_mut(client);
        connection.peer = NONE;
        connection.mode = Mode::Held;
        connection.handshakes = 0;
        connection.deadline_kind = Deadline::None;
        self.slots.mirror(client);
        self.watch(client, Watch::Read);
    }
}
