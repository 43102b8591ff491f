//! The thin N-API adapter over `sluice-engine`: it turns arguments into types
//! and back, and has no logic. Events and commands do not pass through here but
//! through shared memory; see `crates/wire`.

#![cfg_attr(test, allow(dead_code))]

mod bench;
mod doorbell;
mod engine;
mod notify;
mod specs;
mod tls;

use napi_derive::napi;

/// Hash of the contract that this addon was built from.
#[napi(catch_unwind)]
#[must_use]
pub fn wire_version() -> i32 {
    sluice_wire::version()
}

/// Panics, to test that a panic in an export is an exception and no abort.
#[napi(catch_unwind)]
pub fn test_panic() {
    panic!("asked to panic by a test");
}
