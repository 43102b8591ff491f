//! `cd crates/engine && cargo +nightly fuzz run client_hello fuzz/corpus/client_hello fuzz/seeds/client_hello`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::client_hello(data));
