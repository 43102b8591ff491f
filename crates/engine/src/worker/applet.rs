//! Connections whose other side is an applet in TypeScript.

use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::flags::conn_flag;
use sluice_wire::states::conn_state;

use super::fill::Filled;
use super::{Worker, record};
use crate::connection::data;
use crate::connection::{Mode, Watch};
use crate::sys;

/// Bytes of an applet that may leave before it is told at once; a part of the
/// 64 KiB that it may be ahead.
const QUIET_BYTES: usize = 16_384;

impl Worker {
    /// An APPLET command.
    pub(super) fn attach_applet(&mut self, slot: u32, credit: usize) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Applet;
        connection.handshakes = 0;
        connection.set_state(conn_state::ESTABLISHED);
        connection.flags |= conn_flag::CTRL_HANDLERS_DONE | conn_flag::DATA_HANDLERS_DONE;
        connection.established_at = now;
        connection.last_io = now;
        connection.extra().credit = credit;
        self.slots.mirror(slot);
        self.set_idle_deadline(slot);
        self.watch(slot, Watch::Read);
        self.pump_applet(slot);
    }

    /// A SEND command: the bytes are in `command_bytes`.
    pub(super) fn applet_send(&mut self, slot: u32, fin: bool) {
        let bytes = std::mem::take(&mut self.command_bytes);
        let connection = self.slots.get_mut(slot);
        let extra = connection.extra.get_or_insert_default();
        if !bytes.is_empty() && !extra.fin {
            self.mover.buffers.append(&mut extra.out, &bytes);
        }
        extra.fin |= fin;
        self.command_bytes = bytes;
        self.pump_applet(slot);
    }

    /// Moves payload between the client and the applet.
    pub(super) fn pump_applet(&mut self, slot: u32) {
        let before = self.slots.get(slot).traffic;
        match self.flush_out(slot) {
            Ok((sent, empty)) => {
                if sent > 0 {
                    self.acknowledge(slot, sent);
                }
                let connection = self.slots.get_mut(slot);
                if connection.traffic != before {
                    connection.last_io = self.now;
                }
                if connection.extra().fin {
                    connection.want_shutw();
                }
                connection.run_close_steps(empty, &mut self.mover.buffers);
                if !empty || connection.owes_end() {
                    self.watch(slot, Watch::ReadWrite);
                }
            }
            Err(error) => {
                let connection = self.slots.get_mut(slot);
                let (code, errno) = data::explain(connection, error, &mut self.mover.buffers);
                return self.applet_failed(slot, code, errno);
            }
        }
        loop {
            let connection = self.slots.get_mut(slot);
            let generation = connection.generation;
            let credit = connection.extra().credit;
            if let Some(buffer) = &connection.input.buffer {
                let count = buffer.len().min(credit).min(self.mover.scratch.len());
                if count == 0 {
                    break;
                }
                let bytes = buffer.bytes().get(..count).unwrap_or(&[]);
                let data = record(event::DATA, slot as i32, generation, [0; 5]);
                if !self.events.emit_bytes(data, 3, bytes) {
                    return self.run_when_room(slot);
                }
                let buffer = &mut connection.input.buffer;
                self.mover.buffers.consume(buffer, count);
                connection.extra().credit -= count;
                continue;
            }
            let filled = self.fill(slot, credit.min(self.mover.scratch.len()));
            let connection = self.slots.get_mut(slot);
            if connection.input.buffer.is_none() {
                break;
            }
            connection.last_io = self.now;
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
        if connection.is_read_out() && !connection.extra().eof_told {
            connection.extra().eof_told = true;
            connection.want_shutr();
            // Its own end goes behind what waits for it.
            connection.run_close_steps(false, &mut self.mover.buffers);
            let generation = connection.generation;
            let end = [0, 0, bytes_flag::EOF, 0, 0];
            self.events
                .emit(record(event::DATA, slot as i32, generation, end));
        }
        let connection = self.slots.get_mut(slot);
        let both = conn_flag::SHR | conn_flag::SHW;
        if connection.flags & both == both {
            if connection.reason == 0 {
                connection.reason = reason(by::CLIENT, phase::DATA, code::DONE);
            }
            if connection.is_truncated() && reason_code(connection.reason) == code::DONE {
                connection.reason = reason(by::CLIENT, phase::DATA, code::TLS_TRUNCATED);
            }
            return self.end(slot);
        }
        if connection.reason == 0 && connection.flags & both != 0 {
            // Whoever shuts first ends the session; an applet is policy.
            let side = if connection.flags & conn_flag::SHR != 0 {
                by::CLIENT
            } else {
                by::POLICY
            };
            connection.reason = reason(side, phase::DATA, code::DONE);
        }
        self.slots.mirror(slot);
        // Who is expected to act may be another one now.
        self.set_idle_deadline(slot);
    }

    /// A CREDIT command.
    pub(super) fn applet_credit(&mut self, slot: u32, bytes: usize) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        if connection.extra().credit == 0 {
            // While nothing was read from it, it could not be active.
            connection.last_io = now;
        }
        connection.extra().credit += bytes;
        self.pump_applet(slot);
    }

    /// Tells the applet what has left. A write waits only where the applet is a
    /// window ahead, so little is told quietly, and the rest of the window at once.
    fn acknowledge(&mut self, slot: u32, sent: usize) {
        let connection = self.slots.get_mut(slot);
        let generation = connection.generation;
        let told = record(
            event::SENT,
            slot as i32,
            generation,
            [sent as i32, 0, 0, 0, 0],
        );
        let extra = connection.extra();
        extra.acknowledged += sent;
        if extra.acknowledged < QUIET_BYTES {
            self.events.emit_quietly(told);
            return;
        }
        extra.acknowledged = 0;
        self.events.emit(told);
    }

    fn applet_failed(&mut self, slot: u32, code: i32, errno: i32) {
        self.slots.get_mut(slot).reason = 0;
        self.end_with(slot, reason(by::CLIENT, phase::DATA, code), errno);
    }
}
