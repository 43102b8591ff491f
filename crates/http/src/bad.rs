//! What is wrong with a message.

/// A message that is not taken: what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What is wrong.
    pub code: BadCode,
    /// Offset of the byte that is wrong, or of the line that it is in.
    pub at: u32,
}

impl Bad {
    pub(crate) fn new(code: BadCode, at: usize) -> Self {
        Self {
            code,
            at: u32::try_from(at).unwrap_or(u32::MAX),
        }
    }
}

macro_rules! codes {
    ($( $(#[doc = $doc:literal])+ $name:ident $label:literal $status:literal; )+) => {
        /// What is wrong with a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum BadCode {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl BadCode {
            /// Every code.
            pub const ALL: &[Self] = &[$( Self::$name ),+];

            /// As the contract has it: `sluice_wire::http::http_bad`.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32 + 1
            }

            /// As logs, metrics and test vectors print it.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )+ }
            }

            /// The status that answers a request with it. A response with it is a 502.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Self::$name => $status, )+ }
            }
        }
    };
}

codes! {
    /// A line that does not end in CR LF: a LF alone, or a CR without its LF (RFC 9112 2.2).
    LineEnd "line-end" 400;
    /// A NUL, or another byte that no head has.
    Byte "byte" 400;
    /// The first line is no request line or status line.
    StartLine "start-line" 400;
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    Version "version" 505;
    /// The target has no form that its method allows, or bytes that no target has.
    Target "target" 400;
    /// The first line is longer than its limit.
    TargetLong "target-long" 414;
    /// A field line without a name, with a space before its colon, or folded (RFC 9112 5).
    FieldLine "field-line" 400;
    /// A field name longer than 255 bytes.
    FieldName "field-name" 431;
    /// The head is longer than its limit.
    HeadLong "head-long" 431;
    /// More fields than the limit.
    Fields "fields" 431;
    /// No Host, several, one that is none, or another than the target's (RFC 9112 3.2).
    Host "host" 400;
    /// Content-Length is no number, or stands there twice (RFC 9112 6.3).
    ContentLength "content-length" 400;
    /// Transfer-Encoding beside Content-Length, in HTTP/1.0, or not exactly `chunked` (RFC 9112 6.1).
    TransferEncoding "transfer-encoding" 400;
    /// A transfer coding that is real and not ours.
    Coding "coding" 501;
    /// An expectation other than 100-continue (RFC 9110 10.1.1).
    Expect "expect" 417;
    /// A body where there is none: CONNECT.
    Unexpected "unexpected-body" 400;
    /// A status that none is, or 101 that nobody asked for.
    Status "status" 400;
    /// A chunk whose size line or end is wrong (RFC 9112 7.1).
    Chunk "chunk" 400;
    /// A chunk's size line or the trailer section is longer than its limit.
    ChunkLong "chunk-long" 400;
    /// A trailer field that is no field line.
    Trailer "trailer" 400;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_contract() {
        let rows = sluice_wire::http::http_bad::GROUP.items;
        assert_eq!(rows.len(), BadCode::ALL.len());
        for (row, &code) in rows.iter().zip(BadCode::ALL) {
            assert_eq!(row.value, code.number());
            assert_eq!(row.name.to_lowercase().replace('_', "-"), code.label());
        }
    }
}
