//! The worker's clock as it is kept: in 32 bits of milliseconds, which wrap after 49.7 days.

use sluice_wire::ring_layout::layout;

/// A time of the worker's clock. Half of its range is in front of now: time-outs are
/// shorter than that (`MAX_DURATION` in TypeScript).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u32);

impl Moment {
    /// No time.
    pub const NEVER: Self = Self(0);

    /// What the clock shows, in milliseconds.
    #[must_use]
    pub fn at(clock: u64) -> Self {
        Self((clock as u32).max(1))
    }

    /// True for no time.
    #[must_use]
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }

    /// Milliseconds since a time that has been.
    #[must_use]
    pub fn ago(self, now: u64) -> u64 {
        u64::from((now as u32).wrapping_sub(self.0))
    }

    /// What the clock showed at a time that has been.
    #[must_use]
    pub fn past(self, now: u64) -> u64 {
        now.saturating_sub(self.ago(now))
    }

    /// What the clock shows at a time that is to come, or has just been.
    #[must_use]
    pub fn due(self, now: u64) -> u64 {
        let ahead = self.0.wrapping_sub(now as u32) as i32;
        now.saturating_add_signed(i64::from(ahead))
    }

    /// So much later; no time stays none.
    pub fn postpone(&mut self, ms: u64) {
        if !self.is_never() {
            self.0 = self.0.wrapping_add(ms as u32).max(1);
        }
    }

    /// As records hold it: 31 bits. Readers take differences under the same mask. Never 0
    /// but for no time.
    #[must_use]
    pub fn word(self) -> i32 {
        match self.0 {
            0 => 0,
            ms => ((ms & layout::POSITION_MASK as u32) as i32).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_records_wraps_in_31_bits() {
        assert_eq!(Moment::NEVER.word(), 0);
        assert_eq!(Moment::at(5).word(), 5);
        let wrap = 1_u64 << 31;
        assert_eq!(Moment::at(wrap - 1).word(), i32::MAX);
        assert_eq!(Moment::at(wrap).word(), 1);
        let (late, early) = (Moment::at(wrap + 7), Moment::at(wrap - 3));
        assert_eq!((late.word() - early.word()) & layout::POSITION_MASK, 10);
    }

    #[test]
    fn what_was_and_what_will_be_is_told_across_the_wrap() {
        for wraps in 0..3_u64 {
            let wrap = wraps << 32;
            for now in [wrap + 1, wrap + 5_000, wrap + (1 << 32) - 1] {
                let past = now.saturating_sub(3_000).max(1);
                assert!(Moment::at(past).past(now).abs_diff(past) <= 1);
                assert!(Moment::at(now + 3_000).due(now).abs_diff(now + 3_000) <= 1);
                let longest = i32::MAX as u64;
                assert!(Moment::at(now + longest).due(now).abs_diff(now + longest) <= 1);
            }
        }
    }

    #[test]
    fn what_is_postponed_stays_a_time_and_never_stays_never() {
        let mut at = Moment::at(u64::from(u32::MAX) - 9);
        at.postpone(10);
        assert!(!at.is_never());
        let mut never = Moment::NEVER;
        never.postpone(10);
        assert!(never.is_never());
    }
}
