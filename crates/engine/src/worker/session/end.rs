//! The end of a stream: the one place where it goes away.

use std::sync::atomic::Ordering;

use sluice_wire::events::event;

use crate::clock::Moment;
use crate::connection::{NONE, Owner};
use crate::stream::StreamId;
use crate::timer::Kind;
use crate::worker::{Worker, record};

impl Worker {
    /// Begins the stream of a client's connection that has none.
    pub(in crate::worker) fn begin(&mut self, client: u32) -> StreamId {
        let id = self.streams.begin(client);
        self.streams.get_mut(id).client_io = Moment::at(self.now);
        self.slots.get_mut(client).owner = Owner::Stream(id);
        id
    }

    /// Ends a stream and closes its client's connection, and its server's with it: the
    /// one place where a session's engine side goes away.
    pub(in crate::worker) fn end(&mut self, id: StreamId) {
        let stream = self.streams.get(id);
        let (client, reason, errno) = (stream.client, stream.reason, stream.errno);
        debug_assert_ne!(reason, 0, "every close explains itself");
        let connect_time = self.connect_time(id);
        let mut local_port = 0;
        if stream.server != NONE {
            local_port = self.slots.source_port(stream.server);
            self.slots.mirror_bytes(stream.server);
            self.detach(id);
        }
        let listener = self.listener_of(client).cloned();
        self.slots.get_mut(client).close(&mut self.mover);
        self.mirror(client);
        self.own_timeouts.forget(client);
        self.forget(id);
        if let Some(listener) = listener {
            listener.open.fetch_sub(1, Ordering::Relaxed);
        }
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
        let ended_at = Moment::at(self.now).word();
        let generation = self.slots.get(client).generation();
        let operands = [reason, errno, ended_at, connect_time, local_port];
        let closed = record(event::CLOSED, client as i32, generation, operands);
        let position = self.events.emit_quietly(closed);
        self.made_room();
        self.slots.free(client, Some(position));
    }

    /// Ends a stream for this reason, unless it has one.
    pub(in crate::worker) fn end_with(&mut self, id: StreamId, reason: i32, errno: i32) {
        self.streams.get_mut(id).blame(reason, errno);
        self.end(id);
    }

    /// Takes the server's connection away from a stream that has one, closes it
    /// and frees its slot.
    pub(in crate::worker) fn detach(&mut self, id: StreamId) {
        let server = self.streams.get(id).server;
        if server == NONE {
            return;
        }
        self.discard(server);
        let stream = self.streams.get_mut(id);
        stream.up.release(&mut self.mover.buffers);
        stream.server = NONE;
    }

    /// Closes a server's connection, whosever it is, and frees its slot.
    pub(in crate::worker) fn discard(&mut self, server: u32) {
        self.slots.get_mut(server).close(&mut self.mover);
        self.mirror(server);
        self.timers.cancel(Kind::Connection, server);
        self.slots.free(server, None);
    }

    /// A stream that has no server any more is over; its client's connection is alone.
    pub(super) fn forget(&mut self, id: StreamId) {
        let stream = self.streams.get_mut(id);
        stream.down.release(&mut self.mover.buffers);
        self.slots.get_mut(stream.client).owner = Owner::None;
        self.timers.cancel(Kind::Stream, id.place());
        self.streams.end(id);
    }

    /// Milliseconds that the server's connection took to be established; -1 where it
    /// was not.
    fn connect_time(&self, id: StreamId) -> i32 {
        let stream = self.streams.get(id);
        if stream.server == NONE || stream.established_at.is_never() {
            return -1;
        }
        let since = self.slots.get(stream.server).opened_at.ago(self.now);
        (since - stream.established_at.ago(self.now)) as i32
    }
}
