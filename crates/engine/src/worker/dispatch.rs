//! Whose turn it is, and which function takes it: the poller's news, and those who
//! have more to do at once or wait for room in the event slab.

use super::{LISTENER_TOKEN, SERVER_TOKEN, Worker};
use crate::connection::{Mode, Side};
use crate::poller::{Readiness, WAKE_TOKEN};

impl Worker {
    /// The poller has news of what a token names.
    pub(super) fn on_ready(&mut self, token: u64, readiness: Readiness) {
        if token == WAKE_TOKEN {
            return;
        }
        if token & LISTENER_TOKEN != 0 {
            self.accept((token & !LISTENER_TOKEN) as u32);
            return;
        }
        // An event of this batch may belong to a connection that was closed,
        // or even replaced, earlier in the same batch: the generation tells.
        let slot = (token & !SERVER_TOKEN) as u32 as i32;
        let Some(slot) = self.slots.find(slot, (token >> 32) as i32) else {
            return;
        };
        self.slots.get_mut(slot).ready.hear(readiness);
        self.advance(slot);
    }

    /// Does what the connection's mode and readiness allow.
    fn advance(&mut self, slot: u32) {
        let Some(id) = self.owner_of(slot) else {
            self.listen_alone(slot);
            return;
        };
        let connection = self.slots.get(slot);
        match connection.mode {
            Mode::Stream => self.pump(id),
            Mode::Connecting => match connection.side {
                Side::Server => self.advance_connect(id),
                Side::Client => self.check_client(slot),
            },
            Mode::Handshake => self.run_incoming(slot),
            Mode::Inspect => self.inspect(slot),
            Mode::Applet => self.pump_applet(slot),
            Mode::LastChunk => self.send_last_chunk(slot),
            Mode::Linger => self.linger(slot),
            Mode::Ask(_) | Mode::Held | Mode::Tarpit => self.check_client(slot),
        }
    }

    /// Lets those go on that have used up their budget.
    pub(super) fn run_runnable(&mut self) {
        if !self.runnable.is_empty() {
            for slot in std::mem::take(&mut self.runnable) {
                let connection = self.slots.get_mut(slot);
                if connection.runnable {
                    connection.runnable = false;
                    self.advance(slot);
                }
            }
        }
    }

    /// Lets those go on that wait for room in the event slab, once TypeScript has
    /// made some and up to the first who finds too little: who waits for TypeScript
    /// must not cost those who do not.
    pub(super) fn run_starved(&mut self) {
        if self.starved.is_empty() || !self.events.take_released() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.starved);
        while let Some(slot) = waiting.pop_front() {
            let connection = self.slots.get_mut(slot);
            if connection.runnable {
                connection.runnable = false;
                self.advance(slot);
            }
            if !self.starved.is_empty() {
                break;
            }
        }
        // Who was refused stays first.
        self.starved.append(&mut waiting);
    }

    /// Looks at the connection again in the next turn.
    pub(super) fn run_again(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.runnable {
            connection.runnable = true;
            self.runnable.push(slot);
        }
    }

    /// Looks at the connection again when the event slab may have room.
    pub(super) fn run_when_room(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.runnable {
            connection.runnable = true;
            self.starved.push_back(slot);
        }
    }
}
