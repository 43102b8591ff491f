//! Every kind of deadline, and that each is named in the close reason.
//!
//! Nothing here measures time: a deadline that does not strike makes the wait
//! for its event fail.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};

use sluice_engine::listener::ListenSpec;
use sluice_engine::route::{Destination, Route};
use sluice_wire::commands::{close_mode, command};
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::handshakes::handshake;

use crate::support::{
    Answer, Echo, Harness, Session, accept, assert_reason, dial, expect, expect_fin, listen_spec,
    route_to, shared,
};

/// Short, and longer than a turn of the loop on a busy machine.
const SHORT: u64 = 60;
/// Never reached.
const LONG: u64 = 60_000;

fn silent() -> Answer {
    Box::new(|_, _| {})
}

#[test]
fn a_handshake_that_does_not_end_is_cut() {
    let _shared = shared();
    let h = Harness::start();
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::ACCEPT_PROXY,
        handshake_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"PROXY TCP4 1.2.3.4").expect("write");
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::ACCEPT_PROXY,
        code::HANDSHAKE_TIMEOUT,
    );
    h.settle();
}

#[test]
fn a_verdict_that_never_comes_closes() {
    let _shared = shared();
    let h = Harness::with(1, silent());
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::TCP_RULES,
        ask: handshake::TCP_RULES,
        verdict_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    expect_fin(&mut client);
    let late = h.next(event::VERDICT_TIMEOUT);
    assert_eq!(late.operands[..2], [handshake::TCP_RULES, 0]);
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::TCP_RULES,
        code::VERDICT_TIMEOUT,
    );
    // The answer comes now: a counted no-op.
    h.commands.send(&closed, command::PROCEED, [0; 5]);
    h.until("the stale command is counted", |h| h.stats().stale == 1);
    assert_eq!(h.stats().late, 1);
    h.settle();
}

#[test]
fn a_verdict_that_never_comes_opens_where_a_fallback_is() {
    let _shared = shared();
    let h = Harness::with(1, silent());
    let echo = Echo::start();
    let fallback_route = h.route(route_to(Destination::Tcp(echo.address)));
    let (_, address) = h.listen(ListenSpec {
        verdict_timeout: SHORT,
        fallback_route,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"open").expect("write");
    expect(&mut client, b"open");
    assert_eq!(h.next(event::VERDICT_TIMEOUT).operands[1], 1);
    drop(client);
    h.settle();
}

#[test]
fn opening_past_a_late_policy_still_takes_the_proxy_header_off() {
    let _shared = shared();
    let bits = handshake::MONITOR_IN | handshake::ACCEPT_PROXY | handshake::TCP_RULES;
    for ask in [bits, bits & !handshake::ACCEPT_PROXY] {
        let h = Harness::with(1, silent());
        let echo = Echo::start();
        let fallback_route = h.route(route_to(Destination::Tcp(echo.address)));
        let (_, address) = h.listen(ListenSpec {
            handshakes: bits,
            ask,
            verdict_timeout: SHORT,
            fallback_route,
            ..listen_spec()
        });
        let mut client = dial(address);
        client
            .write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\npay")
            .expect("write");
        let _ = h.next(event::VERDICT_TIMEOUT);
        client.write_all(b"load").expect("write");
        expect(&mut client, b"payload");
        drop(client);
        let closed = h.next(event::CLOSED);
        assert_eq!(h.all(event::VERDICT_TIMEOUT).len(), 1, "once is enough");
        let src = h.record(&closed, sluice_wire::ring_layout::field::SRC);
        assert_eq!(src.to_le_bytes(), [192, 0, 2, 1]);
        h.settle();
    }
}

#[test]
fn an_inspection_expires_once_and_then_owes_a_verdict() {
    let _shared = shared();
    let delay = SHORT as i32;
    let h = Harness::with(
        1,
        Box::new(move |told, commands| {
            if told.kind == event::HANDSHAKE {
                commands.send(told, command::INSPECT, [100, delay, 0, 1, 0]);
            }
        }),
    );
    let (_, address) = h.listen(ListenSpec {
        verdict_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"some").expect("write");
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::ACCEPT_SESSION,
        code::VERDICT_TIMEOUT,
    );
    let shown = h.all(event::BYTES);
    let expired = |it: &&crate::support::Told| it.operands[2] & bytes_flag::EXPIRED != 0;
    assert_eq!(shown.iter().filter(expired).count(), 1);
    assert_eq!(
        shown.last().map(|it| it.bytes.as_slice()),
        Some(&b"some"[..])
    );
    h.settle();
}

#[test]
fn a_connect_that_does_not_end_is_cut_and_the_client_stays() {
    let _shared = shared();
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::CONNECT_FAILED {
                let word = reason(by::POLICY, phase::CONNECT, code::REPLIED);
                commands.send_bytes(told, command::REPLY, [0, 0, word, 0, 0], 0, b"sorry");
            } else {
                commands.pass(told);
            }
        }),
    );
    // A queue of one that nobody accepts from: later SYNs are dropped.
    let full = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .expect("socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    rustix::net::bind(&full, &any).expect("bind");
    rustix::net::listen(&full, 0).expect("listen");
    let full = TcpListener::from(full);
    let target = full.local_addr().expect("address");
    let _occupants = fill(target);
    h.route(Route {
        connect_timeout: SHORT,
        ..route_to(Destination::Tcp(target))
    });
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    let failed = h.next(event::CONNECT_FAILED);
    assert_reason(
        failed.reason(),
        by::TIMEOUT,
        phase::CONNECT,
        code::CONNECT_TIMEOUT,
    );
    expect(&mut client, b"sorry");
    expect_fin(&mut client);
    drop(client);
    h.settle();
}

/// Connects until the queue of a listener that nobody accepts from is full.
fn fill(target: std::net::SocketAddr) -> Vec<TcpStream> {
    let brief = std::time::Duration::from_millis(200);
    let mut occupants = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&target, brief) {
        occupants.push(stream);
        assert!(occupants.len() < 64, "the queue never fills");
    }
    occupants
}

#[test]
fn a_silent_client_and_a_silent_server_are_told_apart() {
    let _shared = shared();
    let client_is_slow = Session::with(
        ListenSpec {
            client_timeout: SHORT,
            ..listen_spec()
        },
        |route| route.server_timeout = LONG,
    );
    let server_is_slow = Session::with(
        ListenSpec {
            client_timeout: LONG,
            ..listen_spec()
        },
        |route| route.server_timeout = SHORT,
    );
    client_is_slow.ends(by::TIMEOUT, phase::DATA, code::CLIENT_TIMEOUT);
    server_is_slow.ends(by::TIMEOUT, phase::DATA, code::SERVER_TIMEOUT);
}

#[test]
fn after_a_fin_the_shorter_time_outs_hold() {
    let _shared = shared();
    let mut s = Session::with(
        ListenSpec {
            client_timeout: LONG,
            client_fin_timeout: LONG,
            ..listen_spec()
        },
        |route| {
            route.server_timeout = LONG;
            route.server_fin_timeout = SHORT;
        },
    );
    s.client.shutdown(Shutdown::Write).expect("shutdown");
    expect_fin(&mut s.server);
    s.ends(by::TIMEOUT, phase::CLOSE, code::SERVER_FIN_TIMEOUT);

    let mut s = Session::with(
        ListenSpec {
            client_timeout: LONG,
            client_fin_timeout: SHORT,
            ..listen_spec()
        },
        |route| {
            route.server_timeout = LONG;
            route.server_fin_timeout = LONG;
        },
    );
    s.server.shutdown(Shutdown::Write).expect("shutdown");
    expect_fin(&mut s.client);
    s.ends(by::TIMEOUT, phase::CLOSE, code::CLIENT_FIN_TIMEOUT);
}

#[test]
fn a_client_that_has_sent_its_fin_owes_nothing_more() {
    let _shared = shared();
    let mut s = Session::with(
        ListenSpec {
            client_timeout: SHORT,
            client_fin_timeout: SHORT,
            ..listen_spec()
        },
        |route| route.server_timeout = LONG,
    );
    s.client.shutdown(Shutdown::Write).expect("shutdown");
    expect_fin(&mut s.server);
    std::thread::sleep(std::time::Duration::from_millis(SHORT * 5));
    s.server.write_all(b"slow answer").expect("write");
    s.server.shutdown(Shutdown::Write).expect("shutdown");
    expect(&mut s.client, b"slow answer");
    expect_fin(&mut s.client);
    s.ends(by::CLIENT, phase::DATA, code::DONE);
}

#[test]
fn a_side_that_is_held_back_is_not_silent() {
    let _shared = shared();
    // The server does not read: the client cannot send, and it is the server's time that runs.
    let Session { h, client, server } = Session::with(
        ListenSpec {
            client_timeout: SHORT,
            ..listen_spec()
        },
        |route| route.server_timeout = SHORT * 10,
    );
    let pattern = crate::support::Pattern::new();
    client.set_nonblocking(true).expect("nonblocking");
    let mut written = 0;
    while h.all(event::CLOSED).is_empty() {
        match (&client).write(pattern.at(written, 65_536)) {
            Ok(count) => written += count,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::DATA,
        code::SERVER_TIMEOUT,
    );
    drop((client, server));
    h.settle();
}

/// An applet that gets 4 bytes, and then what the test gives it.
fn applet(credit: i32) -> Answer {
    Box::new(move |told, commands| {
        if told.kind == event::HANDSHAKE {
            commands.send(told, command::APPLET, [credit, 0, 0, 0, 0]);
        }
    })
}

#[test]
fn an_applet_that_does_not_read_is_not_its_clients_silence() {
    let _shared = shared();
    let h = Harness::with(1, applet(4));
    let (_, address) = h.listen(ListenSpec {
        client_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"more than four").expect("write");
    let first = h.next(event::DATA);
    assert_eq!(first.bytes, b"more");
    std::thread::sleep(std::time::Duration::from_millis(SHORT * 5));
    assert!(h.all(event::CLOSED).is_empty(), "it is the applet's time");
    h.commands.send(&first, command::CREDIT, [1000, 0, 0, 0, 0]);
    assert_eq!(h.nth(event::DATA, 1).bytes, b" than four");
    // From here on it is the client's.
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::DATA,
        code::CLIENT_TIMEOUT,
    );
    h.settle();
}

#[test]
fn a_client_that_does_not_read_what_a_slow_applet_answers_is_cut() {
    let _shared = shared();
    let h = Harness::with(1, applet(1000));
    let (_, address) = h.listen(ListenSpec {
        client_timeout: SHORT,
        client_fin_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"ask").expect("write");
    client.shutdown(Shutdown::Write).expect("FIN");
    let first = h.next(event::DATA);
    // Nobody owes anything while the applet thinks; then the client has to read.
    std::thread::sleep(std::time::Duration::from_millis(SHORT * 5));
    assert!(h.all(event::CLOSED).is_empty(), "the applet has its time");
    let chunk = vec![7_u8; 65_536];
    let mut sent = 0;
    while h.all(event::CLOSED).is_empty() {
        if sent < 200 {
            h.commands
                .send_bytes(&first, command::SEND, [0; 5], 0, &chunk);
            sent += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::CLOSE,
        code::CLIENT_FIN_TIMEOUT,
    );
    drop(client);
    h.settle();
}

/// Sealed records that wait for the client are its to take.
#[test]
fn a_tls_client_that_does_not_read_is_named_and_not_the_server_that_is_held_back() {
    let _shared = shared();
    let s = crate::tls::Secure::start(sluice_engine::tls::config::Version::Tls13);
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    s.h.route(Route {
        server_timeout: SHORT,
        ..route_to(Destination::Tcp(upstream.local_addr().expect("address")))
    });
    let asked = handshake::TLS | handshake::ACCEPT_SESSION;
    let (_, address) = s.h.listen(ListenSpec {
        handshakes: asked,
        ask: asked,
        client_timeout: SHORT * 10,
        ..listen_spec()
    });
    let mut stream = crate::tls::secure(dial(address), crate::tls::client());
    stream.write_all(b"GET").expect("write");
    let mut server = accept(&upstream);
    expect(&mut server, b"GET");
    server.set_nonblocking(true).expect("nonblocking");
    let bytes = vec![4_u8; 65_536];
    while s.h.all(event::CLOSED).is_empty() {
        while let Ok(1..) = server.write(&bytes) {}
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let closed = s.h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::DATA,
        code::CLIENT_TIMEOUT,
    );
    drop((stream, server));
    s.h.settle();
}

#[test]
fn an_inspection_without_delay_waits_no_longer_than_the_client_may_be_silent() {
    let _shared = shared();
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::HANDSHAKE {
                commands.send(told, command::INSPECT, [100, 0, 0, 1, 0]);
            }
        }),
    );
    let (_, address) = h.listen(ListenSpec {
        client_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"half").expect("write");
    let closed = h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::TIMEOUT,
        phase::ACCEPT_SESSION,
        code::CLIENT_TIMEOUT,
    );
    h.settle();
}

/// The process is stopped, or the machine stands still: here at the doorbell.
#[test]
fn a_loop_that_was_asleep_does_not_blame_its_clients() {
    let _shared = shared();
    const TIMEOUT: u64 = 700;
    let Session {
        h,
        mut client,
        mut server,
    } = Session::with(
        ListenSpec {
            client_timeout: TIMEOUT,
            ..listen_spec()
        },
        |route| route.server_timeout = TIMEOUT,
    );
    client.write_all(b"awake").expect("write");
    expect(&mut server, b"awake");
    h.gate.close();
    let asked = h.next(event::HANDSHAKE);
    let port = h.record(&asked, sluice_wire::ring_layout::field::PORTS) >> 16;
    let other = dial(([127, 0, 0, 1], port as u16).into());
    h.until("the worker is held at its doorbell", |h| h.gate.holds());
    std::thread::sleep(std::time::Duration::from_millis(TIMEOUT * 2));
    h.gate.open();
    client.write_all(b"still here").expect("write");
    expect(&mut server, b"still here");
    // Its time runs again.
    let of_it = |h: &Harness| {
        let mut ends = h.all(event::CLOSED);
        ends.retain(|closed| closed.slot == asked.slot);
        ends.pop()
    };
    h.until("it is timed out at last", |h| of_it(h).is_some());
    assert_eq!(of_it(&h).map(|it| it.reason() & 15), Some(by::TIMEOUT));
    drop((client, server, other));
    h.settle();
}

#[test]
fn a_tunnel_has_its_own_time_out_once_both_have_spoken() {
    let _shared = shared();
    let mut s = Session::with(
        ListenSpec {
            client_timeout: LONG,
            ..listen_spec()
        },
        |route| {
            route.server_timeout = LONG;
            route.tunnel_timeout = SHORT;
        },
    );
    s.client.write_all(b"up").expect("write");
    expect(&mut s.server, b"up");
    s.server.write_all(b"down").expect("write");
    expect(&mut s.client, b"down");
    s.ends(by::TIMEOUT, phase::DATA, code::TUNNEL_TIMEOUT);
}

#[test]
fn activity_moves_the_inactivity_deadline() {
    let _shared = shared();
    let mut s = Session::with(
        ListenSpec {
            client_timeout: 500,
            ..listen_spec()
        },
        |route| route.server_timeout = 500,
    );
    for _ in 0..40 {
        s.client.write_all(b".").expect("write");
        expect(&mut s.server, b".");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(s.h.all(event::CLOSED).is_empty(), "it was never silent");
    s.ends(by::TIMEOUT, phase::DATA, code::CLIENT_TIMEOUT);
}

#[test]
fn a_tarpit_holds_silently_and_then_closes() {
    let _shared = shared();
    let word = reason(by::POLICY, phase::TCP_RULES, code::TARPIT);
    let h = Harness::with(
        1,
        Box::new(move |told, commands| {
            if told.kind == event::HANDSHAKE {
                let hold = SHORT as i32;
                commands.send(told, command::CLOSE, [word, close_mode::TARPIT, hold, 0, 0]);
            }
        }),
    );
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    expect_fin(&mut client);
    assert_reason(
        h.next(event::CLOSED).reason(),
        by::POLICY,
        phase::TCP_RULES,
        code::TARPIT,
    );
    h.settle();
}

#[test]
fn a_client_that_keeps_open_after_its_last_chunk_is_cut() {
    let _shared = shared();
    let h = Harness::start();
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::HEALTH,
        health_reply: b"OK\n".to_vec(),
        ..listen_spec()
    });
    let mut client = dial(address);
    expect(&mut client, b"OK\n");
    expect_fin(&mut client);
    // No FIN from here: the engine waits a few seconds for it, then closes.
    let closed_without_policy = |h: &Harness| h.stats().connections == 0;
    h.until("the linger ends", closed_without_policy);
    h.settle();
}

#[test]
fn a_held_session_has_no_deadline_until_policy_goes_on() {
    let _shared = shared();
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::HANDSHAKE {
                let session = handshake::ACCEPT_SESSION;
                commands.send(told, command::PROCEED, [session, 0, 0, 0, 0]);
            }
        }),
    );
    let (_, address) = h.listen(ListenSpec {
        verdict_timeout: SHORT,
        handshake_timeout: SHORT,
        ..listen_spec()
    });
    let mut client = dial(address);
    client.write_all(b"queued").expect("write");
    let asked = h.next(event::HANDSHAKE);
    std::thread::sleep(std::time::Duration::from_millis(SHORT * 4));
    assert!(h.all(event::CLOSED).is_empty(), "a queue has its own time");
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let route = h.route(route_to(Destination::Tcp(
        upstream.local_addr().expect("address"),
    )));
    h.commands
        .send(&asked, command::CONNECT, [route, 0, 0, 0, 0]);
    let mut server = accept(&upstream);
    expect(&mut server, b"queued");
    drop((client, server));
    h.settle();
}
