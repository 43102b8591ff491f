//! kqueue (macOS and the BSDs). The same surface as epoll.rs.

use rustix::event::Timespec;
use rustix::event::kqueue::{
    Event, EventFilter, EventFlags, UserDefinedFlags, UserFlags, kevent_timespec, kqueue,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};

use super::{Interest, ListenInterest, Readiness, WAKE_TOKEN};

const BATCH: usize = 256;

/// A kqueue.
#[derive(Debug)]
pub struct Poller {
    queue: OwnedFd,
}

/// Wakes a [`Poller`] from another thread.
#[derive(Debug)]
pub struct Waker {
    queue: OwnedFd,
}

impl Poller {
    /// A poller and its waker.
    ///
    /// # Errors
    ///
    /// Where the kernel has no descriptors or memory left.
    pub fn new() -> Result<(Self, Waker)> {
        let queue = kqueue()?;
        let user = EventFilter::User {
            ident: 0,
            flags: UserFlags::NOINPUT,
            user_flags: UserDefinedFlags::new(0),
        };
        change(
            &queue,
            &[event(user, EventFlags::ADD | EventFlags::CLEAR, WAKE_TOKEN)],
        )?;
        let waker = Waker {
            queue: rustix::io::dup(&queue)?,
        };
        Ok((Self { queue }, waker))
    }

    /// Starts to watch a connection.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        let fd = fd.as_fd().as_raw_fd();
        let flags = EventFlags::ADD | EventFlags::CLEAR;
        let read = event(EventFilter::Read(fd), flags, token);
        let write = event(EventFilter::Write(fd), flags, token);
        match interest {
            Interest::Read => change(&self.queue, &[read]),
            // Clearing reads costs as much as a spurious wake-up here.
            Interest::ReadWrite | Interest::Write => change(&self.queue, &[read, write]),
        }
    }

    /// Changes what a watched connection waits for.
    ///
    /// # Errors
    ///
    /// Where the fd is not watched.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        self.add(fd, token, interest)
    }

    /// Starts to watch a listening socket, level-triggered.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn add_listener(&self, fd: impl AsFd, token: u64, _how: ListenInterest) -> Result<()> {
        let read = EventFilter::Read(fd.as_fd().as_raw_fd());
        change(&self.queue, &[event(read, EventFlags::ADD, token)])
    }

    /// Stops watching.
    ///
    /// # Errors
    ///
    /// Where the fd is not watched.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        let read = EventFilter::Read(fd.as_fd().as_raw_fd());
        change(&self.queue, &[event(read, EventFlags::DELETE, 0)])
    }

    /// Waits up to `timeout` milliseconds (`None`: for ever) and replaces `ready`
    /// by what became ready.
    ///
    /// # Errors
    ///
    /// Never for an interruption by a signal: that is an empty answer.
    pub fn wait(&self, timeout: Option<u32>, ready: &mut Vec<(u64, Readiness)>) -> Result<()> {
        let timeout = timeout.map(|ms| Timespec {
            tv_sec: i64::from(ms / 1000),
            tv_nsec: i64::from(ms % 1000) * 1_000_000,
        });
        let mut raw: Vec<Event> = Vec::with_capacity(BATCH);
        ready.clear();
        // SAFETY: no descriptor in the change list, and those watched are owned
        // by connections that outlive their registration.
        let outcome = unsafe {
            kevent_timespec(
                &self.queue,
                &[],
                rustix::buffer::spare_capacity(&mut raw),
                timeout.as_ref(),
            )
        };
        match outcome {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        }
        for item in &raw {
            let eof = item.flags().contains(EventFlags::EOF);
            let failed = item.flags().contains(EventFlags::ERROR);
            let read = matches!(item.filter(), EventFilter::Read(_));
            let write = matches!(item.filter(), EventFilter::Write(_));
            ready.push((
                item.udata() as usize as u64,
                Readiness {
                    readable: read || failed,
                    writable: write || failed,
                    read_closed: read && eof,
                    hangup: failed || (write && eof),
                    // Not told apart here (EVFILT_EXCEPT is macOS's own).
                    urgent: false,
                },
            ));
        }
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl Waker {
    /// Makes the poller return from its wait, now or the next time.
    pub fn wake(&self) {
        let user = EventFilter::User {
            ident: 0,
            flags: UserFlags::TRIGGER,
            user_flags: UserDefinedFlags::new(0),
        };
        let _ = change(&self.queue, &[event(user, EventFlags::empty(), WAKE_TOKEN)]);
    }
}

fn event(filter: EventFilter, flags: EventFlags, token: u64) -> Event {
    Event::new(filter, flags, token as usize as *mut _)
}

fn change(queue: &OwnedFd, changes: &[Event]) -> Result<()> {
    let mut none: Vec<Event> = Vec::new();
    // SAFETY: the descriptors in `changes` are borrowed for the call.
    unsafe {
        kevent_timespec(
            queue,
            changes,
            rustix::buffer::spare_capacity(&mut none),
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )?;
    }
    Ok(())
}
