//! The vectors that the TypeScript codec is tested with too.

use crate::support::{Expected, Kind, Vector, escape, statuses, vectors};
use sluice_http::{
    Asked, BadCode, Body, ChunkLimits, Chunks, Context, Form, Formatter, Limits, Outgoing, Piece,
    Request, Response, Scan, Scanned, Span, Version, parse_request, parse_response,
};

#[test]
fn heads_and_chunks_mean_what_the_vectors_say() {
    let mut failures = Vec::new();
    let all = vectors();
    assert!(all.len() > 120, "{} vectors", all.len());
    for vector in &all {
        let found = meaning(vector);
        if found != vector.expected {
            failures.push(format!(
                "{}\n  expected {:?}\n  found    {found:?}",
                vector.name, vector.expected
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_refusal_has_its_status() {
    let all: Vec<_> = BadCode::ALL
        .iter()
        .map(|code| (code.label(), code.status()))
        .collect();
    assert_eq!(statuses(), all);
}

#[test]
fn the_split_of_the_bytes_changes_nothing() {
    for vector in vectors() {
        let whole = meaning(&vector);
        match vector.kind {
            Kind::Chunks => {
                for step in 1..vector.bytes.len() {
                    assert_eq!(
                        chunks(&vector.bytes, step),
                        whole,
                        "{} in pieces of {step}",
                        vector.name
                    );
                }
            }
            Kind::Request | Kind::Response(_) => {
                let once = scan(&vector.bytes, vector.bytes.len());
                for step in 1..vector.bytes.len() {
                    assert_eq!(
                        scan(&vector.bytes, step),
                        once,
                        "{} in pieces of {step}",
                        vector.name
                    );
                }
            }
        }
    }
}

#[test]
fn no_head_is_complete_before_its_end() {
    for vector in vectors() {
        if matches!(vector.kind, Kind::Chunks) || matches!(vector.expected, Expected::Bad(..)) {
            continue;
        }
        for len in 0..vector.bytes.len() {
            let found = Scan::new().scan(&vector.bytes[..len], &Limits::default());
            assert_eq!(found, Ok(Scanned::Partial), "{} cut at {len}", vector.name);
        }
    }
}

fn meaning(vector: &Vector) -> Expected {
    match vector.kind {
        Kind::Request => request(&vector.bytes),
        Kind::Response(asked) => response(&vector.bytes, asked),
        Kind::Chunks => chunks(&vector.bytes, usize::MAX),
    }
}

/// The end of a head that comes in pieces of `step` bytes.
fn scan(bytes: &[u8], step: usize) -> Result<(usize, usize), (String, u32)> {
    let mut scan = Scan::new();
    let mut len = 0;
    while len < bytes.len() {
        len = len.saturating_add(step).min(bytes.len());
        match scan.scan(&bytes[..len], &Limits::default()) {
            Ok(Scanned::Partial) => {}
            Ok(Scanned::Complete { start, end }) => return Ok((start, end)),
            Err(bad) => return Err((bad.code.label().into(), bad.at)),
        }
    }
    panic!("{} has no end", escape(bytes))
}

fn request(bytes: &[u8]) -> Expected {
    let (start, end) = match scan(bytes, usize::MAX) {
        Ok(found) => found,
        Err((code, at)) => return Expected::Bad(code, at),
    };
    let head = &bytes[start..end];
    let mut fields = Vec::new();
    let request = match parse_request(head, &mut fields, &Limits::default()) {
        Ok(request) => request,
        Err(bad) => return Expected::Bad(bad.code.label().into(), bad.at),
    };
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
    Expected::Good(request_facts(head, &request), escape(&out))
}

fn request_facts(head: &[u8], request: &Request) -> String {
    let text = |span: Span| escape(span.of(head)).replace(' ', "\\x20");
    let form = match request.form {
        Form::Origin => "origin",
        Form::Absolute => "absolute",
        Form::Authority => "authority",
        Form::Asterisk => "asterisk",
    };
    let mut facts = format!(
        "{} {form} {} path={}",
        text(request.method_span),
        version(request.version),
        text(request.path)
    );
    if let Some(query) = request.query {
        facts += &format!(" query={}", text(query));
    }
    facts += &format!(" host={}", text(request.host));
    if request.port != 0 {
        facts += &format!(" port={}", request.port);
    }
    facts += &format!(" {}", body(request.body));
    for (word, holds) in [
        ("close", !request.keep_alive),
        ("upgrade", request.upgrade),
        ("expects", request.expects),
        ("trailers", request.trailers),
    ] {
        if holds {
            facts += &format!(" {word}");
        }
    }
    facts
}

fn response(bytes: &[u8], asked: Asked) -> Expected {
    let (start, end) = match scan(bytes, usize::MAX) {
        Ok(found) => found,
        Err((code, at)) => return Expected::Bad(code, at),
    };
    let head = &bytes[start..end];
    let mut fields = Vec::new();
    let response = match parse_response(head, &mut fields, asked, &Limits::default()) {
        Ok(response) => response,
        Err(bad) => return Expected::Bad(bad.code.label().into(), bad.at),
    };
    let tunnel = response.body == Body::Tunnel;
    let to = Outgoing {
        body: response.body,
        close: !response.keep_alive && !tunnel,
        upgrade: response.status == 101,
        length: response.length,
        ..Outgoing::default()
    };
    let mut out = Vec::new();
    Formatter::default()
        .response(head, &response, &fields, &to, &Context::default(), &mut out)
        .expect("nothing is edited");
    Expected::Good(response_facts(head, &response), escape(&out))
}

fn response_facts(head: &[u8], response: &Response) -> String {
    let reason = escape(response.reason.of(head)).replace(' ', "\\x20");
    let mut facts = format!(
        "{} {} reason={reason} {}",
        response.status,
        version(response.version),
        body(response.body)
    );
    if let Some(length) = response.length {
        facts += &format!(" length={length}");
    }
    if !response.keep_alive {
        facts += " close";
    }
    if response.is_interim() {
        facts += " interim";
    }
    facts
}

/// A body that comes in pieces of `step` bytes; what is wrong in it is counted from where the
/// piece begins that it is in.
fn chunks(bytes: &[u8], step: usize) -> Expected {
    let mut state = Chunks::new();
    let (mut data, mut out, mut trailers) = (Vec::new(), Vec::new(), 0);
    let (mut at, mut len) = (0, 0);
    while len < bytes.len() {
        len = len.saturating_add(step).min(bytes.len());
        loop {
            let rest = &bytes[at..len];
            let piece = match state.next(rest, &ChunkLimits::default()) {
                Ok(piece) => piece,
                Err(bad) => return Expected::Bad(bad.code.label().into(), bad.at),
            };
            at += match piece {
                Piece::Need => break,
                Piece::Size { len, size, plain } => {
                    if plain {
                        out.extend_from_slice(&rest[..len]);
                    } else {
                        out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                    }
                    len
                }
                Piece::Data { len } => {
                    data.extend_from_slice(&rest[..len]);
                    out.extend_from_slice(&rest[..len]);
                    len
                }
                Piece::DataEnd { len } => {
                    out.extend_from_slice(b"\r\n");
                    len
                }
                Piece::Trailers { len } => {
                    trailers = len;
                    out.extend_from_slice(b"\r\n");
                    len
                }
            };
        }
    }
    assert!(state.is_done(), "{} has no end", escape(bytes));
    let text = if data.is_empty() {
        "-".into()
    } else {
        escape(&data).replace(' ', "\\x20")
    };
    Expected::Good(format!("{text} {trailers}"), escape(&out))
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

fn body(body: Body) -> String {
    match body {
        Body::None => "none".into(),
        Body::Length(length) => format!("length={length}"),
        Body::Chunked => "chunked".into(),
        Body::UntilClose => "until-close".into(),
        Body::Tunnel => "tunnel".into(),
    }
}
