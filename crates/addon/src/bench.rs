//! Two ways of carrying events to JavaScript, for bench/: the ring with one
//! doorbell a batch, and one ThreadsafeFunction call an event.

use napi::bindgen_prelude::{FnArgs, Function, Int32Array};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use sluice_engine::memory::Words;
use sluice_engine::ring::Events;

/// kind, slot, generation and two operands, as one call has them.
type Event = FnArgs<(i32, i32, i32, i32, i32)>;

/// Writes `count` events into the event ring of `memory` from a thread, ringing
/// `doorbell` as a worker does.
#[napi(catch_unwind)]
pub fn bench_ring(
    memory: Int32Array,
    count: u32,
    doorbell: Function<'_, (), ()>,
) -> napi::Result<()> {
    let bell = doorbell
        .build_threadsafe_function::<()>()
        .callee_handled::<false>()
        .build()?;
    // SAFETY: a view of a SharedArrayBuffer that the caller keeps until the
    // last event has arrived.
    let words = unsafe { Words::new(memory.as_ptr(), memory.len()) };
    std::thread::spawn(move || {
        let mut events = Events::new(words);
        for n in 0..count {
            events.emit([1, n as i32, 1, 0, 8, 0, 0, 0]);
            if n % 64 == 63 || n + 1 == count {
                while {
                    events.refresh();
                    if events.publish(0) {
                        let _ = bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
                    }
                    events.congested()
                } {
                    std::thread::yield_now();
                }
            }
        }
    });
    Ok(())
}

/// Calls `callback` for each of `count` events from a thread.
#[napi(catch_unwind)]
pub fn bench_calls(count: u32, callback: Function<'_, Event, ()>) -> napi::Result<()> {
    let call = callback
        .build_threadsafe_function::<Event>()
        .callee_handled::<false>()
        .max_queue_size::<16384>()
        .build()?;
    std::thread::spawn(move || {
        for n in 0..count {
            let event = Event::from((1, n as i32, 1, 0, 8));
            let _ = call.call(event, ThreadsafeFunctionCallMode::Blocking);
        }
    });
    Ok(())
}
