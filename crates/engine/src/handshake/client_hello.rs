//! Takes the ClientHello out of the first records of a connection (RFC 8446
//! sections 4 and 5.1; the same in all versions of TLS), so that policy can
//! read it before TLS is terminated, or without terminating it.
//!
//! Sans-I/O: a [`Reader`] looks at everything that came so far and goes on where
//! it stopped. Too few bytes are [`Status::Partial`], never an error, and every
//! other answer is given as soon as it is certain, and stays the same with more
//! bytes.

use sluice_wire::ring_layout::layout;

/// Bytes of a record's header: type, version, length.
const RECORD_HEADER: usize = 5;
/// Bytes of a handshake message's header: type, length.
const MESSAGE_HEADER: usize = 4;
/// Most payload bytes of a record that is not encrypted.
const MAX_RECORD: usize = 1 << 14;
/// Most bytes of the message, its header included and those of records not.
const MAX_HELLO: usize = layout::MAX_HELLO as usize;
/// Most pieces: records, and arrivals.
const MAX_PIECES: u32 = layout::MAX_HELLO_PIECES as u32;
/// Bytes after which there is always an answer.
pub const MAX_BYTES: usize = MAX_HELLO + RECORD_HEADER * (MAX_PIECES as usize + 1);

const TYPE_HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;
const CLIENT_HELLO: u8 = 1;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// So far they are a ClientHello; call again with more bytes. Never for
    /// [`MAX_BYTES`] bytes or more.
    Partial,
    /// A whole ClientHello.
    Complete,
    /// The first of them are not the start of a TLS handshake.
    NotTls,
    /// Records of a handshake that break the protocol or hold something else.
    Malformed,
    /// A record says that it is longer than records may be.
    Overflow,
    /// The message is longer than `MAX_HELLO`.
    TooLarge,
    /// It comes in more than `MAX_HELLO_PIECES` records or arrivals.
    Dripped,
}

/// Finds the ClientHello in the first bytes of a connection, in time that is linear
/// in their number, however they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    /// Where the record begins that is not complete.
    at: usize,
    /// Bytes of the message before it.
    got: usize,
    /// Type and length of the message, as far as they are there.
    header: [u8; MESSAGE_HEADER],
    records: u32,
    arrivals: u32,
    /// Number of bytes at the last call.
    seen: usize,
}

impl Reader {
    /// How often bytes came and were too few.
    #[must_use]
    pub fn arrivals(&self) -> u32 {
        self.arrivals
    }

    /// Goes on. `bytes`: all from the start of the connection. For
    /// [`Status::Complete`], `into` holds the handshake message, with its type and
    /// length and without record headers; else it is empty.
    pub fn go_on(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Status {
        into.clear();
        let status = self.walk(bytes, into);
        if status == Status::Partial && bytes.len() > self.seen {
            self.seen = bytes.len();
            self.arrivals += 1;
            if self.arrivals >= MAX_PIECES {
                return Status::Dripped;
            }
        }
        status
    }

    fn walk(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Status {
        loop {
            let record = bytes.get(self.at..).unwrap_or_default();
            let wrong = |index: usize, right: u8| record.get(index).is_some_and(|&it| it != right);
            if wrong(0, TYPE_HANDSHAKE) || wrong(1, MAJOR_VERSION) {
                return if self.at == 0 {
                    Status::NotTls
                } else {
                    Status::Malformed
                };
            }
            let &[_, _, _, high, low, ref payload @ ..] = record else {
                return Status::Partial;
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length == 0 {
                return Status::Malformed;
            }
            if length > MAX_RECORD {
                return Status::Overflow;
            }
            let here = &payload[..length.min(payload.len())];
            for (slot, &byte) in self.header.iter_mut().skip(self.got).zip(here) {
                *slot = byte;
            }
            let got = self.got + here.len();
            if got >= 1 && self.header[0] != CLIENT_HELLO {
                return Status::Malformed;
            }
            if got >= MESSAGE_HEADER {
                let [_, high, middle, low] = self.header;
                let body = u32::from_be_bytes([0, high, middle, low]) as usize;
                let message = MESSAGE_HEADER + body;
                if message > MAX_HELLO {
                    return Status::TooLarge;
                }
                if got >= message {
                    copy(bytes, message, into);
                    return Status::Complete;
                }
            }
            if here.len() < length {
                return Status::Partial;
            }
            if self.records + 1 == MAX_PIECES {
                return Status::Dripped;
            }
            self.records += 1;
            self.got = got;
            self.at += RECORD_HEADER + length;
        }
    }
}

/// Copies the first `message` payload bytes of records that are known to hold
/// them. Only at the end, so that bytes that come one at a time cost no copies.
fn copy(bytes: &[u8], message: usize, into: &mut Vec<u8>) {
    into.reserve_exact(message);
    let mut rest = bytes;
    while into.len() < message {
        let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        let payload = &rest[RECORD_HEADER..];
        let wanted = length.min(message - into.len());
        into.extend_from_slice(&payload[..wanted]);
        rest = &payload[length.min(payload.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: usize) -> Vec<u8> {
        let length = (body as u32).to_be_bytes();
        let mut message = vec![CLIENT_HELLO, length[1], length[2], length[3]];
        message.extend((0..body).map(|at| at as u8));
        message
    }

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [&[kind, 3, 1, length[0], length[1]], payload].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message
            .chunks(size)
            .flat_map(|part| record(TYPE_HANDSHAKE, part))
            .collect()
    }

    fn framed(bytes: &[u8]) -> (Status, Vec<u8>) {
        let mut into = b"old".to_vec();
        let status = Reader::default().go_on(bytes, &mut into);
        (status, into)
    }

    #[test]
    fn a_message_in_one_record_or_in_many() {
        let message = message(300);
        for size in [1, 2, 3, 4, 5, 100, 303, 304, 1000] {
            let bytes = records(&message, size);
            assert_eq!(framed(&bytes), (Status::Complete, message.clone()));
            for end in 0..bytes.len() {
                assert_eq!(
                    framed(&bytes[..end]),
                    (Status::Partial, vec![]),
                    "{size} {end}"
                );
            }
        }
    }

    #[test]
    fn what_follows_is_left_alone() {
        assert_eq!(framed(&records(&message(0), 4)).0, Status::Complete);
        let message = message(30);
        for behind in [&b"\x16"[..], b"\x17garbage", &[22, 3, 3, 0, 1, 9]] {
            let bytes = [&records(&message, 7), behind].concat();
            assert_eq!(framed(&bytes), (Status::Complete, message.clone()));
            // In the same record.
            let bytes = record(TYPE_HANDSHAKE, &[&message, behind].concat());
            assert_eq!(framed(&bytes), (Status::Complete, message.clone()));
            // A record that is not whole, behind a message that is.
            let bytes = &bytes[..bytes.len() - behind.len()];
            assert_eq!(framed(bytes), (Status::Complete, message.clone()));
        }
    }

    #[test]
    fn what_is_not_tls() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            &[0x80, 0x2e, 1, 0, 2],
            &[21, 3, 1, 0, 2, 1, 0],
            &[22, 2],
            &[22, 4, 1, 0, 1, 1],
        ] {
            assert_eq!(framed(bytes), (Status::NotTls, vec![]), "{bytes:?}");
        }
        assert_eq!(framed(&[]).0, Status::Partial);
        assert_eq!(framed(&[22]).0, Status::Partial);
    }

    #[test]
    fn what_is_malformed() {
        let half = record(TYPE_HANDSHAKE, &message(30)[..10]);
        let behind = |bytes: &[u8]| [&half, bytes].concat();
        for bytes in [
            vec![22, 3, 1, 0, 0],
            vec![22, 3, 1, 0, 5, 2],
            behind(&[23]),
            behind(&[22, 2]),
            behind(&[22, 3, 1, 0, 0]),
        ] {
            assert_eq!(framed(&bytes), (Status::Malformed, vec![]), "{bytes:?}");
            // And not before that byte.
            assert_eq!(framed(&bytes[..bytes.len() - 1]).0, Status::Partial);
        }
    }

    #[test]
    fn a_record_that_is_longer_than_records_may_be() {
        let half = record(TYPE_HANDSHAKE, &message(30)[..10]);
        for before in [&[][..], &half] {
            let bytes = |length: u16| [before, &[22, 3, 1], &length.to_be_bytes()[..]].concat();
            assert_eq!(framed(&bytes(0x4000)).0, Status::Partial);
            assert_eq!(framed(&bytes(0x4001)).0, Status::Overflow);
            assert_eq!(framed(&bytes(0xffff)).0, Status::Overflow);
        }
    }

    #[test]
    fn what_is_too_large() {
        // It fills one record, and may come in others.
        let largest = message(MAX_HELLO - MESSAGE_HEADER);
        for size in [MAX_RECORD, 10_000, 100] {
            let bytes = records(&largest, size);
            assert_eq!(framed(&bytes), (Status::Complete, largest.clone()));
            assert_eq!(framed(&bytes[..bytes.len() - 1]).0, Status::Partial);
        }
        // Known from the length.
        let larger = record(TYPE_HANDSHAKE, &message(largest.len() - 3)[..4]);
        assert_eq!(framed(&larger).0, Status::TooLarge);
        let larger = record(TYPE_HANDSHAKE, &[CLIENT_HELLO, 0xff, 0xff, 0xff]);
        assert_eq!(framed(&larger).0, Status::TooLarge);
    }

    /// Shows the bytes one more at a time; the answer, and how many were seen by then.
    fn dripped(bytes: &[u8]) -> (Status, Vec<u8>, usize) {
        let mut reader = Reader::default();
        let mut into = Vec::new();
        for end in 1..=bytes.len() {
            let status = reader.go_on(&bytes[..end], &mut into);
            if status != Status::Partial {
                return (status, into, end);
            }
        }
        (Status::Partial, into, bytes.len())
    }

    #[test]
    fn it_goes_on_where_it_stopped() {
        let message = message(300);
        for size in [1, 3, 4, 100, 1000] {
            let bytes = records(&message, size);
            assert_eq!(
                dripped(&bytes),
                (Status::Complete, message.clone(), bytes.len())
            );
        }
    }

    #[test]
    fn more_pieces_than_may_be() {
        let pieces = MAX_PIECES as usize;
        let fits = message(pieces - MESSAGE_HEADER);
        assert_eq!(framed(&records(&fits, 1)), (Status::Complete, fits));
        let larger = records(&message(pieces - MESSAGE_HEADER + 1), 1);
        assert_eq!(framed(&larger).0, Status::Dripped);
        assert!(larger.len() < MAX_BYTES);
        // In one record, a byte at a time.
        let larger = records(&message(pieces), MAX_RECORD);
        assert_eq!(dripped(&larger), (Status::Dripped, vec![], pieces));
        // What brings no byte is no piece.
        let mut reader = Reader::default();
        for _ in 0..2 * pieces {
            assert_eq!(reader.go_on(&larger[..9], &mut Vec::new()), Status::Partial);
        }
    }

    #[test]
    fn there_is_always_an_answer_in_the_end() {
        for size in [7, 8, 16, 1000] {
            let bytes = records(&message(MAX_HELLO - MESSAGE_HEADER), size);
            let end = bytes.len().min(MAX_BYTES);
            assert_ne!(framed(&bytes[..end]).0, Status::Partial, "{size}");
        }
    }
}
