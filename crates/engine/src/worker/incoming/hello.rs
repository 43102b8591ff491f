//! The ClientHello. It is looked at without taking it from the socket, so that a
//! connection that waits for policy costs no buffer, and one that is not terminated
//! is as if nobody had looked.

use rustix::io::Errno;
use sluice_wire::errors::{code, phase};
use sluice_wire::events::{event, hello_status};
use sluice_wire::handshakes::handshake;

use super::phase_of;
use crate::connection::data;
use crate::connection::extra::Step;
use crate::connection::{Mode, Watch};
use crate::handshake::client_hello::{self, Reader, Status};
use crate::sys;
use crate::worker::{Worker, record};

/// Arrivals of a ClientHello that are looked at in the socket. Looking begins at its
/// first byte each time: what comes in more pieces is read.
const PEEKS: u32 = 4;

impl Worker {
    /// The TLS handshake of a client: the question first, then the handshake,
    /// in its queue.
    pub(in crate::worker) fn accept_tls(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if connection.tls.is_some() {
            connection.mode = Mode::Handshake;
            self.queue_handshake(slot);
        } else {
            self.look_at_hello(slot);
        }
    }

    /// Asks policy about the ClientHello, once it is there.
    fn look_at_hello(&mut self, slot: u32) {
        loop {
            let connection = self.slots.get_mut(slot);
            if connection.input.buffer.is_none() && connection.input.ended() {
                // Seen by an inspection: nobody tells of it again.
                return self.end_early(slot, phase::TLS);
            }
            if connection.input.buffer.is_none() && connection.watch == Watch::No {
                // A client rarely has sent it by now, and if so the poller says it.
                return self.await_hello(slot);
            }
            let reader = connection.hello();
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
                connection.extra().step = Step::Hello(reader);
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
        let connection = self.slots.get_mut(slot);
        let bytes = match data::peek(connection, &mut self.mover.scratch) {
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
        connection.extra().step = Step::Hello(reader);
        if bytes == self.mover.scratch.len() {
            // There may be more than can be looked at there.
            return self.read_more(slot, client_hello::MAX_BYTES, phase::TLS);
        }
        // The next arrival is told, although these bytes stay unread.
        connection.ready.read_blocks();
        self.await_hello(slot);
        false
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
    pub(in crate::worker) fn ask_about_silence(&mut self, slot: u32) -> bool {
        let asks = self
            .listener_of(slot)
            .is_some_and(|it| it.spec.silence_asks);
        let connection = self.slots.get(slot);
        let awaited = phase_of(connection) == phase::TLS && connection.tls.is_none();
        if !asks || !awaited || connection.input.buffered() > 0 {
            return false;
        }
        // Not `data::peek`: bytes that were looked at and left are no silence.
        let seen = connection.ctrl.as_ref().map(|it| it.peek(&mut [0; 1]));
        if seen != Some(Err(Errno::AGAIN)) {
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
        let (generation, listener) = (connection.generation(), connection.listener as i32);
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
}

/// Policy sees what came instead of a ClientHello: a little of it tells what it is.
fn show(seen: &[u8], status: Status, hello: &mut Vec<u8>) {
    if status != Status::Complete {
        hello.extend_from_slice(seen.get(..1024).unwrap_or(seen));
    }
}
