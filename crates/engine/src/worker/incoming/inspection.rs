//! Payload that TypeScript looks at before it decides.

use sluice_wire::errors::{by, reason};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::ring_layout::layout;

use super::phase_of;
use crate::connection::extra::Inspection;
use crate::connection::{Mode, Watch};
use crate::stream::Deadline;
use crate::worker::{Worker, record};

/// Least time between two BYTES events that show only that more has come, in
/// milliseconds.
const SHOW_REST: u64 = 2;

impl Worker {
    /// An INSPECT command: policy is shown up to `limit` bytes, and after `delay`
    /// milliseconds whatever has come.
    pub(in crate::worker) fn start_inspection(
        &mut self,
        slot: u32,
        limit: i32,
        delay: i32,
        epoch: i32,
    ) {
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Inspect;
        let inspection = connection.inspection();
        *inspection = Inspection {
            limit: limit.clamp(1, layout::MAX_CHUNK) as usize,
            epoch,
            waits: inspection.waits,
            ..Inspection::default()
        };
        let id = self.stream_of(slot);
        if delay > 0 {
            self.set_deadline(id, Deadline::Inspect, self.now + delay as u64);
        } else {
            self.set_idle_deadline(id);
        }
        self.inspect(slot);
    }

    /// Buffers payload for TypeScript and tells of it what is new.
    pub(in crate::worker) fn inspect(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        let (limit, before) = (connection.inspection().limit, connection.traffic);
        self.fill(slot, limit);
        if self.slots.get(slot).traffic != before {
            self.heard(slot);
        }
        let connection = self.slots.get_mut(slot);
        if let Some((code, errno)) = connection.input.take_failure() {
            let reason = reason(by::CLIENT, phase_of(connection), code);
            return self.end_with(self.stream_of(slot), reason, errno);
        }
        if self.slots.get(slot).input.ended() {
            self.mirror(slot);
        } else {
            self.slots.mirror_bytes(slot);
        }
        self.watch(slot, Watch::Read);
        self.report_inspection(slot);
    }

    /// Sends a BYTES event where something changed since the last one.
    pub(in crate::worker) fn report_inspection(&mut self, slot: u32) {
        let now = self.now;
        let connection = self.slots.get_mut(slot);
        let length = connection.input.buffered();
        let (eof, generation) = (connection.input.ended(), connection.generation());
        let inspection = connection.inspection();
        let mut flags = 0;
        if eof {
            flags |= bytes_flag::EOF;
        }
        if length >= inspection.limit {
            flags |= bytes_flag::FULL;
        }
        if inspection.expired {
            flags |= bytes_flag::EXPIRED;
        }
        let nothing = length == 0 && flags == 0;
        if nothing || inspection.reported == Some((length, flags)) {
            return;
        }
        if flags == 0
            && let Some((position, at)) = inspection.shown
            && (at + SHOW_REST > now || !self.events.consumed(position))
        {
            // Every rule looks at all of it again: what comes meanwhile is shown together.
            if !std::mem::replace(&mut inspection.waits, true) {
                self.shown.push_back((slot, generation));
            }
            return;
        }
        let epoch = inspection.epoch;
        let bytes = connection.input.bytes();
        let operands = record(
            event::BYTES,
            slot as i32,
            generation,
            [0, 0, flags, epoch, 0],
        );
        let position = self.events.position();
        if !self.events.emit_bytes(operands, 3, bytes) {
            self.run_when_room(slot);
            return;
        }
        let inspection = connection.inspection();
        inspection.shown = Some((position, now));
        inspection.expired = false;
        inspection.reported = Some((length, flags & !bytes_flag::EXPIRED));
        if flags != 0 {
            let timeout = self
                .listener_of(slot)
                .map_or(0, |it| it.spec.verdict_timeout);
            if timeout > 0 {
                let at = self.now + timeout;
                self.set_deadline(self.stream_of(slot), Deadline::Verdict, at);
            }
        }
    }

    /// Shows what has come since policy read the last BYTES event, up to the first
    /// inspection that it has not read.
    pub(in crate::worker) fn show_more(&mut self) {
        while let Some(&(slot, generation)) = self.shown.front() {
            if self.slots.find(slot as i32, generation).is_some()
                && self.slots.get(slot).mode == Mode::Inspect
            {
                let inspection = self.slots.get_mut(slot).inspection();
                let unread = inspection.shown.is_some_and(|(position, at)| {
                    at + SHOW_REST > self.now || !self.events.consumed(position)
                });
                if unread {
                    return;
                }
                if std::mem::take(&mut inspection.waits) {
                    self.report_inspection(slot);
                }
            }
            self.shown.pop_front();
        }
    }
}

const _: () = assert!(layout::MAX_CHUNK as usize <= layout::EVENT_SLAB_BYTES as usize / 4);
