//! Connections whose other side is an applet in TypeScript.

use rustix::io::Errno;
use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::flags::conn_flag;
use sluice_wire::states::conn_state;

use super::{Worker, record};
use crate::connection::data::{self, read};
use crate::connection::{Mode, Watch};
use crate::sys;

impl Worker {
    /// An APPLET command.
    pub(super) fn attach_applet(&mut self, slot: u32, credit: usize) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Applet;
        connection.handshakes = 0;
        connection.state = conn_state::ESTABLISHED;
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
        match self.flush_out(slot) {
            Ok((sent, empty)) => {
                if sent > 0 {
                    self.slots.get_mut(slot).last_io = self.now;
                    self.emit(event::SENT, slot, [sent as i32, 0, 0, 0, 0]);
                }
                if !empty {
                    self.watch(slot, Watch::ReadWrite);
                }
                let connection = self.slots.get_mut(slot);
                if connection.extra().fin {
                    connection.want_shutw();
                    connection.run_close_steps(empty, &mut self.mover.buffers);
                }
            }
            Err(error) => return self.applet_failed(slot, error),
        }
        loop {
            let connection = self.slots.get_mut(slot);
            let generation = connection.generation;
            let credit = connection.extra().credit;
            if let Some(buffer) = &connection.rx {
                let count = buffer.len().min(credit).min(self.mover.scratch.len());
                if count == 0 {
                    break;
                }
                let bytes = buffer.bytes().get(..count).unwrap_or(&[]);
                let data = record(event::DATA, slot as i32, generation, [0; 5]);
                if !self.events.emit_bytes(data, 3, bytes) {
                    return self.run_when_room(slot);
                }
                self.mover.buffers.consume(&mut connection.rx, count);
                connection.extra().credit -= count;
                continue;
            }
            if connection.eof || !connection.readable || credit == 0 {
                break;
            }
            let room = credit.min(self.mover.scratch.len());
            match read(
                connection,
                &mut self.mover.scratch[..room],
                &mut self.mover.buffers,
            ) {
                Ok(0) => {}
                Ok(count) => {
                    connection.last_io = self.now;
                    self.mover
                        .buffers
                        .append(&mut connection.rx, &self.mover.scratch[..count]);
                }
                Err(Errno::AGAIN) => break,
                Err(error) => return self.applet_failed(slot, error),
            }
        }
        let connection = self.slots.get_mut(slot);
        if connection.hangup
            && !connection.eof
            && let Some(error) = connection.fd.as_ref().and_then(sys::take_error)
        {
            // The applet does not read, so that no read tells of the reset.
            return self.applet_failed(slot, error);
        }
        if connection.eof && connection.rx.is_none() && !connection.extra().eof_told {
            connection.extra().eof_told = true;
            connection.want_shutr();
            connection.run_close_steps(true, &mut self.mover.buffers);
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
    }

    fn applet_failed(&mut self, slot: u32, error: Errno) {
        let connection = self.slots.get_mut(slot);
        connection.reason = 0;
        let (code, errno) = data::explain(connection, error, &mut self.mover.buffers);
        connection.blame(reason(by::CLIENT, phase::DATA, code), errno);
        self.end(slot);
    }
}
