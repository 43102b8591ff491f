//! `cd crates/engine && cargo +nightly fuzz run proxy_in fuzz/corpus/proxy_in fuzz/seeds/proxy_in`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::proxy_in(data));
