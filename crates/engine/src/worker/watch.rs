//! What the poller watches of connections.

use rustix::io::Errno;
use sluice_wire::errors::{by, reason};

use super::incoming::phase_of;
use super::{RETRY, SERVER_TOKEN, Worker};
use crate::connection::{Mode, Side, Watch};
use crate::poller::Interest;
use crate::sys;
use crate::transport::Ctrl;

impl Worker {
    /// Makes the poller watch this much.
    pub(super) fn watch(&mut self, slot: u32, wanted: Watch) {
        let connection = self.slots.get_mut(slot);
        let Some(fd) = connection.ctrl.as_ref().and_then(Ctrl::socket) else {
            return;
        };
        let side = match connection.side {
            Side::Client => 0,
            Side::Server => SERVER_TOKEN,
        };
        let token = (connection.generation() as u64) << 32 | side | u64::from(slot);
        let interest = match wanted {
            Watch::No => return,
            Watch::Read => Interest::Read,
            Watch::ReadWrite => Interest::ReadWrite,
            Watch::Write => Interest::Write,
        };
        let outcome = match (connection.watch, wanted) {
            (Watch::No, _) if self.refuse_next > 0 => {
                self.refuse_next -= 1;
                Err(Errno::NOSPC)
            }
            (Watch::No, _) => self.poller.add(fd, token, interest),
            // Watching more than is wanted is cheaper than watching less.
            (now, wanted) if now == wanted => return,
            (Watch::ReadWrite, Watch::Read) => return,
            (Watch::Write, Watch::Read) => self.poller.modify(fd, token, Interest::ReadWrite),
            _ => self.poller.modify(fd, token, interest),
        };
        let wanted = match (connection.watch, wanted) {
            (Watch::Write, Watch::Read) => Watch::ReadWrite,
            _ => wanted,
        };
        match outcome {
            Ok(()) => connection.watch = wanted,
            // Without readiness the connection would hang for ever. Whoever asked goes
            // on with it: it is ended when nobody does.
            Err(error) => self
                .unwatchable
                .push((slot, connection.generation(), error)),
        }
    }

    /// Starts to watch connections whose verdict takes longer than usual, so
    /// that a client's reset is noticed. Verdicts that come at once save the
    /// extra wake-up.
    pub(super) fn watch_unwatched(&mut self) {
        while let Some(&(slot, generation, since)) = self.unwatched.front() {
            let found = self.slots.find(slot as i32, generation);
            let waits = found.is_some_and(|slot| self.slots.get(slot).watch == Watch::No);
            if waits && self.now.saturating_sub(since) < RETRY {
                return;
            }
            self.unwatched.pop_front();
            if waits {
                self.watch(slot, Watch::Read);
            }
        }
    }

    /// Ends connections that the poller refused, or fails their connect.
    pub(super) fn end_unwatchable(&mut self) {
        for (slot, generation, error) in std::mem::take(&mut self.unwatchable) {
            if self.slots.find(slot as i32, generation).is_none() {
                continue;
            }
            let connection = self.slots.get_mut(slot);
            connection.fail(error);
            let (code, errno) = (sys::code_of(error), error.raw_os_error());
            let connects = connection.side == Side::Server && connection.mode == Mode::Connecting;
            let Some(id) = self.owner_of(slot) else {
                self.discard(slot);
                continue;
            };
            if connects {
                self.fail_connect(id, by::PROXY, code, errno);
            } else {
                let client = self.streams.get(id).client;
                let phase = phase_of(self.slots.get(client));
                self.end_with(id, reason(by::PROXY, phase, code), errno);
            }
        }
    }
}
