//! The last bytes for a client, and the wait until it has them: `HH_SEND_LAST_CHUNK`.

use sluice_wire::flags::{conn_flag, step};
use sluice_wire::handshakes::handshake;

use crate::connection::data::{self, Got, read};
use crate::connection::{Connection, Mode, Side, Watch};
use crate::stream::Deadline;
use crate::stream::forward::Mover;
use crate::worker::Worker;

/// Time for a last chunk to be sent and acknowledged by a FIN, in milliseconds.
pub(in crate::worker) const LAST_CHUNK_TIMEOUT: u64 = 5_000;
/// Bytes that are read and thrown away after a last chunk.
const LINGER_LIMIT: usize = 1 << 20;

impl Worker {
    /// Sends `bytes`, then closes: `HH_SEND_LAST_CHUNK`.
    pub(in crate::worker) fn start_last_chunk(&mut self, slot: u32, bytes: &[u8], reason: i32) {
        let id = self.stream_of(slot);
        let stream = self.streams.get_mut(id);
        stream.reason = reason;
        enter_last_chunk(self.slots.get_mut(slot), &mut self.mover);
        stream.down.release(&mut self.mover.buffers);
        if !bytes.is_empty() {
            stream.down.ahead = Some(self.mover.buffers.lend(bytes));
        }
        self.set_deadline(id, Deadline::Linger, self.now + LAST_CHUNK_TIMEOUT);
        self.send_last_chunk(slot);
    }

    pub(in crate::worker) fn send_last_chunk(&mut self, slot: u32) {
        match self.flush_ahead(self.stream_of(slot), Side::Client) {
            Ok((_, true)) => {
                let connection = self.slots.get_mut(slot);
                connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::COMPLETED);
                connection.set_handshakes(0);
                connection.mode = Mode::Linger;
                let at = self.now + LAST_CHUNK_TIMEOUT;
                self.set_deadline(self.stream_of(slot), Deadline::Linger, at);
                self.linger(slot);
            }
            Ok((sent, false)) => {
                if sent > 0 {
                    self.set_last_deadline(slot);
                }
                self.mirror(slot);
                self.watch(slot, Watch::ReadWrite);
            }
            Err(_) => self.end(self.stream_of(slot)),
        }
    }

    /// What waits for a client gets as long as any bytes that do, but some seconds at least.
    pub(super) fn set_last_deadline(&mut self, slot: u32) {
        let id = self.stream_of(slot);
        let patience = self.patience_with(id, Side::Client);
        let patience = patience.max(LAST_CHUNK_TIMEOUT);
        self.set_deadline(id, Deadline::Linger, self.now + patience);
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
            return self.end(self.stream_of(slot));
        }
        let wanted = if connection.owes_end() {
            Watch::ReadWrite
        } else {
            Watch::Read
        };
        self.mirror(slot);
        self.watch(slot, wanted);
    }
}

/// Only what policy has sent goes out from here on.
pub(super) fn enter_last_chunk(connection: &mut Connection, mover: &mut Mover) {
    connection.mode = Mode::LastChunk;
    connection.set_handshakes(handshake::SEND_LAST_CHUNK);
    connection.set_step(conn_flag::LAST_CHUNK_STARTED, step::STARTED);
    connection.want_shutw();
    connection.input.release(mover);
}
