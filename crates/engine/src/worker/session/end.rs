//! The end of a session: the one place where it goes away.

use std::sync::atomic::Ordering;

use sluice_wire::events::event;

use crate::connection::NONE;
use crate::connection::slots::clock;
use crate::timer::Kind;
use crate::worker::{Worker, record};

impl Worker {
    /// Ends a client's connection, and its server's with it: the one place
    /// where a session's engine side goes away.
    pub(in crate::worker) fn end(&mut self, client: u32) {
        let server = self.slots.get(client).peer;
        let mut connect_time = -1;
        let mut local_port = 0;
        if server != NONE {
            let connection = self.slots.get(server);
            if connection.established_at != 0 {
                connect_time = (connection.established_at - connection.opened_at) as i32;
            }
            local_port = self.slots.source_port(server);
            self.slots.mirror_bytes(server);
            self.detach(client);
        }
        let listener = self.listener_of(client).cloned();
        let connection = self.slots.get_mut(client);
        let (reason, errno) = (connection.reason, connection.errno);
        debug_assert_ne!(reason, 0, "every close explains itself");
        connection.close(&mut self.mover);
        self.timers.cancel(Kind::Session, client);
        self.own_timeouts.forget(client);
        self.slots.mirror(client);
        if let Some(listener) = listener {
            listener.open.fetch_sub(1, Ordering::Relaxed);
        }
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let operands = [reason, errno, clock(self.now), connect_time, local_port];
        let generation = self.slots.get(client).generation;
        let closed = record(event::CLOSED, client as i32, generation, operands);
        let position = self.events.emit_quietly(closed);
        self.made_room();
        self.slots.free(client, Some(position));
    }

    /// Ends a client's connection for this reason, unless it has one.
    pub(in crate::worker) fn end_with(&mut self, client: u32, reason: i32, errno: i32) {
        self.slots.get_mut(client).blame(reason, errno);
        self.end(client);
    }

    /// Takes the server's connection away from a client that has one, closes it
    /// and frees its slot.
    pub(in crate::worker) fn detach(&mut self, client: u32) {
        let server = std::mem::replace(&mut self.slots.get_mut(client).peer, NONE);
        if server == NONE {
            return;
        }
        self.slots.get_mut(server).close(&mut self.mover);
        self.timers.cancel(Kind::Liveness, server);
        self.slots.mirror(server);
        self.slots.free(server, None);
    }
}
