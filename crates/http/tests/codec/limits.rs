//! Limits, each at its last byte and behind it; and bytes that nobody would send.

use sluice_http::{
    Asked, BadCode, ChunkLimits, Chunks, Context, Limits, Outgoing, Piece, Scan, Scanned,
    format_request, parse_request, parse_response,
};

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
}

/// What is formatted must be read back as the same by whoever comes next.
#[test]
fn mutated_heads_are_refused_or_say_the_same_behind_the_proxy() {
    let seeds: [&[u8]; 4] = [
        b"POST /a/b?c HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nX: y\r\n\r\n",
        b"GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: a, upgrade\r\nUpgrade: x, h2c\r\nA: 1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: trailers\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    ];
    let alphabet = b"\r\n\0\t :,;/?#[]@azHTP19\x7f\xff-";
    let mut random = Random(0x1234_5678_9abc_def1);
    let limits = Limits::default();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..300_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..=random.next(3) {
            let at = random.next(bytes.len());
            let byte = alphabet[random.next(alphabet.len())];
            match random.next(3) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let Ok(Scanned::Complete { start, end }) = Scan::new().scan(&bytes, &limits) else {
            refused += 1;
            continue;
        };
        let head = &bytes[start..end];
        let _ = parse_response(head, &mut Vec::new(), Asked::Plain, &limits);
        let mut fields = Vec::new();
        let Ok(request) = parse_request(head, &mut fields, &limits) else {
            refused += 1;
            continue;
        };
        taken += 1;
        let to = Outgoing {
            body: request.body,
            upgrade: request.upgrade,
            trailers: request.trailers,
            expects: request.expects,
            host: b"server",
            ..Outgoing::default()
        };
        let mut out = Vec::new();
        format_request(head, &request, &fields, &to, &Context::default(), &mut out)
            .expect("nothing is edited");
        let found = Scan::new().scan(&out, &limits);
        assert_eq!(
            found,
            Ok(Scanned::Complete {
                start: 0,
                end: out.len()
            }),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        let mut again = Vec::new();
        let second = parse_request(&out, &mut again, &limits)
            .unwrap_or_else(|bad| panic!("{bad:?} of {}", String::from_utf8_lossy(&out)));
        assert_eq!(second.body, request.body);
        assert_eq!(second.method_span.of(&out), request.method_span.of(head));
        assert_eq!(second.upgrade, request.upgrade);
        assert!(second.keep_alive);
    }
    assert!(
        taken > 20_000 && refused > 20_000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn mutated_chunks_never_end_early_or_late() {
    let seed: &[u8] = b"5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n";
    let alphabet = b"\r\n\0 ;0123abFg:x";
    let mut random = Random(0x9876_5432_1fed_cba1);
    let limits = ChunkLimits::default();
    for _ in 0..200_000 {
        let mut bytes = seed.to_vec();
        for _ in 0..=random.next(2) {
            let at = random.next(bytes.len());
            match random.next(3) {
                0 => bytes[at] = alphabet[random.next(alphabet.len())],
                1 => bytes.insert(at, alphabet[random.next(alphabet.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let whole = pieces(&bytes, bytes.len(), &limits);
        let step = 1 + random.next(7);
        assert_eq!(
            pieces(&bytes, step, &limits),
            whole,
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

/// Bytes of data, bytes taken, and what was wrong.
fn pieces(bytes: &[u8], step: usize, limits: &ChunkLimits) -> (usize, usize, Option<BadCode>) {
    let mut chunks = Chunks::new();
    let (mut data, mut at, mut len) = (0, 0, 0);
    while len < bytes.len() {
        len = (len + step).min(bytes.len());
        loop {
            match chunks.next(&bytes[at..len], limits) {
                Ok(Piece::Need) => break,
                Ok(Piece::Data { len }) => {
                    data += len;
                    at += len;
                }
                Ok(Piece::Size { len, .. } | Piece::DataEnd { len } | Piece::Trailers { len }) => {
                    at += len
                }
                Err(bad) => return (data, at, Some(bad.code)),
            }
        }
        if chunks.is_done() {
            break;
        }
    }
    (data, at, None)
}
