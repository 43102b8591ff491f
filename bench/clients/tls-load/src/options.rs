//! The command line.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What `--help` would say.
pub const HELP: &str = "tls-load --address IP:PORT [options]

  --connections N   at once (default 64)
  --seconds S       length of the run (default 3)
  --count N         end after so many, if that is sooner
  --keep            connections stay: request, reply, request, ...
  --resume          each connection after the first of each line resumes with a ticket
  --request TEXT    sent as application data (default: GET / with Connection: close)
  --name NAME       server name asked for (default bench.test)
  --hold HALF,ALL,MS  open HALF connections, print 'half', wait MS, open up to ALL,
                    print 'all', and hold them until ended; each carries one request";

/// Connections that stay: half of them first, for the memory of the second half alone.
#[derive(Clone, Copy)]
pub struct Hold {
    /// Opened first.
    pub half: usize,
    /// Open in the end.
    pub all: usize,
    /// Between the two.
    pub pause: Duration,
}

/// What to do.
pub struct Options {
    /// Where the proxy listens.
    pub address: SocketAddr,
    /// At once.
    pub connections: usize,
    /// Length of the run.
    pub duration: Duration,
    /// Completed connections after which the run ends early.
    pub count: u64,
    /// One request after the other on connections that stay.
    pub keep: bool,
    /// Offer tickets.
    pub resume: bool,
    /// Application data to send.
    pub request: Vec<u8>,
    /// Server name (SNI).
    pub name: String,
    /// Hold connections instead of a closed loop.
    pub hold: Option<Hold>,
}

/// Reads the arguments without the program's name.
pub fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut address = None;
    let mut request = None;
    let mut options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        connections: 64,
        duration: Duration::from_secs(3),
        count: u64::MAX,
        keep: false,
        resume: false,
        request: Vec::new(),
        name: "bench.test".to_owned(),
        hold: None,
    };
    while let Some(option) = args.next() {
        let flag = match option.as_str() {
            "--resume" => Some(&mut options.resume),
            "--keep" => Some(&mut options.keep),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            continue;
        }
        let value = args.next().ok_or(format!("{option} needs a value"))?;
        match option.as_str() {
            "--address" => address = Some(parse(&option, &value)?),
            "--connections" => options.connections = parse(&option, &value)?,
            "--seconds" => options.duration = Duration::from_secs(parse(&option, &value)?),
            "--count" => options.count = parse(&option, &value)?,
            "--request" => request = Some(value),
            "--name" => options.name = value,
            "--hold" => options.hold = Some(hold(&value)?),
            _ => return Err(format!("no option {option}")),
        }
    }
    options.address = address.ok_or("--address is missing")?;
    if options.connections == 0 {
        return Err("--connections: at least 1".to_owned());
    }
    // Connections that stay must outlive their request.
    let close = if options.keep || options.hold.is_some() {
        ""
    } else {
        "Connection: close\r\n"
    };
    let default = || format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n");
    options.request = request.unwrap_or_else(default).into_bytes();
    Ok(options)
}

fn hold(value: &str) -> Result<Hold, String> {
    let numbers = value
        .split(',')
        .map(|text| parse("--hold", text))
        .collect::<Result<Vec<usize>, _>>()?;
    match numbers[..] {
        [half, all, pause] if 0 < half && half <= all => Ok(Hold {
            half,
            all,
            pause: Duration::from_millis(pause as u64),
        }),
        _ => Err("--hold: HALF,ALL,MS".to_owned()),
    }
}

fn parse<T: FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{option}: '{value}' is not understood"))
}
