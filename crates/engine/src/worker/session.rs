//! Forwarding between two linked connections, and their end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::event;

use super::{Worker, record};
use crate::connection::slots::clock;
use crate::connection::{Connection, NONE, Side, Watch, data};
use crate::route::Route;
use crate::stream::buffer::BufferPool;
use crate::stream::forward::{Flow, Mover, forward};

impl Worker {
    /// Moves payload in both directions, and passes FINs and errors on.
    pub(super) fn pump(&mut self, client: u32) {
        let server = self.slots.get(client).peer;
        if server == NONE {
            return;
        }
        let now = self.now;
        let (source, target) = self.slots.pair(client, server);
        let before = (moved(source), moved(target));
        let held = (source.input.holds(), target.input.holds());
        let was_tunnel = is_tunnel(source, target);
        let (up, down) = loop {
            let up = direction(source, target, &mut self.mover);
            let down = direction(target, source, &mut self.mover);
            let buffers = &mut self.mover.buffers;
            let failed =
                absorb(up, source, target, buffers) | absorb(down, target, source, buffers);
            if !failed {
                break (up, down);
            }
        };
        let holds = (source.input.holds(), target.input.holds());
        // While it was held back it could not be active: its time starts again.
        if moved(source) != before.0 || (held.0 && !holds.0) {
            source.last_io = now;
        }
        if moved(target) != before.1 || (held.1 && !holds.1) {
            target.last_io = now;
        }
        note_fin(source, target);
        if up == Flow::Finished && down == Flow::Finished {
            if source.reason == 0 {
                // Both FINs were read in one turn: the server's came later or
                // as an answer, so the client is named.
                source.reason = reason(by::CLIENT, phase::DATA, code::DONE);
            }
            if source.tls.is_none() && target.tls.is_none() {
                // The close says what a FIN would.
                return self.end(client);
            }
        }
        let shut = source.flags | target.flags;
        let buffers = &mut self.mover.buffers;
        let sent = [
            pass_fin(up, source, target, buffers),
            pass_fin(down, target, source, buffers),
        ];
        if up == Flow::Finished && down == Flow::Finished && sent == [true; 2] {
            return self.end(client);
        }
        let changed = (source.flags | target.flags) != shut;
        let becomes_tunnel = !was_tunnel && is_tunnel(source, target);
        let (watch_client, watch_server) = (watch_of(source, up), watch_of(target, down));
        if up == Flow::More || down == Flow::More {
            self.run_again(client);
        }
        if changed {
            self.slots.mirror(client);
            self.slots.mirror(server);
            self.set_idle_deadline(client);
        } else {
            self.slots.mirror_bytes(client);
            self.slots.mirror_bytes(server);
            if becomes_tunnel || held != holds {
                self.set_idle_deadline(client);
            }
        }
        self.watch(client, watch_client);
        self.watch(server, watch_server);
    }

    /// Ends a client's connection, and its server's with it: the one place
    /// where a session's engine side goes away.
    pub(super) fn end(&mut self, client: u32) {
        let server = self.slots.get(client).peer;
        let mut connect_time = -1;
        if server != NONE {
            let connection = self.slots.get(server);
            if connection.established_at != 0 {
                connect_time = (connection.established_at - connection.opened_at) as i32;
            }
            self.slots.mirror_bytes(server);
            self.detach(client);
        }
        let listener = self.listener_of(client).cloned();
        let connection = self.slots.get_mut(client);
        let (reason, errno) = (connection.reason, connection.errno);
        debug_assert_ne!(reason, 0, "every close explains itself");
        connection.close(&mut self.mover);
        self.timers.cancel(client);
        self.slots.mirror(client);
        if let Some(listener) = listener {
            listener.open.fetch_sub(1, Ordering::Relaxed);
        }
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let operands = [reason, errno, clock(self.now), connect_time, 0];
        let generation = self.slots.get(client).generation;
        let closed = record(event::CLOSED, client as i32, generation, operands);
        let position = self.events.emit_quietly(closed);
        self.made_room();
        self.slots.free(client, Some(position));
    }

    /// Ends a client's connection for this reason, unless it has one.
    pub(super) fn end_with(&mut self, client: u32, reason: i32, errno: i32) {
        self.slots.get_mut(client).blame(reason, errno);
        self.end(client);
    }

    /// Takes the server's connection away from a client that has one, closes it
    /// and frees its slot.
    pub(super) fn detach(&mut self, client: u32) {
        let server = std::mem::replace(&mut self.slots.get_mut(client).peer, NONE);
        if server == NONE {
            return;
        }
        self.slots.get_mut(server).close(&mut self.mover);
        self.slots.mirror(server);
        self.slots.free(server, None);
    }
}

/// One direction; finished at once where the target takes nothing any more.
fn direction(source: &mut Connection, target: &mut Connection, mover: &mut Mover) -> Flow {
    if !target.output.is_open() {
        source.input.release(mover);
        return Flow::Finished;
    }
    forward(source, target, mover)
}

/// Takes the consequences of a failed direction; true where there were some.
fn absorb(
    flow: Flow,
    source: &mut Connection,
    target: &mut Connection,
    buffers: &mut BufferPool,
) -> bool {
    let read = source.input.take_failure();
    if let Some((code, errno)) = read {
        // What was read before is still delivered.
        source.output.shut();
        blame(source, target, code, errno);
    }
    if let Flow::WriteError(error) = flow {
        let (code, errno) = data::explain(target, error, buffers);
        blame(target, source, code, errno);
        return true;
    }
    read.is_some()
}

/// The client's connection carries the reason of both.
fn blame(failed: &mut Connection, peer: &mut Connection, code: i32, errno: i32) {
    let side = match failed.side {
        Side::Client => by::CLIENT,
        Side::Server => by::SERVER,
    };
    let phase = if peer.input.ended() || !peer.output.is_open() {
        phase::CLOSE
    } else {
        phase::DATA
    };
    let reason = reason(side, phase, code);
    let carrier = if failed.side == Side::Client {
        failed
    } else {
        peer
    };
    if reason_code(carrier.reason) == code::DONE {
        carrier.reason = 0;
    }
    carrier.blame(reason, errno);
}

/// Remembers who sent the first FIN, as the reason of a clean end, and who
/// ended without saying so.
fn note_fin(client: &mut Connection, server: &Connection) {
    if client.reason == 0 && (client.input.ended() || server.input.ended()) {
        let side = if client.input.ended() {
            by::CLIENT
        } else {
            by::SERVER
        };
        client.reason = reason(side, phase::DATA, code::DONE);
    }
    if reason_code(client.reason) == code::DONE {
        if client.is_truncated() {
            client.reason = reason(by::CLIENT, phase::DATA, code::TLS_TRUNCATED);
        } else if server.is_truncated() {
            client.reason = reason(by::SERVER, phase::DATA, code::TLS_TRUNCATED);
        }
    }
}

/// Passes an end on once everything before it has been written; true where the
/// target has been told.
fn pass_fin(
    flow: Flow,
    source: &mut Connection,
    target: &mut Connection,
    buffers: &mut BufferPool,
) -> bool {
    if source.input.ended() {
        source.want_shutr();
        source.run_close_steps(true, buffers);
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

/// True once the tunnel time-out holds: both sides have sent payload.
fn is_tunnel(client: &Connection, server: &Connection) -> bool {
    let wanted = |route: &Arc<Route>| route.tunnel_timeout > 0;
    client.bytes_in > 0 && server.bytes_in > 0 && server.route.as_ref().is_some_and(wanted)
}

fn moved(connection: &Connection) -> u64 {
    connection.bytes_in + connection.bytes_out
}
