//! How worker threads call TypeScript: a handle of our own on Node's event loop.
//!
//! A ThreadsafeFunction would do, and does where the loop is not to be had. But
//! it wakes the loop inside its mutex, so the thread that it wakes runs straight
//! into that mutex: two context switches and two to four futex calls a ring.
//! `uv_async_send` is one write to an eventfd, and none where one is pending.
//!
//! The handle must be closed on the loop's thread, and its memory lives until
//! the loop says that it is closed. An environment that ends waits for that
//! only where it is told to, by an asynchronous cleanup hook.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering, fence};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Function, JsValue};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, sys};
use sluice_engine::lead::{Seat, Turn};
use sluice_engine::memory::Words;
use sluice_engine::ring;
use sluice_wire::ring_layout::control;

/// Hangs on the event loop or, with `None`, in a ThreadsafeFunction, which is
/// closed with its last [`ring::Doorbell`]. Dropped on the environment's thread, after
/// every thread that may ring is joined.
pub struct Doorbell {
    on_loop: Option<LoopBell>,
}

impl Doorbell {
    /// A doorbell that calls `function`, and what rings it. It does not keep the
    /// process alive. `queue`: do without the event loop. `polled`: memories of
    /// the workers, where the loop's thread is to look at them for a while after
    /// each answer; they must stay in place until the doorbell is dropped.
    pub fn new(
        env: &Env,
        function: &Function<'_, (), ()>,
        queue: bool,
        polled: Vec<Words>,
    ) -> napi::Result<(Self, ring::Doorbell)> {
        if !queue && let Some(bell) = LoopBell::new(env, function, polled) {
            let ringer = Ringer(bell.0);
            let on_loop = Self {
                on_loop: Some(bell),
            };
            return Ok((on_loop, Arc::new(move || ringer.ring())));
        }
        let bell = function
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()?;
        let ring = Arc::new(move || {
            // Refused only while the environment goes away.
            let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
            true
        });
        Ok((Self { on_loop: None }, ring))
    }

    /// Has the loop's thread take the turns of workers that are offered to it. Precondition:
    /// no thread has rung yet that waits for it; called once. False where there is no loop.
    pub fn lead(&mut self, seats: Vec<Arc<Seat>>) -> bool {
        self.on_loop.as_mut().is_some_and(|bell| bell.lead(seats))
    }

    /// Leads no more; before the workers' threads are joined.
    pub fn follow(&mut self) {
        if let Some(bell) = &mut self.on_loop {
            bell.follow();
        }
    }

    /// True where it hangs on the event loop.
    pub fn is_on_loop(&self) -> bool {
        self.on_loop.is_some()
    }
}

/// libuv's functions. Looked up by name: an addon that needs symbols which its
/// host does not have would not load at all.
#[derive(Clone, Copy)]
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    init: unsafe extern "C" fn(*mut c_void, *mut Handle, AsyncCallback) -> c_int,
    send: unsafe extern "C" fn(*mut Handle) -> c_int,
    unref: unsafe extern "C" fn(*mut Handle),
    poll_init: unsafe extern "C" fn(*mut c_void, *mut Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut Handle, c_int, PollCallback) -> c_int,
    poll_stop: unsafe extern "C" fn(*mut Handle) -> c_int,
    close: unsafe extern "C" fn(*mut Handle, AsyncCallback),
}

type AsyncCallback = unsafe extern "C" fn(*mut Handle);
type PollCallback = unsafe extern "C" fn(*mut Handle, c_int, c_int);

/// How long the loop's thread looks for the next event before it sleeps.
const POLL_TIME: Duration = Duration::from_micros(200);
/// How long it does so before the rest of the loop has its turn.
const POLL_TURN: Duration = Duration::from_millis(1);

/// `UV_ASYNC` of `uv_handle_type`.
const UV_ASYNC: c_int = 1;
/// `UV_POLL` of the same.
const UV_POLL: c_int = 8;
/// `UV_READABLE` of `uv_poll_event`.
const UV_READABLE: c_int = 1;
/// Turns that are led before the rest of the loop has its turn.
const LED_TURNS: u32 = 16;

impl Uv {
    fn load() -> Option<Self> {
        // SAFETY: the types are those of uv.h, which libuv keeps within a major
        // version; there has been one since 2014.
        unsafe {
            Some(Self {
                handle_size: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(c_int) -> usize,
                >(symbol(c"uv_handle_size")?),
                init: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut c_void, *mut Handle, AsyncCallback) -> c_int,
                >(symbol(c"uv_async_init")?),
                send: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut Handle) -> c_int,
                >(symbol(c"uv_async_send")?),
                unref: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut Handle)>(
                    symbol(c"uv_unref")?,
                ),
                poll_init: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut c_void, *mut Handle, c_int) -> c_int,
                >(symbol(c"uv_poll_init")?),
                poll_start: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut Handle, c_int, PollCallback) -> c_int,
                >(symbol(c"uv_poll_start")?),
                poll_stop: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut Handle) -> c_int,
                >(symbol(c"uv_poll_stop")?),
                close: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut Handle, AsyncCallback),
                >(symbol(c"uv_close")?),
            })
        }
    }
}

fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: a look-up by a name that ends with NUL, in what is loaded already.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// The public head of `uv_async_t`; how much follows, libuv says.
#[repr(C)]
struct Handle {
    data: *mut c_void,
}

/// What the callbacks need. Freed by `closed`.
struct Bell {
    uv: Uv,
    env: sys::napi_env,
    function: sys::napi_ref,
    /// Makes the environment's end wait for `closed`.
    hook: sys::napi_async_cleanup_hook_handle,
    handle: *mut Handle,
    /// What `handle` points to.
    _memory: Vec<u128>,
    /// Core on which TypeScript last answered, or -1.
    core: AtomicI32,
    /// Memories that are polled; see [`Doorbell::new`].
    polled: Vec<Words>,
    /// Workers whose turns this thread may lead.
    leads: RefCell<Vec<NonNull<Lead>>>,
    event_loop: *mut c_void,
    /// Handles that the loop has not let go of.
    open: Cell<usize>,
    closing: Cell<bool>,
}

/// A worker that is led, polled while it is offered. Freed by `lead_closed`.
struct Lead {
    bell: *mut Bell,
    /// Let go of with the poll: it holds a descriptor.
    seat: RefCell<Option<Arc<Seat>>>,
    handle: *mut Handle,
    polling: Cell<bool>,
    /// What `handle` points to.
    _memory: Vec<u128>,
}

/// A bell on the event loop; see [`Doorbell`].
struct LoopBell(NonNull<Bell>);

/// Rings from another thread.
#[derive(Clone, Copy)]
struct Ringer(NonNull<Bell>);

// SAFETY: `uv_async_send` may be called from any thread, `core` is atomic and
// the other field that is read never changes. A bell outlives its ringers:
// `Doorbell` is dropped after the threads are joined.
unsafe impl Send for Ringer {}
// SAFETY: as above.
unsafe impl Sync for Ringer {}

impl Ringer {
    fn ring(self) -> bool {
        let bell = self.0.as_ptr();
        // SAFETY: the bell outlives its ringers; fields are read one by one, so
        // that no reference covers those that only the loop's thread may touch.
        let core = unsafe {
            ((*bell).uv.send)((*bell).handle);
            (*bell).core.load(Ordering::Relaxed)
        };
        core == this_core()
    }
}

impl LoopBell {
    /// `None` where there is no loop, or where it takes no more handles.
    fn new(env: &Env, function: &Function<'_, (), ()>, polled: Vec<Words>) -> Option<Self> {
        let uv = Uv::load()?;
        let env = env.raw();
        let mut event_loop = null_mut();
        // SAFETY: a live environment on its own thread.
        let status = unsafe { sys::napi_get_uv_event_loop(env, &raw mut event_loop) };
        if status != sys::Status::napi_ok || event_loop.is_null() {
            return None;
        }
        // SAFETY: asks for a number.
        let size = unsafe { (uv.handle_size)(UV_ASYNC) };
        let mut memory = vec![0_u128; size.div_ceil(size_of::<u128>())];
        let handle: *mut Handle = memory.as_mut_ptr().cast();
        let mut function_reference = null_mut();
        // SAFETY: both values live in the caller's scope.
        let status = unsafe {
            sys::napi_create_reference(env, function.raw(), 1, &raw mut function_reference)
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        // SAFETY: the loop is this thread's, the memory has the size that libuv
        // asked for and stays in place (a Vec's contents do) until `closed`.
        if unsafe { (uv.init)(event_loop.cast(), handle, rung) } != 0 {
            // SAFETY: made above, and nobody else has it.
            unsafe { sys::napi_delete_reference(env, function_reference) };
            return None;
        }
        let bell = Box::into_raw(Box::new(Bell {
            uv,
            env,
            function: function_reference,
            hook: null_mut(),
            handle,
            _memory: memory,
            core: AtomicI32::new(-1),
            polled,
            leads: RefCell::new(Vec::new()),
            event_loop: event_loop.cast(),
            open: Cell::new(1),
            closing: Cell::new(false),
        }));
        // SAFETY: the handle is initialised; `data` is the user's. The hook
        // does nothing but make the environment wait until `closed` removes it.
        unsafe {
            (*handle).data = bell.cast();
            (uv.unref)(handle);
            sys::napi_add_async_cleanup_hook(
                env,
                Some(wait_for_close),
                null_mut(),
                &raw mut (*bell).hook,
            );
        }
        NonNull::new(bell).map(Self)
    }
}

impl LoopBell {
    fn lead(&mut self, seats: Vec<Arc<Seat>>) -> bool {
        // SAFETY: made in `new`, freed after `drop` only.
        let bell = unsafe { self.0.as_ref() };
        for seat in seats {
            // SAFETY: asks for a number.
            let size = unsafe { (bell.uv.handle_size)(UV_POLL) };
            let mut memory = vec![0_u128; size.div_ceil(size_of::<u128>())];
            let handle: *mut Handle = memory.as_mut_ptr().cast();
            // SAFETY: the loop is this thread's; memory and descriptor stay in place until
            // `lead_closed` drops them.
            if unsafe { (bell.uv.poll_init)(bell.event_loop, handle, seat.descriptor()) } != 0 {
                return false;
            }
            let lead = Box::into_raw(Box::new(Lead {
                bell: self.0.as_ptr(),
                seat: RefCell::new(Some(seat)),
                handle,
                polling: Cell::new(false),
                _memory: memory,
            }));
            bell.open.set(bell.open.get() + 1);
            // SAFETY: the handle is initialised; `data` is the user's.
            unsafe {
                (*handle).data = lead.cast();
                (bell.uv.unref)(handle);
            }
            bell.leads.borrow_mut().extend(NonNull::new(lead));
        }
        true
    }

    fn follow(&mut self) {
        // SAFETY: made in `new`, freed after `drop` only.
        let bell = unsafe { self.0.as_ref() };
        for lead in bell.leads.borrow_mut().drain(..) {
            // SAFETY: initialised in `lead`, closed once; `lead_closed` frees it. The loop
            // polls the descriptor no more when this returns.
            unsafe {
                (bell.uv.close)(lead.as_ref().handle, lead_closed);
                lead.as_ref().seat.take();
            }
        }
    }
}

impl Drop for LoopBell {
    fn drop(&mut self) {
        self.follow();
        let bell = self.0.as_ptr();
        // SAFETY: on the environment's thread, once; `closed` frees the memory,
        // in a later phase of the loop, also where this runs within `rung`.
        unsafe {
            (*bell).closing.set(true);
            sys::napi_delete_reference((*bell).env, (*bell).function);
            ((*bell).uv.close)((*bell).handle, closed);
        }
    }
}

/// The bell closes by itself when the environment's other hook drops the engine.
unsafe extern "C" fn wait_for_close(_: sys::napi_async_cleanup_hook_handle, _: *mut c_void) {}

/// The loop has let go of the handle.
unsafe extern "C" fn closed(handle: *mut Handle) {
    // SAFETY: libuv calls this once, with the handle that was closed.
    unsafe { let_go((*handle).data.cast()) };
}

/// The loop has let go of a lead's handle.
unsafe extern "C" fn lead_closed(handle: *mut Handle) {
    // SAFETY: libuv calls this once, with the handle that was closed; the box was leaked
    // in `lead`, and owns the memory of the handle as well.
    let lead = unsafe { Box::from_raw((*handle).data.cast::<Lead>()) };
    // SAFETY: the bell lives until its last handle is closed.
    unsafe { let_go(lead.bell) };
}

/// Frees the bell with its last handle.
unsafe fn let_go(bell: *mut Bell) {
    // SAFETY: on the environment's thread, while the bell lives.
    let open = unsafe { &(*bell).open };
    open.set(open.get() - 1);
    if open.get() > 0 {
        return;
    }
    // SAFETY: leaked in `new`, and no handle is left that could call us; the box owns the
    // memory of its handle as well.
    let bell = unsafe { Box::from_raw(bell) };
    if !bell.hook.is_null() {
        // SAFETY: added in `new`, removed here only.
        unsafe { sys::napi_remove_async_cleanup_hook(bell.hook) };
    }
}

/// Somebody rang. On the environment's thread, outside of JavaScript.
unsafe extern "C" fn rung(handle: *mut Handle) {
    // SAFETY: libuv calls this between `init` and `close` only, and `closed`
    // cannot run before it has returned.
    let bell = unsafe { &*(*handle).data.cast::<Bell>() };
    bell.core.store(this_core(), Ordering::Relaxed);
    if bell.answer() && !bell.closing.get() && !bell.polled.is_empty() {
        bell.poll();
    }
    if !bell.closing.get() {
        bell.poll_offered();
    }
}

/// A led worker has something to do. On the environment's thread, outside of JavaScript.
unsafe extern "C" fn turn_due(handle: *mut Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls this between `start` and `close` only; the lead is freed later,
    // in a phase of its own, also where JavaScript closes it meanwhile.
    let (lead, bell) = unsafe {
        let lead = &*(*handle).data.cast::<Lead>();
        (lead, &*lead.bell)
    };
    let Some(seat) = lead.seat.borrow().clone() else {
        return;
    };
    for _ in 0..LED_TURNS {
        match seat.turn() {
            Turn::Asked => {
                if !bell.answer() || bell.closing.get() || bell.leads.borrow().is_empty() {
                    return;
                }
            }
            Turn::Quiet => return,
            Turn::Gone => {
                lead.polling.set(false);
                // SAFETY: initialised, and not closing.
                unsafe { (bell.uv.poll_stop)(handle) };
                return;
            }
        }
    }
    // Not sparse any more: its own thread goes on.
    seat.give_back();
}

impl Bell {
    /// Polls what is offered from now on.
    fn poll_offered(&self) {
        for lead in &*self.leads.borrow() {
            // SAFETY: freed only after it left the list.
            let lead = unsafe { lead.as_ref() };
            let offered = lead
                .seat
                .borrow()
                .as_ref()
                .is_some_and(|seat| seat.offered());
            if offered && !lead.polling.replace(true) {
                // SAFETY: initialised, and not closing.
                unsafe { (self.uv.poll_start)(lead.handle, UV_READABLE, turn_due) };
            }
        }
    }

    /// Looks for events a while longer, in place of being woken for them: while
    /// the wake words stay set, no worker rings. Others on this core have their
    /// turn in between, and so has the loop.
    fn poll(&self) {
        let start = Instant::now();
        let mut quiet_since = start;
        self.set_wake_words(1);
        loop {
            let now = Instant::now();
            if self.has_events() {
                // Clears the wake words, then reads. Where one drain does not take
                // all, TypeScript goes on by itself.
                if !self.answer() || self.closing.get() || self.has_events() {
                    return;
                }
                self.set_wake_words(1);
                quiet_since = now;
            } else if now - quiet_since >= POLL_TIME {
                break;
            } else if now - start >= POLL_TURN {
                // SAFETY: between `init` and `close`, since it is not closing.
                unsafe { (self.uv.send)(self.handle) };
                return;
            } else {
                std::thread::yield_now();
            }
        }
        // As TypeScript does it: cleared first, then looked at once more.
        self.set_wake_words(0);
        if self.has_events() {
            self.answer();
        }
    }

    fn set_wake_words(&self, value: i32) {
        for memory in &self.polled {
            memory
                .word(control::EVENT_WAKE as usize)
                .store(value, Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
    }

    fn has_events(&self) -> bool {
        self.polled.iter().any(|memory| {
            let head = memory.word(control::EVENT_HEAD as usize);
            head.load(Ordering::Acquire) != memory.get(control::EVENT_TAIL as usize)
        })
    }

    /// Calls TypeScript; false where it threw or may not run any more.
    fn answer(&self) -> bool {
        let env = self.env;
        let mut scope = null_mut();
        // SAFETY: a live environment (the bell is closed before it ends), on its
        // thread; values are used within the scope that is opened for them.
        unsafe {
            if sys::napi_open_handle_scope(env, &raw mut scope) != sys::Status::napi_ok {
                return false;
            }
            let (mut function, mut global) = (null_mut(), null_mut());
            sys::napi_get_reference_value(env, self.function, &raw mut function);
            sys::napi_get_global(env, &raw mut global);
            // Not napi_call_function: ticks and microtasks run when this returns.
            let status = sys::napi_make_callback(
                env,
                null_mut(),
                global,
                function,
                0,
                std::ptr::null(),
                null_mut(),
            );
            if status == sys::Status::napi_pending_exception {
                let mut exception = null_mut();
                sys::napi_get_and_clear_last_exception(env, &raw mut exception);
                // 'uncaughtException', or the end of the process. Refused while
                // the environment goes away, and then nobody is there to tell.
                sys::napi_fatal_exception(env, exception);
            }
            sys::napi_close_handle_scope(env, scope);
            status == sys::Status::napi_ok
        }
    }
}

/// The core that this thread runs on; 0 where the system does not say, so that
/// everybody seems to share one.
fn this_core() -> i32 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: asks for a number.
        unsafe { libc::sched_getcpu() }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        0
    }
}
