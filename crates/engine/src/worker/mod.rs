//! A worker: one thread, one loop, its own connections.
//!
//! ```text
//! loop: control messages, commands ─ timers ─ what has more to do ─ doorbell ─ poller ─ readiness
//! ```
//!
//! A worker shares nothing but counters with other workers. It never blocks
//! outside its poller, and never waits for TypeScript.

mod accept;
mod applet;
mod commands;
mod fill;
mod incoming;
mod knock;
mod outgoing;
mod session;
mod timeouts;
mod tls;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::ring_layout::control;

use crate::connection::slots::Slots;
use crate::connection::{Mode, Side};
use crate::listener::Listener;
use crate::memory::Words;
use crate::poller::{Poller, Readiness, WAKE_TOKEN, Waker};
use crate::ring::{Commands, Doorbell, Events, Record};
use crate::route::Route;
use crate::stats::WorkerStats;
use crate::stream::forward::Mover;
use crate::stream::pipe::PipeBudget;
use crate::timer::Timers;
use crate::tls::contexts::Contexts;

/// Token bit of listeners.
const LISTENER_TOKEN: u64 = 1 << 63;
/// Token bit of servers' connections; slots have fewer bits.
const SERVER_TOKEN: u64 = 1 << 31;
/// A turn of the loop that took longer than this, in milliseconds, was no work: the
/// process was stopped, or the machine stood still.
const STANDSTILL: u64 = 250;
/// How often a worker looks again while it is held back, in milliseconds.
const RETRY: u64 = 2;

/// A message from the program to a worker. Rare: commands about connections
/// go through the ring.
#[derive(Debug)]
pub enum Control {
    /// Accept from this socket. `shared`: other workers have it too.
    Listen {
        /// The listener.
        listener: Arc<Listener>,
        /// This worker's socket.
        socket: Arc<OwnedFd>,
        /// Other workers accept from the same socket.
        shared: bool,
    },
    /// Close a listener's socket once those are served whom the kernel has accepted.
    Unlisten(u32),
    /// Close it now.
    Abandon(u32),
    /// Register a way out.
    Route(i32, Arc<Route>),
    /// Forget a way out.
    Unroute(i32),
    /// End every connection and return.
    Stop,
    /// Have the poller refuse so many connections, to test that it is survived.
    Refuse(usize),
    /// Panic, to test that a panic is survived.
    Panic,
}

/// What a worker and the program share.
#[derive(Debug)]
pub struct Mailbox {
    /// Messages that wait.
    pub messages: std::sync::Mutex<Vec<Control>>,
    /// True where there are some.
    pub full: AtomicBool,
    /// Wakes the worker.
    pub waker: Waker,
    /// What the worker counts.
    pub stats: WorkerStats,
}

/// Limits of the whole process.
#[derive(Debug)]
pub struct Limits {
    /// Accepted connections at once.
    pub maxconn: usize,
    /// Accepted connections now, in all workers.
    pub open: AtomicUsize,
    /// Workers that hold a listener back until a connection of another worker
    /// ends: bit `index % 64`.
    pub waiting: AtomicU64,
}

/// A listener as one worker has it.
#[derive(Debug)]
struct LocalListener {
    listener: Arc<Listener>,
    socket: Arc<OwnedFd>,
    shared: bool,
    watched: bool,
    /// Connections to expect from one wake-up, from those before.
    expected: usize,
    /// Turn in which as many came as were expected.
    filled_in: u64,
    /// Clock until which accepting rests after an error.
    rests_until: u64,
    /// It is being closed: so many may still be waiting in its queue.
    closing: Option<usize>,
}

/// One worker's state.
pub struct Worker {
    memory: Words,
    poller: Poller,
    index: usize,
    /// Its own.
    mailbox: Arc<Mailbox>,
    /// Of all workers.
    mailboxes: Arc<[Arc<Mailbox>]>,
    limits: Arc<Limits>,
    contexts: Arc<Contexts>,
    doorbell: Doorbell,
    events: Events,
    commands: Commands,
    slots: Slots,
    timers: Timers,
    mover: Mover,
    listeners: BTreeMap<u32, LocalListener>,
    /// Specifications by listener; they outlive the sockets, as connections do.
    specs: BTreeMap<u32, Arc<Listener>>,
    routes: HashMap<i32, Arc<Route>>,
    /// Connections with more to do at once.
    runnable: Vec<u32>,
    /// Connections that wait for room in the event slab.
    starved: VecDeque<u32>,
    /// Inspections that have more to show once their last BYTES was read.
    shown: VecDeque<(u32, i32)>,
    /// Accepted connections that are not watched yet, with the clock at accept.
    unwatched: VecDeque<(u32, i32, u64)>,
    /// Clients whose TLS handshake has work to do: slot and generation.
    securing: VecDeque<(u32, i32)>,
    /// Connects that wait for room in the queues of unix sockets, and when they are tried again.
    crowds: Vec<knock::Crowd>,
    knock_at: u64,
    /// Connections that the poller refused: slot, generation, why.
    unwatchable: Vec<(u32, i32, Errno)>,
    /// Connections that are to be refused, for tests.
    refuse_next: usize,
    /// Scratch memory for a ClientHello.
    hello: Vec<u8>,
    due: Vec<u32>,
    command_bytes: Vec<u8>,
    started: Instant,
    now: u64,
    /// Milliseconds that may have passed since then: the poller waits.
    allowed: u64,
    /// Turns of the loop.
    turn: u64,
    /// The poller was passed over in the last turn.
    skipped: bool,
    /// TypeScript ran on this core when it was rung last.
    shares_core: bool,
    /// Turns since then for which a ring was put off.
    gathered: u32,
    stopping: bool,
}

/// What a worker is made from.
pub struct WorkerParts {
    /// Its number.
    pub index: usize,
    /// Rings and slabs.
    pub memory: Words,
    /// Connection records of all workers.
    pub table: Words,
    /// First word of this worker's records.
    pub first_word: usize,
    /// Slots of this worker.
    pub slots: usize,
    /// Its poller.
    pub poller: Poller,
    /// Mailboxes of all workers.
    pub mailboxes: Arc<[Arc<Mailbox>]>,
    /// Limits of the process.
    pub limits: Arc<Limits>,
    /// Pipes that may still be made.
    pub pipes: PipeBudget,
    /// TLS contexts of the process.
    pub contexts: Arc<Contexts>,
    /// Rung when there are events for TypeScript.
    pub doorbell: Doorbell,
    /// Zero of the clock.
    pub started: Instant,
}

/// Events of the poller in a turn from which on a worker has enough to do to let a ring wait.
const BUSY: usize = 3;
/// Turns for which it does.
const GATHER: u32 = 4;

impl Worker {
    /// A worker that has not run yet.
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        Self {
            memory: parts.memory,
            poller: parts.poller,
            index: parts.index,
            mailbox: parts.mailboxes[parts.index].clone(),
            mailboxes: parts.mailboxes,
            limits: parts.limits,
            contexts: parts.contexts,
            doorbell: parts.doorbell,
            events: Events::new(parts.memory),
            commands: Commands::new(parts.memory),
            slots: Slots::new(parts.table, parts.first_word, parts.slots),
            timers: Timers::new(0),
            mover: Mover::new(parts.pipes),
            listeners: BTreeMap::new(),
            specs: BTreeMap::new(),
            routes: HashMap::new(),
            runnable: Vec::new(),
            starved: VecDeque::new(),
            shown: VecDeque::new(),
            unwatched: VecDeque::new(),
            securing: VecDeque::new(),
            crowds: Vec::new(),
            knock_at: 0,
            unwatchable: Vec::new(),
            refuse_next: 0,
            hello: Vec::new(),
            due: Vec::new(),
            command_bytes: Vec::new(),
            started: parts.started,
            now: 1,
            allowed: u64::MAX,
            turn: 1,
            skipped: false,
            shares_core: false,
            gathered: 0,
            stopping: false,
        }
    }

    /// Runs until it is stopped. Returns the events that found no room in the
    /// ring: nobody reads it while the threads are joined.
    ///
    /// # Errors
    ///
    /// Where the poller itself fails: the worker cannot go on.
    pub fn run(&mut self) -> rustix::io::Result<Vec<Record>> {
        let mut ready = Vec::with_capacity(256);
        loop {
            self.turn += 1;
            self.tick();
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
                self.end_everything();
                self.ring();
                return Ok(self.events.take_waiting());
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
            if !self.gather(&mut ready)? {
                self.ring();
                self.wait(&mut ready)?;
            }
            self.tick();
            // Servers' answers first, then clients' requests: each peer is
            // woken for a run of messages rather than for every other one.
            for servers in [true, false] {
                for &(token, readiness) in &ready {
                    if (token & (LISTENER_TOKEN | SERVER_TOKEN) == SERVER_TOKEN) == servers {
                        self.on_ready(token, readiness);
                    }
                }
            }
        }
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
        if self.events.publish(self.now) {
            self.shares_core = (self.doorbell)();
            self.gathered = 0;
            // Where TypeScript shares this core it answers before this thread
            // would be asleep. Handshakes that wait are work to do meanwhile.
            if self.shares_core && self.securing.is_empty() {
                std::thread::yield_now();
            }
        }
        let stats = &self.mailbox.stats;
        stats
            .connections
            .store(self.slots.open() as u64, Ordering::Relaxed);
        stats
            .pipes
            .store(self.mover.pipes.borrowed() as u64, Ordering::Relaxed);
        stats
            .buffers
            .store(self.mover.buffers.borrowed() as u64, Ordering::Relaxed);
        stats.wakes.store(self.events.wakes, Ordering::Relaxed);
        stats.events.store(self.events.written, Ordering::Relaxed);
        stats.ring_full.store(self.events.full, Ordering::Relaxed);
    }

    /// On a core that TypeScript shares, a ring takes it away from this thread at once:
    /// where there is more to read, that goes first, and more is asked with one ring.
    /// True where something was ready.
    fn gather(&mut self, ready: &mut Vec<(u64, Readiness)>) -> rustix::io::Result<bool> {
        let busy = ready.len() >= BUSY;
        if !busy || !self.shares_core || self.gathered >= GATHER || !self.events.asks() {
            return Ok(false);
        }
        ready.clear();
        self.gathered += 1;
        self.poller.wait(Some(0), ready)?;
        Ok(!ready.is_empty())
    }

    /// Waits for readiness. Commands that came meanwhile go first, but not
    /// twice in a row: readiness must not wait for a busy policy.
    fn wait(&mut self, ready: &mut Vec<(u64, Readiness)>) -> rustix::io::Result<()> {
        ready.clear();
        let mut timeout = self.timeout();
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

    fn read_messages(&mut self) {
        if !self.mailbox.full.swap(false, Ordering::SeqCst) {
            return;
        }
        let messages = match self.mailbox.messages.lock() {
            Ok(mut messages) => std::mem::take(&mut *messages),
            Err(poisoned) => std::mem::take(&mut *poisoned.into_inner()),
        };
        for message in messages {
            match message {
                Control::Listen {
                    listener,
                    socket,
                    shared,
                } => {
                    self.add_listener(listener, socket, shared);
                }
                Control::Unlisten(id) => self.close_listener(id),
                Control::Abandon(id) => self.remove_listener(id),
                Control::Route(id, route) => {
                    self.routes.insert(id, route);
                }
                Control::Unroute(id) => {
                    self.routes.remove(&id);
                }
                Control::Stop => self.stopping = true,
                Control::Refuse(count) => self.refuse_next = count,
                Control::Panic => panic!("asked to panic by a test"),
            }
        }
    }

    fn on_ready(&mut self, token: u64, readiness: Readiness) {
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
        let connection = self.slots.get_mut(slot);
        connection.ready.hear(readiness);
        self.advance(slot);
    }

    /// Does what the connection's mode and readiness allow.
    fn advance(&mut self, slot: u32) {
        let connection = self.slots.get(slot);
        let client = match connection.side {
            Side::Client => slot,
            Side::Server => connection.peer,
        };
        match connection.mode {
            Mode::Stream => self.pump(client),
            Mode::Connecting => match connection.side {
                Side::Server => self.advance_connect(client),
                Side::Client => self.check_client(client),
            },
            Mode::Handshake => self.run_incoming(slot),
            Mode::Inspect => self.inspect(slot),
            Mode::Applet => self.pump_applet(slot),
            Mode::LastChunk => self.send_last_chunk(slot),
            Mode::Linger => self.linger(slot),
            Mode::Ask(_) | Mode::Held | Mode::Tarpit => self.check_client(slot),
        }
    }

    fn run_runnable(&mut self) {
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
    fn run_starved(&mut self) {
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
    fn run_again(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.runnable {
            connection.runnable = true;
            self.runnable.push(slot);
        }
    }

    /// Looks at the connection again when the event slab may have room.
    fn run_when_room(&mut self, slot: u32) {
        let connection = self.slots.get_mut(slot);
        if !connection.runnable {
            connection.runnable = true;
            self.starved.push_back(slot);
        }
    }

    fn emit(&mut self, kind: i32, slot: u32, operands: [i32; 5]) -> i32 {
        let generation = self.slots.get(slot).generation;
        self.events
            .emit(record(kind, slot as i32, generation, operands))
    }

    fn end_everything(&mut self) {
        while let Some((&id, _)) = self.listeners.first_key_value() {
            self.remove_listener(id);
        }
        for slot in 0..self.slots.used() {
            let connection = self.slots.get_mut(slot);
            if connection.side == Side::Client
                && connection.state() != sluice_wire::states::conn_state::CLOSED
            {
                connection.blame(reason(by::PROXY, phase::CLOSE, code::SHUTDOWN), 0);
                self.end(slot);
            }
        }
    }

    fn remove_listener(&mut self, id: u32) {
        let Some(local) = self.listeners.remove(&id) else {
            return;
        };
        if local.watched {
            let _ = self.poller.remove(&*local.socket);
        }
        drop(local);
        self.forget_specs();
        self.events
            .emit(record(event::LISTENER_CLOSED, id as i32, 0, [0; 5]));
    }

    /// Forgets listeners that are closed and have no connections left, in any worker.
    fn forget_specs(&mut self) {
        let listeners = &self.listeners;
        self.specs
            .retain(|id, spec| listeners.contains_key(id) || spec.open.load(Ordering::Relaxed) > 0);
    }

    /// A client has gone, and its place is free: workers look again that hold
    /// their listeners back for want of one.
    fn made_room(&self) {
        // With the fence in `wait_for_room`: one of both sees the other.
        fence(Ordering::SeqCst);
        if self.limits.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let waiting = self.limits.waiting.swap(0, Ordering::SeqCst);
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if waiting & 1 << (index % 64) != 0 {
                mailbox.waker.wake();
            }
        }
    }

    /// The listener that accepted a connection.
    fn listener_of(&self, slot: u32) -> Option<&Arc<Listener>> {
        // The server's side has none.
        self.specs.get(&self.slots.get(slot).listener)
    }
}

fn record(kind: i32, slot: i32, generation: i32, operands: [i32; 5]) -> Record {
    let [a, b, c, d, e] = operands;
    [kind, slot, generation, a, b, c, d, e]
}
