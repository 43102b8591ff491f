//! What peers do wrong, and what the kernel runs out of.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;

use sluice_engine::listener::ListenSpec;
use sluice_engine::route::Destination;
use sluice_wire::commands::command;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::handshakes::handshake;

use crate::support::{
    Echo, Harness, OneDescriptorLeft, Pattern, Session, accept, alone, assert_reason, dial, expect,
    expect_fin, expect_reset, listen_spec, open_descriptors, reset, route_to, shared,
};

#[test]
fn a_reset_of_either_side_ends_the_session_and_names_it() {
    let _shared = shared();
    let mut s = Session::open();
    reset(s.client);
    expect_reset(&mut s.server);
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::DATA, code::RESET);
    s.h.settle();

    let mut s = Session::open();
    s.server.write_all(b"last words").expect("write");
    expect(&mut s.client, b"last words");
    reset(s.server);
    expect_reset(&mut s.client);
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::SERVER, phase::DATA, code::RESET);
    s.h.settle();
}

#[test]
fn a_reset_after_a_half_close_is_in_the_close_phase() {
    let _shared = shared();
    let mut s = Session::open();
    s.client.shutdown(Shutdown::Write).expect("shutdown");
    expect_fin(&mut s.server);
    reset(s.server);
    let closed = s.h.next(event::CLOSED);
    assert_reason(closed.reason(), by::SERVER, phase::CLOSE, code::RESET);
    s.h.settle();
}

#[test]
fn what_was_read_before_a_reset_is_still_delivered() {
    let _shared = shared();
    let pattern = Pattern::new();
    let Session {
        h,
        mut client,
        mut server,
    } = Session::open();
    let total = 200_000;
    pattern.write(&mut server, total);
    h.until("everything was read from the server", |h| {
        let connected = h.next(event::CONNECTED);
        crate::support::byte_counts(h, &connected).1 as usize == total
    });
    reset(server);
    assert_eq!(pattern.read_to_reset(&mut client), total);
    drop(client);
    let closed = h.next(event::CLOSED);
    assert_reason(closed.reason(), by::SERVER, phase::DATA, code::RESET);
    h.settle();
}

/// The race of notes-connection-commits.txt: the write towards a side whose
/// read has just failed, both in one batch of the poller.
#[test]
fn a_write_after_a_read_error_in_the_same_batch() {
    let _shared = shared();
    for client_fails in [true, false] {
        let Session {
            h,
            mut client,
            mut server,
        } = Session::open();
        client.write_all(b"up").expect("write");
        expect(&mut server, b"up");
        // The worker sleeps in its doorbell while both things happen.
        h.gate.close();
        let mut other = dial(listener_of(&h));
        h.until("the worker is held at its doorbell", |h| h.gate.holds());
        if client_fails {
            server.write_all(b"down").expect("write");
            reset(client);
            h.gate.open();
            expect_reset_at_last(&mut server);
        } else {
            client.write_all(b"more").expect("write");
            reset(server);
            h.gate.open();
            // The write learns of it, and a read behind that finds what looks like a FIN.
            expect_reset_at_last(&mut client);
            drop(client);
        }
        other.shutdown(Shutdown::Write).expect("shutdown");
        drop(other.read(&mut [0; 16]));
        drop(other);
        let _ = h.nth(event::CLOSED, 1);
        let slot = h.next(event::CONNECTED).slot;
        let mut ends = h.all(event::CLOSED);
        ends.retain(|closed| closed.slot == slot);
        let side = if client_fails { by::CLIENT } else { by::SERVER };
        assert_reason(ends[0].reason(), side, phase::DATA, code::RESET);
        h.settle();
    }
}

/// Whatever came before, the end is a reset.
fn expect_reset_at_last(stream: &mut impl Read) {
    let error = stream.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Address of the harness's only listener, from a session's record.
fn listener_of(h: &Harness) -> std::net::SocketAddr {
    use sluice_wire::ring_layout::field;
    let asked = h.next(event::HANDSHAKE);
    let ports = h.record(&asked, field::PORTS);
    ([127, 0, 0, 1], (ports >> 16) as u16).into()
}

#[test]
fn a_refused_connect_leaves_the_client_to_policy_whatever_it_has_sent() {
    let _shared = shared();
    for sent in [0, 40_000] {
        let h = Harness::with(
            1,
            Box::new(|told, commands| {
                if told.kind == event::HANDSHAKE {
                    commands.pass(told);
                }
            }),
        );
        let nobody = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = nobody.local_addr().expect("address");
        drop(nobody);
        h.route(route_to(Destination::Tcp(address)));
        let (_, front) = h.listen(listen_spec());
        let mut client = dial(front);
        let failed = h.next(event::CONNECT_FAILED);
        assert_reason(failed.reason(), by::SERVER, phase::CONNECT, code::REFUSED);
        // More than one read takes; on loopback it is there when the write returns.
        client.write_all(&vec![1; sent]).expect("write");
        h.commands.pass(&failed);
        expect_fin(&mut client);
        let closed = h.next(event::CLOSED);
        assert_reason(closed.reason(), by::SERVER, phase::CONNECT, code::REFUSED);
        h.settle();
    }
}

#[test]
fn a_client_that_resets_while_policy_thinks_is_noticed() {
    let _shared = shared();
    let h = Harness::with(1, Box::new(|_, _| {}));
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::TCP_RULES,
        ask: handshake::TCP_RULES,
        ..listen_spec()
    });
    let client = dial(address);
    let _ = h.next(event::HANDSHAKE);
    reset(client);
    let closed = h.next(event::CLOSED);
    assert_reason(closed.reason(), by::CLIENT, phase::TCP_RULES, code::RESET);
    h.settle();
}

#[test]
fn a_reset_by_policy_reaches_the_client_as_one() {
    let _shared = shared();
    let word = reason(by::POLICY, phase::TCP_RULES, code::REJECTED);
    let h = Harness::with(
        1,
        Box::new(move |told, commands| {
            if told.kind == event::HANDSHAKE {
                let mode = sluice_wire::commands::close_mode::RESET;
                commands.send(told, command::CLOSE, [word, mode, 0, 0, 0]);
            }
        }),
    );
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    expect_reset(&mut client);
    assert_eq!(h.next(event::CLOSED).reason(), word);
    h.settle();
}

/// Urgent data makes reads come up short with more behind them.
#[test]
fn urgent_data_neither_stalls_nor_cuts_the_stream() {
    let _shared = shared();
    let Session {
        h,
        client,
        mut server,
    } = Session::open();
    h.gate.close();
    let other = dial(listener_of(&h));
    h.until("the worker is held at its doorbell", |h| h.gate.holds());
    let send = |bytes: &[u8], flags| {
        rustix::net::send(client.as_fd(), bytes, flags).expect("send");
    };
    send(b"before", rustix::net::SendFlags::empty());
    send(b"!", rustix::net::SendFlags::OOB);
    send(b"behind", rustix::net::SendFlags::empty());
    client.shutdown(Shutdown::Write).expect("shutdown");
    h.gate.open();
    let mut got = Vec::new();
    server.read_to_end(&mut got).expect("read");
    // The urgent byte itself is out of band: it may or may not be passed on.
    let got = String::from_utf8_lossy(&got).replace('!', "");
    assert_eq!(got, "beforebehind");
    drop((client, server, other));
    h.settle();
}

#[test]
fn without_descriptors_the_engine_serves_on_and_recovers() {
    let _alone = alone();
    let h = Harness::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    h.route(route_to(Destination::Tcp(
        upstream.local_addr().expect("address"),
    )));
    let (_, address) = h.listen(listen_spec());
    let mut established = dial(address);
    let mut server = accept(&upstream);
    let _ = h.next(event::CONNECTED);
    // The client's own socket takes the last descriptor, so accept() has none.
    let low = OneDescriptorLeft::set();
    let waiting = dial(address);
    let paused = h.next(event::LISTENER_PAUSED);
    assert_eq!(paused.operands[0], rustix::io::Errno::MFILE.raw_os_error());
    established.write_all(b"still here").expect("write");
    expect(&mut server, b"still here");
    drop(low);
    let second = accept(&upstream);
    // One message a rest, and the test took few of them.
    assert!(h.all(event::LISTENER_PAUSED).len() < 100);
    drop((established, server, waiting, second));
    h.settle();
}

#[test]
fn five_thousand_connections_leave_nothing_behind() {
    let _alone = alone();
    let mut h = Harness::start();
    let echo = Echo::start();
    h.route(route_to(Destination::Tcp(echo.address)));
    let (_, address) = h.listen(listen_spec());
    let before = open_descriptors();
    const THREADS: usize = 4;
    const EACH: usize = 1250;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..EACH {
                    let mut client = dial(address);
                    let text = n.to_string();
                    client.write_all(text.as_bytes()).expect("write");
                    if n % 7 == 0 {
                        reset(client);
                        continue;
                    }
                    client.shutdown(Shutdown::Write).expect("shutdown");
                    let mut answer = String::new();
                    client.read_to_string(&mut answer).expect("read");
                    assert_eq!(answer, text);
                }
            });
        }
    });
    h.settle();
    h.until("the other end is closed as well", |_| {
        open_descriptors() <= before
    });
    let events = h.stop();
    let asked = events.iter().filter(|it| it.kind == event::HANDSHAKE);
    let closed = events.iter().filter(|it| it.kind == event::CLOSED);
    assert_eq!(asked.count(), THREADS * EACH);
    assert_eq!(closed.count(), THREADS * EACH);
}
