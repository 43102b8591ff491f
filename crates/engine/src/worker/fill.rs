//! Between a socket and the buffers of its connection: the one loop that reads, for
//! whoever looks at payload before it is forwarded, and the one that writes what is no
//! forwarded payload.

use rustix::io::Errno;
use sluice_wire::errors::{by, code, reason};

use super::Worker;
use crate::connection::Side;
use crate::connection::data::{self, Got};
use crate::stream::StreamId;
use crate::stream::forward::{BUDGET, flush_ahead};

/// How far [`Worker::fill`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing more is there now.
    Waits,
    /// The limit is reached.
    Full,
    /// The peer's end was read; `input` says which.
    Ended,
    /// A lot was read, and the connection will be run again for more.
    More,
}

impl Worker {
    /// Reads payload into the connection's buffer, up to `limit` bytes in all.
    pub(super) fn fill(&mut self, slot: u32, limit: usize) -> Filled {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        let mut spent = 0;
        while spent < BUDGET {
            let room = limit.saturating_sub(connection.input.buffered());
            if room == 0 {
                return Filled::Full;
            }
            let room = room.min(scratch.len());
            let before = connection.traffic;
            match data::read(connection, &mut scratch[..room], buffers) {
                Got::Bytes(count) => {
                    buffers.append(&mut connection.input.buffer, &scratch[..count]);
                }
                Got::Records => {}
                Got::Nothing => return Filled::Waits,
                Got::End => {
                    connection.want_shutr();
                    connection.run_close_steps(false, buffers);
                    return Filled::Ended;
                }
            }
            spent += data::cost(connection, before);
        }
        self.run_again(slot);
        Filled::More
    }

    /// Ends a client whose input has ended in `phase`, where more was needed.
    pub(super) fn end_early(&mut self, slot: u32, phase: i32) {
        let connection = self.slots.get_mut(slot);
        let (code, errno) = connection
            .input
            .take_failure()
            .unwrap_or((code::ABORTED, 0));
        let id = self.stream_of(slot);
        self.end_with(id, reason(by::CLIENT, phase, code), errno);
    }

    /// Writes the bytes of ours that wait for a side of a stream: how many were written
    /// now, and whether none is left, of TLS neither.
    pub(super) fn flush_ahead(&mut self, id: StreamId, side: Side) -> Result<(usize, bool), Errno> {
        let stream = self.streams.get_mut(id);
        let target = self.slots.get_mut(stream.of(side));
        let channel = stream.towards(side);
        let buffers = &mut self.mover.buffers;
        let sent = flush_ahead(target, channel, buffers)?;
        let empty = channel.ahead.is_none() && data::flush(target, buffers)?;
        Ok((sent, empty))
    }
}
