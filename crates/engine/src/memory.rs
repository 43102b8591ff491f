//! Views of the memory that is shared with TypeScript.
//!
//! JavaScript allocates it (a `SharedArrayBuffer`), so Rust never owns it: a
//! [`Words`] is a pointer with a promise. Every word is accessed atomically,
//! because JavaScript may write at any moment; bytes in slabs are owned by one
//! side at a time, handed over by a ring position.

use std::sync::atomic::{AtomicI32, Ordering};

/// A run of shared 32-bit words.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    start: *const AtomicI32,
    length: usize,
}

// SAFETY: all access goes through atomics or, for slab bytes, through ranges
// that only one side may touch at a time.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Wraps `length` words at `start`.
    ///
    /// # Safety
    ///
    /// The memory must be aligned to 4 bytes, stay valid and in place for as
    /// long as the view or any copy of it is used, and be accessed by others
    /// only through JavaScript or atomics.
    #[must_use]
    pub const unsafe fn new(start: *const i32, length: usize) -> Self {
        Self {
            start: start.cast(),
            length,
        }
    }

    /// Number of words.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// True where there are no words.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The word at `index`.
    ///
    /// # Panics
    ///
    /// Where `index` is out of range: indexes come from the contract, never
    /// from the network.
    #[inline]
    #[must_use]
    pub fn word(&self, index: usize) -> &AtomicI32 {
        assert!(
            index < self.length,
            "shared word {index} of {}",
            self.length
        );
        // SAFETY: in range by the assertion, valid by the promise of `new`.
        unsafe { &*self.start.add(index) }
    }

    /// Relaxed store.
    #[inline]
    pub fn put(&self, index: usize, value: i32) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// Relaxed load.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> i32 {
        self.word(index).load(Ordering::Relaxed)
    }

    /// Copies `bytes` to byte offset `at` of the region that starts at word `base`.
    pub fn write_bytes(&self, base: usize, at: usize, bytes: &[u8]) {
        let end = base * 4 + at + bytes.len();
        assert!(end <= self.length * 4, "slab write ends at {end}");
        // SAFETY: in range by the assertion; the ring protocol gives this range
        // to the writer until the record that names it is published.
        unsafe {
            let target = self.start.cast::<u8>().cast_mut().add(base * 4 + at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    /// Appends `length` bytes at byte offset `at` of the region at word `base` to `out`.
    /// Returns false, and appends nothing, where the range is not inside the memory.
    pub fn read_bytes(&self, base: usize, at: usize, length: usize, out: &mut Vec<u8>) -> bool {
        let Some(end) = (base * 4)
            .checked_add(at)
            .and_then(|start| start.checked_add(length))
        else {
            return false;
        };
        if end > self.length * 4 {
            return false;
        }
        out.reserve(length);
        // SAFETY: in range by the check, reserved above; the ring protocol gives
        // this range to the reader until it moves the tail.
        unsafe {
            let source = self.start.cast::<u8>().add(base * 4 + at);
            std::ptr::copy_nonoverlapping(source, out.as_mut_ptr().add(out.len()), length);
            out.set_len(out.len() + length);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_bounds_hold() {
        let memory = [0_i32; 16];
        // SAFETY: `memory` outlives the view.
        let words = unsafe { Words::new(memory.as_ptr(), memory.len()) };
        words.write_bytes(4, 3, b"sluice");
        let mut out = Vec::new();
        assert!(words.read_bytes(4, 3, 6, &mut out));
        assert_eq!(out, b"sluice");
        assert!(!words.read_bytes(4, 60, 6, &mut out));
        assert!(!words.read_bytes(4, usize::MAX, 6, &mut out));
        assert_eq!(out, b"sluice");
    }

    #[test]
    #[should_panic(expected = "shared word 16 of 16")]
    fn a_word_out_of_range_panics() {
        let memory = [0_i32; 16];
        // SAFETY: `memory` outlives the view.
        let words = unsafe { Words::new(memory.as_ptr(), memory.len()) };
        let _ = words.get(16);
    }
}
