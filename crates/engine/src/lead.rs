//! Leader and follower: who runs a worker's turns.
//!
//! A worker's own thread leads. While traffic is sparse (one question to policy at a
//! time), each question costs two switches between threads, which is most of what a
//! single client waits for. So the thread then puts its worker on a seat, and the
//! thread of the policies takes the turns inside its own event loop: it polls the
//! worker's poller, runs a turn, answers its questions and runs the answers, all
//! without another thread. The worker's thread follows: it looks every millisecond,
//! and takes its worker back where policy has something better to do, where there
//! is much to do, or nothing at all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;

use crate::ring::Record;
use crate::worker::{Led, Mailbox, Worker};

/// How often a follower looks whether policy leads: traffic waits no longer for a
/// policy that is busy with something else.
const LOOK: Duration = Duration::from_millis(1);
/// Looks without a turn after which a follower takes its worker back, and sleeps.
const IDLE_LOOKS: u32 = 8;

/// Where a worker sits while its thread follows.
pub struct Seat {
    /// Empty while the thread leads.
    worker: Mutex<Option<Worker>>,
    /// Policy may lead, and has something to poll.
    offered: AtomicBool,
    /// Milliseconds on the worker's clock at which a turn is due; `u64::MAX`: none.
    due: AtomicU64,
    /// The follower.
    thread: OnceLock<Thread>,
    mailbox: Arc<Mailbox>,
    /// The worker's poller.
    poller: OwnedFd,
    started: Instant,
    /// Followed at all.
    enabled: bool,
}

/// What a turn on a seat came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The worker is not on the seat: poll no more.
    Gone,
    /// There are events for policy: to be answered, then the next turn.
    Asked,
    /// Nothing is left to do until the poller is readable.
    Quiet,
}

impl Seat {
    pub(crate) fn new(
        poller: BorrowedFd<'_>,
        mailbox: Arc<Mailbox>,
        started: Instant,
        enabled: bool,
    ) -> std::io::Result<Self> {
        Ok(Self {
            worker: Mutex::new(None),
            offered: AtomicBool::new(false),
            due: AtomicU64::new(u64::MAX),
            thread: OnceLock::new(),
            mailbox,
            poller: poller.try_clone_to_owned()?,
            started,
            enabled,
        })
    }

    /// Readable where a turn has something to do.
    pub fn descriptor(&self) -> RawFd {
        self.poller.as_raw_fd()
    }

    /// True while the worker waits here for policy to lead.
    pub fn offered(&self) -> bool {
        self.offered.load(Ordering::Acquire)
    }

    /// Has the follower look now, where there is one.
    pub fn call(&self) {
        if self.offered()
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Runs a turn in the calling thread, where the worker sits here.
    pub fn turn(&self) -> Turn {
        let mut guard = self.lock();
        let Some(worker) = guard.as_mut() else {
            return Turn::Gone;
        };
        self.mailbox.stats.led.fetch_add(1, Ordering::Relaxed);
        // A panic is the follower's to tell, as it is when its own turn panics.
        let led = catch_unwind(AssertUnwindSafe(|| worker.lead()));
        match led {
            Ok(Ok(Led::Asked)) => Turn::Asked,
            Ok(Ok(Led::Quiet { due })) => {
                self.due.store(due, Ordering::Relaxed);
                Turn::Quiet
            }
            Ok(Ok(Led::Busy)) => {
                self.rise(guard);
                Turn::Gone
            }
            Ok(Err(_)) | Err(_) => {
                let broken = guard.take();
                drop(catch_unwind(AssertUnwindSafe(|| drop(broken))));
                self.rise(guard);
                Turn::Gone
            }
        }
    }

    /// Has the follower take its worker back, where it sits here.
    pub fn give_back(&self) {
        self.rise(self.lock());
    }

    fn rise(&self, guard: MutexGuard<'_, Option<Worker>>) {
        self.offered.store(false, Ordering::Release);
        drop(guard);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's thread: leads and follows until the worker is stopped. `worker` is
    /// given by reference so that it is not dropped by a panic that unwinds. Precondition:
    /// there is one.
    ///
    /// # Errors
    ///
    /// Where the poller fails, or a turn that policy led did.
    pub(crate) fn run(&self, worker: &mut Option<Worker>) -> rustix::io::Result<Vec<Record>> {
        let _ = self.thread.set(std::thread::current());
        loop {
            let own = worker.as_mut().ok_or(Errno::CANCELED)?;
            if !own.turn(None)? {
                return Ok(own.finish());
            }
            if self.enabled
                && own.is_sparse()
                && let Some(due) = own.settle()
            {
                self.follow(worker, due);
            }
        }
    }

    /// Puts the worker, which has settled until `due`, on the seat until it is wanted
    /// back. None comes back where a turn failed that policy led.
    fn follow(&self, worker: &mut Option<Worker>, due: u64) {
        let ring = worker.as_ref().map(Worker::doorbell);
        *self.lock() = worker.take();
        self.due.store(due, Ordering::Relaxed);
        self.offered.store(true, Ordering::Release);
        if let Some(ring) = ring {
            ring();
        }
        let blocked = self.watch();
        self.offered.store(false, Ordering::Release);
        *worker = self.lock().take();
        if let Some(worker) = worker {
            worker.resume(blocked);
        }
    }

    /// Waits until the worker is wanted back; true where policy did not lead
    /// although there was something to do.
    fn watch(&self) -> bool {
        let turns = &self.mailbox.stats.led;
        let mut seen = turns.load(Ordering::Relaxed);
        let mut idle = 0;
        loop {
            std::thread::park_timeout(LOOK);
            if !self.offered() {
                return false;
            }
            let led = turns.load(Ordering::Relaxed);
            if led != seen {
                seen = led;
                idle = 0;
                continue;
            }
            idle += 1;
            let now = self.started.elapsed().as_millis() as u64;
            if self.mailbox.full.load(Ordering::SeqCst)
                || now >= self.due.load(Ordering::Relaxed)
                || idle >= IDLE_LOOKS
            {
                return false;
            }
            if self.is_readable() {
                // It may have become so just now.
                std::thread::park_timeout(LOOK / 4);
                return turns.load(Ordering::Relaxed) == seen && self.is_readable();
            }
        }
    }

    fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.poller, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(ready) if ready > 0)
    }
}
