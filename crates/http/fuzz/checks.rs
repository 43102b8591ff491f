//! What must hold of the codec whatever bytes it gets. Shared by the fuzz targets and by
//! `tests/codec/limits.rs`.
#![allow(dead_code, reason = "each fuzz target calls one of the checks")]

use sluice_http::{
    Asked, BadCode, Body, ChunkLimits, Chunks, Context, Edit, Formatter, Limits, Outgoing, Piece,
    Program, Scan, Scanned, pack_request, pack_response, parse_request, parse_response,
};

/// A head is refused, or says the same behind us. True where a request was taken.
pub fn head(bytes: &[u8]) -> bool {
    let limits = Limits::default();
    let whole = Scan::new().scan(bytes, &limits);
    // In two pieces as in one.
    let mut scan = Scan::new();
    let half = scan.scan(&bytes[..bytes.len() / 2], &limits);
    if half == Ok(Scanned::Partial) && !bytes.is_empty() {
        assert_eq!(scan.scan(bytes, &limits), whole);
    }
    let Ok(Scanned::Complete { start, end }) = whole else {
        return false;
    };
    let head = &bytes[start..end];
    for asked in [Asked::Plain, Asked::Head, Asked::Connect, Asked::Upgrade] {
        response(head, asked, &limits);
    }
    request(head, &limits)
}

fn request(head: &[u8], limits: &Limits) -> bool {
    let mut fields = Vec::new();
    let Ok(request) = parse_request(head, &mut fields, limits) else {
        return false;
    };
    pack_request(1, head, &request, &fields, &mut Vec::new());
    let to = Outgoing {
        body: request.body,
        upgrade: request.upgrade,
        trailers: request.trailers,
        expects: request.expects,
        host: b"server",
        ..Outgoing::default()
    };
    let mut out = Vec::new();
    Formatter::default()
        .request(head, &request, &fields, &to, &Context::default(), &mut out)
        .expect("nothing is edited");
    let wide = Limits {
        head: 65_535,
        line: 65_535,
        fields: 256,
    };
    let found = Scan::new().scan(&out, &wide);
    assert_eq!(
        found,
        Ok(Scanned::Complete {
            start: 0,
            end: out.len()
        })
    );
    let mut again = Vec::new();
    let second = parse_request(&out, &mut again, &wide).expect("what we write is right");
    assert_eq!(second.body, request.body);
    assert_eq!(second.method_span.of(&out), request.method_span.of(head));
    assert_eq!(second.upgrade, request.upgrade);
    assert_eq!(second.trailers, request.trailers);
    assert!(second.keep_alive);
    // What was of the client's connection went no further.
    let ours = usize::from(second.upgrade) * 2
        + usize::from(second.trailers && !second.upgrade) * 2
        + usize::from(second.trailers && second.upgrade)
        + usize::from(second.body == Body::Chunked);
    assert_eq!(again.iter().filter(|field| field.is_hop()).count(), ours);
    true
}

fn response(head: &[u8], asked: Asked, limits: &Limits) {
    let mut fields = Vec::new();
    let Ok(response) = parse_response(head, &mut fields, asked, limits) else {
        return;
    };
    pack_response(1, head, &response, &fields, &mut Vec::new());
    let to = Outgoing {
        body: response.body,
        close: !response.keep_alive && response.body != Body::Tunnel,
        upgrade: response.status == 101,
        length: response.length,
        ..Outgoing::default()
    };
    let mut out = Vec::new();
    Formatter::default()
        .response(head, &response, &fields, &to, &Context::default(), &mut out)
        .expect("nothing is edited");
    let wide = Limits {
        head: 65_535,
        line: 65_535,
        fields: 256,
    };
    let mut again = Vec::new();
    let second = parse_response(&out, &mut again, asked, &wide).expect("what we write is right");
    assert_eq!(
        (second.status, second.body, second.length),
        (response.status, response.body, response.length)
    );
}

/// A body in chunks is the same in pieces of any size: bytes of data, bytes taken, and what was wrong.
pub fn chunks(bytes: &[u8], step: usize) {
    let limits = ChunkLimits::default();
    assert_eq!(
        pieces(bytes, step.max(1), &limits),
        pieces(bytes, bytes.len().max(1), &limits)
    );
}

fn pieces(bytes: &[u8], step: usize, limits: &ChunkLimits) -> (usize, usize, Option<BadCode>) {
    let mut chunks = Chunks::new();
    let (mut data, mut at, mut len) = (0, 0, 0);
    while len < bytes.len() && !chunks.is_done() {
        len = (len + step).min(bytes.len());
        loop {
            match chunks.next(&bytes[at..len], limits) {
                Ok(Piece::Need) => break,
                Ok(Piece::Data { len }) => {
                    data += len;
                    at += len;
                }
                Ok(Piece::Size { len, .. } | Piece::DataEnd { len } | Piece::Trailers { len }) => {
                    at += len;
                }
                Err(bad) => return (data, at, Some(bad.code)),
            }
        }
    }
    (data, at, None)
}

const HEAD: &[u8] =
    b"POST /a?b HTTP/1.1\r\nHost: h\r\nA: 1\r\nContent-Length: 3\r\nConnection: x\r\nX: 1\r\nCookie: c\r\n\r\n";

/// A program is refused, or what it makes is one head with the framing that it had.
pub fn program(bytes: &[u8]) {
    let mut edits: Vec<Edit> = Vec::new();
    let Ok(program) = Program::decode(bytes, &mut edits) else {
        return;
    };
    let mut fields = Vec::new();
    let request = parse_request(HEAD, &mut fields, &Limits::default()).expect("a request");
    let to = Outgoing {
        body: request.body,
        ..Outgoing::default()
    };
    let context = Context {
        program,
        ..Context::default()
    };
    let mut out = Vec::new();
    if Formatter::default()
        .request(HEAD, &request, &fields, &to, &context, &mut out)
        .is_err()
    {
        assert!(out.is_empty());
        return;
    }
    let wide = Limits {
        head: 1 << 20,
        line: 1 << 20,
        fields: 1 << 20,
    };
    let found = Scan::new().scan(&out, &wide);
    assert_eq!(
        found,
        Ok(Scanned::Complete {
            start: 0,
            end: out.len()
        }),
        "{}",
        String::from_utf8_lossy(&out)
    );
    let mut again = Vec::new();
    // More fields than an index has, or a host that is none, are the server's to refuse.
    if let Ok(second) = parse_request(&out, &mut again, &wide) {
        assert_eq!(second.body, Body::Length(3));
        assert!(second.keep_alive && !second.upgrade);
    }
}
