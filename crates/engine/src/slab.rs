//! Numbered places for things that come and go, with generations.

/// Places are made in steps: pages are used where entries are.
const STEP: usize = 512;

/// What is kept in a slab.
pub trait Entry {
    /// Of a free place.
    fn vacant(generation: i32) -> Self;
    /// Generation of the place; never 0.
    fn generation(&self) -> i32;
}

/// Entries by number.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<T>,
    free: Vec<u32>,
    limit: usize,
    open: usize,
}

impl<T: Entry> Slab<T> {
    /// `limit` places.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        // Address space for all of them at once: growing would copy them, and leave as much
        // memory behind as it takes. Where there is not enough of it, it grows all the same.
        let mut entries = Vec::new();
        let _ = entries.try_reserve_exact(limit);
        Self {
            entries,
            free: Vec::new(),
            limit,
            open: 0,
        }
    }

    /// Takes a free place, reset but for its generation.
    pub fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let length = self.entries.len();
            let more = STEP.min(self.limit - length);
            self.entries.reserve_exact(more);
            for place in (length..length + more).rev() {
                self.free.push(place as u32);
            }
            self.entries.resize_with(length + more, || T::vacant(1));
        }
        let place = self.free.pop()?;
        self.open += 1;
        Some(place)
    }

    /// What was in a place is gone, and its handles no longer match. It is taken again
    /// once it is given back.
    pub fn vacate(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        let generation = entry.generation().checked_add(1).unwrap_or(1);
        *entry = T::vacant(generation);
        self.open -= 1;
    }

    /// A vacated place may be taken again.
    pub fn give_back(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Places that can be taken.
    #[must_use]
    pub fn room(&self) -> usize {
        self.free.len() + self.limit - self.entries.len()
    }

    /// Places that are taken.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Places that have ever been used.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.entries.len() as u32
    }

    /// What is in a place.
    #[inline]
    #[must_use]
    pub fn get(&self, place: u32) -> &T {
        &self.entries[place as usize]
    }

    /// What is in a place.
    #[inline]
    pub fn get_mut(&mut self, place: u32) -> &mut T {
        &mut self.entries[place as usize]
    }

    /// Does something with what is in each place that has ever been used.
    pub fn each(&mut self, what: impl FnMut(&mut T)) {
        self.entries.iter_mut().for_each(what);
    }

    /// What a handle names, unless its generation is over.
    #[must_use]
    pub fn find(&self, place: u32, generation: i32) -> Option<&T> {
        let entry = self.entries.get(place as usize)?;
        (entry.generation() == generation).then_some(entry)
    }

    /// Two different places at once.
    ///
    /// # Panics
    ///
    /// Where both are the same.
    #[inline]
    pub fn pair(&mut self, one: u32, other: u32) -> (&mut T, &mut T) {
        let [one, other] = self
            .entries
            .get_disjoint_mut([one as usize, other as usize])
            .expect("two different places");
        (one, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(i32);

    impl Entry for Plain {
        fn vacant(generation: i32) -> Self {
            Self(generation)
        }

        fn generation(&self) -> i32 {
            self.0
        }
    }

    #[test]
    fn a_place_is_used_again_with_another_generation() {
        let mut slab = Slab::<Plain>::new(1);
        let place = slab.take().expect("room");
        assert_eq!((slab.open(), slab.room()), (1, 0));
        assert!(slab.take().is_none());
        slab.vacate(place);
        assert!(slab.take().is_none(), "not given back");
        assert!(slab.find(place, 1).is_none());
        slab.give_back(place);
        assert_eq!(slab.take(), Some(place));
        assert!(slab.find(place, 2).is_some());
    }

    #[test]
    fn generations_start_again_behind_the_last() {
        let mut slab = Slab::<Plain>::new(1);
        let place = slab.take().expect("room");
        slab.get_mut(place).0 = i32::MAX;
        slab.vacate(place);
        assert_eq!(slab.get(place).generation(), 1);
    }

    #[test]
    fn places_are_added_up_to_the_limit() {
        let mut slab = Slab::<Plain>::new(STEP + 1);
        for place in 0..=STEP {
            assert_eq!(slab.take(), Some(place as u32));
        }
        assert!(slab.take().is_none());
        assert_eq!(slab.used() as usize, STEP + 1);
    }
}
