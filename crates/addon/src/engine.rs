//! The engine as an object of one environment.

use std::cell::RefCell;
use std::rc::Rc;

use napi::bindgen_prelude::{Function, Int32Array};
use napi::{Env, Status};
use napi_derive::napi;
use sluice_engine::engine::{Engine, EngineParts};
use sluice_engine::listener::ListenSpec;
use sluice_engine::memory::Words;
use sluice_engine::ring::Record;
use sluice_engine::tls::config::{DownstreamSpec, UpstreamSpec};

use crate::doorbell::Doorbell;
use crate::specs::{NativeListenSpec, NativeRouteSpec, required};
use crate::tls::{NativeDownstreamTlsSpec, NativeUpstreamTlsSpec};

/// Outcome of listen(): `errno` is 0, or the step that failed is named.
#[napi(object, object_from_js = false)]
pub struct NativeListenResult {
    /// Number of the listener.
    pub listener: u32,
    /// Local address, '' for unix sockets.
    pub address: String,
    /// Local port.
    pub port: u32,
    /// errno, or 0.
    pub errno: i32,
    /// System call that failed, or ''.
    pub step: String,
}

/// An engine and what its threads use. The order is that of dropping: the
/// threads are joined before the doorbell is closed and the memory let go.
struct Running {
    engine: Engine,
    doorbell: Doorbell,
    /// Keeps the shared memory in place.
    _memory: Vec<Int32Array>,
}

type Shared = Rc<RefCell<Option<Running>>>;

/// How an engine is run; for all of it there is a default.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NativeOptions {
    /// Ring by a ThreadsafeFunction instead of a handle on the event loop.
    pub queue: Option<bool>,
    /// Look for more events after each batch, before the thread sleeps.
    pub busy_poll: Option<bool>,
    /// Pipes for bulk payload at once, in all workers; no limit where it is missing.
    pub maxpipes: Option<u32>,
    /// Have the environment's thread take the workers' turns while traffic is sparse.
    pub lead: Option<bool>,
}

/// A running engine. Lives until `stop()`, the end of its environment, or its
/// collection, whichever comes first.
#[napi]
pub struct NativeEngine {
    /// The only strong reference: collection ends the engine.
    running: Shared,
}

#[napi]
impl NativeEngine {
    /// Starts one worker for each memory. `doorbell` is called on the
    /// environment's thread when there are events; what it throws is an
    /// uncaught exception.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        memories: Vec<Int32Array>,
        table: Int32Array,
        maxconn: u32,
        doorbell: Function<'_, (), ()>,
        options: Option<NativeOptions>,
    ) -> napi::Result<Self> {
        napi::bindgen_prelude::retain_current_module_for_unload_safety();
        let options = options.unwrap_or_default();
        let all: Vec<Words> = memories.iter().map(words).collect();
        let polled = if options.busy_poll.unwrap_or(false) {
            all.clone()
        } else {
            Vec::new()
        };
        let queue = options.queue.unwrap_or(false);
        let lead = options.lead.unwrap_or(false) && !queue && polled.is_empty();
        let (mut bell, ring) = Doorbell::new(&env, &doorbell, queue, polled)?;
        let parts = EngineParts {
            memories: all,
            table: words(&table),
            maxconn: maxconn as usize,
            maxpipes: options.maxpipes.map_or(usize::MAX, |pipes| pipes as usize),
            doorbell: ring,
            lead,
        };
        let engine = Engine::start(parts)
            .map_err(|error| napi::Error::new(Status::GenericFailure, error.to_string()))?;
        if lead {
            bell.lead(engine.seats());
        }
        let mut memory = memories;
        memory.push(table);
        let running: Shared = Rc::new(RefCell::new(Some(Running {
            engine,
            doorbell: bell,
            _memory: memory,
        })));
        // Added after the doorbell's own, so it runs before that: the threads
        // are joined while everything they use is still there. Weak, so that
        // the hook does not keep an engine whose handle is collected: its
        // threads would write into memory that is collected as well.
        env.add_env_cleanup_hook(Rc::downgrade(&running), |running| {
            if let Some(running) = running.upgrade() {
                end(&running);
            }
        })?;
        Ok(Self { running })
    }

    /// Binds and listens.
    #[napi(catch_unwind)]
    pub fn listen(&self, spec: NativeListenSpec) -> napi::Result<NativeListenResult> {
        let spec = ListenSpec::try_from(spec)?;
        self.with(|engine| match engine.listen(spec) {
            Ok((listener, local)) => NativeListenResult {
                listener,
                address: local
                    .map(|local| local.ip().to_string())
                    .unwrap_or_default(),
                port: local.map_or(0, |local| u32::from(local.port())),
                errno: 0,
                step: String::new(),
            },
            Err(error) => NativeListenResult {
                listener: 0,
                address: String::new(),
                port: 0,
                errno: error.error.raw_os_error(),
                step: error.step.to_owned(),
            },
        })
    }

    /// Closes a listener; returns how many LISTENER_CLOSED events will come.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, listener: u32) -> napi::Result<u32> {
        self.with(|engine| engine.unlisten(listener) as u32)
    }

    /// Closes a listener that is being closed without waiting any longer.
    #[napi(catch_unwind)]
    pub fn abandon(&self, listener: u32) -> napi::Result<()> {
        self.with(|engine| engine.abandon(listener))
    }

    /// Stops or resumes accepting.
    #[napi(catch_unwind)]
    pub fn pause(&self, listener: u32, paused: bool) -> napi::Result<()> {
        self.with(|engine| engine.pause(listener, paused))
    }

    /// Registers a way out.
    #[napi(catch_unwind)]
    pub fn route(&self, mut spec: NativeRouteSpec) -> napi::Result<i32> {
        self.with(|engine| {
            let tls = match spec.tls_context {
                None => None,
                Some(context) => {
                    let name = required(spec.tls_server_name.take(), "tls.serverName")?;
                    Some(engine.tls_target(context, &name).map_err(failed)?)
                }
            };
            Ok(engine.route(spec.into_route(tls)?))
        })?
    }

    /// Forgets a way out.
    #[napi(catch_unwind)]
    pub fn unroute(&self, route: i32) -> napi::Result<()> {
        self.with(|engine| engine.unroute(route))
    }

    /// Makes a context for TLS towards clients.
    #[napi(catch_unwind)]
    pub fn downstream_tls(&self, spec: NativeDownstreamTlsSpec) -> napi::Result<i32> {
        let spec = DownstreamSpec::try_from(spec)?;
        self.with(|engine| engine.downstream_tls(&spec))?
            .map_err(failed)
    }

    /// Makes a context for TLS towards servers.
    #[napi(catch_unwind)]
    pub fn upstream_tls(&self, spec: NativeUpstreamTlsSpec) -> napi::Result<i32> {
        let spec = UpstreamSpec::try_from(spec)?;
        self.with(|engine| engine.upstream_tls(&spec))?
            .map_err(failed)
    }

    /// Forgets a TLS context.
    #[napi(catch_unwind)]
    pub fn tls_forget(&self, context: i32) -> napi::Result<()> {
        self.with(|engine| engine.tls_forget(context))
    }

    /// Wakes a sleeping worker.
    #[napi(catch_unwind)]
    pub fn wake(&self, worker: u32) -> napi::Result<()> {
        self.with(|engine| engine.wake(worker as usize))
    }

    /// 'loop' or 'queue': where the doorbell hangs.
    #[napi(catch_unwind)]
    pub fn doorbell(&self) -> napi::Result<&'static str> {
        match &*self.running.borrow() {
            Some(running) if running.doorbell.is_on_loop() => Ok("loop"),
            Some(_) => Ok("queue"),
            None => Err(stopped()),
        }
    }

    /// Makes a worker panic, for tests.
    #[napi(catch_unwind)]
    pub fn test_panic(&self, worker: u32) -> napi::Result<()> {
        self.with(|engine| engine.panic(worker as usize))
    }

    /// connections, stale, late, pipes, buffers, wakes, events, ring full, led.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> napi::Result<Vec<f64>> {
        self.with(|engine| {
            let stats = engine.stats();
            [
                stats.connections,
                stats.stale,
                stats.late,
                stats.pipes,
                stats.buffers,
                stats.wakes,
                stats.events,
                stats.ring_full,
                stats.led,
            ]
            .map(|count| count as f64)
            .to_vec()
        })
    }

    /// The engine's clock in milliseconds.
    #[napi(catch_unwind)]
    pub fn now(&self) -> napi::Result<u32> {
        self.with(|engine| engine.now())
    }

    /// Ends every connection and joins the threads. Harmless when repeated.
    /// Returns the events that the rings had no room for, by worker, as records
    /// one behind the other.
    #[napi(catch_unwind)]
    pub fn stop(&self) -> Vec<Int32Array> {
        let left = end(&self.running).into_iter();
        left.map(|records| Int32Array::new(records.into_flattened()))
            .collect()
    }

    fn with<T>(&self, action: impl FnOnce(&mut Engine) -> T) -> napi::Result<T> {
        match self.running.borrow_mut().as_mut() {
            Some(running) => Ok(action(&mut running.engine)),
            None => Err(stopped()),
        }
    }
}

fn end(running: &Shared) -> Vec<Vec<Record>> {
    // Taken out first: nothing is borrowed while the threads are joined.
    let running = running.borrow_mut().take();
    running.map_or_else(Vec::new, |mut running| {
        // The loop's poll of a seat must not outlive its worker.
        running.doorbell.follow();
        running.engine.stop()
    })
}

fn stopped() -> napi::Error {
    failed("the engine has stopped".to_owned())
}

fn failed(why: String) -> napi::Error {
    napi::Error::new(Status::GenericFailure, why)
}

fn words(array: &Int32Array) -> Words {
    // SAFETY: the array is a view of a SharedArrayBuffer: its memory never
    // moves, is aligned, and lives as long as a reference to it, which
    // `Running` keeps until it has joined the threads; JavaScript accesses
    // it through Atomics or under the ring protocol.
    unsafe { Words::new(array.as_ptr(), array.len()) }
}
