//! Load of TLS for the benchmarks: one thread that keeps a number of connections
//! busy, each of them connect, handshake, request, reply, close, and again; or
//! with connections that stay. TLS 1.3 only. The server's certificate and its
//! signature are not verified, so that the client costs less than the server it
//! measures.
//!
//! Prints one line of JSON; `report` says what is in it.

mod link;
mod load;
mod options;
mod poll;
mod report;
mod stay;
mod tickets;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    let done = match options.hold {
        Some(hold) => stay::hold(&options, hold),
        None if options.keep => stay::keep(&options).map(|report| println!("{report}")),
        None => load::run(&options).map(|report| println!("{report}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tls-load: {error}");
            ExitCode::FAILURE
        }
    }
}
