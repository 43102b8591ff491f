//! What crosses to policy and back: facts, and programs of edits. Both files are made here
//! (`BLESS=1 cargo test -p sluice-http`) and read by the tests of the TypeScript codec.

use std::fmt::Write as _;
use std::path::PathBuf;

use sluice_http::{
    Context, Formatter, Limits, Outgoing, Program, Scan, Scanned, pack_request, pack_response,
    parse_request, parse_response,
};

use crate::support::{Expected, Kind, escape, unescape, vectors};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../test/vectors")
        .join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

fn compare(name: &str, made: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(file(name), made).expect("a file to write");
    }
    let found = std::fs::read_to_string(file(name)).unwrap_or_default();
    assert!(
        found == made,
        "{name} is not what the codec makes: BLESS=1 cargo test -p sluice-http"
    );
}

#[test]
fn facts_of_every_good_head() {
    let mut text = String::from(
        "# Facts of the heads in http.txt, as they stand in the event slab: NAME HEX. The number of the\n\
         # request is that of the line. Made by `BLESS=1 cargo test -p sluice-http`.\n",
    );
    let mut number = 0;
    for vector in vectors() {
        if matches!(vector.kind, Kind::Chunks) || matches!(vector.expected, Expected::Bad(..)) {
            continue;
        }
        let Ok(Scanned::Complete { start, end }) =
            Scan::new().scan(&vector.bytes, &Limits::default())
        else {
            panic!("{}", vector.name);
        };
        let head = &vector.bytes[start..end];
        number += 1;
        let (mut fields, mut out) = (Vec::new(), Vec::new());
        let limits = Limits::default();
        let kind = if let Kind::Response(asked) = vector.kind {
            let response = parse_response(head, &mut fields, asked, &limits).expect("a response");
            pack_response(number, head, &response, &fields, &mut out);
            "response"
        } else {
            let request = parse_request(head, &mut fields, &limits).expect("a request");
            pack_request(number, head, &request, &fields, &mut out);
            "request"
        };
        let _ = writeln!(text, "{kind}-{} {}", vector.name, hex(&out));
    }
    compare("http-facts.txt", &text);
}

/// Programs are made by TypeScript: here it is seen that they are read as they were meant.
#[test]
fn programs_that_typescript_writes() {
    let text = include_str!("../../../../test/vectors/http-programs.txt");
    let head = unescape(
        text.lines()
            .find_map(|line| line.strip_prefix("head "))
            .expect("a head"),
    );
    let mut fields = Vec::new();
    let request = parse_request(&head, &mut fields, &Limits::default()).expect("a request");
    let mut count = 0;
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("program "))
    {
        let (program, expected) = line.split_once(' ').expect("a program and its outcome");
        let bytes = from_hex(program);
        let mut edits = Vec::new();
        let outcome = Program::decode(&bytes, &mut edits)
            .map_err(|error| error.label().to_owned())
            .and_then(|program| {
                let context = Context {
                    program,
                    ..Context::default()
                };
                let mut out = Vec::new();
                Formatter::default()
                    .request(
                        &head,
                        &request,
                        &fields,
                        &Outgoing::default(),
                        &context,
                        &mut out,
                    )
                    .map(|()| escape(&out))
                    .map_err(|error| format!("{error:?}"))
            });
        assert_eq!(
            outcome.unwrap_or_else(|error| format!("! {error}")),
            expected,
            "{program}"
        );
        count += 1;
    }
    assert!(count >= 12);
}

#[test]
fn bytes_that_are_no_program() {
    let good = from_hex(
        include_str!("../../../../test/vectors/http-programs.txt")
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("program "))
            .and_then(|line| line.split_once(' '))
            .expect("a program")
            .0,
    );
    let mut edits = Vec::new();
    for len in 0..good.len() {
        // Cut anywhere it is refused, or it ends behind whole edits; it never reads past its end.
        let _ = Program::decode(&good[..len], &mut edits);
    }
    for at in 0..good.len() {
        for byte in [0, 1, 0x0a, 0x0d, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let mut edits = Vec::new();
            let _ = Program::decode(&bytes, &mut edits);
        }
    }
    assert!(Program::decode(&[], &mut edits).is_err());
    assert!(Program::decode(&u32::MAX.to_le_bytes(), &mut edits).is_err());
}
