//! The loop, one turn at a time, apart from the thread that runs it.
//!
//! ```text
//! turn: poller ─ readiness ─ commands, control messages ─ timers ─ what has more to do ─ doorbell
//! ```

use std::sync::atomic::{Ordering, fence};

use sluice_wire::ring_layout::control;

use super::{LISTENER_TOKEN, RETRY, SERVER_TOKEN, Worker};
use crate::poller::Readiness;
use crate::ring::{Doorbell, Record};

/// A turn of the loop that took longer than this, in milliseconds, was no work: the
/// process was stopped, or the machine stood still.
const STANDSTILL: u64 = 250;
/// Events of the poller in a turn from which on a worker has enough to do to let a ring wait.
const BUSY: usize = 3;
/// Turns for which it does.
const GATHER: u32 = 4;

/// Rings with one question each, one after the other, from which on traffic is sparse.
const SPARSE: i32 = 16;
/// Rings that a worker's own thread leads after policy has kept it waiting.
const PENANCE: i32 = 4096;
/// Turns without a question after which policy leads no more: traffic that asks nothing
/// is forwarded by a thread of its own.
const UNASKED: u32 = 16;

/// What a turn that policy led came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// Something was asked.
    Asked,
    /// Nothing to do before something is ready, or `due` comes on the worker's clock.
    Quiet {
        /// Milliseconds; `u64::MAX`: never.
        due: u64,
    },
    /// There is more to do than policy's thread should.
    Busy,
}

impl Worker {
    /// Ends what is left behind the last turn. Returns the events that found no room in
    /// the ring: nobody reads it while the threads are joined.
    pub fn finish(&mut self) -> Vec<Record> {
        self.end_everything();
        self.ring();
        self.events.take_waiting()
    }

    /// One turn: waits until something is ready or due, but at most `longest`
    /// milliseconds, and does what there is to do. What it has to tell is in the ring
    /// when it returns. Any thread may run the next turn, one at a time. False once the
    /// worker was told to stop.
    ///
    /// # Errors
    ///
    /// Where the poller itself fails: the worker cannot go on.
    pub fn turn(&mut self, longest: Option<u32>) -> rustix::io::Result<bool> {
        // Where the last turn has looked already, this is what it found.
        let mut ready = std::mem::take(&mut self.ready);
        if ready.is_empty() {
            self.wait(longest, &mut ready)?;
        }
        self.tick();
        self.serve(&ready);
        self.turn += 1;
        self.tick();
        self.work();
        if self.stopping {
            return Ok(false);
        }
        let busy = ready.len() >= BUSY;
        ready.clear();
        if busy {
            self.gather(&mut ready)?;
        }
        if ready.is_empty() {
            self.ring();
        }
        self.ready = ready;
        Ok(true)
    }

    /// Servers' answers first, then clients' requests: each peer is woken for a run of
    /// messages rather than for every other one.
    fn serve(&mut self, ready: &[(u64, Readiness)]) {
        for servers in [true, false] {
            for &(token, readiness) in ready {
                if (token & (LISTENER_TOKEN | SERVER_TOKEN) == SERVER_TOKEN) == servers {
                    self.on_ready(token, readiness);
                }
            }
        }
    }

    /// What there is to do without the poller's news.
    fn work(&mut self) {
        self.events.refresh();
        let events = &self.events;
        self.slots.thaw(|position| events.consumed(position));
        // Commands first, then messages: a command may name a route whose
        // message was sent before it, so messages are read after the ring's
        // head is known and before its records are.
        let commands = self.commands.poll();
        self.read_messages();
        if commands {
            self.run_commands();
        }
        if self.stopping {
            return;
        }
        self.run_timers();
        self.run_runnable();
        self.run_starved();
        self.show_more();
        self.run_handshakes();
        self.knock();
        self.resume_listeners();
        self.watch_unwatched();
        self.end_unwatchable();
    }

    /// True where one question at a time was asked for a while.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.sparse >= SPARSE
    }

    /// Announces sleep without a wait of its own, and tells when a turn is due on its
    /// clock, in milliseconds (`u64::MAX`: never). None where there is something to do first.
    pub fn settle(&mut self) -> Option<u64> {
        let due = self.timeout();
        if !self.ready.is_empty() || due == Some(0) {
            return None;
        }
        self.allowed = u64::MAX;
        if !self.fall_asleep() {
            self.wake_up();
            return None;
        }
        Some(due.map_or(u64::MAX, |ms| self.now + u64::from(ms)))
    }

    /// This thread's own again. `blocked`: policy kept it waiting.
    pub fn resume(&mut self, blocked: bool) {
        self.wake_up();
        self.asked = false;
        self.sparse = if blocked { -PENANCE } else { SPARSE / 2 };
    }

    /// Rings when somebody is to look at the ring.
    #[must_use]
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// A turn in policy's thread: never waits, and rings nobody.
    ///
    /// # Errors
    ///
    /// Where the poller itself fails: the worker cannot go on.
    pub fn lead(&mut self) -> rustix::io::Result<Led> {
        self.wake_up();
        let mut ready = std::mem::take(&mut self.ready);
        // Behind an answer there are commands, and the poller can wait.
        if !std::mem::take(&mut self.asked) {
            self.poller.wait(Some(0), &mut ready)?;
        }
        self.tick();
        self.serve(&ready);
        self.crowded = if ready.len() < BUSY {
            0
        } else {
            self.crowded + 1
        };
        ready.clear();
        self.ready = ready;
        self.turn += 1;
        self.work();
        self.allowed = u64::MAX;
        self.count();
        if self.events.publish(self.now) {
            self.asked = true;
            self.unasked = 0;
            return Ok(Led::Asked);
        }
        self.unasked += 1;
        let enough = self.crowded > 1 || self.unasked > UNASKED;
        if !self.stopping
            && !enough
            && let Some(due) = self.settle()
        {
            return Ok(Led::Quiet { due });
        }
        self.crowded = 0;
        self.unasked = 0;
        Ok(Led::Busy)
    }

    /// Reads the clock.
    fn tick(&mut self) {
        // Never 0: 0 means "never" in records.
        let now = (self.started.elapsed().as_millis() as u64).max(1);
        let lost = (now - self.now).saturating_sub(self.allowed);
        self.allowed = 0;
        self.now = now;
        if lost > STANDSTILL {
            self.forgive(lost);
        }
    }

    /// Publishes events and rings the doorbell where nobody has yet.
    fn ring(&mut self) {
        // First: who reads an event may ask for the counts at once.
        self.count();
        if self.events.publish(self.now) {
            let told = self.events.written - self.told;
            self.told = self.events.written;
            self.sparse = match told {
                0..=2 => self.sparse.saturating_add(1),
                _ => self.sparse.min(0),
            };
            self.shares_core = (self.doorbell)();
            self.gathered = 0;
            // Where TypeScript shares this core it answers before this thread
            // would be asleep. Handshakes that wait are work to do meanwhile.
            if self.shares_core && self.securing.is_empty() {
                std::thread::yield_now();
            }
        }
    }

    fn count(&self) {
        let stats = &self.mailbox.stats;
        for (counter, count) in [
            (&stats.connections, self.slots.open() as u64),
            (&stats.pipes, self.mover.pipes.borrowed() as u64),
            (&stats.buffers, self.mover.buffers.borrowed() as u64),
            (&stats.wakes, self.events.wakes),
            (&stats.events, self.events.written),
            (&stats.ring_full, self.events.full),
        ] {
            counter.store(count, Ordering::Relaxed);
        }
    }

    /// On a core that TypeScript shares, a ring takes it away from this thread at once:
    /// where there is more to read, that goes first, and more is asked with one ring.
    fn gather(&mut self, ready: &mut Vec<(u64, Readiness)>) -> rustix::io::Result<()> {
        if self.shares_core && self.gathered < GATHER && self.events.asks() {
            self.gathered += 1;
            self.poller.wait(Some(0), ready)?;
        }
        Ok(())
    }

    /// Waits for readiness. Commands that came meanwhile go first, but not
    /// twice in a row: readiness must not wait for a busy policy.
    fn wait(
        &mut self,
        longest: Option<u32>,
        ready: &mut Vec<(u64, Readiness)>,
    ) -> rustix::io::Result<()> {
        let mut timeout = match (self.timeout(), longest) {
            (Some(due), Some(longest)) => Some(due.min(longest)),
            (due, longest) => due.or(longest),
        };
        if timeout != Some(0) && !self.fall_asleep() {
            self.wake_up();
            if !self.skipped {
                self.skipped = true;
                return Ok(());
            }
            timeout = Some(0);
        }
        self.skipped = false;
        self.allowed = timeout.map_or(u64::MAX, u64::from);
        let outcome = self.poller.wait(timeout, ready);
        self.wake_up();
        outcome
    }

    /// True where commands or messages wait.
    fn has_work(&mut self) -> bool {
        self.commands.poll() || self.mailbox.full.load(Ordering::SeqCst)
    }

    /// Announces sleep; false where work came in meanwhile (Dekker with the
    /// side that writes work and then reads SLEEPING).
    fn fall_asleep(&mut self) -> bool {
        self.memory
            .word(control::SLEEPING as usize)
            .store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.has_work()
    }

    fn wake_up(&self) {
        self.memory
            .word(control::SLEEPING as usize)
            .store(0, Ordering::SeqCst);
    }

    fn timeout(&self) -> Option<u32> {
        if !self.runnable.is_empty() || !self.securing.is_empty() || !self.unwatchable.is_empty() {
            return Some(0);
        }
        let mut timeout = self.timers.next(self.now);
        let mut within = |ms: u64| timeout = Some(timeout.map_or(ms, |it| it.min(ms)));
        let mut held_back =
            !self.starved.is_empty() || !self.unwatched.is_empty() || self.events.congested();
        held_back |= !self.shown.is_empty();
        if let Some(ms) = self.events.next_ring(self.now) {
            within(ms);
        }
        for local in self.listeners.values().filter(|local| !local.watched) {
            // Paused, or full: whoever changes that wakes this worker.
            if local.rests_until > self.now {
                within(local.rests_until - self.now);
            }
            // TypeScript has not read yet of ends whose slots are needed.
            held_back |= !self.slots.room(2) && self.slots.thaws();
        }
        if held_back {
            within(RETRY);
        }
        if !self.crowds.is_empty() {
            within(self.knock_at.saturating_sub(self.now));
        }
        // A day at most: what is due later is looked at again.
        timeout.map(|ms| ms.min(86_400_000) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use sluice_wire::events::event;
    use sluice_wire::handshakes::handshake;
    use sluice_wire::ring_layout::EVENT_RING;

    use super::*;
    use crate::worker::Control;
    use crate::worker::testing::{listen, worker};

    #[test]
    fn any_thread_runs_the_next_turn() {
        let (_backing, mut worker, memory) = worker();
        let address = listen(&mut worker, handshake::HEALTH);
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("connect");
            let mut told = String::new();
            stream.read_to_string(&mut told).expect("reply");
            told
        });
        let worker = std::sync::Mutex::new(worker);
        let deadline = Instant::now() + Duration::from_secs(20);
        let head = || memory.get(control::EVENT_HEAD as usize);
        while head() == 0 {
            assert!(Instant::now() < deadline, "no turn has ended the session");
            std::thread::scope(|scope| {
                let turn = || worker.lock().expect("worker").turn(Some(5));
                let here = turn();
                let there = scope.spawn(turn).join().expect("no panic");
                assert_eq!((here, there), (Ok(true), Ok(true)));
            });
        }
        assert_eq!(client.join().expect("client"), "well");
        assert_eq!(memory.get(EVENT_RING), event::CLOSED);
    }

    #[test]
    fn a_turn_waits_no_longer_than_it_may_and_the_last_one_says_so() {
        let (_backing, mut worker, _memory) = worker();
        // Nothing is due, ever: this returns because of the limit alone.
        assert_eq!(worker.turn(Some(1)), Ok(true));
        let mailbox = worker.mailbox.clone();
        mailbox.messages.lock().expect("box").push(Control::Stop);
        mailbox.full.store(true, Ordering::SeqCst);
        assert_eq!(worker.turn(None), Ok(false));
    }
}
