//! `cd crates/engine && cargo +nightly fuzz run socks fuzz/corpus/socks fuzz/seeds/socks`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::socks(data));
