//! What policy is shown of a head: numbers, an index, and the bytes, as they stand in the event
//! slab. It is a copy: nothing that is sent is ever derived from memory that policy can write.

use sluice_wire::http::{http_fact, http_flag};

use crate::Version;
use crate::field::{Field, Span};
use crate::framing::Body;
use crate::request::{Form, Request};
use crate::response::Response;

/// Writes a request's facts, fields and head behind what `out` has.
pub fn pack_request(
    number: i32,
    head: &[u8],
    request: &Request,
    fields: &[Field],
    out: &mut Vec<u8>,
) {
    let flags = [
        (http_flag::HTTP_1_0, request.version == Version::Http10),
        (http_flag::KEEP_ALIVE, request.keep_alive),
        (http_flag::UPGRADE, request.upgrade),
        (http_flag::EXPECTS, request.expects),
        (http_flag::TRAILERS, request.trailers),
        (http_flag::ABSOLUTE, request.form == Form::Absolute),
        (http_flag::AUTHORITY, request.form == Form::Authority),
        (http_flag::ASTERISK, request.form == Form::Asterisk),
    ];
    let length = if let Body::Length(length) = request.body {
        Some(length)
    } else {
        None
    };
    let mut words = words(
        number,
        i32::from(request.method as u8) | bits(&flags) | body_bits(request.body),
        length,
    );
    words[http_fact::TARGET as usize] = span(request.target);
    words[http_fact::PATH as usize] = span(request.path);
    words[http_fact::QUERY as usize] = request.query.map_or(0, span);
    words[http_fact::HOST as usize] = span(request.host);
    words[http_fact::PORT as usize] = i32::from(request.port);
    write(words, head, fields, out);
}

/// Writes a response's facts, fields and head behind what `out` has.
pub fn pack_response(
    number: i32,
    head: &[u8],
    response: &Response,
    fields: &[Field],
    out: &mut Vec<u8>,
) {
    let flags = [
        (http_flag::HTTP_1_0, response.version == Version::Http10),
        (http_flag::KEEP_ALIVE, response.keep_alive),
        (http_flag::UPGRADE, response.body == Body::Tunnel),
    ];
    let mut words = words(
        number,
        bits(&flags) | body_bits(response.body),
        response.length,
    );
    words[http_fact::TARGET as usize] = i32::from(response.status);
    words[http_fact::PATH as usize] = span(response.reason);
    write(words, head, fields, out);
}

type Words = [i32; http_fact::WORDS as usize];

fn words(number: i32, flags: i32, length: Option<u64>) -> Words {
    let mut words = [0; http_fact::WORDS as usize];
    words[http_fact::NUMBER as usize] = number;
    words[http_fact::FLAGS as usize] = flags
        | if length.is_some() {
            http_flag::LENGTH
        } else {
            0
        };
    let length = length.unwrap_or(0);
    words[http_fact::LENGTH_LOW as usize] = length as u32 as i32;
    words[http_fact::LENGTH_HIGH as usize] = (length >> 32) as i32;
    words
}

fn bits(flags: &[(i32, bool)]) -> i32 {
    flags
        .iter()
        .filter(|(_, holds)| *holds)
        .fold(0, |all, (bit, _)| all | bit)
}

fn body_bits(body: Body) -> i32 {
    match body {
        Body::Chunked => http_flag::CHUNKED,
        Body::UntilClose => http_flag::UNTIL_CLOSE,
        Body::None | Body::Length(_) | Body::Tunnel => 0,
    }
}

fn span(span: Span) -> i32 {
    (u32::from(span.start) | u32::from(span.len) << 16) as i32
}

fn write(mut words: Words, head: &[u8], fields: &[Field], out: &mut Vec<u8>) {
    for field in fields.iter().filter(|field| !field.is_hop()) {
        let id = field.id() as usize;
        if id > 0 {
            words[http_fact::NAMES as usize + id / 32] |= 1 << (id % 32);
        }
    }
    // A head has 65535 bytes at most, and 256 fields.
    words[http_fact::COUNTS as usize] = (fields.len() as u32 | (head.len() as u32) << 16) as i32;
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for field in fields {
        for word in field.words() {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.extend_from_slice(head);
}
