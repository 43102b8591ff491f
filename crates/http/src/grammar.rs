//! The grammar of single bytes (RFC 9110 5.6, RFC 3986).

const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const HOST: u8 = 4;

const TABLE: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            class |= TOKEN;
        }
        // Visible bytes without the fragment's mark, which no request has.
        if b >= 0x21 && b <= 0x7e && b != b'#' {
            class |= TARGET;
        }
        // reg-name (RFC 3986 3.2.2), and what an IPv6 address has beside it, but for its brackets.
        if alphanumeric
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            )
        {
            class |= HOST;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    TABLE[usize::from(byte)] & class != 0
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is(byte, TOKEN))
}

pub(crate) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Offset of the first byte that no field value has: a control other than HTAB.
pub(crate) fn not_value(bytes: &[u8]) -> Option<usize> {
    // Without a branch, so that it is done for many bytes at a time.
    let wrong = |byte: u8| (byte < 0x20 && byte != b'\t') | (byte == 0x7f);
    if !bytes.iter().fold(false, |any, &byte| any | wrong(byte)) {
        return None;
    }
    bytes.iter().position(|&byte| wrong(byte))
}

/// Offset of the first byte that no target has.
pub(crate) fn not_target(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| !is(byte, TARGET))
}

pub(crate) fn is_host(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| is(byte, HOST))
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without blanks at either end. Its offset in `bytes`, and the rest.
pub(crate) fn trim(bytes: &[u8]) -> (usize, &[u8]) {
    let start = bytes
        .iter()
        .position(|&byte| !is_blank(byte))
        .unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(start, |at| at + 1);
    (start, &bytes[start..end])
}

/// The elements of a comma-separated list, without blanks and empty ones (RFC 9110 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(|part| trim(part).1)
        .filter(|part| !part.is_empty())
}

/// Digits alone, at most 19 of them: fits into an u64 and into nobody's misunderstanding.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Writes `value` in decimal behind the others.
pub(crate) fn digits(value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}
