//! Handshakes of accepted connections: the loop over pending bits, lowest
//! first, and what a client gets instead of a session.

mod close;
mod hello;
mod inspection;
pub(super) mod last_chunk;
mod proxy;
mod tls;

use rustix::io::Errno;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::handshakes::handshake;

use super::fill::Filled;
use super::{Worker, record};
use crate::connection::data::{self, write};
use crate::connection::{Connection, Mode, Watch};
use crate::stream::Deadline;
use crate::sys;

/// Bits that only TypeScript can do; without a question they are done.
const POLICY_BITS: i32 = handshake::MONITOR_IN | handshake::TCP_RULES | handshake::CUSTOM;

impl Worker {
    /// Runs pending handshakes until one has to wait.
    pub(in crate::worker) fn run_incoming(&mut self, slot: u32) {
        loop {
            let Some(listener) = self.listener_of(slot) else {
                return;
            };
            let (ask, fallback) = (listener.spec.ask, listener.spec.fallback_route);
            let connection = self.slots.get_mut(slot);
            let bit = connection.next_handshake();
            if bit == handshake::HEALTH {
                let reply = listener_reply(self, slot);
                self.start_last_chunk(slot, &reply, reason(by::PROXY, phase::HEALTH, code::HEALTH));
                return;
            }
            if connection.opened && bit == handshake::ACCEPT_SESSION {
                return self.connect(slot, fallback, 0, Vec::new());
            }
            if bit == handshake::TLS {
                let wanted = ask & bit != 0 && !connection.opened || connection.tls.is_some();
                if wanted {
                    return self.accept_tls(slot);
                }
                connection.skip_tls();
                continue;
            }
            let asks = ask & bit != 0 || bit == handshake::ACCEPT_SESSION;
            if asks && !connection.opened && !connection.is_answered(bit) {
                self.ask(slot, bit);
                return;
            }
            match bit {
                handshake::ACCEPT_PROXY => {
                    if !self.accept_proxy(slot) {
                        return;
                    }
                }
                bit if bit & POLICY_BITS != 0 => connection.shake(bit),
                // Answered but not cleared: TypeScript still owes the target.
                _ => return,
            }
            self.mirror(slot);
        }
    }

    /// The connection waits for TypeScript's answer about a bit.
    pub(in crate::worker) fn begin_question(&mut self, slot: u32, bit: i32) {
        let timeout = self
            .listener_of(slot)
            .map_or(0, |it| it.spec.verdict_timeout);
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Ask(bit as u8);
        if connection.watch == Watch::No {
            let generation = connection.generation();
            self.unwatched.push_back((slot, generation, self.now));
        }
        let id = self.stream_of(slot);
        self.streams.get_mut(id).deadline_kind = Deadline::None;
        if timeout > 0 {
            self.set_deadline(id, Deadline::Verdict, self.now + timeout);
        }
    }

    fn ask(&mut self, slot: u32, bit: i32) {
        self.begin_question(slot, bit);
        let connection = self.slots.get_mut(slot);
        let tlvs = connection
            .extra
            .as_mut()
            .map(|extra| std::mem::take(&mut extra.tlvs));
        let (generation, listener) = (connection.generation(), connection.listener as i32);
        let operands = record(
            event::HANDSHAKE,
            slot as i32,
            generation,
            [listener, bit, 0, 0, 0],
        );
        match tlvs {
            Some(tlvs) if !tlvs.is_empty() => {
                if !self.events.emit_bytes(operands, 5, &tlvs) {
                    // No room: asked again when there is some.
                    let connection = self.slots.get_mut(slot);
                    connection.extra().tlvs = tlvs;
                    connection.mode = Mode::Handshake;
                    self.run_when_room(slot);
                }
            }
            _ => {
                self.events.emit(operands);
            }
        }
    }

    /// Reads more of what a handshake needs, up to `limit` bytes in all. False where
    /// it has to wait or has ended.
    pub(in crate::worker) fn read_more(&mut self, slot: u32, limit: usize, phase: i32) -> bool {
        let before = self.slots.get(slot).input.buffered();
        let filled = self.fill(slot, limit);
        let connection = self.slots.get_mut(slot);
        if connection.input.buffered() > before {
            return true;
        }
        if filled == Filled::Ended {
            self.end_early(slot, phase);
            return false;
        }
        connection.mode = Mode::Handshake;
        self.mirror(slot);
        self.watch(slot, Watch::Read);
        false
    }

    /// A SEND command while policy is asked: the bytes are in `command_bytes`. They are
    /// few, and a socket that has sent next to nothing takes them at once; a client
    /// whose socket does not has let its window shut, and is not waited for.
    pub(in crate::worker) fn handshake_send(&mut self, slot: u32) {
        let bytes = std::mem::take(&mut self.command_bytes);
        let connection = self.slots.get_mut(slot);
        let written = write(connection, &bytes, false, &mut self.mover.buffers);
        let length = bytes.len();
        self.command_bytes = bytes;
        let (code, errno) = match written {
            Ok(count) if count == length && connection.ready.writes() => {
                self.slots.mirror_bytes(slot);
                return;
            }
            Ok(_) | Err(Errno::AGAIN) => (code::CLIENT_TIMEOUT, 0),
            Err(error) => data::explain(connection, error, &mut self.mover.buffers),
        };
        let phase = phase_of(connection);
        self.end_with(self.stream_of(slot), reason(by::CLIENT, phase, code), errno);
    }

    /// A client whose connection waits for something else: has it gone?
    pub(in crate::worker) fn check_client(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        // In a tarpit a FIN is a client that leaves: nobody will answer what it sent before.
        let leaves = connection.mode == Mode::Tarpit && connection.ready.has_fin();
        if !connection.ready.has_hangup() && !leaves {
            return;
        }
        let error = connection.take_error();
        if error.is_none() && !leaves && !data::is_drained(connection) {
            // A unix socket whose peer has closed behind what it sent: that is a FIN.
            return;
        }
        let code = error.map_or(code::ABORTED, sys::code_of);
        let id = self.stream_of(slot);
        let connection = self.slots.get(slot);
        let phase = match connection.mode {
            // What was going on is the server's side of it.
            Mode::Connecting => {
                let server = self.streams.get(id).server;
                phase_of(self.slots.get(server))
            }
            _ => phase_of(connection),
        };
        let errno = error.map_or(0, Errno::raw_os_error);
        self.end_with(id, reason(by::CLIENT, phase, code), errno);
    }
}

/// Phase of a connection, from what it waits for.
pub(in crate::worker) fn phase_of(connection: &Connection) -> i32 {
    match connection.mode {
        Mode::Handshake | Mode::Ask(_) | Mode::Inspect => match connection.next_handshake() {
            handshake::HEALTH => phase::HEALTH,
            handshake::MONITOR_IN => phase::MONITOR_IN,
            handshake::ACCEPT_PROXY => phase::ACCEPT_PROXY,
            handshake::TCP_RULES => phase::TCP_RULES,
            handshake::TLS => phase::TLS,
            handshake::CUSTOM => phase::HANDSHAKE,
            _ => phase::ACCEPT_SESSION,
        },
        Mode::Held => phase::QUEUE,
        Mode::Tarpit => phase::ACCEPT_SESSION,
        Mode::Connecting => match connection.next_handshake() {
            handshake::SOCKS => phase::SOCKS,
            handshake::SEND_PROXY => phase::SEND_PROXY,
            handshake::TLS_OUT => phase::TLS_OUT,
            _ => phase::CONNECT,
        },
        Mode::Stream | Mode::Applet => phase::DATA,
        Mode::LastChunk | Mode::Linger => phase::SEND_LAST_CHUNK,
    }
}

fn listener_reply(worker: &Worker, slot: u32) -> Vec<u8> {
    worker
        .listener_of(slot)
        .map_or_else(Vec::new, |listener| listener.spec.health_reply.clone())
}
