//! A worker: one loop, its own connections. A turn of the loop is in `turn`.
//!
//! A worker shares nothing but counters with other workers. It never blocks
//! outside its poller, and never waits for TypeScript.

mod applet;
mod commands;
mod control;
mod dispatch;
mod fill;
mod incoming;
mod listeners;
mod outgoing;
mod session;
#[cfg(test)]
mod testing;
mod timeouts;
mod tls;
mod turn;
mod watch;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use crate::clock::Moment;
use crate::connection::Owner;
use crate::connection::slots::Slots;
use crate::listener::Listener;
use crate::memory::Words;
use crate::poller::{Poller, Readiness};
use crate::ring::{Commands, Doorbell, Events, Record};
use crate::route::Route;
use crate::stream::forward::Mover;
use crate::stream::pipe::PipeBudget;
use crate::stream::{Stream, StreamId, Streams};
use crate::timer::{Kind, Timers};
use crate::tls::contexts::Contexts;

pub use control::{Control, Limits, Mailbox};
use listeners::LocalListener;
use session::own_timeouts::OwnTimeouts;
pub use turn::Led;

/// Token bit of listeners.
const LISTENER_TOKEN: u64 = 1 << 63;
/// Token bit of servers' connections; slots have fewer bits.
const SERVER_TOKEN: u64 = 1 << 31;
/// How often a worker looks again while it is held back, in milliseconds.
const RETRY: u64 = 2;

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
    streams: Streams,
    timers: Timers,
    own_timeouts: OwnTimeouts,
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
    crowds: Vec<outgoing::knock::Crowd>,
    knock_at: u64,
    /// Connections that the poller refused: slot, generation, why.
    unwatchable: Vec<(u32, i32, Errno)>,
    /// Connections that are to be refused, for tests.
    refuse_next: usize,
    /// Scratch memory for a ClientHello.
    hello: Vec<u8>,
    due: Vec<(Kind, u32)>,
    /// The poller's news that no turn has served yet.
    ready: Vec<(u64, Readiness)>,
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
    /// Rings in a row with a question or two; below 0: as many more until they count.
    sparse: i32,
    /// Events written when the doorbell was rung last.
    told: u64,
    /// Policy leads and has just been asked.
    asked: bool,
    /// Crowded turns in a row that policy led.
    crowded: u32,
    /// Turns since policy was asked something while it led.
    unasked: u32,
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
            streams: Streams::new(parts.slots),
            timers: Timers::new(0),
            own_timeouts: OwnTimeouts::default(),
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
            ready: Vec::with_capacity(256),
            command_bytes: Vec::new(),
            started: parts.started,
            now: 1,
            allowed: u64::MAX,
            turn: 1,
            skipped: false,
            shares_core: false,
            gathered: 0,
            stopping: false,
            sparse: 0,
            told: 0,
            asked: false,
            crowded: 0,
            unasked: 0,
        }
    }

    fn emit(&mut self, kind: i32, slot: u32, operands: [i32; 5]) -> i32 {
        let generation = self.slots.get(slot).generation();
        self.events
            .emit(record(kind, slot as i32, generation, operands))
    }

    /// The stream that a connection belongs to.
    fn owner_of(&self, slot: u32) -> Option<StreamId> {
        match self.slots.get(slot).owner {
            Owner::Stream(id) => Some(id),
            Owner::None => None,
        }
    }

    /// The stream of a client's connection.
    ///
    /// # Panics
    ///
    /// Where it has none: readiness, commands and timers of such a one come this far
    /// nowhere.
    fn stream_of(&self, client: u32) -> StreamId {
        self.owner_of(client).expect("a client that is served")
    }

    /// The same.
    fn stream_mut(&mut self, client: u32) -> &mut Stream {
        let id = self.stream_of(client);
        self.streams.get_mut(id)
    }

    /// The client was active.
    fn heard(&mut self, client: u32) {
        let now = Moment::at(self.now);
        self.stream_mut(client).client_io = now;
    }

    /// Writes a connection's record.
    fn mirror(&self, slot: u32) {
        let stream = self.owner_of(slot).map(|id| self.streams.get(id));
        self.slots.mirror(slot, stream);
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
