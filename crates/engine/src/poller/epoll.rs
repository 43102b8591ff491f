//! epoll (Linux).

use std::mem::MaybeUninit;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};

use super::{Interest, ListenInterest, Readiness, WAKE_TOKEN};

const BATCH: usize = 256;

/// An epoll instance with its wake-up eventfd.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// Wakes a [`Poller`] from another thread.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
}

impl Poller {
    /// A poller and its waker.
    ///
    /// # Errors
    ///
    /// Where the kernel has no descriptors or memory left.
    pub fn new() -> Result<(Self, Waker)> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: every write is a new edge, so it is never read.
        epoll::add(
            &epoll,
            &event,
            EventData::new_u64(WAKE_TOKEN),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok((Self { epoll }, Waker { event }))
    }

    /// Starts to watch a connection.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses (ENOMEM, ENOSPC).
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags(interest))
    }

    /// Changes what a watched connection waits for.
    ///
    /// # Errors
    ///
    /// Where the fd is not watched.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags(interest))
    }

    /// Starts to watch a listening socket, level-triggered.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn add_listener(&self, fd: impl AsFd, token: u64, how: ListenInterest) -> Result<()> {
        let flags = match how {
            ListenInterest::Own => EventFlags::IN,
            ListenInterest::Shared => EventFlags::IN | EventFlags::EXCLUSIVE,
        };
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)
    }

    /// Stops watching.
    ///
    /// # Errors
    ///
    /// Where the fd is not watched.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        epoll::delete(&self.epoll, fd)
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
        let mut raw = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        ready.clear();
        let events = match epoll::wait(&self.epoll, &mut raw, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error),
        };
        for event in events.iter() {
            let flags = event.flags;
            let hangup = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            ready.push((
                event.data.u64(),
                Readiness {
                    readable: hangup || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                    writable: hangup || flags.contains(EventFlags::OUT),
                    read_closed: flags.contains(EventFlags::RDHUP),
                    hangup,
                    urgent: flags.contains(EventFlags::PRI),
                },
            ));
        }
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Waker {
    /// Makes the poller return from its wait, now or the next time.
    pub fn wake(&self) {
        // EAGAIN means that 2^64 - 2 wake-ups are pending: it is awake.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

fn flags(interest: Interest) -> EventFlags {
    let always = EventFlags::RDHUP | EventFlags::ET;
    match interest {
        Interest::Read => always | EventFlags::IN | EventFlags::PRI,
        Interest::ReadWrite => always | EventFlags::IN | EventFlags::PRI | EventFlags::OUT,
        Interest::Write => always | EventFlags::OUT,
    }
}
