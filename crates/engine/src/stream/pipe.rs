//! Kernel pipes for splice, lent by a pool only while bytes are in them.
//!
//! A pipe's capacity is nominal: a slot may hold a page or a whole GRO packet
//! by reference, so nothing here compares what is pending with the capacity.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};

/// Pipes that a pool keeps for later.
const KEEP: usize = 16;
/// Size asked for: fewer and larger moves. The kernel may refuse it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PIPE_SIZE: usize = 1024 * 1024;

/// A pipe that is lent. One word where it is kept, as a buffer.
#[derive(Debug)]
pub struct Pipe(Box<Ends>);

/// A pipe with its pending bytes.
#[derive(Debug)]
pub struct Ends {
    /// End that is read.
    pub reader: OwnedFd,
    /// End that is written.
    pub writer: OwnedFd,
    /// Bytes inside.
    pub pending: usize,
}

impl std::ops::Deref for Pipe {
    type Target = Ends;

    fn deref(&self) -> &Ends {
        &self.0
    }
}

impl std::ops::DerefMut for Pipe {
    fn deref_mut(&mut self) -> &mut Ends {
        &mut self.0
    }
}

/// Pipes that may still be made, in all workers.
pub type PipeBudget = Arc<AtomicUsize>;

/// Lends pipes and counts those that are out.
#[derive(Debug)]
pub struct PipePool {
    budget: PipeBudget,
    free: Vec<Pipe>,
    borrowed: usize,
}

impl PipePool {
    /// A pool without pipes.
    #[must_use]
    pub fn new(budget: PipeBudget) -> Self {
        Self {
            budget,
            free: Vec::new(),
            borrowed: 0,
        }
    }

    /// An empty pipe.
    ///
    /// # Errors
    ///
    /// Where the budget is used up or no descriptors are left: the caller copies
    /// instead.
    pub fn lend(&mut self) -> Result<Pipe> {
        let pipe = match self.free.pop() {
            Some(pipe) => pipe,
            None => self.make()?,
        };
        self.borrowed += 1;
        Ok(pipe)
    }

    fn make(&self) -> Result<Pipe> {
        let spend = |left: usize| left.checked_sub(1);
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
            .map_err(|_| Errno::MFILE)?;
        create().inspect_err(|_| self.closed(1))
    }

    /// So many pipes are closed: others may be made.
    fn closed(&self, count: usize) {
        self.budget.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes a pipe back, if there is one. One that still holds bytes is closed.
    pub fn give_back(&mut self, place: &mut Option<Pipe>) {
        let Some(pipe) = place.take() else { return };
        self.borrowed -= 1;
        if pipe.pending == 0 && self.free.len() < KEEP {
            self.free.push(pipe);
        } else {
            drop(pipe);
            self.closed(1);
        }
    }

    /// Pipes that are out.
    #[must_use]
    pub fn borrowed(&self) -> usize {
        self.borrowed
    }

    /// Closes the pipes that are kept, where descriptors run short.
    pub fn shrink(&mut self) {
        let count = self.free.len();
        self.free.clear();
        self.closed(count);
    }
}

impl Drop for PipePool {
    fn drop(&mut self) {
        self.shrink();
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn create() -> Result<Pipe> {
    use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let _ = fcntl_setpipe_size(&writer, PIPE_SIZE);
    Ok(Pipe(Box::new(Ends {
        reader,
        writer,
        pending: 0,
    })))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn create() -> Result<Pipe> {
    Err(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(pipes: usize) -> PipePool {
        PipePool::new(Arc::new(AtomicUsize::new(pipes)))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_empty_pipe_is_kept_and_a_full_one_is_closed() {
        let mut pool = pool(2);
        let mut empty = Some(pool.lend().expect("pipe"));
        let mut full = Some(pool.lend().expect("pipe"));
        if let Some(pipe) = &mut full {
            pipe.pending = 1;
        }
        assert_eq!(pool.borrowed(), 2);
        pool.give_back(&mut empty);
        pool.give_back(&mut full);
        pool.give_back(&mut full);
        assert_eq!((pool.borrowed(), pool.free.len()), (0, 1));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn pipes_are_a_budget_of_all_workers() {
        let mut one = pool(2);
        let mut other = PipePool::new(one.budget.clone());
        let mut kept = Some(one.lend().expect("pipe"));
        let mut full = Some(other.lend().expect("pipe"));
        assert_eq!(one.lend().err(), Some(Errno::MFILE));
        if let Some(pipe) = &mut full {
            pipe.pending = 1;
        }
        // A pipe that is closed is given back to the budget, one that is kept is not.
        other.give_back(&mut full);
        let mut again = Some(one.lend().expect("pipe"));
        one.give_back(&mut kept);
        one.give_back(&mut again);
        assert_eq!(other.lend().err(), Some(Errno::MFILE));
        one.shrink();
        assert!(other.lend().is_ok());
    }
}
