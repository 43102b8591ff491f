//! `cd crates/http && cargo +nightly fuzz run head fuzz/corpus/head fuzz/seeds/head`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    checks::head(data);
});
