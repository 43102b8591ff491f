//! Forwarding between two linked connections.

mod alone;
mod cut;
mod end;
mod inactivity;
pub mod own_timeouts;

use sluice_wire::errors::{by, code, phase, reason, reason_code};

use super::Worker;
use crate::clock::Moment;
use crate::connection::{Connection, NONE, Side, Watch, data};
use crate::stream::buffer::BufferPool;
use crate::stream::channel::Channel;
use crate::stream::forward::{BUDGET, Flow, Mover, forward};
use crate::stream::{Stream, StreamId};
use cut::{is_cut, note_reset};

impl Worker {
    /// Moves payload in both directions, and passes ends and errors on.
    pub(in crate::worker) fn pump(&mut self, id: StreamId) {
        let &Stream { client, server, .. } = self.streams.get(id);
        if server == NONE {
            return;
        }
        let before = self.standing(id);
        let (up, down) = self.move_payload(id);
        let stream = self.streams.get_mut(id);
        let (source, target) = self.slots.pair(client, server);
        note_end(stream, source, target);
        if is_cut(up, source, target) {
            return self.cut_off(id, Side::Server, (up, down));
        }
        if is_cut(down, target, source) {
            return self.cut_off(id, Side::Client, (up, down));
        }
        let finished = up == Flow::Finished && down == Flow::Finished;
        if finished && source.tls.is_none() && target.tls.is_none() {
            // The close says what a FIN would.
            return self.end(id);
        }
        let buffers = &mut self.mover.buffers;
        let sent = [
            pass_end(up, source, target, buffers),
            pass_end(down, target, source, buffers),
        ];
        if finished && sent == [true; 2] {
            return self.end(id);
        }
        if up == Flow::More || down == Flow::More {
            self.run_again(client);
        }
        let after = self.standing(id);
        if after.flags != before.flags {
            self.mirror(client);
            self.mirror(server);
        } else {
            self.slots.mirror_bytes(client);
            self.slots.mirror_bytes(server);
        }
        if after != before {
            self.set_idle_deadline(id);
        }
        self.watch_both(client, server, (up, down));
    }

    /// What decides which time-outs hold.
    fn standing(&self, id: StreamId) -> Standing {
        let stream = self.streams.get(id);
        let (source, target) = (self.slots.get(stream.client), self.slots.get(stream.server));
        Standing {
            flags: (source.flags, target.flags),
            held: (target.holds_back(source), source.holds_back(target)),
            mutual: stream.went_both_ways(),
        }
    }

    /// Both directions once, until neither fails any more.
    fn move_payload(&mut self, id: StreamId) -> (Flow, Flow) {
        let now = Moment::at(self.now);
        let stream = self.streams.get_mut(id);
        let (source, target) = self.slots.pair(stream.client, stream.server);
        let before = (source.traffic, target.traffic);
        let held = (target.holds_back(source), source.holds_back(target));
        note_reset(source, target);
        note_reset(target, source);
        let flows = loop {
            let up = direction(source, target, &mut stream.up, &mut self.mover);
            let down = direction(target, source, &mut stream.down, &mut self.mover);
            let buffers = &mut self.mover.buffers;
            let failed = absorb(up, stream, source, target, buffers)
                | absorb(down, stream, target, source, buffers);
            if !failed {
                break (up, down);
            }
        };
        source.hold_back(target.holds_back(source) && !source.input.ended());
        target.hold_back(source.holds_back(target) && !target.input.ended());
        // While it was held back it could not be active: its time starts again.
        if source.traffic != before.0 || (held.0 && !target.holds_back(source)) {
            stream.client_io = now;
        }
        if target.traffic != before.1 || (held.1 && !source.holds_back(target)) {
            stream.server_io = now;
        }
        flows
    }

    fn watch_both(&mut self, client: u32, server: u32, (up, down): (Flow, Flow)) {
        let of_client = watch_of(self.slots.get(client), up);
        let of_server = watch_of(self.slots.get(server), down);
        self.watch(client, of_client);
        self.watch(server, of_server);
    }
}

/// What decides which time-outs hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// Flags of both: a change of SHR or SHW is one.
    flags: (i32, i32),
    /// The client, and the server, is not read from: what it sent waits for the other.
    held: (bool, bool),
    /// Both have sent payload.
    mutual: bool,
}

/// One direction; finished at once where the target takes nothing any more.
fn direction(
    source: &mut Connection,
    target: &mut Connection,
    channel: &mut Channel,
    mover: &mut Mover,
) -> Flow {
    if !target.output.is_open() {
        source.input.release(mover);
        channel.release(&mut mover.buffers);
        return Flow::Finished;
    }
    forward(source, target, channel, BUDGET, mover)
}

/// Takes the consequences of a failed direction; true where there were some.
fn absorb(
    flow: Flow,
    stream: &mut Stream,
    source: &mut Connection,
    target: &mut Connection,
    buffers: &mut BufferPool,
) -> bool {
    let read = source.input.take_failure();
    if let Some((code, errno)) = read {
        // What was read before is still delivered.
        source.output.fail();
        blame(stream, source.side, target, code, errno);
    }
    if let Flow::WriteError(error) = flow {
        let (code, errno) = data::explain(target, error, buffers);
        blame(stream, target.side, source, code, errno);
        return true;
    }
    read.is_some()
}

/// A side has failed; an end that was clean until then is so no more.
fn blame(stream: &mut Stream, failed: Side, peer: &Connection, code: i32, errno: i32) {
    let side = match failed {
        Side::Client => by::CLIENT,
        Side::Server => by::SERVER,
    };
    let phase = if peer.input.ended() || !peer.output.is_open() {
        phase::CLOSE
    } else {
        phase::DATA
    };
    if reason_code(stream.reason) == code::DONE {
        stream.reason = 0;
    }
    stream.blame(reason(side, phase, code), errno);
}

/// Remembers who sent the first FIN, as the reason of a clean end, and who
/// ended without saying so.
///
/// Where both ends were read in one turn the client is named: the server's came
/// later, or as an answer.
fn note_end(stream: &mut Stream, client: &Connection, server: &Connection) {
    if stream.reason == 0 && (client.input.ended() || server.input.ended()) {
        let side = if client.input.ended() {
            by::CLIENT
        } else {
            by::SERVER
        };
        stream.reason = reason(side, phase::DATA, code::DONE);
    }
    if reason_code(stream.reason) == code::DONE {
        if client.is_truncated() {
            stream.reason = reason(by::CLIENT, phase::DATA, code::TLS_TRUNCATED);
        } else if server.is_truncated() {
            stream.reason = reason(by::SERVER, phase::DATA, code::TLS_TRUNCATED);
        }
    }
}

/// Passes an end on once everything before it has been written; true where the
/// target has been told.
fn pass_end(
    flow: Flow,
    source: &mut Connection,
    target: &mut Connection,
    buffers: &mut BufferPool,
) -> bool {
    if source.input.ended() {
        source.want_shutr();
        // What goes to it, and the end behind that, are the other direction's.
        source.run_close_steps(false, buffers);
        if source.input.ended_broken() {
            // close_notify would vouch for payload that may be missing.
            target.output.disown();
        }
        target.want_shutw();
        target.run_close_steps(flow == Flow::Finished, buffers);
    }
    !target.output.is_open()
}

/// What to watch of a connection whose outgoing direction stands at `flow`.
fn watch_of(connection: &Connection, flow: Flow) -> Watch {
    if flow == Flow::Blocked && connection.input.pipe.is_some() {
        // A bulk sender keeps sending: each arrival would wake the worker in vain.
        Watch::Write
    } else if connection.ready.writes() {
        Watch::Read
    } else {
        Watch::ReadWrite
    }
}
