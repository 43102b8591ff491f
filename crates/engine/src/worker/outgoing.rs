//! Outgoing connections: the connect and the handshakes that follow it.

use std::net::SocketAddr;

use rustix::io::Errno;
use sluice_wire::commands::connect_flag;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::states::conn_state;

use super::Worker;
use super::fill::Filled;
use super::incoming::phase_of;
use crate::connection::data::write;
use crate::connection::ready::Ready;
use crate::connection::{Deadline, Mode, NONE, Side, Watch};
use crate::handshake::proxy_in::Endpoint;
use crate::handshake::{proxy_out, socks};
use crate::route::{Destination, SendProxy};
use crate::sys;

/// Milliseconds after which an established session lasts: only then its server's
/// connection gets keep-alive, so that short ones do not pay system calls for it.
const LASTING: u64 = 1000;

impl Worker {
    /// A CONNECT command: makes the server's connection and starts it.
    pub(super) fn connect(&mut self, client: u32, route: i32, flags: i32, tlvs: Vec<u8>) {
        let Some(route) = self.routes.get(&route).cloned() else {
            return self.connect_refused(client, by::PROXY, code::INTERNAL, 0);
        };
        if !self.read_early(client) {
            return;
        }
        // Whoever speaks first lets its first segment acknowledge the handshake.
        let speaks_first = self.slots.get(client).input.holds()
            || route.socks.is_some()
            || route.send_proxy != SendProxy::No
            || route.tls.is_some();
        let address = self.slots.addresses(client).map(|(src, _)| src);
        let start = || sys::start_connect(&route.destination, route.source, address, speaks_first);
        let mut outcome = start();
        if matches!(outcome, Err((_, code::FD_EXHAUSTED))) {
            // Pipes that are kept for later have no right to the last descriptors.
            self.mover.pipes.shrink();
            outcome = start();
        }
        let sys::Started { socket, full } = match outcome {
            Ok(started) => started,
            Err((error, code)) => {
                let by = sys::connect_blame(code);
                return self.connect_refused(client, by, code, error.raw_os_error());
            }
        };
        let Some(server) = self.slots.take() else {
            return self.connect_refused(client, by::PROXY, code::TABLE_FULL, 0);
        };
        let now = self.now;
        let local = route.is_local();
        let timeout = route.connect_timeout;
        let connection = self.slots.get_mut(server);
        connection.fd = Some(socket);
        connection.side = Side::Server;
        connection.mode = Mode::Connecting;
        connection.set_state(conn_state::CONNECTING);
        connection.connect_flags = flags;
        connection.opened_at = now;
        connection.last_io = now;
        connection.ready = Ready::connecting();
        connection.peer = client;
        connection.unix = matches!(route.destination, Destination::Unix(_));
        connection.nodelay = connection.unix;
        connection.handshakes = handshake::L4_CONNECT;
        connection.flags = conn_flag::FD_ALLOCATED | conn_flag::CTRL_INIT | conn_flag::DATA_INIT;
        if route.socks.is_some() {
            connection.handshakes |= handshake::SOCKS;
            connection.set_step(conn_flag::SOCKS_STARTED, step::WANTED);
            connection.extra().socks = Some(socks::State::new());
        }
        if route.send_proxy != SendProxy::No {
            connection.handshakes |= handshake::SEND_PROXY;
            connection.set_step(conn_flag::PROXY_OUT_STARTED, step::WANTED);
            connection.extra().proxy_tlvs = tlvs;
        }
        if route.tls.is_some() {
            connection.handshakes |= handshake::TLS_OUT;
            connection.set_step(conn_flag::DATA_OPEN_STARTED, step::WANTED);
        }
        connection.route = Some(route);
        let simple = connection.handshakes == handshake::L4_CONNECT;

        let connection = self.slots.get_mut(client);
        connection.peer = server;
        connection.mode = Mode::Connecting;
        connection.handshakes = 0;
        connection.deadline_kind = Deadline::None;
        if timeout > 0 {
            self.set_deadline(client, Deadline::Connect, now + timeout);
        }
        if full {
            self.join_crowd(server);
        } else if local && simple && self.send_early(client, server) {
            return;
        }
        if self.slots.get(client).peer == server {
            if !full {
                self.watch(server, Watch::ReadWrite);
            }
            self.watch(client, Watch::Read);
            self.mirror_server(server, None);
            self.slots.mirror(client);
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

    /// Reads what the client has sent already, so that it can follow the
    /// connect at once. False where the client is gone.
    fn read_early(&mut self, client: u32) -> bool {
        if self.slots.get(client).input.holds() {
            return true;
        }
        self.fill(client, self.mover.scratch.len());
        let failure = self.slots.get_mut(client).input.take_failure();
        if let Some((code, errno)) = failure {
            self.end_with(client, reason(by::CLIENT, phase::CONNECT, code), errno);
        }
        failure.is_none()
    }

    /// A local connect is usually finished when it returns, so the first
    /// payload may be sent without waiting for the poller: one turn of the loop
    /// less. True where that established the session (or ended it).
    fn send_early(&mut self, client: u32, server: u32) -> bool {
        let (source, target) = self.slots.pair(client, server);
        let Some(buffer) = &source.input.buffer else {
            return false;
        };
        match write(target, buffer.bytes(), false, &mut self.mover.buffers) {
            Ok(count) => {
                if count == buffer.len() {
                    target.ready.write_went();
                }
                let waits = &mut source.input.buffer;
                self.mover.buffers.consume(waits, count);
                target.handshakes &= !handshake::L4_CONNECT;
                self.establish(client);
                true
            }
            Err(Errno::AGAIN | Errno::NOTCONN) => false,
            Err(error) => {
                self.fail_connect_with(client, error);
                true
            }
        }
    }

    /// Runs the pending handshakes of the server's connection.
    pub(super) fn advance_connect(&mut self, client: u32) {
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
                        return;
                    }
                }
                handshake::TLS_OUT => return self.queue_handshake(server),
                _ => {
                    if !self.send_proxy(client, server) {
                        return;
                    }
                }
            }
        }
    }

    /// The SOCKS client; true once the tunnel is there.
    fn run_socks(&mut self, client: u32, server: u32) -> bool {
        loop {
            match self.flush_out(server) {
                Ok((_, true)) => {}
                Ok((_, false)) => return false,
                Err(error) => {
                    self.fail_connect_with(client, error);
                    return false;
                }
            }
            let connection = self.slots.get_mut(server);
            let Some(route) = connection.route.clone() else {
                return false;
            };
            let (Some(config), Some(extra)) = (&route.socks, &mut connection.extra) else {
                return false;
            };
            let mut out = Vec::new();
            let input = connection.input.bytes();
            let outcome = match &mut extra.socks {
                Some(state) => state.step(config, input, &mut out),
                None => return false,
            };
            match outcome {
                Ok(progress) => {
                    if !out.is_empty() {
                        self.mover.buffers.append(&mut extra.out, &out);
                    }
                    self.mover
                        .buffers
                        .consume(&mut connection.input.buffer, progress.consumed);
                    connection.set_step(conn_flag::SOCKS_STARTED, step::STARTED);
                    if progress.done {
                        connection.handshakes &= !handshake::SOCKS;
                        connection.set_step(conn_flag::SOCKS_STARTED, step::COMPLETED);
                        return true;
                    }
                    if !out.is_empty() {
                        continue;
                    }
                }
                Err(error) => {
                    let by = match error.code() {
                        code::BAD_ADDRESS => by::PROXY,
                        _ => by::SERVER,
                    };
                    self.fail_connect(client, by, error.code(), 0);
                    return false;
                }
            }
            if !self.read_reply(client, server) {
                return false;
            }
        }
    }

    /// Reads what the server answers in a handshake; false where it has to wait or failed.
    fn read_reply(&mut self, client: u32, server: u32) -> bool {
        let before = self.slots.get(server).input.buffered();
        let filled = self.fill(server, self.mover.scratch.len());
        let connection = self.slots.get_mut(server);
        if connection.input.buffered() > before {
            return true;
        }
        if filled == Filled::Ended {
            match connection.input.take_failure() {
                Some((_, errno)) => {
                    self.fail_connect_with(client, Errno::from_raw_os_error(errno));
                }
                None => self.fail_connect(client, by::SERVER, code::ABORTED, 0),
            }
        }
        false
    }

    /// Sends the PROXY header; true once it is out.
    fn send_proxy(&mut self, client: u32, server: u32) -> bool {
        let addresses = self.slots.addresses(client);
        let connection = self.slots.get_mut(server);
        if connection.step(conn_flag::PROXY_OUT_STARTED) == step::WANTED {
            let (src, dst) = match addresses {
                Some((src, dst)) => (Endpoint::Inet(src), Endpoint::Inet(dst)),
                None => (Endpoint::Unix, Endpoint::Unix),
            };
            let version = connection
                .route
                .as_ref()
                .map_or(SendProxy::No, |it| it.send_proxy);
            let extra = connection.extra();
            let mut header = Vec::with_capacity(64);
            match version {
                SendProxy::No => {}
                SendProxy::V1 => proxy_out::build_v1(&mut header, &src, &dst),
                SendProxy::V2 { crc32c } => {
                    proxy_out::build_v2(&mut header, &src, &dst, &extra.proxy_tlvs, crc32c);
                }
            }
            let mut out = extra.out.take();
            self.mover.buffers.append(&mut out, &header);
            let connection = self.slots.get_mut(server);
            connection.extra().out = out;
            connection.set_step(conn_flag::PROXY_OUT_STARTED, step::STARTED);
        }
        match self.flush_out(server) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(server);
                connection.handshakes &= !handshake::SEND_PROXY;
                connection.set_step(conn_flag::PROXY_OUT_STARTED, step::COMPLETED);
                true
            }
            Ok((_, false)) => false,
            Err(error) => {
                self.fail_connect_with(client, error);
                false
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
        let wanted = target.connect_flags & connect_flag::WANT_CONNECTED != 0;
        let local = match &target.fd {
            Some(fd) if target.connect_flags & connect_flag::WANT_SOURCE != 0 => {
                sys::local_address(fd)
            }
            _ => None,
        };
        // The connect may have left bytes of a handshake's answer behind.
        let answered = target.input.holds() || target.ready.reads();
        let probes = target.route.as_ref().is_some_and(|route| route.probes());
        target.unprobed = probes;
        self.set_idle_deadline(client);
        if probes {
            self.timers.schedule(client, now + LASTING);
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

    /// Sets the keep-alive of a server's connection that lasts. Where the kernel refuses,
    /// the connection is no worse than without.
    pub(super) fn set_liveness(&mut self, client: u32) {
        let server = self.slots.get(client).peer;
        if server == NONE {
            return;
        }
        let connection = self.slots.get_mut(server);
        if !std::mem::take(&mut connection.unprobed) {
            return;
        }
        if let (Some(fd), Some(route)) = (&connection.fd, &connection.route) {
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
    pub(super) fn fail_connect(&mut self, client: u32, by: i32, code: i32, errno: i32) {
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
    pub(super) fn fail_connect_with(&mut self, client: u32, error: Errno) {
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
    pub(super) fn hold(&mut self, client: u32) {
        let connection = self.slots.get_mut(client);
        connection.peer = NONE;
        connection.mode = Mode::Held;
        connection.handshakes = 0;
        connection.deadline_kind = Deadline::None;
        self.slots.mirror(client);
        self.watch(client, Watch::Read);
    }
}
