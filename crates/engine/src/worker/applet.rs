//! Connections whose other side is an applet in TypeScript.

use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::flags::conn_flag;
use sluice_wire::states::conn_state;

use super::fill::Filled;
use super::{Worker, record};
use crate::clock::Moment;
use crate::connection::data;
use crate::connection::{Mode, Side, Watch};
use crate::sys;

/// Bytes of an applet that may leave before it is told at once; a part of the
/// 64 KiB that it may be ahead.
const QUIET_BYTES: usize = 16_384;

impl Worker {
    /// An APPLET command.
    pub(super) fn attach_applet(&mut self, slot: u32, credit: u64) {
        let now = Moment::at(self.now);
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Applet;
        connection.set_handshakes(0);
        connection.set_state(conn_state::ESTABLISHED);
        connection.flags |= conn_flag::CTRL_HANDLERS_DONE | conn_flag::DATA_HANDLERS_DONE;
        let id = self.stream_of(slot);
        let stream = self.streams.get_mut(id);
        stream.up.stop();
        stream.up.allow(credit);
        stream.established_at = now;
        stream.client_io = now;
        self.mirror(slot);
        self.set_idle_deadline(id);
        self.watch(slot, Watch::Read);
        self.pump_applet(slot);
    }

    /// A SEND command: the bytes are in `command_bytes`.
    pub(super) fn applet_send(&mut self, slot: u32, fin: bool) {
        let bytes = std::mem::take(&mut self.command_bytes);
        let connection = self.slots.get_mut(slot);
        let ended = std::mem::replace(&mut connection.applet().fin, fin);
        connection.applet().fin |= ended;
        if !bytes.is_empty() && !ended {
            let id = self.stream_of(slot);
            let out = &mut self.streams.get_mut(id).down.ahead;
            self.mover.buffers.append(out, &bytes);
        }
        self.command_bytes = bytes;
        self.pump_applet(slot);
    }

    /// Moves payload between the client and the applet.
    pub(super) fn pump_applet(&mut self, slot: u32) {
        if self.send_to_client(slot) && self.give_to_applet(slot) && self.tell_end(slot) {
            self.mirror(slot);
            // Who is expected to act may be another one now.
            self.set_idle_deadline(self.stream_of(slot));
        }
    }

    /// What the applet has sent, and its end behind that. False where the session ended.
    fn send_to_client(&mut self, slot: u32) -> bool {
        let before = self.slots.get(slot).traffic;
        let flushed = self.flush_ahead(self.stream_of(slot), Side::Client);
        let connection = self.slots.get_mut(slot);
        let (sent, empty) = match flushed {
            Ok(flushed) => flushed,
            Err(error) => {
                let (code, errno) = data::explain(connection, error, &mut self.mover.buffers);
                return self.applet_failed(slot, code, errno);
            }
        };
        let moved = connection.traffic != before;
        if connection.applet().fin {
            connection.want_shutw();
        }
        connection.run_close_steps(empty, &mut self.mover.buffers);
        let waits = !empty || connection.owes_end();
        if moved {
            self.heard(slot);
        }
        if sent > 0 {
            self.acknowledge(slot, sent);
        }
        if waits {
            self.watch(slot, Watch::ReadWrite);
        }
        true
    }

    /// What the client has sent, as far as the applet has credit. False where the
    /// applet is tried again later, or the session ended.
    fn give_to_applet(&mut self, slot: u32) -> bool {
        let id = self.stream_of(slot);
        loop {
            let connection = self.slots.get_mut(slot);
            let generation = connection.generation();
            let credit = self.streams.get(id).up.room();
            if let Some(buffer) = &connection.input.buffer {
                let count = buffer.len().min(credit).min(self.mover.scratch.len());
                if count == 0 {
                    break;
                }
                let bytes = buffer.bytes().get(..count).unwrap_or(&[]);
                let data = record(event::DATA, slot as i32, generation, [0; 5]);
                if !self.events.emit_bytes(data, 3, bytes) {
                    self.run_when_room(slot);
                    return false;
                }
                let buffer = &mut connection.input.buffer;
                self.mover.buffers.consume(buffer, count);
                self.streams.get_mut(id).up.pass(count);
                continue;
            }
            let filled = self.fill(slot, credit.min(self.mover.scratch.len()));
            let connection = self.slots.get_mut(slot);
            if connection.input.buffer.is_none() {
                break;
            }
            self.heard(slot);
            if filled == Filled::More {
                break;
            }
        }
        let connection = self.slots.get_mut(slot);
        if let Some((code, errno)) = connection.input.take_failure() {
            return self.applet_failed(slot, code, errno);
        }
        if connection.ready.has_hangup()
            && !connection.input.ended()
            && let Some(error) = connection.take_error()
        {
            // The applet does not read, so that no read tells of the reset.
            return self.applet_failed(slot, sys::code_of(error), error.raw_os_error());
        }
        true
    }

    /// Tells the applet of the client's end, and ends the session once both have
    /// ended: false then.
    fn tell_end(&mut self, slot: u32) -> bool {
        let id = self.stream_of(slot);
        let stream = self.streams.get_mut(id);
        let connection = self.slots.get_mut(slot);
        if connection.is_read_out() && !connection.applet().eof_told {
            connection.applet().eof_told = true;
            connection.want_shutr();
            // Its own end goes behind what waits for it.
            connection.run_close_steps(false, &mut self.mover.buffers);
            let end = [0, 0, bytes_flag::EOF, 0, 0];
            let told = record(event::DATA, slot as i32, connection.generation(), end);
            self.events.emit(told);
        }
        let both = conn_flag::SHR | conn_flag::SHW;
        let shut = connection.flags & both;
        if stream.reason == 0 && shut != 0 {
            // Whoever shuts first ends the session; an applet is policy.
            let client_ended = shut & conn_flag::SHR != 0;
            let side = if client_ended { by::CLIENT } else { by::POLICY };
            stream.reason = reason(side, phase::DATA, code::DONE);
        }
        if shut != both {
            return true;
        }
        if connection.is_truncated() && reason_code(stream.reason) == code::DONE {
            stream.reason = reason(by::CLIENT, phase::DATA, code::TLS_TRUNCATED);
        }
        self.end(id);
        false
    }

    /// A CREDIT command.
    pub(super) fn applet_credit(&mut self, slot: u32, bytes: u64) {
        let up = &mut self.stream_mut(slot).up;
        let held = up.is_spent();
        up.allow(bytes);
        if held {
            // While nothing was read from it, it could not be active.
            self.heard(slot);
        }
        self.pump_applet(slot);
    }

    /// Tells the applet what has left. A write waits only where the applet is a
    /// window ahead, so little is told quietly, and the rest of the window at once.
    fn acknowledge(&mut self, slot: u32, sent: usize) {
        let connection = self.slots.get_mut(slot);
        let generation = connection.generation();
        let told = record(
            event::SENT,
            slot as i32,
            generation,
            [sent as i32, 0, 0, 0, 0],
        );
        let applet = connection.applet();
        applet.acknowledged += sent;
        if applet.acknowledged < QUIET_BYTES {
            self.events.emit_quietly(told);
            return;
        }
        applet.acknowledged = 0;
        self.events.emit(told);
    }

    /// The client's connection broke: the session ends. Always false.
    fn applet_failed(&mut self, slot: u32, code: i32, errno: i32) -> bool {
        let id = self.stream_of(slot);
        self.streams.get_mut(id).reason = 0;
        self.end_with(id, reason(by::CLIENT, phase::DATA, code), errno);
        false
    }
}
