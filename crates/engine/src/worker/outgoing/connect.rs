//! The connect: a server's connection is made, and what the client has sent already
//! follows at once.

use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sluice_wire::commands::timeout;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;
use sluice_wire::states::conn_state;

use crate::clock::Moment;
use crate::connection::data::write;
use crate::connection::extra::Step;
use crate::connection::ready::Ready;
use crate::connection::{Connection, Mode, Owner, Side, Watch};
use crate::handshake::socks;
use crate::route::{Destination, Route, SendProxy};
use crate::stream::{Deadline, StreamId};
use crate::sys;
use crate::transport::Ctrl;
use crate::worker::Worker;

impl Worker {
    /// A CONNECT command: makes the server's connection and starts it.
    pub(in crate::worker) fn connect(
        &mut self,
        client: u32,
        route: i32,
        flags: i32,
        tlvs: Vec<u8>,
    ) {
        let id = self.stream_of(client);
        let Some(route) = self.routes.get(&route).cloned() else {
            return self.connect_refused(id, by::PROXY, code::INTERNAL, 0);
        };
        if !self.read_early(client) {
            return;
        }
        let sys::Started { socket, full } = match self.start_connect(client, &route) {
            Ok(started) => started,
            Err((error, code)) => {
                let by = sys::connect_blame(code);
                return self.connect_refused(id, by, code, error.raw_os_error());
            }
        };
        let Some(server) = self.slots.take() else {
            return self.connect_refused(id, by::PROXY, code::TABLE_FULL, 0);
        };
        let local = route.is_local();
        let own = &self.own_timeouts;
        let timeout = own.pick(client, timeout::CONNECT, route.connect_timeout);
        let now = Moment::at(self.now);
        let connection = self.slots.get_mut(server);
        connection.opened_at = now;
        connection.owner = Owner::Stream(id);
        connection.connect_flags = flags as u8;
        begin_connecting(connection, socket, route, tlvs);
        let simple = connection.handshakes() == handshake::L4_CONNECT;

        let stream = self.streams.get_mut(id);
        stream.server = server;
        stream.server_io = now;
        stream.deadline_kind = Deadline::None;
        let connection = self.slots.get_mut(client);
        connection.mode = Mode::Connecting;
        connection.set_handshakes(0);
        if timeout > 0 {
            self.set_deadline(id, Deadline::Connect, self.now + timeout);
        }
        if full {
            self.join_crowd(server);
        } else if local && simple && self.send_early(id) {
            return;
        }
        if !full {
            self.watch(server, Watch::ReadWrite);
        }
        self.watch(client, Watch::Read);
        self.mirror_server(server, None);
        self.mirror(client);
    }

    /// The socket, on its way.
    fn start_connect(&mut self, client: u32, route: &Route) -> Result<sys::Started, (Errno, i32)> {
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
        outcome
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
            let id = self.stream_of(client);
            self.end_with(id, reason(by::CLIENT, phase::CONNECT, code), errno);
        }
        failure.is_none()
    }

    /// A local connect is usually finished when it returns, so the first
    /// payload may be sent without waiting for the poller: one turn of the loop
    /// less. True where that established the session (or ended it).
    fn send_early(&mut self, id: StreamId) -> bool {
        let stream = self.streams.get_mut(id);
        let (source, target) = self.slots.pair(stream.client, stream.server);
        let Some(buffer) = &source.input.buffer else {
            return false;
        };
        match write(target, buffer.bytes(), false, &mut self.mover.buffers) {
            Ok(count) => {
                stream.up.pass(count);
                if count == buffer.len() {
                    target.ready.write_went();
                }
                let waits = &mut source.input.buffer;
                self.mover.buffers.consume(waits, count);
                target.shake(handshake::L4_CONNECT);
                self.establish(id);
                true
            }
            Err(Errno::AGAIN | Errno::NOTCONN) => false,
            Err(error) => {
                self.fail_connect_with(id, error);
                true
            }
        }
    }
}

/// The connection and the handshakes that its route wants.
fn begin_connecting(
    connection: &mut Connection,
    socket: OwnedFd,
    route: Arc<Route>,
    proxy_tlvs: Vec<u8>,
) {
    let unix = matches!(route.destination, Destination::Unix(_));
    connection.ctrl = Some(Ctrl::Socket { fd: socket, unix });
    connection.side = Side::Server;
    connection.mode = Mode::Connecting;
    connection.set_state(conn_state::CONNECTING);
    connection.ready = Ready::connecting();
    connection.nodelay = unix;
    let mut handshakes = handshake::L4_CONNECT;
    connection.flags = conn_flag::FD_ALLOCATED | conn_flag::CTRL_INIT | conn_flag::DATA_INIT;
    if route.socks.is_some() {
        handshakes |= handshake::SOCKS;
        connection.set_step(conn_flag::SOCKS_STARTED, step::WANTED);
        connection.extra().step = Step::Socks(socks::State::new());
    }
    if route.send_proxy != SendProxy::No {
        handshakes |= handshake::SEND_PROXY;
        connection.set_step(conn_flag::PROXY_OUT_STARTED, step::WANTED);
        connection.extra().tlvs = proxy_tlvs;
    }
    if route.tls.is_some() {
        handshakes |= handshake::TLS_OUT;
        connection.set_step(conn_flag::DATA_OPEN_STARTED, step::WANTED);
    }
    connection.set_handshakes(handshakes);
    connection.route = Some(route);
}
