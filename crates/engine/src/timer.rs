//! Deadlines of connections: a hashed timer wheel with at most one entry for each
//! kind of deadline and slot.
//!
//! Moving a deadline later is the common case (every byte moves the inactivity
//! deadline), so the wheel is lazy: an entry that comes due too early is put
//! back by its owner. Links are kept beside the slots, so nothing is allocated.

const BUCKETS: usize = 4096;
/// Width of a bucket in milliseconds.
pub const TICK: u64 = 8;
const NONE: u32 = u32::MAX;
/// Bucket of an entry that is not in the wheel.
const IDLE: u32 = u32::MAX;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream: what comes next, or inactivity.
    Stream,
    /// A server's connection: it lasts and gets its keep-alive, or has been alone for too
    /// long.
    Connection,
}

const KINDS: [Kind; 2] = [Kind::Stream, Kind::Connection];
/// Bits of a key that are the slot; the two above are the kind.
const SLOT_BITS: u32 = 30;

/// Names an entry: a kind and a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u32);

impl Key {
    fn new(kind: Kind, slot: u32) -> Self {
        debug_assert!(slot < 1 << SLOT_BITS);
        Self((kind as u32) << SLOT_BITS | slot)
    }

    fn kind(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }

    fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

/// The neighbours in a bucket, as keys. When an entry is due follows from its bucket.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// Bucket, or `IDLE`.
    bucket: u32,
}

const UNLINKED: Link = Link {
    previous: NONE,
    next: NONE,
    bucket: IDLE,
};

/// The wheel. Times are milliseconds of the worker's clock.
#[derive(Debug)]
pub struct Timers {
    /// First key of each bucket.
    buckets: Box<[u32; BUCKETS]>,
    occupied: Box<[u64; BUCKETS / 64]>,
    /// By kind, then by slot.
    links: [Vec<Link>; KINDS.len()],
    /// First tick that has not been run; every entry is less than a turn ahead of it.
    current: u64,
    count: usize,
}

impl Timers {
    /// An empty wheel whose clock stands at `now`.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            buckets: Box::new([NONE; BUCKETS]),
            occupied: Box::new([0; BUCKETS / 64]),
            links: KINDS.map(|_| Vec::new()),
            current: now / TICK,
            count: 0,
        }
    }

    /// Makes an entry come due at `at` or up to one tick later. One that
    /// would come due earlier stays where it is: the owner puts it back.
    pub fn schedule(&mut self, kind: Kind, slot: u32, at: u64) {
        let links = &mut self.links[kind as usize];
        if links.len() <= slot as usize {
            // In steps: doubling would waste memory on idle connections.
            let length = (slot as usize + 1).next_multiple_of(1024);
            links.reserve_exact(length - links.len());
            links.resize(length, UNLINKED);
        }
        let bucket = links[slot as usize].bucket;
        if bucket != IDLE {
            if self.due_at(bucket) <= at {
                return;
            }
            self.cancel(kind, slot);
        }
        // Due in the tick after `at`, at the earliest the next tick to run, at
        // the latest one turn of the wheel away.
        let tick = (at / TICK + 1).clamp(self.current, self.current + BUCKETS as u64 - 1);
        let bucket = tick as usize % BUCKETS;
        let (key, next) = (Key::new(kind, slot), self.buckets[bucket]);
        *self.link(key) = Link {
            previous: NONE,
            next,
            bucket: bucket as u32,
        };
        if next != NONE {
            self.link(Key(next)).previous = key.0;
        }
        self.buckets[bucket] = key.0;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.count += 1;
    }

    /// Takes an entry out of the wheel.
    pub fn cancel(&mut self, kind: Kind, slot: u32) {
        let Some(link) = self.links[kind as usize].get_mut(slot as usize) else {
            return;
        };
        let Link {
            previous,
            next,
            bucket,
        } = std::mem::replace(link, UNLINKED);
        if bucket == IDLE {
            return;
        }
        let bucket = bucket as usize;
        if previous == NONE {
            self.buckets[bucket] = next;
            if next == NONE {
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
        } else {
            self.link(Key(previous)).next = next;
        }
        if next != NONE {
            self.link(Key(next)).previous = previous;
        }
        self.count -= 1;
    }

    /// Takes every entry that is due at `now` out of the wheel and appends it to `due`.
    pub fn expire(&mut self, now: u64, due: &mut Vec<(Kind, u32)>) {
        let end = now / TICK;
        if self.count == 0 {
            self.current = end.max(self.current);
            return;
        }
        while self.current <= end {
            let bucket = self.current as usize % BUCKETS;
            if self.occupied[bucket / 64] & (1 << (bucket % 64)) != 0 {
                let mut next = self.buckets[bucket];
                while next != NONE {
                    let key = Key(next);
                    next = std::mem::replace(self.link(key), UNLINKED).next;
                    self.count -= 1;
                    due.push((KINDS[key.kind()], key.slot() as u32));
                }
                self.buckets[bucket] = NONE;
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
            self.current += 1;
        }
    }

    /// Milliseconds from `now` until something may be due, or `None`.
    #[must_use]
    pub fn next(&self, now: u64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let start = self.current as usize % BUCKETS;
        for step in 0..=BUCKETS / 64 {
            let index = (start / 64 + step) % (BUCKETS / 64);
            let mut word = self.occupied[index];
            if step == 0 {
                word &= u64::MAX << (start % 64);
            }
            if word != 0 {
                let bucket = index * 64 + word.trailing_zeros() as usize;
                return Some(self.due_at(bucket as u32).saturating_sub(now));
            }
        }
        None
    }

    /// When the entries of a bucket are due.
    fn due_at(&self, bucket: u32) -> u64 {
        let start = self.current as usize % BUCKETS;
        let ahead = (bucket as usize + BUCKETS - start) % BUCKETS;
        (self.current + ahead as u64) * TICK
    }

    fn link(&mut self, key: Key) -> &mut Link {
        &mut self.links[key.kind()][key.slot()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timers: &mut Timers, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        timers.expire(now, &mut due);
        assert!(due.iter().all(|&(kind, _)| kind == Kind::Stream));
        let mut slots: Vec<u32> = due.into_iter().map(|(_, slot)| slot).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn entries_come_due_in_time_and_once() {
        let mut timers = Timers::new(0);
        timers.schedule(Kind::Stream, 1, 100);
        timers.schedule(Kind::Stream, 2, 50);
        timers.schedule(Kind::Stream, 3, 100);
        assert_eq!(run(&mut timers, 49), []);
        assert_eq!(run(&mut timers, 50 + TICK), [2]);
        assert_eq!(run(&mut timers, 100 + TICK), [1, 3]);
        assert_eq!(run(&mut timers, 10_000), []);
        assert_eq!(timers.next(10_000), None);
    }

    #[test]
    fn kinds_of_one_slot_do_not_know_of_each_other() {
        let mut timers = Timers::new(0);
        timers.schedule(Kind::Stream, 3, 100);
        timers.schedule(Kind::Connection, 3, 100);
        timers.schedule(Kind::Connection, 4, 100);
        timers.cancel(Kind::Connection, 4);
        // Later for the one, which is lazy; earlier for the other, which moves.
        timers.schedule(Kind::Stream, 3, 300);
        timers.schedule(Kind::Connection, 3, 50);
        let mut due = Vec::new();
        timers.expire(50 + TICK, &mut due);
        assert_eq!(due, [(Kind::Connection, 3)]);
        timers.expire(100 + TICK, &mut due);
        assert_eq!(due, [(Kind::Connection, 3), (Kind::Stream, 3)]);
        assert_eq!(timers.next(200), None);
    }

    #[test]
    fn a_later_deadline_is_lazy_and_an_earlier_one_moves() {
        let mut timers = Timers::new(0);
        timers.schedule(Kind::Stream, 1, 100);
        timers.schedule(Kind::Stream, 1, 500);
        assert_eq!(run(&mut timers, 100 + TICK), [1]);
        timers.schedule(Kind::Stream, 1, 500);
        timers.schedule(Kind::Stream, 1, 200);
        assert_eq!(run(&mut timers, 200 + TICK), [1]);
    }

    #[test]
    fn a_cancelled_entry_never_comes_due() {
        let mut timers = Timers::new(0);
        for slot in 0..5 {
            timers.schedule(Kind::Stream, slot, 80);
        }
        timers.cancel(Kind::Stream, 2);
        timers.cancel(Kind::Stream, 4);
        timers.cancel(Kind::Stream, 0);
        timers.cancel(Kind::Stream, 0);
        timers.cancel(Kind::Stream, 77);
        assert_eq!(run(&mut timers, 1000), [1, 3]);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_due_early_and_is_put_back() {
        let mut timers = Timers::new(0);
        timers.schedule(Kind::Stream, 9, 3_600_000);
        let turn = BUCKETS as u64 * TICK;
        assert_eq!(run(&mut timers, turn), [9]);
        timers.schedule(Kind::Stream, 9, 3_600_000);
        assert!(timers.next(turn).is_some_and(|ms| ms <= turn));
    }

    #[test]
    fn time_goes_on_past_49_days() {
        let start = u64::from(u32::MAX) - 20;
        let mut timers = Timers::new(start);
        timers.schedule(Kind::Stream, 1, start + 10);
        timers.schedule(Kind::Stream, 2, start + 5_000);
        assert_eq!(run(&mut timers, start + 10 + TICK), [1]);
        assert!(timers.next(start + 30).is_some_and(|ms| ms <= 5_000));
        assert_eq!(run(&mut timers, start + 5_000 + TICK), [2]);
    }

    #[test]
    fn next_is_never_later_than_the_first_deadline() {
        let mut timers = Timers::new(0);
        let mut seed = 7_u32;
        for slot in 0..200 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            timers.schedule(Kind::Stream, slot, u64::from(seed % 30_000));
        }
        let mut now = 0;
        let mut total = 0;
        while let Some(wait) = timers.next(now) {
            now += wait.max(1);
            total += run(&mut timers, now).len();
        }
        assert_eq!(total, 200);
    }
}
