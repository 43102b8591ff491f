//! Deadlines of connections: a hashed timer wheel with at most one entry a slot.
//!
//! Moving a deadline later is the common case (every byte moves the inactivity
//! deadline), so the wheel is lazy: an entry that comes due too early is put
//! back by its owner. Links are kept beside the slots, so nothing is allocated.

const BUCKETS: usize = 4096;
/// Width of a bucket in milliseconds.
pub const TICK: u64 = 8;
const NONE: u32 = u32::MAX;
/// An entry that is not in the wheel.
const IDLE: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// Bucket, or `IDLE`.
    bucket: u32,
    due: u64,
}

const UNLINKED: Link = Link {
    previous: NONE,
    next: NONE,
    bucket: IDLE,
    due: 0,
};

/// The wheel. Times are milliseconds of the worker's clock.
#[derive(Debug)]
pub struct Timers {
    buckets: Box<[u32; BUCKETS]>,
    occupied: Box<[u64; BUCKETS / 64]>,
    links: Vec<Link>,
    /// First tick that has not been run.
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
            links: Vec::new(),
            current: now / TICK,
            count: 0,
        }
    }

    /// Makes `slot` come due at `at` or up to one tick later. An entry that
    /// would come due earlier stays where it is: the owner puts it back.
    pub fn schedule(&mut self, slot: u32, at: u64) {
        if self.links.len() <= slot as usize {
            // In steps: doubling would waste memory on idle connections.
            let length = (slot as usize + 1).next_multiple_of(1024);
            self.links.reserve_exact(length - self.links.len());
            self.links.resize(length, UNLINKED);
        }
        let link = self.links[slot as usize];
        if link.bucket != IDLE {
            if link.due <= at {
                return;
            }
            self.cancel(slot);
        }
        // Due in the tick after `at`, at the earliest the next tick to run, at
        // the latest one turn of the wheel away.
        let tick = (at / TICK + 1).clamp(self.current, self.current + BUCKETS as u64 - 1);
        let bucket = tick as usize % BUCKETS;
        let next = self.buckets[bucket];
        self.links[slot as usize] = Link {
            previous: NONE,
            next,
            bucket: bucket as u32,
            due: tick * TICK,
        };
        if next != NONE {
            self.links[next as usize].previous = slot;
        }
        self.buckets[bucket] = slot;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.count += 1;
    }

    /// Takes `slot` out of the wheel.
    pub fn cancel(&mut self, slot: u32) {
        let Some(link) = self.links.get(slot as usize).copied() else {
            return;
        };
        if link.bucket == IDLE {
            return;
        }
        let bucket = link.bucket as usize;
        if link.previous == NONE {
            self.buckets[bucket] = link.next;
            if link.next == NONE {
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
        } else {
            self.links[link.previous as usize].next = link.next;
        }
        if link.next != NONE {
            self.links[link.next as usize].previous = link.previous;
        }
        self.links[slot as usize] = UNLINKED;
        self.count -= 1;
    }

    /// Takes every entry that is due at `now` out of the wheel and appends it to `due`.
    pub fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        let end = now / TICK;
        if self.count == 0 {
            self.current = end.max(self.current);
            return;
        }
        while self.current <= end {
            let bucket = self.current as usize % BUCKETS;
            if self.occupied[bucket / 64] & (1 << (bucket % 64)) != 0 {
                let mut slot = self.buckets[bucket];
                while slot != NONE {
                    let next = self.links[slot as usize].next;
                    self.links[slot as usize] = UNLINKED;
                    self.count -= 1;
                    due.push(slot);
                    slot = next;
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
                let ahead = (bucket + BUCKETS - start) % BUCKETS;
                let at = (self.current + ahead as u64) * TICK;
                return Some(at.saturating_sub(now));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timers: &mut Timers, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        timers.expire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn entries_come_due_in_time_and_once() {
        let mut timers = Timers::new(0);
        timers.schedule(1, 100);
        timers.schedule(2, 50);
        timers.schedule(3, 100);
        assert_eq!(run(&mut timers, 49), []);
        assert_eq!(run(&mut timers, 50 + TICK), [2]);
        assert_eq!(run(&mut timers, 100 + TICK), [1, 3]);
        assert_eq!(run(&mut timers, 10_000), []);
        assert_eq!(timers.next(10_000), None);
    }

    #[test]
    fn a_later_deadline_is_lazy_and_an_earlier_one_moves() {
        let mut timers = Timers::new(0);
        timers.schedule(1, 100);
        timers.schedule(1, 500);
        assert_eq!(run(&mut timers, 100 + TICK), [1]);
        timers.schedule(1, 500);
        timers.schedule(1, 200);
        assert_eq!(run(&mut timers, 200 + TICK), [1]);
    }

    #[test]
    fn a_cancelled_entry_never_comes_due() {
        let mut timers = Timers::new(0);
        for slot in 0..5 {
            timers.schedule(slot, 80);
        }
        timers.cancel(2);
        timers.cancel(4);
        timers.cancel(0);
        timers.cancel(0);
        timers.cancel(77);
        assert_eq!(run(&mut timers, 1000), [1, 3]);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_due_early_and_is_put_back() {
        let mut timers = Timers::new(0);
        timers.schedule(9, 3_600_000);
        let turn = BUCKETS as u64 * TICK;
        assert_eq!(run(&mut timers, turn), [9]);
        timers.schedule(9, 3_600_000);
        assert!(timers.next(turn).is_some_and(|ms| ms <= turn));
    }

    #[test]
    fn time_goes_on_past_49_days() {
        let start = u64::from(u32::MAX) - 20;
        let mut timers = Timers::new(start);
        timers.schedule(1, start + 10);
        timers.schedule(2, start + 5_000);
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
            timers.schedule(slot, u64::from(seed % 30_000));
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
