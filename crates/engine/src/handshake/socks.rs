//! The client's side of SOCKS5 (RFC 1928, user and password by RFC 1929) and
//! of SOCKS4 and SOCKS4a (Ying-Da Lee's notes), as far as CONNECT needs them.
//!
//! Sans-I/O: [`State::step`] takes what the proxy sent and appends what is to
//! be sent. It consumes whole messages only, so the caller keeps what it left
//! and shows it again with more behind it, and it never consumes a byte behind
//! the proxy's last reply: with a server that speaks first, payload follows.

use std::io::Write;
use std::net::IpAddr;

use sluice_wire::errors::code;

/// The longest message that a proxy may send: a SOCKS5 reply with a name.
/// A caller's buffer must hold as many bytes.
pub const MAX_REPLY: usize = 4 + 1 + 255 + 2;

const NO_AUTHENTICATION: u8 = 0x00;
const USER_PASSWORD: u8 = 0x02;

/// In place of an address in a SOCKS4a request.
const NAME_FOLLOWS: [u8; 4] = [0, 0, 0, 1];

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SOCKS4 for IPv4 addresses, SOCKS4a for names. It has no IPv6: such an
    /// address is asked for in text form, as a name.
    V4a,
    /// SOCKS5.
    V5,
}

/// What the proxy shall connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address. IPv4-mapped IPv6 is asked for as IPv4.
    Ip(IpAddr),
    /// A name of 1 to 255 bytes, which the proxy resolves.
    Name(Box<str>),
}

/// What to ask for, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Version of the protocol.
    pub version: Version,
    /// At most 255 bytes; empty is none. SOCKS5: with a user, authentication is
    /// offered. SOCKS4: the user id.
    pub user: Option<Box<[u8]>>,
    /// At most 255 bytes; without one an empty password is sent. Not used by SOCKS4.
    pub password: Option<Box<[u8]>>,
    /// The destination.
    pub host: Host,
    /// The destination's port.
    pub port: u16,
}

/// Why there is no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The proxy's bytes are no reply of the protocol.
    Malformed,
    /// The proxy accepts no method that was offered.
    NoMethod,
    /// The proxy refused user and password, or they cannot be sent (too long,
    /// for SOCKS4 also a zero byte in the user).
    Auth,
    /// The proxy refused the request: REP of SOCKS5, CD of SOCKS4 (91; 92 and
    /// 93 concern the user and are `Auth`).
    Refused(u8),
    /// The protocol cannot express the destination: found before anything is sent.
    Address,
}

impl Error {
    /// The close reason's code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Malformed => code::SOCKS_MALFORMED,
            Self::NoMethod => code::SOCKS_NO_METHOD,
            Self::Auth => code::SOCKS_AUTH,
            Self::Refused(_) => code::SOCKS_REFUSED,
            Self::Address => code::BAD_ADDRESS,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with. The rest must be shown again.
    pub consumed: usize,
    /// The tunnel stands: the input behind `consumed` is payload.
    pub done: bool,
}

/// Where the handshake is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(Phase);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Start,
    Reply4,
    Method,
    Auth,
    Reply5,
    Done,
}

/// A message's length once it is whole.
type Taken = Option<usize>;

impl State {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on as far as `input` allows. Call it first with no input; bytes to
    /// send at once are appended to `out`.
    ///
    /// Precondition: `input` starts behind what was consumed before, and
    /// `config` stays the same.
    ///
    /// # Errors
    ///
    /// See [`Error`]. After one the connection is of no use.
    pub fn step(
        &mut self,
        config: &Config,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let (taken, next) = match self.0 {
                Phase::Start => match config.version {
                    Version::V4a => (request4(config, out).map(|()| Some(0))?, Phase::Reply4),
                    Version::V5 => (greeting(config, out).map(|()| Some(0))?, Phase::Method),
                },
                Phase::Reply4 => (reply4(rest)?, Phase::Done),
                Phase::Method => match method(config, rest)? {
                    None => (None, Phase::Method),
                    Some(USER_PASSWORD) => (Some(2), Phase::Auth),
                    Some(_) => (Some(2), Phase::Reply5),
                },
                Phase::Auth => (auth_reply(rest)?, Phase::Reply5),
                Phase::Reply5 => (reply5(rest)?, Phase::Done),
                Phase::Done => {
                    return Ok(Progress {
                        consumed,
                        done: true,
                    });
                }
            };
            let Some(taken) = taken else {
                return Ok(Progress {
                    consumed,
                    done: false,
                });
            };
            match next {
                Phase::Auth => auth_request(config, out),
                Phase::Reply5 => request5(config, out),
                _ => {}
            }
            consumed += taken;
            self.0 = next;
        }
    }
}

/// Greets and checks that everything of `config` can be sent later.
fn greeting(config: &Config, out: &mut Vec<u8>) -> Result<(), Error> {
    if let Host::Name(name) = &config.host {
        short_string(name.as_bytes()).ok_or(Error::Address)?;
    }
    if user(config).is_empty() {
        out.extend_from_slice(&[5, 1, NO_AUTHENTICATION]);
    } else if user(config).len() > 255 || password(config).len() > 255 {
        return Err(Error::Auth);
    } else {
        out.extend_from_slice(&[5, 2, NO_AUTHENTICATION, USER_PASSWORD]);
    }
    Ok(())
}

/// The length of a string of 1 to 255 bytes.
fn short_string(bytes: &[u8]) -> Option<u8> {
    u8::try_from(bytes.len()).ok().filter(|&length| length > 0)
}

fn user(config: &Config) -> &[u8] {
    config.user.as_deref().unwrap_or_default()
}

fn password(config: &Config) -> &[u8] {
    config.password.as_deref().unwrap_or_default()
}

fn extend_string(out: &mut Vec<u8>, bytes: &[u8]) {
    // `greeting` has checked the length.
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

fn auth_request(config: &Config, out: &mut Vec<u8>) {
    out.push(1);
    extend_string(out, user(config));
    extend_string(out, password(config));
}

fn request5(config: &Config, out: &mut Vec<u8>) {
    out.extend_from_slice(&[5, 1, 0]);
    match &config.host {
        Host::Ip(ip) => match ip.to_canonical() {
            IpAddr::V4(ip) => {
                out.push(1);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
        },
        Host::Name(name) => {
            out.push(3);
            extend_string(out, name.as_bytes());
        }
    }
    out.extend_from_slice(&config.port.to_be_bytes());
}

/// Fails where the first byte, as far as it is there, is not `expected`.
fn check_version(input: &[u8], expected: u8) -> Result<(), Error> {
    match input.first() {
        Some(&version) if version != expected => Err(Error::Malformed),
        _ => Ok(()),
    }
}

fn method(config: &Config, input: &[u8]) -> Result<Option<u8>, Error> {
    check_version(input, 5)?;
    match input.get(1) {
        None => Ok(None),
        Some(&NO_AUTHENTICATION) => Ok(Some(NO_AUTHENTICATION)),
        Some(&USER_PASSWORD) if !user(config).is_empty() => Ok(Some(USER_PASSWORD)),
        Some(_) => Err(Error::NoMethod),
    }
}

fn auth_reply(input: &[u8]) -> Result<Taken, Error> {
    check_version(input, 1)?;
    match input.get(1) {
        None => Ok(None),
        Some(0) => Ok(Some(2)),
        Some(_) => Err(Error::Auth),
    }
}

fn reply5(input: &[u8]) -> Result<Taken, Error> {
    check_version(input, 5)?;
    // A refusal counts at once: some proxies close without the rest.
    if let Some(&code) = input.get(1)
        && code != 0
    {
        return Err(Error::Refused(code));
    }
    let address = match input.get(3) {
        None => return Ok(None),
        Some(1) => 4,
        Some(4) => 16,
        Some(3) => match input.get(4) {
            None => return Ok(None),
            Some(&length) => 1 + usize::from(length),
        },
        Some(_) => return Err(Error::Malformed),
    };
    let length = 4 + address + 2;
    Ok((input.len() >= length).then_some(length))
}

fn request4(config: &Config, out: &mut Vec<u8>) -> Result<(), Error> {
    let user = user(config);
    if user.contains(&0) || user.len() > 255 {
        return Err(Error::Auth);
    }
    let start = out.len();
    out.extend_from_slice(&[4, 1]);
    out.extend_from_slice(&config.port.to_be_bytes());
    match &config.host {
        Host::Ip(ip) => match ip.to_canonical() {
            // 0.0.0.x says that a name follows, so it cannot be asked for itself.
            IpAddr::V4(ip) if matches!(ip.octets(), [0, 0, 0, x] if x != 0) => {
                out.truncate(start);
                return Err(Error::Address);
            }
            IpAddr::V4(ip) => {
                out.extend_from_slice(&ip.octets());
                extend_terminated(out, user);
            }
            IpAddr::V6(ip) => {
                out.extend_from_slice(&NAME_FOLLOWS);
                extend_terminated(out, user);
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{ip}\0");
            }
        },
        Host::Name(name) => {
            let name = name.as_bytes();
            if short_string(name).is_none() || name.contains(&0) {
                out.truncate(start);
                return Err(Error::Address);
            }
            out.extend_from_slice(&NAME_FOLLOWS);
            extend_terminated(out, user);
            extend_terminated(out, name);
        }
    }
    Ok(())
}

fn extend_terminated(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.push(0);
}

fn reply4(input: &[u8]) -> Result<Taken, Error> {
    check_version(input, 0)?;
    match input.get(1) {
        None | Some(90) => Ok((input.len() >= 8).then_some(8)),
        Some(91) => Err(Error::Refused(91)),
        // The proxy asked identd about the user, in vain or with another answer.
        Some(92 | 93) => Err(Error::Auth),
        Some(_) => Err(Error::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../../test/vectors/socks.txt");

    struct Vector {
        name: &'static str,
        config: Config,
        server: Vec<u8>,
        client: Vec<u8>,
        result: Result<Option<Vec<u8>>, Error>,
    }

    fn unhex(text: &str) -> Vec<u8> {
        let text = if text == "-" || text == "\"\"" {
            ""
        } else {
            text
        };
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    }

    fn secret(text: &str) -> Option<Box<[u8]>> {
        (text != "-").then(|| unhex(text).into())
    }

    fn error(text: &str) -> Error {
        match text.split_once(':') {
            Some(("refused", code)) => Error::Refused(code.parse().expect("a code")),
            None if text == "malformed" => Error::Malformed,
            None if text == "no-method" => Error::NoMethod,
            None if text == "auth" => Error::Auth,
            None if text == "address" => Error::Address,
            _ => panic!("unknown error {text}"),
        }
    }

    fn vectors() -> Vec<Vector> {
        let lines = VECTORS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let vectors: Vec<_> = lines
            .map(|line| {
                let fields: Vec<&'static str> = line.split(' ').collect();
                let [
                    name,
                    version,
                    user,
                    password,
                    host,
                    port,
                    server,
                    client,
                    ref result @ ..,
                ] = fields[..]
                else {
                    panic!("bad line {line}");
                };
                let config = Config {
                    version: if version == "4" {
                        Version::V4a
                    } else {
                        Version::V5
                    },
                    user: secret(user),
                    password: secret(password),
                    host: host
                        .parse()
                        .map_or_else(|_| Host::Name(host.into()), Host::Ip),
                    port: port.parse().expect("a port"),
                };
                let result = match result {
                    ["done", rest] => Ok(Some(unhex(rest))),
                    ["partial"] => Ok(None),
                    ["error", text] => Err(error(text)),
                    _ => panic!("bad line {line}"),
                };
                Vector {
                    name,
                    config,
                    server: unhex(server),
                    client: unhex(client),
                    result,
                }
            })
            .collect();
        assert!(vectors.len() > 60);
        vectors
    }

    /// Plays `server` in pieces that end at `cuts`; unconsumed bytes are shown
    /// again. Returns what the client sent and how it ended, with the bytes
    /// behind the reply.
    fn play(
        config: &Config,
        server: &[u8],
        cuts: &[usize],
    ) -> (Vec<u8>, Result<Option<Vec<u8>>, Error>) {
        let mut state = State::new();
        let mut out = Vec::new();
        let mut at = 0;
        let mut done = false;
        for &cut in [0].iter().chain(cuts).chain([&server.len()]) {
            let input = &server[at..cut];
            match state.step(config, input, &mut out) {
                Err(error) => return (out, Err(error)),
                Ok(progress) => {
                    assert!(progress.consumed <= input.len());
                    assert!(!done || (progress.done && progress.consumed == 0));
                    at += progress.consumed;
                    done = progress.done;
                }
            }
        }
        (out, Ok(done.then(|| server[at..].to_vec())))
    }

    fn check(vector: &Vector, cuts: &[usize]) {
        let (client, result) = play(&vector.config, &vector.server, cuts);
        assert_eq!(client, vector.client, "{} cut at {cuts:?}", vector.name);
        assert_eq!(result, vector.result, "{} cut at {cuts:?}", vector.name);
    }

    fn check_all(chosen: impl Fn(&Vector) -> bool) {
        for vector in vectors().iter().filter(|vector| chosen(vector)) {
            check(vector, &[]);
            let bytewise: Vec<_> = (1..vector.server.len()).collect();
            check(vector, &bytewise);
            for cut in 0..=vector.server.len() {
                check(vector, &[cut]);
            }
        }
    }

    #[test]
    fn accept_vectors_however_split() {
        check_all(|vector| vector.result.is_ok());
    }

    #[test]
    fn reject_vectors_however_split() {
        check_all(|vector| vector.result.is_err());
    }

    #[test]
    fn accept_every_truncation_of_a_good_conversation_as_partial() {
        for vector in vectors() {
            let Ok(Some(rest)) = &vector.result else {
                continue;
            };
            for end in 0..vector.server.len() - rest.len() {
                let (client, result) = play(&vector.config, &vector.server[..end], &[]);
                assert_eq!(result, Ok(None), "{} cut at {end}", vector.name);
                assert!(
                    vector.client.starts_with(&client),
                    "{} cut at {end}",
                    vector.name
                );
            }
        }
    }

    #[test]
    fn reject_nothing_longer_than_the_longest_reply() {
        for vector in vectors() {
            // What is left unconsumed before the end fits the caller's buffer.
            let mut state = State::new();
            let mut out = Vec::new();
            let mut at = 0;
            for end in 0..=vector.server.len() {
                match state.step(&vector.config, &vector.server[at..end], &mut out) {
                    Ok(Progress {
                        consumed,
                        done: false,
                    }) => at += consumed,
                    _ => break,
                }
                assert!(end - at < MAX_REPLY, "{}", vector.name);
            }
        }
    }

    #[test]
    fn every_error_has_its_code() {
        let errors = [
            Error::Malformed,
            Error::NoMethod,
            Error::Auth,
            Error::Refused(5),
            Error::Address,
        ];
        let codes = [
            code::SOCKS_MALFORMED,
            code::SOCKS_NO_METHOD,
            code::SOCKS_AUTH,
            code::SOCKS_REFUSED,
            code::BAD_ADDRESS,
        ];
        assert_eq!(errors.map(Error::code), codes);
    }
}
