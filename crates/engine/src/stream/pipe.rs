//! Kernel pipes for splice, lent by a pool only while bytes are in them.
//!
//! A pipe's capacity is nominal: a slot may hold a page or a whole GRO packet
//! by reference, so nothing here compares what is pending with the capacity.

use rustix::fd::OwnedFd;
use rustix::io::Result;

/// Pipes that a pool keeps for later.
const KEEP: usize = 64;
/// Size asked for: fewer and larger moves. The kernel may refuse it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PIPE_SIZE: usize = 1024 * 1024;

/// A pipe with its pending bytes.
#[derive(Debug)]
pub struct Pipe {
    /// End that is read.
    pub reader: OwnedFd,
    /// End that is written.
    pub writer: OwnedFd,
    /// Bytes inside.
    pub pending: usize,
}

/// Lends pipes and counts those that are out.
#[derive(Debug, Default)]
pub struct PipePool {
    free: Vec<Pipe>,
    borrowed: usize,
}

impl PipePool {
    /// An empty pipe.
    ///
    /// # Errors
    ///
    /// Where no descriptors are left: the caller copies instead.
    pub fn lend(&mut self) -> Result<Pipe> {
        let pipe = match self.free.pop() {
            Some(pipe) => pipe,
            None => create()?,
        };
        self.borrowed += 1;
        Ok(pipe)
    }

    /// Takes a pipe back, if there is one. One that still holds bytes is closed.
    pub fn give_back(&mut self, place: &mut Option<Pipe>) {
        let Some(pipe) = place.take() else { return };
        self.borrowed -= 1;
        if pipe.pending == 0 && self.free.len() < KEEP {
            self.free.push(pipe);
        }
    }

    /// Pipes that are out.
    #[must_use]
    pub fn borrowed(&self) -> usize {
        self.borrowed
    }

    /// Closes the pipes that are kept, where descriptors run short.
    pub fn shrink(&mut self) {
        self.free.clear();
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn create() -> Result<Pipe> {
    use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let _ = fcntl_setpipe_size(&writer, PIPE_SIZE);
    Ok(Pipe {
        reader,
        writer,
        pending: 0,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn create() -> Result<Pipe> {
    Err(rustix::io::Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn an_empty_pipe_is_kept_and_a_full_one_is_closed() {
        let mut pool = PipePool::default();
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
}
