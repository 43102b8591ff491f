//! Deadlines. One entry in the wheel serves a whole stream; what it means changes with
//! the mode of its client's connection.

use sluice_wire::errors::{by, code, reason};
use sluice_wire::events::event;

use super::Worker;
use super::incoming::phase_of;
use crate::clock::Moment;
use crate::connection::{Mode, Owner};
use crate::stream::{Deadline, StreamId};
use crate::timer::Kind;

impl Worker {
    pub(super) fn set_deadline(&mut self, id: StreamId, kind: Deadline, at: u64) {
        let stream = self.streams.get_mut(id);
        stream.deadline_kind = kind;
        stream.deadline = Moment::at(at);
        self.timers.schedule(Kind::Stream, id.place(), at);
    }

    /// Starts the deadline of the handshakes that the engine does alone.
    pub(super) fn set_handshake_deadline(&mut self, slot: u32) {
        let timeout = self
            .listener_of(slot)
            .map_or(0, |it| it.spec.handshake_timeout);
        if timeout > 0 {
            // A rule may have taken its time: the handshake gets at least a moment.
            let opened_at = self.slots.get(slot).opened_at.past(self.now);
            let at = (opened_at + timeout).max(self.now + timeout / 4);
            self.set_deadline(self.stream_of(slot), Deadline::Handshake, at);
        }
    }

    /// The loop was not run for `lost` milliseconds: stopped, or on a machine that
    /// stood still. Peers had no chance to be heard, so that no deadline counts it.
    pub(super) fn forgive(&mut self, lost: u64) {
        self.streams.each(|stream| {
            stream.client_io.postpone(lost);
            stream.server_io.postpone(lost);
            stream.deadline.postpone(lost);
        });
    }

    pub(super) fn run_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.timers.expire(self.now, &mut due);
        for &(kind, place) in &due {
            match kind {
                Kind::Stream => self.on_timer(StreamId::new(place)),
                Kind::Connection => self.on_connection_timer(place),
            }
        }
        self.due = due;
    }

    /// The entry of a server's connection has come due.
    fn on_connection_timer(&mut self, slot: u32) {
        match self.slots.get(slot).owner {
            Owner::Stream(_) => self.set_liveness(slot),
            Owner::None => self.alone_for_long(slot),
        }
    }

    fn on_timer(&mut self, id: StreamId) {
        let stream = self.streams.get(id);
        let (kind, slot) = (stream.deadline_kind, stream.client);
        if kind == Deadline::Idle {
            return self.on_idle(id);
        }
        if kind == Deadline::None {
            return;
        }
        let deadline = stream.deadline.due(self.now);
        if deadline > self.now {
            return self.timers.schedule(Kind::Stream, id.place(), deadline);
        }
        match kind {
            Deadline::Verdict => self.verdict_is_late(slot),
            Deadline::Inspect => {
                self.streams.get_mut(id).deadline_kind = Deadline::None;
                self.slots.get_mut(slot).inspection().expired = true;
                self.report_inspection(slot);
            }
            Deadline::Connect => self.fail_connect(id, by::TIMEOUT, code::CONNECT_TIMEOUT, 0),
            Deadline::Handshake => {
                if self.ask_about_silence(slot) {
                    return;
                }
                let phase = phase_of(self.slots.get(slot));
                self.end_with(id, reason(by::TIMEOUT, phase, code::HANDSHAKE_TIMEOUT), 0);
            }
            Deadline::Linger | Deadline::Tarpit => self.end(id),
            Deadline::Cut => self.pump(id),
            Deadline::None | Deadline::Idle => {}
        }
    }

    /// No answer: the default is taken, and a later answer finds the
    /// connection past the question.
    fn verdict_is_late(&mut self, slot: u32) {
        self.mailbox
            .stats
            .late
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fallback = self
            .listener_of(slot)
            .map_or(-1, |it| it.spec.fallback_route);
        let connection = self.slots.get_mut(slot);
        let bit = match connection.mode {
            Mode::Ask(bit) => i32::from(bit),
            _ => 0,
        };
        let phase = phase_of(connection);
        let open = fallback >= 0;
        self.emit(
            event::VERDICT_TIMEOUT,
            slot,
            [bit, i32::from(open), 0, 0, 0],
        );
        let connection = self.slots.get_mut(slot);
        if open {
            // Nothing more is asked, but a PROXY header is no payload: the
            // engine's own handshakes come first.
            connection.opened = true;
            connection.mode = Mode::Handshake;
            self.stream_mut(slot).deadline_kind = Deadline::None;
            self.set_handshake_deadline(slot);
            return self.run_incoming(slot);
        }
        let id = self.stream_of(slot);
        self.end_with(id, reason(by::TIMEOUT, phase, code::VERDICT_TIMEOUT), 0);
    }
}
