//! Options of sockets, as the kernel has them.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt;
use sluice_engine::listener::{self, ListenAddress, ListenSpec};
use sluice_engine::route::Destination;
use sluice_engine::sys::{self, KeepAlive, Liveness};
use sluice_wire::commands::command;
use sluice_wire::errors::{by, code, phase};
use sluice_wire::events::event;
use sluice_wire::flags::conn_flag;
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::field;
use sluice_wire::states::conn_state;

use crate::support::*;

const LIVENESS: Liveness = Liveness {
    keep_alive: Some(KeepAlive {
        idle: 300,
        interval: 20,
        count: 3,
    }),
    user_timeout: 45_000,
};

fn liveness_of(socket: BorrowedFd<'_>) -> Liveness {
    let seconds = |duration: Duration| duration.as_secs() as u32;
    let keep_alive = sockopt::socket_keepalive(socket)
        .expect("SO_KEEPALIVE")
        .then(|| KeepAlive {
            idle: seconds(sockopt::tcp_keepidle(socket).expect("TCP_KEEPIDLE")),
            interval: seconds(sockopt::tcp_keepintvl(socket).expect("TCP_KEEPINTVL")),
            count: sockopt::tcp_keepcnt(socket).expect("TCP_KEEPCNT"),
        });
    Liveness {
        keep_alive,
        user_timeout: sockopt::tcp_user_timeout(socket).expect("TCP_USER_TIMEOUT"),
    }
}

/// A connection accepted from a listener that was opened as `spec` says.
fn accepted(spec: &ListenSpec) -> OwnedFd {
    let opened = listener::open(spec, 1).expect("listen");
    let address = opened.local.expect("address");
    let _client = TcpStream::connect(address).expect("connect");
    let end = Instant::now() + PATIENCE;
    loop {
        match rustix::net::accept(&opened.sockets[0]) {
            Ok(socket) => return socket,
            Err(error) => assert!(Instant::now() < end, "accept: {error}"),
        }
        std::thread::yield_now();
    }
}

/// What the socket of this process that is bound to `local` answers.
fn ask<T>(local: SocketAddr, question: impl Fn(BorrowedFd<'_>) -> T) -> T {
    for entry in std::fs::read_dir("/proc/self/fd").expect("descriptors") {
        let name = entry.expect("descriptor").file_name();
        let fd: RawFd = name.to_string_lossy().parse().expect("number");
        // SAFETY: the descriptor is used for the calls below only. It may be closed
        // meanwhile, by its owner: then they fail.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        if rustix::net::getpeername(socket).is_ok() && sys::local_address(socket) == Some(local) {
            return question(socket);
        }
    }
    panic!("no socket at {local}");
}

#[test]
fn accepted_sockets_inherit_everything_from_their_listener() {
    let _shared = shared();
    let socket = accepted(&ListenSpec {
        liveness: LIVENESS,
        ..listen_spec()
    });
    assert_eq!(liveness_of(socket.as_fd()), LIVENESS);
    assert_eq!(sockopt::tcp_nodelay(&socket), Ok(true));
}

#[test]
fn so_they_do_from_an_inherited_listener() {
    let _shared = shared();
    let listening = TcpListener::bind("127.0.0.1:0").expect("listen");
    let fd = listening.as_raw_fd();
    let socket = accepted(&ListenSpec {
        address: ListenAddress::Inherited(fd),
        liveness: LIVENESS,
        ..listen_spec()
    });
    assert_eq!(liveness_of(socket.as_fd()), LIVENESS);
    assert_eq!(sockopt::tcp_nodelay(&socket), Ok(true));
}

#[test]
fn a_server_of_a_session_that_lasts_is_probed() {
    // Looks at every descriptor of the process.
    let _alone = alone();
    let session = Session::with(listen_spec(), |route| route.liveness = LIVENESS);
    let ours = session.server.peer_addr().expect("address");
    session
        .h
        .until("the server's connection has its options", |_| {
            ask(ours, liveness_of) == LIVENESS
        });
}

#[test]
fn pipes_are_a_budget_beyond_which_payload_is_copied() {
    let _shared = shared();
    const PIPES: usize = 2;
    const BYTES: usize = 24 << 20;
    let h = Harness::with_pipes(1, PIPES, Box::new(|told, commands| commands.pass(told)));
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let destination = Destination::Tcp(upstream.local_addr().expect("address"));
    h.route(route_to(destination));
    let (_, address) = h.listen(listen_spec());
    // Nobody reads yet: every direction blocks.
    let sessions: Vec<(TcpStream, TcpStream)> = (0..6)
        .map(|_| {
            let client = dial(address);
            (client, accept(&upstream))
        })
        .collect();
    let payload = Pattern::new();
    std::thread::scope(|scope| {
        for (_, server) in &sessions {
            let (mut server, payload) = (server, &payload);
            scope.spawn(move || {
                payload.write(&mut server, BYTES);
                server.shutdown(std::net::Shutdown::Write).expect("FIN");
            });
        }
        h.until("the pipes are used up", |h| h.stats().pipes == PIPES as u64);
        for (client, _) in &sessions {
            let mut client = client;
            payload.read(&mut client, BYTES);
            assert!(h.stats().pipes <= PIPES as u64);
        }
    });
    drop(sessions);
    h.settle();
}

/// The record says that the socket failed.
fn assert_failed(h: &Harness, told: &Told) {
    let flags = conn_flag::ERR | conn_flag::CTRL_FAILED;
    assert_eq!(h.record(told, field::STATE), conn_state::ERROR);
    assert_eq!(h.record(told, field::FLAGS) & flags, flags);
}

#[test]
fn a_server_that_the_poller_refuses_is_a_failed_connect() {
    let _shared = shared();
    // The client is ended below, once its record was looked at.
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind != event::CONNECT_FAILED {
                commands.pass(told);
            }
        }),
    );
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let destination = Destination::Tcp(upstream.local_addr().expect("address"));
    // No time-out would end what is never watched.
    h.route(route_to(destination));
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::ACCEPT_PROXY | handshake::ACCEPT_SESSION,
        ..listen_spec()
    });
    let mut client = dial(address);
    h.until("the client is watched", |h| h.stats().connections == 1);
    h.refuse(1);
    client.write_all(b"PROXY UNKNOWN\r\n").expect("write");
    let failed = h.next(event::CONNECT_FAILED);
    assert_reason(failed.reason(), by::PROXY, phase::CONNECT, code::IO_ERROR);
    assert_eq!(failed.operands[1], Errno::NOSPC.raw_os_error());
    // Slots are dealt out from the first; its client has one, and has not failed.
    assert_eq!(failed.slot, 0);
    assert_eq!(h.record(&failed, field::STATE), conn_state::ACCEPTED);
    let reason = [failed.reason(), 0, 0, 0, 0];
    h.commands.send(&failed, command::CLOSE, reason);
    assert_failed(&h, &Told { slot: 1, ..failed });
    drop(client);
    let _ = h.next(event::CLOSED);
    h.settle();
}

#[test]
fn a_client_that_the_poller_refuses_is_ended() {
    let _shared = shared();
    let h = Harness::start();
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::ACCEPT_PROXY | handshake::ACCEPT_SESSION,
        ..listen_spec()
    });
    h.refuse(1);
    let mut client = dial(address);
    expect_fin(&mut client);
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::PROXY,
        phase::ACCEPT_PROXY,
        code::IO_ERROR,
    );
    assert_failed(&h, &closed);
    h.settle();
}

#[test]
fn a_client_that_does_not_read_pins_little_of_the_kernel() {
    let _shared = shared();
    let h = Harness::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let destination = Destination::Tcp(upstream.local_addr().expect("address"));
    h.route(route_to(destination));
    let (_, address) = h.listen(listen_spec());
    let client = dial(address);
    let mut server = accept(&upstream);
    server.set_nonblocking(true).expect("nonblocking");
    let told = h.next(event::CONNECTED);
    let far = Told {
        slot: told.operands[0],
        ..told.clone()
    };
    // Until nothing has moved for a while: every buffer on the way is full.
    let bytes = vec![1_u8; 1 << 20];
    let mut still = 0;
    while still < 20 {
        let before = h.record(&told, field::BYTES_OUT);
        while let Ok(1..) = server.write(&bytes) {}
        std::thread::sleep(Duration::from_millis(10));
        let same = h.record(&told, field::BYTES_OUT) == before;
        still = if same { still + 1 } else { 0 };
    }
    let held = h.record(&far, field::BYTES_IN) - h.record(&told, field::BYTES_OUT);
    assert!((0..=128 * 1024).contains(&held), "{held} bytes are held");
    drop((client, server));
    let _ = h.next(event::CLOSED);
    h.settle();
}
