//! The engine as a program uses it: workers, listeners, routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::fd::AsFd;
use sluice_wire::ring_layout::{WORKER_WORDS, control, layout};

use crate::clock::Moment;
use crate::lead::Seat;
use crate::listener::{ListenError, ListenSpec, Listener, open};
use crate::memory::Words;
use crate::poller::Poller;
use crate::ring::{Doorbell, Record};
use crate::route::{Route, TlsTarget};
use crate::stats::{Stats, WorkerStats};
use crate::sys;
use crate::tls::config::{self, DownstreamSpec, UpstreamSpec};
use crate::tls::contexts::{Context, Contexts};
use crate::tls::sessions::SessionGroups;
use crate::worker::{Control, Limits, Mailbox, Worker, WorkerParts};

/// What an engine is made from.
pub struct EngineParts {
    /// Memory of each worker, `WORKER_WORDS` long: one thread is started for each.
    pub memories: Vec<Words>,
    /// Connection records of all workers, in equal parts.
    pub table: Words,
    /// Accepted connections at once, in all workers.
    pub maxconn: usize,
    /// Pipes for bulk payload at once, in all workers; 0: it is copied.
    pub maxpipes: usize,
    /// Tells TypeScript that there are events.
    pub doorbell: Doorbell,
    /// Workers may be led by the thread that answers, while traffic is sparse.
    pub lead: bool,
}

/// A running engine. Dropping it stops it.
pub struct Engine {
    mailboxes: Vec<Arc<Mailbox>>,
    threads: Vec<JoinHandle<Vec<Record>>>,
    /// One for each worker.
    seats: Vec<Arc<Seat>>,
    /// By number. Numbers of listeners and routes are never used again: a
    /// command or an event that names one may still be on its way.
    listeners: BTreeMap<u32, Arc<Listener>>,
    next_listener: u32,
    next_route: i32,
    contexts: Arc<Contexts>,
    session_groups: SessionGroups,
    started: Instant,
}

impl Engine {
    /// Starts the worker threads.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses a poller or a thread, or the memory has the
    /// wrong size; nothing stays running.
    pub fn start(parts: EngineParts) -> std::io::Result<Self> {
        let workers = parts.memories.len();
        let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
        if workers == 0
            || parts
                .memories
                .iter()
                .any(|memory| memory.len() < WORKER_WORDS)
        {
            return Err(bad("each worker needs WORKER_WORDS words of memory"));
        }
        let words = layout::CONNECTION_WORDS as usize;
        let slots = parts.table.len() / words / workers;
        if slots < 2 {
            return Err(bad("the connection table is too small"));
        }
        let limits = Arc::new(Limits {
            maxconn: parts.maxconn,
            open: AtomicUsize::new(0),
            waiting: AtomicU64::new(0),
        });
        let pipes = Arc::new(AtomicUsize::new(parts.maxpipes));
        let started = Instant::now();
        let mut engine = Self {
            mailboxes: Vec::new(),
            threads: Vec::new(),
            seats: Vec::new(),
            listeners: BTreeMap::new(),
            next_listener: 0,
            next_route: 0,
            contexts: Arc::default(),
            session_groups: SessionGroups::default(),
            started,
        };
        let mut pollers = Vec::new();
        for _ in 0..workers {
            let (poller, waker) = Poller::new()?;
            pollers.push(poller);
            engine.mailboxes.push(Arc::new(Mailbox {
                messages: Mutex::default(),
                full: AtomicBool::new(false),
                waker,
                stats: WorkerStats::default(),
            }));
        }
        let mailboxes: Arc<[Arc<Mailbox>]> = engine.mailboxes.as_slice().into();
        for (index, (memory, poller)) in parts.memories.into_iter().zip(pollers).enumerate() {
            let mailbox = mailboxes[index].clone();
            let seat = Arc::new(Seat::new(poller.as_fd(), mailbox, started, parts.lead)?);
            engine.seats.push(seat.clone());
            let worker = WorkerParts {
                index,
                memory,
                table: parts.table,
                first_word: index * slots * words,
                slots,
                poller,
                mailboxes: mailboxes.clone(),
                limits: limits.clone(),
                pipes: pipes.clone(),
                contexts: engine.contexts.clone(),
                doorbell: parts.doorbell.clone(),
                started,
            };
            let thread = std::thread::Builder::new()
                .name(format!("sluice-{index}"))
                .spawn(move || run_worker(worker, &seat))?;
            engine.threads.push(thread);
        }
        Ok(engine)
    }

    /// Binds and listens; every worker accepts. Returns the listener's number
    /// and the actual address (`None` for unix sockets).
    ///
    /// # Errors
    ///
    /// The step that failed and why.
    pub fn listen(&mut self, spec: ListenSpec) -> Result<(u32, Option<SocketAddr>), ListenError> {
        let opened = open(&spec, self.mailboxes.len())?;
        let id = self.next_listener;
        self.next_listener += 1;
        let local = opened.local;
        let specific = |address: &SocketAddr| !address.ip().is_unspecified();
        let listener = Arc::new(Listener {
            id,
            fixed_dst: local.filter(|it| specific(it) && !spec.transparent),
            tcp: local.is_some(),
            file: opened.file,
            open: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            spec,
        });
        self.listeners.insert(id, listener.clone());
        for (mailbox, socket) in self.mailboxes.iter().zip(opened.sockets) {
            let shared = opened.shared;
            mailbox.send(Control::Listen {
                listener: listener.clone(),
                socket,
                shared,
            });
        }
        Ok((id, local))
    }

    /// Closes a listener's sockets once those are served whom the kernel has accepted,
    /// as there is room for them; each worker answers with LISTENER_CLOSED.
    /// Returns how many answers will come.
    pub fn unlisten(&mut self, id: u32) -> usize {
        let Some(listener) = self.listeners.remove(&id) else {
            return 0;
        };
        if let Some(file) = &listener.file {
            file.remove();
        }
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.send(Control::Unlisten(id)));
        self.mailboxes.len()
    }

    /// Closes the sockets of a listener that is being closed now: whoever waits is reset.
    pub fn abandon(&self, id: u32) {
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.send(Control::Abandon(id)));
    }

    /// Stops or resumes accepting.
    pub fn pause(&self, id: u32, paused: bool) {
        if let Some(listener) = self.listeners.get(&id) {
            listener.paused.store(paused, Ordering::Relaxed);
            self.mailboxes
                .iter()
                .for_each(|mailbox| mailbox.waker.wake());
        }
    }

    /// Registers a way out. Commands sent after this call may name it.
    pub fn route(&mut self, route: Route) -> i32 {
        let id = self.next_route;
        self.next_route += 1;
        let route = Arc::new(route);
        for mailbox in &self.mailboxes {
            mailbox.send(Control::Route(id, route.clone()));
        }
        id
    }

    /// Forgets a way out; connections that use it keep it.
    pub fn unroute(&mut self, id: i32) {
        for mailbox in &self.mailboxes {
            mailbox.send(Control::Unroute(id));
        }
    }

    /// Makes a context for TLS of clients. Commands sent after this call may name it.
    ///
    /// # Errors
    ///
    /// What is wrong with the specification, for the operator to read.
    pub fn downstream_tls(&mut self, spec: &DownstreamSpec) -> Result<i32, String> {
        let config = config::downstream(spec, &mut self.session_groups)?;
        Ok(self.contexts.add(Context::Downstream(config)))
    }

    /// Makes a context for TLS to servers, for [`Engine::tls_target`].
    ///
    /// # Errors
    ///
    /// What is wrong with the specification, for the operator to read.
    pub fn upstream_tls(&mut self, spec: &UpstreamSpec) -> Result<i32, String> {
        let context = Context::Upstream {
            config: config::upstream(spec)?,
            verify: spec.verify,
        };
        Ok(self.contexts.add(context))
    }

    /// Forgets a context; connections and routes that use it keep it.
    pub fn tls_forget(&mut self, context: i32) {
        self.contexts.remove(context);
    }

    /// TLS of a route, from an upstream context and a name or IP address. Without a
    /// name no SNI is sent; that needs a context that does not verify.
    ///
    /// # Errors
    ///
    /// Where there is no such context, or the name is none.
    pub fn tls_target(&self, context: i32, server_name: &str) -> Result<TlsTarget, String> {
        let Some(Context::Upstream { config, verify }) = self.contexts.get(context) else {
            return Err(format!("no TLS context for servers {context}"));
        };
        let name = config::server_name(server_name, verify)?;
        Ok(TlsTarget {
            config,
            name,
            verify,
        })
    }

    /// Wakes a worker that sleeps, after commands were written.
    pub fn wake(&self, worker: usize) {
        if let Some(mailbox) = self.mailboxes.get(worker) {
            mailbox.waker.wake();
        }
    }

    /// Has a worker's poller refuse so many connections, to test that it is survived.
    pub fn refuse(&self, worker: usize, count: usize) {
        if let Some(mailbox) = self.mailboxes.get(worker) {
            mailbox.send(Control::Refuse(count));
        }
    }

    /// Makes a worker panic, to test that it is survived.
    pub fn panic(&self, worker: usize) {
        if let Some(mailbox) = self.mailboxes.get(worker) {
            mailbox.send(Control::Panic);
        }
    }

    /// Where workers sit for the thread that answers to lead them.
    #[must_use]
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.clone()
    }

    /// What is counted, over all workers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for mailbox in &self.mailboxes {
            let stats = &mailbox.stats;
            let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            sum.connections += get(&stats.connections);
            sum.stale += get(&stats.stale);
            sum.late += get(&stats.late);
            sum.pipes += get(&stats.pipes);
            sum.buffers += get(&stats.buffers);
            sum.wakes += get(&stats.wakes);
            sum.events += get(&stats.events);
            sum.ring_full += get(&stats.ring_full);
            sum.led += get(&stats.led);
        }
        sum
    }

    /// Milliseconds since the start, the clock of every record, in 31 bits.
    #[must_use]
    pub fn now(&self) -> u32 {
        let now = self.started.elapsed().as_millis() as u64;
        Moment::at(now).word() as u32
    }

    /// Ends every connection and joins the threads. Events written on the way
    /// stay in the rings; what they had no room for is returned, by worker.
    pub fn stop(&mut self) -> Vec<Vec<Record>> {
        for listener in std::mem::take(&mut self.listeners).into_values() {
            if let Some(file) = &listener.file {
                file.remove();
            }
        }
        self.mailboxes
            .iter()
            .for_each(|mailbox| mailbox.send(Control::Stop));
        self.seats.drain(..).for_each(|seat| seat.call());
        let threads = self.threads.drain(..);
        let left = threads.map(|thread| thread.join().unwrap_or_default());
        let left = left.collect();
        self.mailboxes.clear();
        left
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Mailbox {
    fn send(&self, message: Control) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
        self.full.store(true, Ordering::SeqCst);
        self.waker.wake();
    }
}

/// A worker's thread; returns the events that found no room. Whatever ends it
/// before it is told to end is reported: a proxy must not limp. By a word, since
/// the ring may be full, and its writer in any state.
fn run_worker(parts: WorkerParts, seat: &Seat) -> Vec<Record> {
    sys::block_sigpipe();
    let (memory, doorbell) = (parts.memory, parts.doorbell.clone());
    let mut worker = Some(Worker::new(parts));
    match catch_unwind(AssertUnwindSafe(|| seat.run(&mut worker))) {
        Ok(Ok(left)) => return left,
        Ok(Err(_)) | Err(_) => drop(catch_unwind(AssertUnwindSafe(|| drop(worker)))),
    }
    for word in [control::FATAL, control::EVENT_WAKE] {
        memory.word(word as usize).store(1, Ordering::SeqCst);
    }
    doorbell();
    Vec::new()
}
