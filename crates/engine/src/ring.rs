//! The event ring (to TypeScript) and the command ring (from TypeScript).
//!
//! One producer and one consumer each. Positions are free-running 31-bit
//! counters. A full event ring is back-pressure: events wait in a queue whose
//! length is bounded by the number of connections, and [`Events::congested`]
//! tells the worker to stop accepting.
//!
//! Nobody waits for most ends of connections. Such events are published with
//! the others and ring nobody: the next ring tells them as well, or one of
//! their own once they have waited for [`LONGEST_QUIET`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use sluice_wire::ring_layout::{
    COMMAND_RING, COMMAND_SLAB, EVENT_RING, EVENT_SLAB, control, layout,
};

use crate::memory::Words;

/// How long an event that is not urgent may wait for a ring, in milliseconds.
pub const LONGEST_QUIET: u64 = 2;

const RECORD: usize = layout::RECORD_WORDS as usize;

/// Rung from worker threads when there are events; must not block. True where
/// TypeScript shares the caller's core, so that it answers soonest when the
/// caller makes room.
pub type Doorbell = Arc<dyn Fn() -> bool + Send + Sync>;

/// One event or command: kind, slot, generation, five operands.
pub type Record = [i32; RECORD];

/// Writer of the event ring.
#[derive(Debug)]
pub struct Events {
    memory: Words,
    head: i32,
    /// Last tail that was read: everything before it is consumed.
    tail: i32,
    /// Last head that was published.
    published: i32,
    /// Something was written since that somebody waits for.
    urgent: bool,
    /// Clock at which the first event was published that rang nobody.
    quiet_since: Option<u64>,
    waiting: VecDeque<Record>,
    slab: Slab,
    released: bool,
    /// Times that the ring or the slab was full.
    pub full: u64,
    /// Events written.
    pub written: u64,
    /// Doorbells rung.
    pub wakes: u64,
}

impl Events {
    /// Writes into a worker's memory.
    #[must_use]
    pub fn new(memory: Words) -> Self {
        Self {
            memory,
            head: 0,
            tail: 0,
            published: 0,
            urgent: false,
            quiet_since: None,
            waiting: VecDeque::new(),
            slab: Slab::new(layout::EVENT_SLAB_BYTES as usize),
            released: false,
            full: 0,
            written: 0,
            wakes: 0,
        }
    }

    /// Queues an event and returns its position, for [`Events::consumed`].
    pub fn emit(&mut self, record: Record) -> i32 {
        self.urgent = true;
        self.emit_quietly(record)
    }

    /// The same for an event that nobody waits for.
    pub fn emit_quietly(&mut self, record: Record) -> i32 {
        let position = advance(self.head, self.waiting.len() as i32);
        if self.waiting.is_empty() && self.room() > 0 {
            self.write(record);
        } else {
            self.full += 1;
            self.waiting.push_back(record);
        }
        position
    }

    /// Position of the next event, for [`Events::consumed`].
    #[must_use]
    pub fn position(&self) -> i32 {
        advance(self.head, self.waiting.len() as i32)
    }

    /// Queues an event that carries bytes: `offset` and `length` become
    /// operands `at` and `at + 1`. Returns false, with nothing done, where the
    /// slab is full: the caller keeps the bytes and tries again after a tick.
    pub fn emit_bytes(&mut self, mut record: Record, at: usize, bytes: &[u8]) -> bool {
        let position = advance(self.head, self.waiting.len() as i32);
        let Some(offset) = self.slab.allocate(bytes.len(), position) else {
            self.full += 1;
            return false;
        };
        self.memory.write_bytes(EVENT_SLAB, offset, bytes);
        record[at] = offset as i32;
        record[at + 1] = bytes.len() as i32;
        self.emit(record);
        true
    }

    /// Reads the consumer's position, frees slab bytes and writes what waited.
    pub fn refresh(&mut self) {
        self.tail = self
            .memory
            .word(control::EVENT_TAIL as usize)
            .load(Ordering::Acquire);
        let tail = self.tail;
        self.released |= self.slab.release(|position| passed(tail, position));
        if self.tail == self.published {
            // Read without a ring, along with something else's.
            self.quiet_since = None;
        }
        while !self.waiting.is_empty() && self.room() > 0 {
            if let Some(record) = self.waiting.pop_front() {
                self.write(record);
                self.urgent = true;
            }
        }
    }

    /// True once after the slab has got room back.
    pub fn take_released(&mut self) -> bool {
        std::mem::take(&mut self.released)
    }

    /// Events that have found no room in the ring.
    pub fn take_waiting(&mut self) -> Vec<Record> {
        self.waiting.drain(..).collect()
    }

    /// True once the consumer has read the event at `position`.
    #[must_use]
    pub fn consumed(&self, position: i32) -> bool {
        passed(self.tail, position)
    }

    /// True while new work for TypeScript should be held back.
    #[must_use]
    pub fn congested(&self) -> bool {
        !self.waiting.is_empty() || self.room() < layout::EVENT_CAPACITY / 4
    }

    /// True where something was written that somebody waits for.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.urgent
    }

    /// Publishes what was written; true where the doorbell must be rung.
    pub fn publish(&mut self, now: u64) -> bool {
        if self.published != self.head {
            self.published = self.head;
            self.memory
                .word(control::EVENT_HEAD as usize)
                .store(self.head, Ordering::Release);
            // Whoever sets EAGER looks at the head afterwards: one of both sees the other.
            fence(Ordering::SeqCst);
            if self.urgent || self.memory.get(control::EAGER as usize) > 0 {
                return self.ring();
            }
            self.quiet_since.get_or_insert(now);
        }
        match self.quiet_since {
            Some(since) if now.saturating_sub(since) >= LONGEST_QUIET => self.ring(),
            _ => false,
        }
    }

    /// Milliseconds until [`Events::publish`] has to be called again.
    #[must_use]
    pub fn next_ring(&self, now: u64) -> Option<u64> {
        let since = self.quiet_since?;
        Some((since + LONGEST_QUIET).saturating_sub(now))
    }

    fn ring(&mut self) -> bool {
        self.urgent = false;
        self.quiet_since = None;
        let ring = self
            .memory
            .word(control::EVENT_WAKE as usize)
            .swap(1, Ordering::AcqRel)
            == 0;
        self.wakes += u64::from(ring);
        ring
    }

    fn room(&self) -> i32 {
        layout::EVENT_CAPACITY - distance(self.tail, self.head)
    }

    fn write(&mut self, record: Record) {
        let index = (self.head & (layout::EVENT_CAPACITY - 1)) as usize;
        let base = EVENT_RING + index * RECORD;
        for (offset, word) in record.into_iter().enumerate() {
            self.memory.put(base + offset, word);
        }
        self.head = advance(self.head, 1);
        self.written += 1;
    }
}

/// Reader of the command ring.
#[derive(Debug)]
pub struct Commands {
    memory: Words,
    tail: i32,
    head: i32,
}

impl Commands {
    /// Reads from a worker's memory.
    #[must_use]
    pub fn new(memory: Words) -> Self {
        Self {
            memory,
            tail: 0,
            head: 0,
        }
    }

    /// Looks for new commands; true where there are some.
    pub fn poll(&mut self) -> bool {
        self.head = self
            .memory
            .word(control::COMMAND_HEAD as usize)
            .load(Ordering::Acquire);
        self.head != self.tail
    }

    /// The next of the commands that [`Commands::poll`] saw.
    pub fn take(&mut self) -> Option<Record> {
        if self.head == self.tail {
            return None;
        }
        let index = (self.tail & (layout::COMMAND_CAPACITY - 1)) as usize;
        let base = COMMAND_RING + index * RECORD;
        let record = std::array::from_fn(|offset| self.memory.get(base + offset));
        self.tail = advance(self.tail, 1);
        Some(record)
    }

    /// Appends the bytes of a command to `out`; false where the range is bad.
    /// Must be called before [`Commands::finish`].
    pub fn bytes(&self, offset: i32, length: i32, out: &mut Vec<u8>) -> bool {
        match (usize::try_from(offset), usize::try_from(length)) {
            (Ok(offset), Ok(length))
                if offset.saturating_add(length) <= layout::COMMAND_SLAB_BYTES as usize =>
            {
                self.memory.read_bytes(COMMAND_SLAB, offset, length, out)
            }
            _ => false,
        }
    }

    /// Gives the consumed records back; true where TypeScript waits for room.
    pub fn finish(&mut self) -> bool {
        self.memory
            .word(control::COMMAND_TAIL as usize)
            .store(self.tail, Ordering::SeqCst);
        self.memory
            .word(control::COMMANDS_WAITING as usize)
            .swap(0, Ordering::SeqCst)
            != 0
    }
}

/// Ring allocator for the bytes of events. A piece is contiguous and freed in
/// order, when the event at its position has been consumed.
#[derive(Debug)]
struct Slab {
    capacity: usize,
    head: usize,
    used: usize,
    pieces: VecDeque<(i32, usize)>,
}

impl Slab {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            head: 0,
            used: 0,
            pieces: VecDeque::new(),
        }
    }

    fn allocate(&mut self, length: usize, position: i32) -> Option<usize> {
        let to_end = self.capacity - self.head;
        let skip = if length > to_end { to_end } else { 0 };
        if self.used + skip + length > self.capacity {
            return None;
        }
        let offset = if skip > 0 { 0 } else { self.head };
        self.head = (offset + length) % self.capacity;
        self.used += skip + length;
        self.pieces.push_back((position, skip + length));
        Some(offset)
    }

    /// Frees what is consumed; true where that was anything.
    fn release(&mut self, consumed: impl Fn(i32) -> bool) -> bool {
        let before = self.pieces.len();
        while let Some(&(position, length)) = self.pieces.front() {
            if !consumed(position) {
                break;
            }
            self.used -= length;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() {
            self.head = 0;
        }
        self.pieces.len() < before
    }
}

fn advance(position: i32, by: i32) -> i32 {
    position.wrapping_add(by) & layout::POSITION_MASK
}

fn distance(from: i32, to: i32) -> i32 {
    to.wrapping_sub(from) & layout::POSITION_MASK
}

/// True where `tail` is behind `position` in the stream: the record there is consumed.
fn passed(tail: i32, position: i32) -> bool {
    let ahead = distance(position, tail);
    ahead > 0 && ahead < layout::POSITION_MASK / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::ring_layout::WORKER_WORDS;

    fn memory() -> (Vec<i32>, Words) {
        let backing = vec![0_i32; WORKER_WORDS];
        // SAFETY: the vector is returned with the view and outlives it in every test.
        let words = unsafe { Words::new(backing.as_ptr(), backing.len()) };
        (backing, words)
    }

    fn consume(words: Words, count: i32) {
        let tail = words.get(control::EVENT_TAIL as usize);
        words.put(control::EVENT_TAIL as usize, advance(tail, count));
    }

    #[test]
    fn nothing_is_lost_when_the_ring_is_full() {
        let (_backing, words) = memory();
        let mut events = Events::new(words);
        let total = layout::EVENT_CAPACITY + 100;
        for n in 0..total {
            events.emit([1, n, 0, 0, 0, 0, 0, 0]);
        }
        assert!(events.congested());
        assert!(events.publish(0));
        let mut seen = 0;
        while seen < total {
            let head = words.get(control::EVENT_HEAD as usize);
            let tail = words.get(control::EVENT_TAIL as usize);
            for position in 0..distance(tail, head) {
                let index = (advance(tail, position) & (layout::EVENT_CAPACITY - 1)) as usize;
                assert_eq!(words.get(EVENT_RING + index * RECORD + 1), seen);
                seen += 1;
            }
            consume(words, distance(tail, head));
            events.refresh();
            events.publish(0);
        }
        assert!(!events.congested());
    }

    #[test]
    fn one_doorbell_until_the_wake_word_is_cleared() {
        let (_backing, words) = memory();
        let mut events = Events::new(words);
        events.emit([1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(events.publish(0));
        events.emit([1, 1, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(0));
        assert!(!events.publish(0));
        words.put(control::EVENT_WAKE as usize, 0);
        events.emit([1, 2, 0, 0, 0, 0, 0, 0]);
        assert!(events.publish(0));
    }

    #[test]
    fn what_nobody_waits_for_rings_late_or_with_something_else() {
        let (_backing, words) = memory();
        let mut events = Events::new(words);
        let head = || words.get(control::EVENT_HEAD as usize);
        events.emit_quietly([5, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(10));
        assert_eq!(head(), 1, "published, so that it can be read along");
        assert_eq!(events.next_ring(10), Some(LONGEST_QUIET));
        // A second one does not put the ring off.
        events.emit_quietly([5, 1, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(11));
        assert_eq!(events.next_ring(11), Some(LONGEST_QUIET - 1));
        assert!(events.publish(10 + LONGEST_QUIET));
        assert_eq!(events.next_ring(12), None);
        words.put(control::EVENT_WAKE as usize, 0);
        // Something that is waited for rings for both.
        events.emit_quietly([5, 2, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(20));
        events.emit([1, 3, 0, 0, 0, 0, 0, 0]);
        assert!(events.publish(20));
        assert_eq!(events.next_ring(20), None);
        words.put(control::EVENT_WAKE as usize, 0);
        // Read along with something else's: no ring is due.
        consume(words, 4);
        events.emit_quietly([5, 4, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(30));
        consume(words, 1);
        events.refresh();
        assert_eq!(events.next_ring(30), None);
        assert!(!events.publish(40));
    }

    #[test]
    fn while_somebody_waits_for_an_end_every_end_rings() {
        let (_backing, words) = memory();
        let mut events = Events::new(words);
        words.put(control::EAGER as usize, 1);
        events.emit_quietly([5, 0, 0, 0, 0, 0, 0, 0]);
        assert!(events.publish(10));
        words.put(control::EVENT_WAKE as usize, 0);
        words.put(control::EAGER as usize, 0);
        events.emit_quietly([5, 1, 0, 0, 0, 0, 0, 0]);
        assert!(!events.publish(10));
    }

    #[test]
    fn slab_bytes_are_freed_by_consumption_and_never_overlap() {
        let (_backing, words) = memory();
        let mut events = Events::new(words);
        let chunk = vec![7_u8; 60_000];
        let mut accepted = 0;
        while events.emit_bytes([2, accepted, 0, 0, 0, 0, 0, 0], 3, &chunk) {
            accepted += 1;
        }
        assert_eq!(accepted, layout::EVENT_SLAB_BYTES / 60_000);
        consume(words, 2);
        events.refresh();
        assert!(events.emit_bytes([2, accepted, 0, 0, 0, 0, 0, 0], 3, &chunk));
        consume(words, accepted - 2);
        events.refresh();
        assert!(events.consumed(0));
        assert!(!events.consumed(accepted));
    }

    #[test]
    fn positions_wrap() {
        assert_eq!(advance(layout::POSITION_MASK, 1), 0);
        assert!(passed(1, layout::POSITION_MASK));
        assert!(!passed(layout::POSITION_MASK, 1));
        assert!(!passed(5, 5));
    }

    #[test]
    fn a_command_with_a_bad_range_is_refused() {
        let (_backing, words) = memory();
        let commands = Commands::new(words);
        let mut out = Vec::new();
        assert!(!commands.bytes(-1, 4, &mut out));
        assert!(!commands.bytes(layout::COMMAND_SLAB_BYTES - 2, 4, &mut out));
        assert!(commands.bytes(0, 4, &mut out));
    }
}
