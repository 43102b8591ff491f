//! The queue of TLS handshakes, of both sides together.
//!
//! Handshakes do public-key arithmetic, which takes long: a little is done in each
//! turn of the loop, between the traffic of established connections.

use std::time::{Duration, Instant};

use sluice_wire::events::event;

use super::{Worker, record};
use crate::connection::{Mode, Side};

/// Time for handshakes in one turn of the loop; one at least is served.
const BUDGET: Duration = Duration::from_micros(100);

impl Worker {
    /// The connection's TLS handshake has work to do.
    pub(super) fn queue_handshake(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.securing {
            connection.securing = true;
            self.securing.push_back((slot, connection.generation()));
        }
    }

    /// Serves the queue of handshakes for a while.
    pub(super) fn run_handshakes(&mut self) {
        if self.securing.is_empty() {
            return;
        }
        let started = Instant::now();
        while let Some((slot, generation)) = self.securing.pop_front() {
            if self.slots.find(slot as i32, generation).is_none() {
                continue;
            }
            let connection = self.slots.get_mut(slot);
            connection.securing = false;
            match (connection.side, connection.mode) {
                (Side::Client, Mode::Handshake) => self.secure_client(slot),
                (Side::Server, Mode::Connecting) => {
                    let id = self.stream_of(slot);
                    if self.connect_tls(id) {
                        self.advance_connect(id);
                    } else {
                        self.mirror_waiting(id, slot);
                    }
                }
                _ => {}
            }
            if started.elapsed() >= BUDGET {
                return;
            }
        }
    }

    /// Tells policy of a handshake that is complete. `about`: the client.
    /// False where there was no room: the caller is called again.
    pub(super) fn tell_secured(&mut self, about: u32, secured: u32, bit: i32) -> bool {
        let Some(tls) = &self.slots.get(secured).tls else {
            return true;
        };
        let summary = tls.summary();
        let generation = self.slots.get(about).generation();
        let told = record(
            event::SECURED,
            about as i32,
            generation,
            [bit, summary.protocol, summary.flags, 0, 0],
        );
        // Records of a handshake are bounded by 64 kB, and so are certificates.
        let told = self.events.emit_bytes(told, 6, &summary.bytes);
        if !told {
            self.run_when_room(secured);
        }
        told
    }
}
