//! What a run was, as one line of JSON:
//!
//! - `handshakes`: connections that completed handshake, reply and close;
//! - `full`, `resumed`, `retried`: of them, by kind (retried: HelloRetryRequest);
//! - `truncated`: of them, ended by a FIN without close_notify;
//! - `errors`, `words`: connections that did not, and what the first ones said;
//! - `duration`: seconds;
//! - `p50`, `p99`, `p999`: microseconds from connect to the handshake's end;
//! - `cycle`: the same percentiles from connect to the reply's end;
//! - `messages`: with `--keep`, how many, and the percentiles from request to reply;
//! - `tickets`: received (with `--resume`);
//! - `negotiated`: version, suite and group of the first, and the signature of the last full one.

use crate::link::Done;
use rustls::{HandshakeKind, SignatureScheme};
use std::fmt;
use std::io;
use std::time::Duration;

/// Different messages that are kept.
const WORDS: usize = 3;

/// The figures of a run.
#[derive(Default)]
pub struct Report {
    handshakes: Vec<u32>,
    cycles: Vec<u32>,
    messages: Vec<u32>,
    full: u64,
    resumed: u64,
    retried: u64,
    truncated: u64,
    /// Connections that did not complete.
    pub errors: u64,
    words: Vec<String>,
    negotiated: [String; 3],
    /// Of the whole run.
    pub duration: Duration,
    /// Received.
    pub tickets: u64,
    /// How the server signed, where it did.
    pub signature: Option<SignatureScheme>,
}

impl Report {
    /// Connections that completed.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.len() as u64
    }

    /// Requests answered on connections that stay.
    pub fn messages(&self) -> u64 {
        self.messages.len() as u64
    }

    /// One more of them.
    pub fn message(&mut self, time: Duration) {
        self.messages.push(micros(time));
    }

    /// One more connection that completed.
    pub fn done(&mut self, done: &Done, negotiated: impl FnOnce() -> [String; 3]) {
        if self.handshakes.is_empty() {
            self.negotiated = negotiated();
        }
        self.handshakes.push(micros(done.handshake));
        self.cycles.push(micros(done.cycle));
        self.truncated += u64::from(done.truncated);
        match done.kind {
            HandshakeKind::Resumed => self.resumed += 1,
            HandshakeKind::FullWithHelloRetryRequest => self.retried += 1,
            _ => self.full += 1,
        }
    }

    /// One that did not complete.
    pub fn failed(&mut self, error: &io::Error) {
        self.errors += 1;
        let text = error.to_string();
        if self.words.len() < WORDS && !self.words.contains(&text) {
            self.words.push(text);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [version, cipher, group] = &self.negotiated;
        let signature = self
            .signature
            .map(|scheme| format!("{scheme:?}"))
            .unwrap_or_default();
        write!(
            out,
            "{{\"handshakes\":{},\"full\":{},\"resumed\":{},\"retried\":{},\"truncated\":{},\
             \"errors\":{},\"words\":[{}],\"duration\":{:.6},{},\"cycle\":{{{}}},\"messages\":{{\"count\":{},{}}},\"tickets\":{},\
             \"negotiated\":{{\"version\":\"{version}\",\"cipher\":\"{cipher}\",\
             \"group\":\"{group}\",\"signature\":\"{signature}\"}}}}",
            self.handshakes(),
            self.full,
            self.resumed,
            self.retried,
            self.truncated,
            self.errors,
            self.words
                .iter()
                .map(|text| quoted(text))
                .collect::<Vec<_>>()
                .join(","),
            self.duration.as_secs_f64(),
            percentiles(&self.handshakes),
            percentiles(&self.cycles),
            self.messages.len(),
            percentiles(&self.messages),
            self.tickets,
        )
    }
}

fn percentiles(values: &[u32]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = |part: f64| match sorted.len() {
        0 => 0,
        count => sorted[((count - 1) as f64 * part).round() as usize],
    };
    format!(
        "\"p50\":{},\"p99\":{},\"p999\":{}",
        at(0.5),
        at(0.99),
        at(0.999)
    )
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A JSON string; control characters become spaces.
fn quoted(text: &str) -> String {
    let plain = text.replace(|c: char| c.is_control(), " ");
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}
