//! An end that was not clean never looks like one: towards a raw side it is passed
//! on as a reset, towards a TLS side as a FIN without close_notify. What came
//! before it arrives.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use rustls::ClientConnection;
use sluice_engine::route::Destination;
use sluice_wire::errors::{by, code, phase};
use sluice_wire::events::event;
use sluice_wire::ring_layout::field;

use crate::support::{
    Echo, Harness, Pattern, Session, Told, accept, assert_reason, dial, expect, expect_reset,
    fill_up, listen_spec, reset, route_to, shared,
};
use crate::tls::{Secure, Stream, client, secure};
use sluice_engine::tls::config::Version;

/// The server's side of a session, for its record.
fn server_side(connected: &Told) -> Told {
    Told {
        slot: connected.operands[0],
        ..connected.clone()
    }
}

#[test]
fn what_was_read_before_a_reset_is_delivered_however_late_it_is_read() {
    let _shared = shared();
    let pattern = Pattern::new();
    for client_fails in [true, false] {
        let Session { h, client, server } = Session::open();
        let (mut broken, mut other) = if client_fails {
            (client, server)
        } else {
            (server, client)
        };
        fill_up(&mut broken, &pattern);
        let connected = h.next(event::CONNECTED);
        let from = if client_fails {
            connected.clone()
        } else {
            server_side(&connected)
        };
        let read = h.record(&from, field::BYTES_IN) as usize;
        reset(broken);
        // The engine has seen the reset, and the bytes still wait.
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(h.all(event::CLOSED).is_empty(), "it waits for the reader");
        assert!(pattern.read_to_reset(&mut other) >= read);
        let side = if client_fails { by::CLIENT } else { by::SERVER };
        let closed = h.next(event::CLOSED);
        assert_reason(closed.reason(), side, phase::DATA, code::RESET);
        h.settle();
    }
}

#[test]
fn a_side_that_never_reads_what_came_before_a_reset_is_not_waited_for_for_ever() {
    let _shared = shared();
    let pattern = Pattern::new();
    let Session { h, client, server } = Session::with(
        sluice_engine::listener::ListenSpec {
            client_timeout: 200,
            ..listen_spec()
        },
        |route| route.server_timeout = 60_000,
    );
    let mut server = server;
    fill_up(&mut server, &pattern);
    reset(server);
    let _ = h.next(event::CLOSED);
    h.settle();
    drop(client);
}

#[test]
fn a_reset_is_no_clean_end_on_the_other_side_of_tls() {
    let _shared = shared();
    for client_fails in [true, false] {
        let s = Secure::start(Version::Tls13);
        let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
        let target = upstream.local_addr().expect("address");
        s.h.route(route_to(Destination::Tcp(target)));
        let mut stream = secure(dial(s.listen()), client());
        stream.write_all(b"PUT half").expect("write");
        let mut server = accept(&upstream);
        expect(&mut server, b"PUT half");
        server.write_all(b"half of an ans").expect("write");
        expect(&mut stream, b"half of an ans");
        let side = if client_fails {
            reset(stream.sock);
            expect_reset(&mut server);
            by::CLIENT
        } else {
            reset(server);
            expect_cut(&mut stream);
            drop(stream);
            by::SERVER
        };
        let closed = s.h.next(event::CLOSED);
        assert_reason(closed.reason(), side, phase::DATA, code::RESET);
        s.h.settle();
    }
}

/// TLS ends without close_notify.
fn expect_cut(stream: &mut Stream) {
    let error = stream.read_to_end(&mut Vec::new()).expect_err("a cut");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_truncated_end_of_a_tls_server_reaches_a_raw_client_as_a_reset() {
    let _shared = shared();
    let s = Secure::start(Version::Tls13);
    let far = Secure::start(Version::Tls13);
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let target = upstream.local_addr().expect("address");
    far.h.route(route_to(Destination::Tcp(target)));
    // The far engine's server resets: it ends TLS towards the near one without a word.
    let through = s.route_tls(far.listen());
    s.h.route(through);
    let (_, address) = s.h.listen(listen_spec());
    let mut near = dial(address);
    near.write_all(b"ask").expect("write");
    let mut server = accept(&upstream);
    expect(&mut server, b"ask");
    server.write_all(b"half").expect("write");
    expect(&mut near, b"half");
    reset(server);
    expect_reset(&mut near);
    let closed = s.h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::SERVER,
        phase::DATA,
        code::TLS_TRUNCATED,
    );
    s.h.settle();
    far.h.settle();
}

/// The last payload, and a FIN without close_notify, in one read.
#[test]
fn a_truncated_end_is_passed_on_as_one_also_where_it_comes_with_the_last_payload() {
    let _shared = shared();
    let far = Secure::start(Version::Tls13);
    let echo = Echo::start();
    far.h.route(route_to(Destination::Tcp(echo.address)));
    let near = Secure::start(Version::Tls13);
    let through = near.route_tls(far.listen());
    near.h.route(through);
    let address = near.listen();
    let mut stream = secure(dial(address), client());
    stream.write_all(b"x").expect("write");
    expect(&mut stream, b"x");
    // The worker is held at its doorbell while payload and FIN arrive.
    near.h.gate.close();
    let mut hello = Vec::new();
    let name = "localhost".try_into().expect("name");
    let mut session = ClientConnection::new(client(), name).expect("client");
    session.write_tls(&mut hello).expect("hello");
    let mut other = dial(address);
    other.write_all(&hello).expect("write");
    near.h
        .until("the worker is held at its doorbell", |h| h.gate.holds());
    stream.write_all(b"last words").expect("write");
    stream.sock.shutdown(Shutdown::Write).expect("FIN");
    near.h.gate.open();
    // The near engine is the far one's client.
    let closed = far.h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::CLIENT,
        phase::DATA,
        code::TLS_TRUNCATED,
    );
    drop((stream, other));
    near.h.settle();
    far.h.settle();
}

#[test]
fn a_clean_end_before_a_reset_stays_clean() {
    let _shared = shared();
    let h = Harness::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let target = upstream.local_addr().expect("address");
    h.route(route_to(Destination::Tcp(target)));
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    let mut server = accept(&upstream);
    // All of the answer, and its end, and nobody there for what comes later.
    server.write_all(b"answer").expect("write");
    drop(server);
    expect(&mut client, b"answer");
    crate::support::expect_fin(&mut client);
    // Nobody has read this, and the client learns it.
    client.write_all(b"too late").expect("write");
    let closed = h.next(event::CLOSED);
    assert_reason(closed.reason(), by::SERVER, phase::CLOSE, code::RESET);
    h.settle();
}
