//! The CLOSE command.

use sluice_wire::commands::close_mode;

use super::last_chunk::enter_last_chunk;
use crate::connection::data::{self, Got, read};
use crate::connection::{Mode, Watch};
use crate::stream::forward::BUDGET;
use crate::stream::{Deadline, StreamId};
use crate::worker::Worker;

impl Worker {
    /// A CLOSE command.
    pub(in crate::worker) fn obey_close(&mut self, slot: u32, reason: i32, mode: i32, hold: u64) {
        let id = self.stream_of(slot);
        self.streams.get_mut(id).reason = reason;
        let connection = self.slots.get_mut(slot);
        match mode {
            close_mode::TARPIT => {
                connection.mode = Mode::Tarpit;
                self.set_deadline(id, Deadline::Tarpit, self.now + hold);
                self.watch(slot, Watch::Read);
                self.check_client(slot);
                return;
            }
            close_mode::RESET => {
                connection.reset_on_close();
            }
            _ => return self.close_behind(id),
        }
        self.end(id);
    }

    /// Closes with a FIN, behind what policy itself has sent. A session that
    /// forwards is cut where it stands: its bytes are not policy's.
    fn close_behind(&mut self, id: StreamId) {
        let slot = self.streams.get(id).client;
        let connection = self.slots.get_mut(slot);
        if matches!(
            connection.mode,
            Mode::Stream | Mode::LastChunk | Mode::Linger
        ) {
            return self.end(id);
        }
        let ahead = self.streams.get(id).down.ahead.is_some();
        if connection.bytes_out == 0 && !ahead && !connection.unsent() {
            // Nothing was lost on the way: the end is a clean one.
            self.forget_unread(slot);
            data::notify(self.slots.get_mut(slot), &mut self.mover.buffers);
            return self.end(id);
        }
        self.detach(id);
        enter_last_chunk(self.slots.get_mut(slot), &mut self.mover);
        self.set_last_deadline(slot);
        self.send_last_chunk(slot);
    }

    /// Unread, a ClientHello or the first payload of a client would turn the close into a
    /// reset. One turn's worth of it is read.
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
