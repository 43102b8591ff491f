//! Commands of TypeScript. One that names a connection which is gone, or which
//! is past the point the command is about, does nothing and is counted.

use std::sync::atomic::Ordering;

use sluice_wire::commands::{command, proceed_flag, send_flag};
use sluice_wire::handshakes::handshake;

use super::Worker;
use crate::connection::{Connection, Deadline, Mode, Side};
use crate::ring::Record;

/// Handshakes that the engine does once policy has agreed.
const ENGINE_BITS: i32 = handshake::HEALTH | handshake::ACCEPT_PROXY | handshake::TLS;

impl Worker {
    pub(super) fn run_commands(&mut self) {
        while let Some(record) = self.commands.take() {
            self.run_command(record);
        }
        if self.commands.finish() {
            // TypeScript waits for room: an empty batch of events wakes it.
            (self.doorbell)();
        }
    }

    fn run_command(&mut self, [kind, slot, generation, a, b, c, d, e]: Record) {
        let Some(slot) = self.slots.find(slot, generation) else {
            self.mailbox.stats.stale.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Connection { mode, side, .. } = *self.slots.get(slot);
        let undecided = matches!(mode, Mode::Ask(_) | Mode::Inspect | Mode::Held);
        let allowed = match kind {
            command::PROCEED | command::INSPECT | command::CONNECT | command::APPLET => undecided,
            command::SEND => mode == Mode::Applet || undecided && c & send_flag::FIN == 0,
            command::CREDIT => mode == Mode::Applet,
            command::REPLY => undecided || mode == Mode::Connecting,
            command::CLOSE => true,
            _ => false,
        };
        // Policy knows a server's slot from CONNECTED, but decides about clients only.
        if !allowed || side == Side::Server {
            self.mailbox.stats.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match kind {
            command::PROCEED => self.proceed(slot, [a, b, c, d, e]),
            command::INSPECT => {
                self.answer(slot);
                self.consume(slot, c);
                self.start_inspection(slot, a, b, d);
            }
            command::CONNECT => {
                self.answer(slot);
                self.consume(slot, c);
                let mut tlvs = Vec::new();
                if e > 0 {
                    self.commands.bytes(d, e, &mut tlvs);
                }
                self.connect(slot, a, b, tlvs);
            }
            command::APPLET => {
                self.answer(slot);
                self.consume(slot, c);
                self.attach_applet(slot, a.max(0) as usize);
            }
            command::SEND => {
                self.command_bytes.clear();
                self.commands.bytes(a, b, &mut self.command_bytes);
                if mode == Mode::Applet {
                    self.applet_send(slot, c & send_flag::FIN != 0);
                } else {
                    self.handshake_send(slot);
                }
            }
            command::CREDIT => self.applet_credit(slot, a.max(0) as usize),
            command::REPLY => {
                let mut bytes = std::mem::take(&mut self.command_bytes);
                bytes.clear();
                self.commands.bytes(a, b, &mut bytes);
                self.detach(slot);
                self.start_last_chunk(slot, &bytes, c);
                self.command_bytes = bytes;
            }
            _ => self.obey_close(slot, a, b, c.max(0) as u64),
        }
    }

    fn proceed(&mut self, slot: u32, [clear, set, consume, context, flags]: [i32; 5]) {
        let connection = self.slots.get_mut(slot);
        // A second answer to a question that is answered already changes nothing.
        let open = match connection.mode {
            Mode::Ask(bit) => clear & bit != 0 || set != 0 || bit & ENGINE_BITS != 0,
            _ => clear & connection.handshakes != 0,
        };
        if !open {
            self.mailbox.stats.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.consume(slot, consume);
        let connection = self.slots.get_mut(slot);
        if let Mode::Ask(bit) = connection.mode {
            // The engine does its own handshakes now; a policy's stay policy's.
            connection.answered |= bit & ENGINE_BITS;
        }
        if connection.mode == Mode::Ask(handshake::TLS) && clear & handshake::TLS == 0 {
            connection.mode = Mode::Handshake;
            if !self.start_tls(slot, context, flags & proceed_flag::TELL_WAITING != 0) {
                return;
            }
        }
        let connection = self.slots.get_mut(slot);
        // What policy sets, policy has decided.
        connection.answered |= set & ENGINE_BITS;
        let session_made = clear & handshake::ACCEPT_SESSION != 0;
        connection.handshakes = connection.handshakes & !clear | set;
        if clear & handshake::TLS != 0 {
            connection.skip_tls();
        }
        connection.deadline_kind = Deadline::None;
        if session_made {
            self.hold(slot);
            return;
        }
        self.set_handshake_deadline(slot);
        self.run_incoming(slot);
    }

    fn start_inspection(&mut self, slot: u32, limit: i32, delay: i32, epoch: i32) {
        let connection = self.slots.get_mut(slot);
        connection.mode = Mode::Inspect;
        let extra = connection.extra();
        extra.inspect_limit = limit.clamp(1, sluice_wire::ring_layout::layout::MAX_CHUNK) as usize;
        extra.inspect_epoch = epoch;
        extra.inspect_expired = false;
        extra.inspect_reported = None;
        extra.inspect_shown = None;
        if delay > 0 {
            self.set_deadline(slot, Deadline::Inspect, self.now + delay as u64);
        } else {
            self.set_idle_deadline(slot);
        }
        self.inspect(slot);
    }

    /// The question is answered: its deadline is over.
    fn answer(&mut self, slot: u32) {
        self.slots.get_mut(slot).deadline_kind = Deadline::None;
    }

    fn consume(&mut self, slot: u32, count: i32) {
        let connection = self.slots.get_mut(slot);
        self.mover
            .buffers
            .consume(&mut connection.input.buffer, count.max(0) as usize);
    }
}
