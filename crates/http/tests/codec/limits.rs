//! Limits, each at its last byte and behind it; and bytes that nobody would send.

use sluice_http::{BadCode, ChunkLimits, Chunks, Limits, Piece, Scan, Scanned, parse_request};

use crate::boundary::from_hex;

#[path = "../../fuzz/checks.rs"]
mod checks;

fn scan(bytes: &[u8], limits: &Limits) -> Result<Scanned, BadCode> {
    Scan::new().scan(bytes, limits).map_err(|bad| bad.code)
}

#[test]
fn a_first_line_of_the_limit_and_one_byte_more() {
    let limits = Limits {
        line: 20,
        ..Limits::default()
    };
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(len - 14));
    assert!(matches!(
        scan(line(20).as_bytes(), &limits),
        Ok(Scanned::Complete { .. })
    ));
    assert_eq!(scan(line(21).as_bytes(), &limits), Err(BadCode::TargetLong));
    // Also while its end did not come.
    assert_eq!(
        scan(&line(21).as_bytes()[..20], &limits),
        Ok(Scanned::Partial)
    );
    assert_eq!(
        scan(&line(22).as_bytes()[..21], &limits),
        Err(BadCode::TargetLong)
    );
}

#[test]
fn a_head_of_the_limit_and_one_byte_more() {
    let limits = Limits {
        head: 100,
        ..Limits::default()
    };
    let head = |len: usize| {
        let rest = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(len - rest))
    };
    assert_eq!(
        scan(head(100).as_bytes(), &limits),
        Ok(Scanned::Complete { start: 0, end: 100 })
    );
    assert_eq!(scan(head(101).as_bytes(), &limits), Err(BadCode::HeadLong));
    assert_eq!(
        scan(&head(200).as_bytes()[..101], &limits),
        Err(BadCode::HeadLong)
    );
}

#[test]
fn as_many_fields_as_the_limit_and_one_more() {
    let limits = Limits {
        fields: 3,
        ..Limits::default()
    };
    let head = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
            "A: b\r\n".repeat(count - 1)
        )
    };
    let parse = |head: &str| {
        parse_request(head.as_bytes(), &mut Vec::new(), &limits).map_err(|bad| bad.code)
    };
    assert!(matches!(
        scan(head(3).as_bytes(), &limits),
        Ok(Scanned::Complete { .. })
    ));
    assert!(parse(&head(3)).is_ok());
    assert_eq!(scan(head(4).as_bytes(), &limits), Err(BadCode::Fields));
    assert_eq!(parse(&head(4)).err(), Some(BadCode::Fields));
    // More than the index has, whatever the limit says.
    let wide = Limits {
        fields: 10_000,
        head: 65_535,
        ..Limits::default()
    };
    let many = head(257);
    assert_eq!(
        parse_request(many.as_bytes(), &mut Vec::new(), &wide)
            .map_err(|bad| bad.code)
            .err(),
        Some(BadCode::Fields)
    );
    assert!(parse_request(head(256).as_bytes(), &mut Vec::new(), &wide).is_ok());
}

#[test]
fn a_name_of_255_bytes_and_one_more() {
    let head = |len: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{}: x\r\n\r\n",
            "n".repeat(len)
        )
    };
    let parse = |head: String| {
        parse_request(head.as_bytes(), &mut Vec::new(), &Limits::default()).map_err(|bad| bad.code)
    };
    assert!(parse(head(255)).is_ok());
    assert_eq!(parse(head(256)).err(), Some(BadCode::FieldName));
}

#[test]
fn size_lines_and_trailers_of_the_limit_and_one_more() {
    let limits = ChunkLimits {
        line: 16,
        trailers: 32,
    };
    let next = |bytes: &str| {
        Chunks::new()
            .next(bytes.as_bytes(), &limits)
            .map_err(|bad| bad.code)
    };
    assert!(next(&format!("5;{}\r\n", "x".repeat(14))).is_ok());
    assert_eq!(
        next(&format!("5;{}\r\n", "x".repeat(15))),
        Err(BadCode::ChunkLong)
    );
    assert_eq!(
        next(&format!("5;{}", "x".repeat(15))),
        Err(BadCode::ChunkLong)
    );
    assert_eq!(next(&"0".repeat(17)), Err(BadCode::ChunkLong));
    // What is wrong behind the limit is nobody's to see.
    assert_eq!(
        next(&format!("5;{}\n", "x".repeat(15))),
        Err(BadCode::ChunkLong)
    );
    let trailers = |bytes: &str| {
        let mut chunks = Chunks::new();
        assert!(matches!(
            chunks.next(b"0\r\n", &limits),
            Ok(Piece::Size { size: 0, .. })
        ));
        chunks
            .next(bytes.as_bytes(), &limits)
            .map_err(|bad| bad.code)
    };
    assert_eq!(
        trailers(&format!("A:{}\r\n\r\n", "x".repeat(28))),
        Ok(Piece::Trailers { len: 34 })
    );
    assert_eq!(
        trailers(&format!("A:{}\r\n\r\n", "x".repeat(40))),
        Err(BadCode::ChunkLong)
    );
    assert_eq!(
        trailers(&format!("A:{}", "x".repeat(40))),
        Err(BadCode::ChunkLong)
    );
}

#[test]
fn a_chunk_larger_than_four_gigabytes_is_counted() {
    let mut chunks = Chunks::new();
    let limits = ChunkLimits::default();
    assert!(matches!(
        chunks.next(b"FFFFFFFFFFFFFFFF\r\n", &limits),
        Ok(Piece::Size { size: u64::MAX, .. })
    ));
    assert_eq!(chunks.left(), u64::MAX);
    chunks.skip(u64::MAX - 3);
    assert_eq!(chunks.next(b"abcd", &limits), Ok(Piece::Data { len: 3 }));
    assert_eq!(chunks.next(b"\r\n", &limits), Ok(Piece::DataEnd { len: 2 }));
}

/// A generator of the same numbers in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    /// `seed` with up to `most` bytes changed, added or taken away.
    fn mutate(&mut self, seed: &[u8], alphabet: &[u8], most: usize) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.next(most) {
            let at = self.next(bytes.len());
            let byte = alphabet[self.next(alphabet.len())];
            match self.next(3) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    }
}

/// What is formatted must be read back as the same by whoever comes next.
#[test]
fn mutated_heads_are_refused_or_say_the_same_behind_the_proxy() {
    let seeds: [&[u8]; 5] = [
        b"POST /a/b?c HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nX: y\r\n\r\n",
        b"GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: a, upgrade\r\nUpgrade: x, h2c\r\nA: 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: trailers\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nA: b\r\n\r\n",
    ];
    let alphabet = b"\r\n\0\t :,;/?#[]@azHTP19\x7f\xff-";
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..200_000 {
        let seed = seeds[round % seeds.len()];
        if checks::head(&random.mutate(seed, alphabet, 3)) {
            taken += 1;
        } else {
            refused += 1;
        }
    }
    assert!(
        taken > 10_000 && refused > 10_000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn mutated_chunks_never_end_early_or_late() {
    let seed = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n";
    let mut random = Random(0x9876_5432_1fed_cba1);
    for _ in 0..100_000 {
        let bytes = random.mutate(seed, b"\r\n\0 ;0123abFg:x", 2);
        checks::chunks(&bytes, 1 + random.next(7));
    }
}

#[test]
fn mutated_programs_never_change_the_framing() {
    let seeds: Vec<Vec<u8>> = include_str!("../../../../test/vectors/http-programs.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("program ")?.split_once(' '))
        .map(|(hex, _)| from_hex(hex))
        .collect();
    let mut random = Random(0x1357_9bdf_0246_8ace);
    let alphabet = b"\0\x01\x02\x04\x07\x0a\x0b\r\n a:/?#host\xff";
    for round in 0..100_000 {
        checks::program(&random.mutate(&seeds[round % seeds.len()], alphabet, 4));
    }
}
