//! Connections that stay: held without traffic, or busy with one request after the other.

use crate::link::{Link, Step};
use crate::load::{PATIENCE, TICK, server_name};
use crate::options::{Hold, Options};
use crate::poll::Poll;
use crate::report::Report;
use crate::tls::Parts;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Opening at once: fewer than a listen queue holds.
const AT_ONCE: usize = 50;

/// Open connections, each of which has carried a request and its reply.
struct Stay<'a> {
    options: &'a Options,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    poll: Poll,
    links: Vec<Link>,
}

impl<'a> Stay<'a> {
    fn new(options: &'a Options) -> io::Result<Stay<'a>> {
        let config = Parts::new().config(None).map_err(io::Error::other)?;
        Ok(Stay {
            options,
            config,
            name: server_name(&options.name)?,
            poll: Poll::new()?,
            links: Vec::new(),
        })
    }

    /// Opens until there are so many.
    fn fill(&mut self, up_to: usize) -> io::Result<()> {
        let mut answered = self.links.len();
        while answered < up_to {
            while self.links.len() < up_to.min(answered + AT_ONCE) {
                self.links.push(Link::open(
                    &self.poll,
                    self.links.len(),
                    self.options.address,
                    &self.config,
                    &self.name,
                    &self.options.request,
                    true,
                )?);
            }
            self.turn(|_| {
                answered += 1;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One wait; hands out each that got its reply.
    fn turn(&mut self, mut answered: impl FnMut(&mut Link) -> io::Result<()>) -> io::Result<()> {
        self.poll.wait(TICK)?;
        while let Some(number) = self.poll.ready() {
            let link = &mut self.links[number];
            if let Step::Answered = link.drive()? {
                answered(link)?;
            }
        }
        Ok(())
    }
}

/// Opens connections in two halves and holds them until this process is ended; ends with an
/// error where one is closed.
pub fn hold(options: &Options, hold: Hold) -> io::Result<()> {
    let mut stay = Stay::new(options)?;
    stay.fill(hold.half)?;
    println!("half");
    std::thread::sleep(hold.pause);
    stay.fill(hold.all)?;
    println!("all");
    loop {
        stay.turn(|_| Ok(()))?;
    }
}

/// Keeps connections busy until the time is over; ends with an error where one is closed or
/// where none is answered any more. The clock starts when all are open.
pub fn keep(options: &Options) -> io::Result<Report> {
    let mut stay = Stay::new(options)?;
    let mut report = Report::default();
    stay.fill(options.connections)?;
    let begin = Instant::now();
    for link in &mut stay.links {
        link.again(&options.request)?;
    }
    let mut last = begin;
    while begin.elapsed() < options.duration && report.messages() < options.count {
        let before = report.messages();
        stay.turn(|link| {
            report.message(link.started.elapsed());
            link.again(&options.request)
        })?;
        if report.messages() > before {
            last = Instant::now();
        } else if last.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    report.duration = begin.elapsed();
    let longest = PATIENCE.min(options.duration);
    for link in &stay.links {
        if link.started.elapsed() >= longest {
            report.failed(&io::ErrorKind::TimedOut.into());
        }
    }
    Ok(report)
}
