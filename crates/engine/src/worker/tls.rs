//! TLS handshakes of both sides. The ClientHello is looked at without taking it
//! from the socket, so that a connection that waits for policy costs no buffer,
//! and one that is not terminated is as if nobody had looked.
//!
//! Handshakes do public-key arithmetic, which takes long: they run in a queue of
//! their own, a little in each turn of the loop, between the
//! traffic of established connections.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::{event, hello_status};
use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use super::incoming::phase_of;
use super::{Worker, record};
use crate::connection::data::{self, Handshaking};
use crate::connection::{Mode, Side, Watch};
use crate::handshake::client_hello::{self, Reader, Status};
use crate::sys;
use crate::tls::error::Failure;
use crate::tls::layer::Tls;

/// Arrivals of a ClientHello that are looked at in the socket. Looking begins at its
/// first byte each time: what comes in more pieces is read.
const PEEKS: u32 = 4;
/// Time for handshakes in one turn of the loop; one at least is served.
const BUDGET: Duration = Duration::from_micros(100);

impl Worker {
    /// The TLS handshake of a client: the question first, then the handshake,
    /// in its queue.
    pub(super) fn accept_tls(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if connection.tls.is_some() {
            connection.mode = Mode::Handshake;
            self.queue_handshake(slot);
        } else {
            self.look_at_hello(slot);
        }
    }

    /// The connection's TLS handshake has work to do.
    pub(super) fn queue_handshake(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.securing {
            connection.securing = true;
            self.securing.push_back((slot, connection.generation));
        }
    }

    /// Asks policy about the ClientHello, once it is there.
    fn look_at_hello(&mut self, slot: u32) {
        loop {
            let connection = self.slots.get_mut(slot);
            if connection.input.buffer.is_none() && connection.watch == Watch::No {
                // A client rarely has sent it by now, and if so the poller says it.
                return self.await_hello(slot);
            }
            let reader = connection.extra.as_ref().map(|extra| extra.hello);
            let reader = reader.unwrap_or_default();
            let goes_on = if connection.input.buffer.is_some() || reader.arrivals() >= PEEKS {
                self.look_into_buffer(slot, reader)
            } else {
                self.look_into_socket(slot, reader)
            };
            if !goes_on {
                return;
            }
        }
    }

    fn await_hello(&mut self, slot: u32) {
        self.slots.get_mut(slot).mode = Mode::Handshake;
        self.watch(slot, Watch::Read);
    }

    /// The ClientHello is read, since it comes in many pieces or behind a PROXY header.
    /// True to look again.
    fn look_into_buffer(&mut self, slot: u32, mut reader: Reader) -> bool {
        let connection = self.slots.get_mut(slot);
        let seen = connection.input.buffer.as_ref();
        let seen = seen.map_or(&[][..], |buffer| buffer.bytes());
        match reader.go_on(seen, &mut self.hello) {
            Status::Partial => {
                connection.extra().hello = reader;
                self.read_more(slot, client_hello::MAX_BYTES, phase::TLS)
            }
            status => {
                show(seen, status, &mut self.hello);
                self.ask_about_hello(slot, status);
                false
            }
        }
    }

    /// The ClientHello stays in the socket. True to look again.
    fn look_into_socket(&mut self, slot: u32, mut reader: Reader) -> bool {
        let bytes = match self.peek(slot) {
            Ok(bytes) => bytes,
            Err(Errno::AGAIN) => {
                self.await_hello(slot);
                return false;
            }
            Err(error) => {
                self.slots.get_mut(slot).fail(error);
                self.end_in_tls(slot, sys::code_of(error), error.raw_os_error());
                return false;
            }
        };
        let seen = self.mover.scratch.get(..bytes).unwrap_or(&[]);
        let status = reader.go_on(seen, &mut self.hello);
        if status != Status::Partial {
            show(seen, status, &mut self.hello);
            self.ask_about_hello(slot, status);
            return false;
        }
        let connection = self.slots.get_mut(slot);
        if bytes == 0 || connection.ready.has_fin() {
            // What came before a reset is still there to be read.
            let error = connection.take_error();
            let code = error.map_or(code::ABORTED, sys::code_of);
            self.end_in_tls(slot, code, error.map_or(0, Errno::raw_os_error));
            return false;
        }
        connection.extra().hello = reader;
        if bytes == self.mover.scratch.len() {
            // There may be more than can be looked at there.
            return self.read_more(slot, client_hello::MAX_BYTES, phase::TLS);
        }
        // The next arrival is told, although these bytes stay unread.
        connection.ready.read_blocks();
        self.await_hello(slot);
        false
    }

    /// Reads into the scratch memory and leaves everything in the socket.
    fn peek(&mut self, slot: u32) -> Result<usize, Errno> {
        let connection = self.slots.get_mut(slot);
        let Some(fd) = connection.fd.as_ref().filter(|_| connection.ready.reads()) else {
            return Err(Errno::AGAIN);
        };
        loop {
            match recv(fd, &mut *self.mover.scratch, RecvFlags::PEEK) {
                Ok((_, count)) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(error) => {
                    connection.ready.read_blocks();
                    return Err(error);
                }
            }
        }
    }

    fn ask_about_hello(&mut self, slot: u32, status: Status) {
        let status = match status {
            Status::Complete | Status::Partial => hello_status::COMPLETE,
            Status::NotTls => hello_status::NOT_TLS,
            Status::Malformed => hello_status::MALFORMED,
            Status::TooLarge => hello_status::TOO_LARGE,
            Status::Overflow => hello_status::OVERFLOW,
            Status::Dripped => hello_status::DRIPPED,
        };
        self.put_question(slot, status);
    }

    /// The wait for a ClientHello is over. Where the listener says so, a client that
    /// has sent nothing at all is one without TLS whose server speaks first: policy
    /// is asked, and true returned.
    pub(super) fn ask_about_silence(&mut self, slot: u32) -> bool {
        let asks = self
            .listener_of(slot)
            .is_some_and(|it| it.spec.silence_asks);
        let connection = self.slots.get(slot);
        let awaited = phase_of(connection) == phase::TLS && connection.tls.is_none();
        if !asks || !awaited || connection.input.buffered() > 0 {
            return false;
        }
        // Not `peek`: bytes that were looked at and left are no silence.
        let Some(fd) = connection.fd.as_ref() else {
            return false;
        };
        if !matches!(recv(fd, &mut [0; 1], RecvFlags::PEEK), Err(Errno::AGAIN)) {
            return false;
        }
        self.hello.clear();
        self.put_question(slot, hello_status::NOT_TLS);
        true
    }

    /// Asks policy, with what `hello` holds.
    fn put_question(&mut self, slot: u32, status: i32) {
        self.begin_question(slot, handshake::TLS);
        let connection = self.slots.get(slot);
        let (generation, listener) = (connection.generation, connection.listener as i32);
        let question = record(
            event::HANDSHAKE,
            slot as i32,
            generation,
            [listener, handshake::TLS, 0, 0, status],
        );
        if !self.events.emit_bytes(question, 5, &self.hello) {
            self.slots.get_mut(slot).mode = Mode::Handshake;
            self.run_when_room(slot);
        }
    }

    /// Policy has chosen a context: terminates TLS with it.
    /// `tells`: that it waits for its peer is told.
    pub(super) fn start_tls(&mut self, slot: u32, context: i32, tells: bool) -> bool {
        let accepted = match self.contexts.downstream(context) {
            Some(config) => Tls::accept(config),
            None => Err(Failure {
                code: code::INTERNAL,
                alert: 0,
                by_peer: false,
            }),
        };
        let connection = self.slots.get_mut(slot);
        match accepted {
            Ok(mut tls) => {
                tls.prepend(connection.input.buffer.take());
                tls.tells = tells;
                connection.tls = Some(Box::new(tls));
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::STARTED);
                if let Some(fd) = connection.fd.as_ref().filter(|_| !connection.nodelay) {
                    // A handshake is several small writes.
                    let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
                    connection.nodelay = true;
                }
                self.slots.mirror(slot);
                true
            }
            Err(failure) => {
                connection.fail(data::TLS_FAILED);
                connection.blame(reason(by::PROXY, phase::TLS, failure.code), 0);
                self.end(slot);
                false
            }
        }
    }

    /// Serves the queue of handshakes for a while.
    pub(super) fn run_handshakes(&mut self) {
        if self.securing.is_empty() {
            return;
        }
        let started = Instant::now();
        while let Some((slot, generation)) = self.securing.pop_front() {
            if self.slots.find(slot as i32, generation).is_none() {
                continue;
            }
            let connection = self.slots.get_mut(slot);
            connection.securing = false;
            match (connection.side, connection.mode) {
                (Side::Client, Mode::Handshake) => self.secure_client(slot),
                (Side::Server, Mode::Connecting) => {
                    let client = connection.peer;
                    if self.connect_tls(client, slot) {
                        self.advance_connect(client);
                    }
                }
                _ => {}
            }
            if started.elapsed() >= BUDGET {
                return;
            }
        }
    }

    fn secure_client(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        match data::handshake(connection, &mut self.mover.buffers) {
            Handshaking::Waiting => {
                let watch = if connection.ready.writes() {
                    Watch::Read
                } else {
                    Watch::ReadWrite
                };
                let tells = connection.tls.as_mut().map(|tls| &mut tls.tells);
                if tells.is_some_and(std::mem::take) {
                    self.emit(event::HANDSHAKE_WAITS, slot, [0; 5]);
                }
                self.watch(slot, watch);
            }
            Handshaking::Done => {
                if !self.tell_secured(slot, slot, handshake::TLS) {
                    return;
                }
                let connection = self.slots.get_mut(slot);
                connection.handshakes &= !handshake::TLS;
                connection.flags |= conn_flag::DATA_CONNECTED;
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::COMPLETED);
                self.slots.mirror(slot);
                self.run_incoming(slot);
            }
            Handshaking::Aborted => self.end_in_tls(slot, code::ABORTED, 0),
            Handshaking::Broken(error) => {
                self.end_in_tls(slot, sys::code_of(error), error.raw_os_error());
            }
            Handshaking::Failed(failure) => {
                let by = if failure.by_peer {
                    by::CLIENT
                } else {
                    by::PROXY
                };
                let reason = reason(by, phase::TLS, failure.code);
                let alert = connection.tls.take().map_or_else(Vec::new, |mut tls| {
                    let bytes = tls
                        .outgoing
                        .as_ref()
                        .map_or_else(Vec::new, |records| records.bytes().to_vec());
                    tls.release(&mut self.mover.buffers);
                    bytes
                });
                connection.errno = failure.alert;
                // The alert is the last chunk: it must arrive, although unread
                // records would turn the close into a reset.
                self.start_last_chunk(slot, &alert, reason);
            }
        }
    }

    fn end_in_tls(&mut self, slot: u32, code: i32, errno: i32) {
        self.end_with(slot, reason(by::CLIENT, phase::TLS, code), errno);
    }

    /// The TLS client of a server's connection; true once it is complete.
    fn connect_tls(&mut self, client: u32, server: u32) -> bool {
        let connection = self.slots.get_mut(server);
        if connection.tls.is_none() {
            let target = connection.route.as_ref().and_then(|it| it.tls.clone());
            let Some(target) = target else {
                connection.handshakes &= !handshake::TLS_OUT;
                return true;
            };
            match Tls::connect(target.config, target.name, target.verify) {
                Ok(mut tls) => {
                    tls.prepend(connection.input.buffer.take());
                    connection.tls = Some(Box::new(tls));
                }
                Err(failure) => {
                    connection.fail(data::TLS_FAILED);
                    self.fail_connect(client, by::PROXY, failure.code, 0);
                    return false;
                }
            }
            connection.set_step(conn_flag::DATA_OPEN_STARTED, step::STARTED);
            if let Some(fd) = connection.fd.as_ref().filter(|_| !connection.nodelay) {
                let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
                connection.nodelay = true;
            }
        }
        let connection = self.slots.get_mut(server);
        match data::handshake(connection, &mut self.mover.buffers) {
            Handshaking::Waiting => false,
            Handshaking::Done => {
                if !self.tell_secured(client, server, handshake::TLS_OUT) {
                    return false;
                }
                let connection = self.slots.get_mut(server);
                connection.handshakes &= !handshake::TLS_OUT;
                connection.set_step(conn_flag::DATA_OPEN_STARTED, step::COMPLETED);
                true
            }
            Handshaking::Aborted => {
                self.fail_connect(client, by::SERVER, code::ABORTED, 0);
                false
            }
            Handshaking::Broken(error) => {
                self.fail_connect_with(client, error);
                false
            }
            Handshaking::Failed(failure) => {
                // The alert goes out if the socket takes it; nobody waits for it.
                let _ = data::flush(connection, &mut self.mover.buffers);
                let by = if failure.by_peer {
                    by::SERVER
                } else {
                    by::PROXY
                };
                self.fail_connect(client, by, failure.code, failure.alert);
                false
            }
        }
    }

    /// Tells policy of a handshake that is complete. `about`: the client.
    /// False where there was no room: the caller is called again.
    fn tell_secured(&mut self, about: u32, secured: u32, bit: i32) -> bool {
        let Some(tls) = &self.slots.get(secured).tls else {
            return true;
        };
        let summary = tls.summary();
        let generation = self.slots.get(about).generation;
        let told = record(
            event::SECURED,
            about as i32,
            generation,
            [bit, summary.protocol, summary.flags, 0, 0],
        );
        // Records of a handshake are bounded by 64 kB, and so are certificates.
        let told = self.events.emit_bytes(told, 6, &summary.bytes);
        if !told {
            self.run_when_room(secured);
        }
        told
    }
}

/// Policy sees what came instead of a ClientHello: a little of it tells what it is.
fn show(seen: &[u8], status: Status, hello: &mut Vec<u8>) {
    if status != Status::Complete {
        hello.extend_from_slice(seen.get(..1024).unwrap_or(seen));
    }
}
