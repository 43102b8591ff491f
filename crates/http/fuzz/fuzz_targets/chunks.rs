//! `cd crates/http && cargo +nightly fuzz run chunks fuzz/corpus/chunks fuzz/seeds/chunks`
#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&step, bytes)) = data.split_first() else {
        return;
    };
    checks::chunks(bytes, usize::from(step));
});
