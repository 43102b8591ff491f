//! Forwarding between two linked connections, and their end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::event;

use super::Worker;
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
        let held = (source.pending(), target.pending());
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
        let holds = (source.pending(), target.pending());
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
            self.discard(server);
        }
        let listener = self.listener_of(client).cloned();
        let connection = self.slots.get_mut(client);
        let (reason, errno) = (connection.reason, connection.errno);
        debug_assert_ne!(reason, 0, "every close explains itself");
        release_payload(connection, &mut self.mover);
        connection.close_now(&mut self.mover.buffers);
        self.timers.cancel(client);
        self.slots.mirror(client);
        if let Some(listener) = listener {
            listener.open.fetch_sub(1, Ordering::Relaxed);
        }
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let operands = [reason, errno, clock(self.now), connect_time, 0];
        let position = self.emit(event::CLOSED, client, operands);
        self.slots.release(client, Some(position));
    }

    /// Closes a server's connection and frees its slot.
    pub(super) fn discard(&mut self, server: u32) {
        let connection = self.slots.get_mut(server);
        release_payload(connection, &mut self.mover);
        connection.close_now(&mut self.mover.buffers);
        self.slots.mirror(server);
        self.slots.release(server, None);
    }
}

/// One direction; finished at once where the target takes nothing any more.
fn direction(source: &mut Connection, target: &mut Connection, mover: &mut Mover) -> Flow {
    if target.write_dead {
        mover.buffers.give_back(&mut source.rx);
        mover.pipes.give_back(&mut source.pipe);
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
    let (failed, peer, error) = match flow {
        Flow::ReadError(error) => (source, target, error),
        Flow::WriteError(error) => (target, source, error),
        _ => return false,
    };
    if matches!(flow, Flow::ReadError(_)) {
        // What was read before the error is still delivered.
        failed.eof = true;
    }
    let (code, errno) = data::explain(failed, error, buffers);
    failed.write_dead = true;
    blame(failed, peer, code, errno);
    true
}

/// The client's connection carries the reason of both.
fn blame(failed: &mut Connection, peer: &mut Connection, code: i32, errno: i32) {
    let side = match failed.side {
        Side::Client => by::CLIENT,
        Side::Server => by::SERVER,
    };
    let phase = if peer.eof || peer.write_dead {
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
    if client.reason == 0 && (client.eof || server.eof) {
        let side = if client.eof { by::CLIENT } else { by::SERVER };
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
    if source.eof {
        source.want_shutr();
        source.run_close_steps(true, buffers);
        if source.is_truncated()
            && let Some(tls) = &mut target.tls
        {
            // close_notify would vouch for payload that may be missing.
            tls.mute = true;
        }
        target.want_shutw();
        target.run_close_steps(flow == Flow::Finished, buffers);
    }
    target.write_dead
}

/// What to watch of a connection whose outgoing direction stands at `flow`.
fn watch_of(connection: &Connection, flow: Flow) -> Watch {
    if flow == Flow::Blocked && connection.pipe.is_some() {
        // A bulk sender keeps sending: each arrival would wake the worker in vain.
        Watch::Write
    } else if connection.writable {
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

fn release_payload(connection: &mut Connection, mover: &mut Mover) {
    mover.buffers.give_back(&mut connection.rx);
    mover.pipes.give_back(&mut connection.pipe);
    if let Some(extra) = &mut connection.extra {
        mover.buffers.give_back(&mut extra.out);
    }
}
