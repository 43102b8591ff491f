//! The CLOSE command.

use sluice_wire::commands::close_mode;
use sluice_wire::handshakes::handshake;

use super::last_chunk::enter_last_chunk;
use crate::connection::data::{self, Got, read};
use crate::connection::{Deadline, Mode, Watch};
use crate::stream::forward::BUDGET;
use crate::worker::Worker;

impl Worker {
    /// A CLOSE command.
    pub(in crate::worker) fn obey_close(&mut self, slot: u32, reason: i32, mode: i32, hold: u64) {
        let connection = self.slots.get_mut(slot);
        connection.reason = reason;
        match mode {
            close_mode::TARPIT => {
                connection.mode = Mode::Tarpit;
                self.set_deadline(slot, Deadline::Tarpit, self.now + hold);
                self.watch(slot, Watch::Read);
                self.check_client(slot);
                return;
            }
            close_mode::RESET => {
                connection.reset_on_close();
            }
            _ => return self.close_behind(slot),
        }
        self.end(slot);
    }

    /// Closes with a FIN, behind what policy itself has sent. A session that
    /// forwards is cut where it stands: its bytes are not policy's.
    fn close_behind(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if matches!(
            connection.mode,
            Mode::Stream | Mode::LastChunk | Mode::Linger
        ) {
            return self.end(slot);
        }
        if matches!(
            connection.mode,
            Mode::Ask(handshake::TLS) | Mode::Held | Mode::Connecting
        ) {
            self.forget_unread(slot);
        }
        let connection = self.slots.get_mut(slot);
        if connection.bytes_out == 0 && !connection.unsent() {
            // Nothing was lost on the way: the end is a clean one.
            data::notify(connection, &mut self.mover.buffers);
            return self.end(slot);
        }
        self.detach(slot);
        enter_last_chunk(self.slots.get_mut(slot), &mut self.mover);
        self.set_last_deadline(slot);
        self.send_last_chunk(slot);
    }

    /// Unread, a ClientHello or the payload of a client that found no server would
    /// turn the close into a reset. One turn's worth of it is read.
    fn forget_unread(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        connection.ready.look_again();
        let before = connection.traffic;
        while data::cost(connection, before) < BUDGET {
            match read(connection, scratch, buffers) {
                Got::Bytes(_) | Got::Records => {}
                Got::Nothing | Got::End => return,
            }
        }
    }
}
