//! The closed loop of handshakes.

use crate::link::{Link, Step};
use crate::options::Options;
use crate::poll::Poll;
use crate::report::Report;
use crate::tickets::Tickets;
use crate::tls::Parts;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at the clock where nothing happens.
pub const TICK: Duration = Duration::from_millis(20);
/// A connection that takes longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Errors after which there is nothing left to measure.
const TOO_MANY: u64 = 10_000;

/// One connection after the other.
struct Line {
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    link: Option<Link>,
}

/// Keeps all connections busy until the time is over.
pub fn run(options: &Options) -> io::Result<Report> {
    let parts = Parts::new();
    let name = server_name(&options.name)?;
    let mut poll = Poll::new()?;
    let mut report = Report::default();
    let mut lines = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let tickets = Arc::<Tickets>::default();
        let config = parts
            .config(options.resume.then(|| tickets.clone()))
            .map_err(io::Error::other)?;
        lines.push(Line {
            config,
            tickets,
            link: None,
        });
    }
    let open = |poll: &Poll, number: usize, line: &mut Line, report: &mut Report| match Link::open(
        poll,
        number,
        options.address,
        &line.config,
        &name,
        &options.request,
        false,
    ) {
        Ok(link) => line.link = Some(link),
        Err(error) => report.failed(&error),
    };
    let begin = Instant::now();
    for (number, line) in lines.iter_mut().enumerate() {
        open(&poll, number, line, &mut report);
    }
    let mut swept = begin;
    while begin.elapsed() < options.duration
        && report.handshakes() < options.count
        && report.errors < TOO_MANY
    {
        poll.wait(TICK)?;
        while let Some(number) = poll.ready() {
            let line = &mut lines[number];
            let Some(link) = &mut line.link else { continue };
            match link.drive() {
                Ok(Step::Pending | Step::Answered) => continue,
                Ok(Step::Done(done)) => report.done(&done, || link.negotiated()),
                Err(error) => report.failed(&error),
            }
            line.link = None;
            open(&poll, number, line, &mut report);
        }
        if swept.elapsed() < TICK {
            continue;
        }
        swept = Instant::now();
        // Those that failed to open, and those from which nothing comes any more.
        for (number, line) in lines.iter_mut().enumerate() {
            if line
                .link
                .as_ref()
                .is_none_or(|link| link.started.elapsed() > PATIENCE)
            {
                if line.link.take().is_some() {
                    report.failed(&io::Error::from(io::ErrorKind::TimedOut));
                }
                open(&poll, number, line, &mut report);
            }
        }
    }
    report.duration = begin.elapsed();
    report.tickets = lines.iter().map(|line| line.tickets.received()).sum();
    report.signature = parts.blind.scheme();
    Ok(report)
}

/// As rustls wants it.
pub fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(io::Error::other)
}
