//! The last bytes for a client, and the wait until it has them: `HH_SEND_LAST_CHUNK`.

use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::data::{self, Got, read};
use crate::connection::{Connection, Deadline, Mode, Watch};
use crate::stream::forward::Mover;
use crate::worker::Worker;

/// Time for a last chunk to be sent and acknowledged by a FIN, in milliseconds.
pub(in crate::worker) const LAST_CHUNK_TIMEOUT: u64 = 5_000;
/// Bytes that are read and thrown away after a last chunk.
const LINGER_LIMIT: usize = 1 << 20;

impl Worker {
    /// Sends `bytes`, then closes: `HH_SEND_LAST_CHUNK`.
    pub(in crate::worker) fn start_last_chunk(&mut self, slot: u32, bytes: &[u8], reason: i32) {
        let connection = self.slots.get_mut(slot);
        connection.reason = reason;
        enter_last_chunk(connection, &mut self.mover);
        let extra = connection.extra.get_or_insert_default();
        self.mover.buffers.give_back(&mut extra.out);
        if !bytes.is_empty() {
            extra.out = Some(self.mover.buffers.lend(bytes));
        }
        self.set_deadline(slot, Deadline::Linger, self.now + LAST_CHUNK_TIMEOUT);
        self.send_last_chunk(slot);
    }

    pub(in crate::worker) fn send_last_chunk(&mut self, slot: u32) {
        match self.flush_out(slot) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(slot);
                connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::COMPLETED);
                connection.handshakes = 0;
                connection.mode = Mode::Linger;
                self.set_deadline(slot, Deadline::Linger, self.now + LAST_CHUNK_TIMEOUT);
                self.linger(slot);
            }
            Ok((sent, false)) => {
                if sent > 0 {
                    self.set_last_deadline(slot);
                }
                self.slots.mirror(slot);
                self.watch(slot, Watch::ReadWrite);
            }
            Err(_) => self.end(slot),
        }
    }

    /// What waits for a client gets as long as any bytes that do, but some seconds at least.
    pub(super) fn set_last_deadline(&mut self, slot: u32) {
        let patience = self.patience_with(slot, slot).max(LAST_CHUNK_TIMEOUT);
        self.set_deadline(slot, Deadline::Linger, self.now + patience);
    }

    /// Reads and forgets, so that unread payload does not turn the close into a
    /// reset that overtakes the last chunk.
    pub(in crate::worker) fn linger(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        // close_notify may have found no room.
        connection.run_close_steps(true, buffers);
        let over = loop {
            let before = connection.traffic;
            match read(connection, scratch, buffers) {
                Got::Bytes(_) | Got::Records => {
                    if connection.forget(data::cost(connection, before)) >= LINGER_LIMIT {
                        break true;
                    }
                }
                Got::Nothing => break false,
                Got::End => break !connection.owes_end() || connection.input.ended_broken(),
            }
        };
        if over {
            return self.end(slot);
        }
        let wanted = if connection.owes_end() {
            Watch::ReadWrite
        } else {
            Watch::Read
        };
        self.slots.mirror(slot);
        self.watch(slot, wanted);
    }
}

/// Only what policy has sent goes out from here on.
pub(super) fn enter_last_chunk(connection: &mut Connection, mover: &mut Mover) {
    connection.mode = Mode::LastChunk;
    connection.handshakes = handshake::SEND_LAST_CHUNK;
    connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::STARTED);
    connection.want_shutw();
    connection.input.release(mover);
}
