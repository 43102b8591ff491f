//! An engine with a tiny policy: a thread that reads the event rings as
//! TypeScript does, remembers what it read and answers by a function.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::RwLockWriteGuard;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluice_engine::engine::{Engine, EngineParts};
use sluice_engine::listener::{ListenAddress, ListenSpec};
use sluice_engine::memory::Words;
use sluice_engine::route::{Destination, Route, SendProxy};
use sluice_engine::stats::Stats;
use sluice_engine::sys::Liveness;
use sluice_wire::commands::{command, connect_flag};
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::{
    COMMAND_RING, COMMAND_SLAB, EVENT_RING, EVENT_SLAB, WORKER_WORDS, control, field, layout,
};

pub use crate::peers::*;

/// How long something that should happen may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Slots of a worker, both sides of a session counted.
pub const SLOTS: usize = 4096;

const RECORD: usize = layout::RECORD_WORDS as usize;

/// Tests that count descriptors or lower their limit run alone.
static DESCRIPTORS: RwLock<()> = RwLock::new(());

/// Held by every test that opens sockets.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test for which nobody else may open sockets.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner)
}

/// An event as the policy saw it.
#[derive(Clone, Debug)]
pub struct Told {
    pub worker: usize,
    pub kind: i32,
    pub slot: i32,
    pub generation: i32,
    pub operands: [i32; 5],
    /// Payload of BYTES and DATA, TLVs of HANDSHAKE.
    pub bytes: Vec<u8>,
}

impl Told {
    /// The reason word of CLOSED and CONNECT_FAILED.
    #[must_use]
    pub fn reason(&self) -> i32 {
        self.operands[0]
    }

    #[must_use]
    pub fn bit(&self) -> i32 {
        self.operands[1]
    }
}

/// Answers events. Runs on the policy's thread.
pub type Answer = Box<dyn FnMut(&Told, &Commands) + Send>;

/// Writer of every worker's command ring.
pub struct Commands {
    memories: Vec<Words>,
    heads: Mutex<Vec<(i32, usize)>>,
    wake: Box<dyn Fn(usize) + Send + Sync>,
    /// Route of sessions that the default policy decides.
    pub route: AtomicI32,
}

impl Commands {
    /// Publishes one command about the connection of an event.
    pub fn send(&self, about: &Told, kind: i32, operands: [i32; 5]) {
        self.write(about, kind, operands, None);
    }

    /// The same with bytes: offset and length become operands `at` and `at + 1`.
    pub fn send_bytes(&self, about: &Told, kind: i32, operands: [i32; 5], at: usize, bytes: &[u8]) {
        self.write(about, kind, operands, Some((at, bytes)));
    }

    fn write(
        &self,
        about: &Told,
        kind: i32,
        mut operands: [i32; 5],
        bytes: Option<(usize, &[u8])>,
    ) {
        let memory = self.memories[about.worker];
        let mut heads = lock(&self.heads);
        let (head, slab) = &mut heads[about.worker];
        // Bytes go round the slab without looking: tests never have 2 MB on the way.
        if let Some((at, bytes)) = bytes {
            if *slab + bytes.len() > layout::COMMAND_SLAB_BYTES as usize {
                *slab = 0;
            }
            memory.write_bytes(COMMAND_SLAB, *slab, bytes);
            operands[at] = *slab as i32;
            operands[at + 1] = bytes.len() as i32;
            *slab += bytes.len();
        }
        let tail = memory.word(control::COMMAND_TAIL as usize);
        while head.wrapping_sub(tail.load(Ordering::Acquire)) & layout::POSITION_MASK
            >= layout::COMMAND_CAPACITY
        {
            std::thread::yield_now();
        }
        let index = (*head & (layout::COMMAND_CAPACITY - 1)) as usize;
        let base = COMMAND_RING + index * RECORD;
        let [a, b, c, d, e] = operands;
        let record = [kind, about.slot, about.generation, a, b, c, d, e];
        for (offset, word) in record.into_iter().enumerate() {
            memory.put(base + offset, word);
        }
        *head = head.wrapping_add(1) & layout::POSITION_MASK;
        memory
            .word(control::COMMAND_HEAD as usize)
            .store(*head, Ordering::SeqCst);
        let sleeping = memory.word(control::SLEEPING as usize);
        if sleeping
            .compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            (self.wake)(about.worker);
        }
    }

    /// Lets everything through to the route.
    pub fn pass(&self, told: &Told) {
        match told.kind {
            event::HANDSHAKE if told.bit() == handshake::ACCEPT_SESSION => {
                let route = self.route.load(Ordering::Relaxed);
                let flags = connect_flag::WANT_CONNECTED;
                self.send(told, command::CONNECT, [route, flags, 0, 0, 0]);
            }
            event::HANDSHAKE if told.bit() == handshake::ACCEPT_PROXY => {
                self.send(told, command::PROCEED, [0; 5]);
            }
            event::HANDSHAKE => self.send(told, command::PROCEED, [told.bit(), 0, 0, 0, 0]),
            event::CONNECT_FAILED => self.send(told, command::CLOSE, [told.reason(), 0, 0, 0, 0]),
            _ => {}
        }
    }
}

/// Blocks the worker threads at their doorbell, so that a test can arrange
/// what they find in one batch.
#[derive(Default)]
pub struct Gate {
    bar: Mutex<Bar>,
    opened: Condvar,
    held: AtomicUsize,
    stops: AtomicUsize,
}

#[derive(Default)]
struct Bar {
    closed: bool,
    steps: usize,
}

impl Gate {
    pub fn close(&self) {
        lock(&self.bar).closed = true;
    }

    pub fn open(&self) {
        lock(&self.bar).closed = false;
        self.opened.notify_all();
    }

    /// Lets those that wait here go on to their next doorbell.
    pub fn step(&self) {
        lock(&self.bar).steps += 1;
        self.opened.notify_all();
    }

    /// True while a worker waits here.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.held.load(Ordering::SeqCst) > 0
    }

    /// How often a worker had to wait here.
    #[must_use]
    pub fn stops(&self) -> usize {
        self.stops.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        let mut bar = lock(&self.bar);
        let steps = bar.steps;
        self.held.fetch_add(1, Ordering::SeqCst);
        if bar.closed {
            self.stops.fetch_add(1, Ordering::SeqCst);
        }
        while bar.closed && bar.steps == steps {
            bar = wait(&self.opened, bar, PATIENCE);
        }
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Seen {
    events: Vec<Told>,
    rung: bool,
    ended: bool,
}

/// A running engine and its policy.
pub struct Harness {
    pub engine: Arc<Mutex<Option<Engine>>>,
    pub commands: Arc<Commands>,
    pub gate: Arc<Gate>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    paused: Arc<AtomicBool>,
    policy: Option<JoinHandle<()>>,
    memories: Vec<Words>,
    table: Words,
    /// Dropped last: the engine's threads use it.
    _backing: Vec<Box<[i32]>>,
}

impl Harness {
    /// One worker that lets everything through.
    #[must_use]
    pub fn start() -> Self {
        Self::with(1, Box::new(|told, commands| commands.pass(told)))
    }

    /// `workers` workers with a policy.
    #[must_use]
    pub fn with(workers: usize, answer: Answer) -> Self {
        Self::with_pipes(workers, SLOTS, answer)
    }

    /// The same with a budget of pipes.
    #[must_use]
    pub fn with_pipes(workers: usize, maxpipes: usize, answer: Answer) -> Self {
        let mut backing: Vec<Box<[i32]>> = (0..workers)
            .map(|_| vec![0; WORKER_WORDS].into_boxed_slice())
            .collect();
        let table_words = SLOTS * workers * layout::CONNECTION_WORDS as usize;
        backing.push(vec![0; table_words].into_boxed_slice());
        let views: Vec<Words> = backing
            .iter()
            // SAFETY: the boxes are kept until the engine has stopped, never move
            // their contents, and are accessed through these views only.
            .map(|memory| unsafe { Words::new(memory.as_ptr(), memory.len()) })
            .collect();
        let (memories, table) = (views[..workers].to_vec(), views[workers]);
        let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let gate: Arc<Gate> = Arc::default();
        let doorbell = {
            let (seen, gate) = (seen.clone(), gate.clone());
            Arc::new(move || {
                lock(&seen.0).rung = true;
                seen.1.notify_all();
                gate.pass();
                false
            })
        };
        let engine = Engine::start(EngineParts {
            memories: memories.clone(),
            table,
            maxconn: SLOTS / 2,
            maxpipes,
            doorbell,
            lead: false,
        })
        .expect("engine");
        let engine = Arc::new(Mutex::new(Some(engine)));
        let waker = engine.clone();
        let commands = Arc::new(Commands {
            memories: memories.clone(),
            heads: Mutex::new(vec![(0, 0); workers]),
            wake: Box::new(move |worker| {
                if let Some(engine) = lock(&waker).as_ref() {
                    engine.wake(worker);
                }
            }),
            route: AtomicI32::new(-1),
        });
        let paused: Arc<AtomicBool> = Arc::default();
        let policy = {
            let (seen, commands, paused) = (seen.clone(), commands.clone(), paused.clone());
            std::thread::spawn(move || run_policy(&seen, &commands, &paused, answer))
        };
        Self {
            engine,
            commands,
            gate,
            seen,
            paused,
            policy: Some(policy),
            memories,
            table,
            _backing: backing,
        }
    }

    /// Listens; returns the listener's number and its address.
    pub fn listen(&self, spec: ListenSpec) -> (u32, SocketAddr) {
        let mut engine = lock(&self.engine);
        let (id, local) = engine
            .as_mut()
            .expect("engine")
            .listen(spec)
            .expect("listen");
        (id, local.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()))
    }

    /// Registers a route and makes it the default.
    pub fn route(&self, route: Route) -> i32 {
        let id = lock(&self.engine).as_mut().expect("engine").route(route);
        self.commands.route.store(id, Ordering::Relaxed);
        id
    }

    /// The poller of the first worker refuses so many connections.
    pub fn refuse(&self, count: usize) {
        lock(&self.engine)
            .as_ref()
            .expect("engine")
            .refuse(0, count);
    }

    pub fn unlisten(&self, id: u32) -> usize {
        lock(&self.engine).as_mut().expect("engine").unlisten(id)
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        lock(&self.engine).as_ref().expect("engine").stats()
    }

    /// The policy stops reading events, as JavaScript that is blocked.
    pub fn block_policy(&self, blocked: bool) {
        self.paused.store(blocked, Ordering::SeqCst);
        lock(&self.seen.0).rung = true;
        self.seen.1.notify_all();
    }

    /// True once a worker has died of a panic.
    #[must_use]
    pub fn is_dead(&self, worker: usize) -> bool {
        self.memories[worker].get(control::FATAL as usize) != 0
    }

    /// A word of a connection's record.
    #[must_use]
    pub fn record(&self, told: &Told, field: i32) -> i32 {
        let slot = told.worker * SLOTS + told.slot as usize;
        self.table
            .get(slot * layout::CONNECTION_WORDS as usize + field as usize)
    }

    /// Everything the policy has seen of this kind.
    #[must_use]
    pub fn all(&self, kind: i32) -> Vec<Told> {
        let seen = lock(&self.seen.0);
        let of_kind = seen.events.iter().filter(|told| told.kind == kind);
        of_kind.cloned().collect()
    }

    /// Waits for event number `n` (from 0) of a kind.
    #[must_use]
    pub fn nth(&self, kind: i32, n: usize) -> Told {
        let mut seen = lock(&self.seen.0);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut of_kind = seen.events.iter().filter(|told| told.kind == kind);
            if let Some(told) = of_kind.nth(n).cloned() {
                return told;
            }
            assert!(
                Instant::now() < deadline,
                "event {kind} number {n} did not come: {:?}",
                seen.events.iter().rev().take(8).collect::<Vec<_>>()
            );
            seen = wait(&self.seen.1, seen, Duration::from_millis(500));
        }
    }

    /// The first event of a kind.
    #[must_use]
    pub fn next(&self, kind: i32) -> Told {
        self.nth(kind, 0)
    }

    /// Waits until `condition` holds.
    pub fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "did not happen: {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until nothing is open, and checks that nothing is borrowed.
    pub fn settle(&self) {
        self.until("every connection ends", |h| h.stats().connections == 0);
        let Stats { pipes, buffers, .. } = self.stats();
        assert_eq!((pipes, buffers), (0, 0), "pipes and buffers are given back");
    }

    /// Stops the engine and returns every event that came.
    pub fn stop(&mut self) -> Vec<Told> {
        self.gate.open();
        self.block_policy(false);
        let engine = lock(&self.engine).take();
        let left = engine.map_or_else(Vec::new, |mut engine| engine.stop());
        lock(&self.seen.0).ended = true;
        self.seen.1.notify_all();
        if let Some(policy) = self.policy.take() {
            policy.join().expect("policy");
        }
        // Events that found no room in the rings. Payload is not looked at.
        let mut seen = lock(&self.seen.0);
        for (worker, records) in left.into_iter().enumerate() {
            for [kind, slot, generation, a, b, c, d, e] in records {
                seen.events.push(Told {
                    worker,
                    kind,
                    slot,
                    generation,
                    operands: [a, b, c, d, e],
                    bytes: Vec::new(),
                });
            }
        }
        drop(seen);
        lock(&self.seen.0).events.clone()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if self.policy.is_some() {
            self.stop();
        }
        assert!(!self.memories.is_empty());
    }
}

fn run_policy(
    shared: &(Mutex<Seen>, Condvar),
    commands: &Commands,
    paused: &AtomicBool,
    mut answer: Answer,
) {
    let mut tails = vec![0_i32; commands.memories.len()];
    loop {
        let mut seen = lock(&shared.0);
        while !seen.rung && !seen.ended {
            seen = wait(&shared.1, seen, PATIENCE);
        }
        let ended = seen.ended;
        seen.rung = false;
        drop(seen);
        if paused.load(Ordering::SeqCst) && !ended {
            continue;
        }
        for (worker, tail) in tails.iter_mut().enumerate() {
            let memory = commands.memories[worker];
            memory
                .word(control::EVENT_WAKE as usize)
                .store(0, Ordering::SeqCst);
            let mut batch = VecDeque::new();
            while let Some(told) = read_event(memory, worker, tail) {
                batch.push_back(told);
            }
            for told in batch {
                answer(&told, commands);
                lock(&shared.0).events.push(told);
            }
        }
        shared.1.notify_all();
        if ended {
            return;
        }
    }
}

fn read_event(memory: Words, worker: usize, tail: &mut i32) -> Option<Told> {
    let head = memory.word(control::EVENT_HEAD as usize);
    if head.load(Ordering::SeqCst) == *tail {
        return None;
    }
    let index = (*tail & (layout::EVENT_CAPACITY - 1)) as usize;
    let base = EVENT_RING + index * RECORD;
    let word = |offset: usize| memory.get(base + offset);
    let operands: [i32; 5] = std::array::from_fn(|n| word(3 + n));
    let kind = word(0);
    let range = match kind {
        event::BYTES | event::DATA => (operands[0], operands[1]),
        event::HANDSHAKE => (operands[2], operands[3]),
        event::SECURED => (operands[3], operands[4]),
        _ => (0, 0),
    };
    let mut bytes = Vec::new();
    assert!(memory.read_bytes(EVENT_SLAB, range.0 as usize, range.1 as usize, &mut bytes));
    let told = Told {
        worker,
        kind,
        slot: word(1),
        generation: word(2),
        operands,
        bytes,
    };
    *tail = tail.wrapping_add(1) & layout::POSITION_MASK;
    memory
        .word(control::EVENT_TAIL as usize)
        .store(*tail, Ordering::SeqCst);
    Some(told)
}

/// 127.0.0.1 with a free port, nothing asked but the session, no time-outs.
#[must_use]
pub fn listen_spec() -> ListenSpec {
    ListenSpec {
        address: ListenAddress::Tcp {
            address: ([127, 0, 0, 1], 0).into(),
            v6only: false,
        },
        backlog: 1024,
        maxconn: SLOTS,
        defer_accept: 0,
        fast_open: 0,
        reuse_port: false,
        proxy_limit: 16_384,
        silence_asks: false,
        liveness: Liveness::default(),
        transparent: false,
        original_dst: false,
        handshakes: handshake::ACCEPT_SESSION,
        ask: handshake::ACCEPT_SESSION,
        health_reply: Vec::new(),
        handshake_timeout: 0,
        verdict_timeout: 0,
        fallback_route: -1,
        client_timeout: 0,
        client_fin_timeout: 0,
    }
}

/// A route without handshakes and time-outs.
#[must_use]
pub fn route_to(destination: Destination) -> Route {
    Route {
        destination,
        source: None,
        send_proxy: SendProxy::No,
        socks: None,
        tls: None,
        liveness: Liveness::default(),
        connect_timeout: 0,
        server_timeout: 0,
        server_fin_timeout: 0,
        tunnel_timeout: 0,
    }
}

/// An engine, its listener, an upstream, and one session through all of them.
pub struct Session {
    pub h: Harness,
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Session {
    #[must_use]
    pub fn open() -> Self {
        Self::with(listen_spec(), |_| {})
    }

    /// `adjust` changes the route, for time-outs.
    #[must_use]
    pub fn with(spec: ListenSpec, adjust: impl FnOnce(&mut Route)) -> Self {
        let h = Harness::start();
        let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
        let mut route = route_to(Destination::Tcp(upstream.local_addr().expect("address")));
        adjust(&mut route);
        h.route(route);
        let (_, address) = h.listen(spec);
        let client = dial(address);
        let server = accept(&upstream);
        let _ = h.next(event::CONNECTED);
        Self { h, client, server }
    }

    /// Waits for the end, and checks its reason and that nothing is left.
    pub fn ends(self, by: i32, phase: i32, code: i32) {
        let closed = self.h.next(event::CLOSED);
        assert_reason(closed.reason(), by, phase, code);
        self.h.settle();
    }
}

/// Compares by number, which the assertion's message shows.
pub fn assert_reason(actual: i32, by: i32, phase: i32, code: i32) {
    let parts = |word: i32| (word & 15, (word >> 4) & 255, word >> 12);
    assert_eq!(parts(actual), (by, phase, code), "by, phase, code");
    assert_eq!(actual, reason(by, phase, code));
}

/// A clean end that the client began.
pub const DONE_BY_CLIENT: (i32, i32, i32) = (by::CLIENT, phase::DATA, code::DONE);

/// Bytes received and sent on a connection, from its record.
#[must_use]
pub fn byte_counts(h: &Harness, told: &Told) -> (i32, i32) {
    (
        h.record(told, field::BYTES_IN),
        h.record(told, field::BYTES_OUT),
    )
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    longest: Duration,
) -> MutexGuard<'a, T> {
    let (guard, _) = condvar
        .wait_timeout(guard, longest)
        .unwrap_or_else(PoisonError::into_inner);
    guard
}
