//! `cd crates/http && cargo +nightly fuzz run program fuzz/corpus/program fuzz/seeds/program`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::program(data);
});
