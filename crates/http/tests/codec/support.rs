//! Reading test/vectors/http.txt.

use sluice_http::Asked;

/// What a vector is about.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Request,
    Response(Asked),
    Chunks,
}

/// What must come of it, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// What it means, and what goes further.
    Good(String, String),
    /// Why it is refused, and at which byte.
    Bad(String, u32),
}

pub struct Vector {
    pub name: String,
    pub kind: Kind,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

const VECTORS: &str = include_str!("../../../../test/vectors/http.txt");

/// Each of the file.
pub fn vectors() -> Vec<Vector> {
    VECTORS
        .split("\n\n")
        .map(|block| {
            block
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .collect::<Vec<_>>()
        })
        .filter(|lines| !lines.is_empty() && !lines[0].starts_with("status "))
        .map(|lines| vector(&lines))
        .collect()
}

/// The status for each code.
pub fn statuses() -> Vec<(&'static str, u16)> {
    let rows = VECTORS
        .lines()
        .filter_map(|line| line.strip_prefix("status "));
    rows.filter_map(|row| row.split_once(' '))
        .map(|(code, status)| (code, status.parse().expect("a status")))
        .collect()
}

fn vector(lines: &[&str]) -> Vector {
    let mut words = lines[0].split(' ');
    let kind = words.next();
    let name = words.next().expect("a name");
    let kind = match (kind, words.next()) {
        (Some("request"), None) => Kind::Request,
        (Some("chunks"), None) => Kind::Chunks,
        (Some("response"), None) => Kind::Response(Asked::Plain),
        (Some("response"), Some("head")) => Kind::Response(Asked::Head),
        (Some("response"), Some("connect")) => Kind::Response(Asked::Connect),
        (Some("response"), Some("upgrade")) => Kind::Response(Asked::Upgrade),
        _ => panic!("{}", lines[0]),
    };
    let all = |mark: &str| {
        lines[1..]
            .iter()
            .filter_map(|line| line.strip_prefix(mark))
            .collect::<String>()
    };
    let refused = all("! ");
    let expected = match refused.split_once(' ') {
        Some((code, at)) => Expected::Bad(code.into(), at.parse().expect("an offset")),
        None => Expected::Good(all("= "), escape(&unescape(&all("> ")))),
    };
    Vector {
        name: name.into(),
        kind,
        bytes: unescape(&all("< ")),
        expected,
    }
}

/// Bytes of a text with \r \n \0 \t \\ \xNN.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => panic!("{other:?} behind a backslash in {text}"),
        });
    }
    bytes
}

/// The other way round.
pub fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b'\r' => "\\r".into(),
            b'\n' => "\\n".into(),
            b'\t' => "\\t".into(),
            b'\\' => "\\\\".into(),
            0 => "\\0".into(),
            0x20..=0x7e => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}
