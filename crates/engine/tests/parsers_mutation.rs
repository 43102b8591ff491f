//! The checks of the fuzz targets on stable Rust: over every seed and over
//! mutations of them. Deterministic; a failure prints the bytes.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

const MUTATIONS: usize = 200_000;

/// xorshift64*: repeatable, and good enough to choose mutations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) as usize) % bound.max(1)
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    // The order of a folder differs between machines.
    paths.sort();
    let seeds: Vec<_> = paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed"))
        .collect();
    assert!(seeds.len() > 40, "the seeds are missing");
    seeds
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&seeds[random.below(seeds.len())]);
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next() as u8),
            2 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ if at == bytes.len() => bytes.push(random.next() as u8),
            3 => drop(bytes.remove(at)),
            4 => bytes[at] ^= 1 << random.below(8),
            5 => bytes[at] = [0, 1, 3, 4, 5, 0x20, 0x21, 0x7f, 0xff][random.below(9)],
            _ => bytes[at] = random.next() as u8,
        }
    }
}

fn run(target: &str, seed: u64, check: fn(&[u8])) {
    let checked = |bytes: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(bytes))) {
            eprintln!("{target} fails on {bytes:02x?}");
            resume_unwind(panic);
        }
    };
    let seeds = seeds(target);
    for bytes in &seeds {
        checked(bytes);
    }
    let mut random = Random(seed);
    let mut bytes = Vec::new();
    for _ in 0..MUTATIONS {
        mutate(&mut random, &seeds, &mut bytes);
        checked(&bytes);
    }
}

#[test]
fn proxy_parser_holds_on_mutations() {
    run("proxy_in", 0x5eed_0001, checks::proxy_in);
}

#[test]
fn socks_client_holds_on_mutations() {
    run("socks", 0x5eed_0002, checks::socks);
}

#[test]
fn client_hello_reader_holds_on_mutations() {
    run("client_hello", 0x5eed_0003, checks::client_hello);
}
