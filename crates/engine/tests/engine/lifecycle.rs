//! Starting, stopping, several workers, handles, panics, a policy that is blocked.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use sluice_engine::listener::{ListenAddress, ListenSpec};
use sluice_engine::route::Destination;
use sluice_wire::commands::command;
use sluice_wire::errors::{by, code, phase, reason};
use sluice_wire::events::event;
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::{field, layout};

use crate::support::{
    Echo, Harness, Session, Told, alone, assert_reason, dial, expect, expect_fin, listen_spec,
    open_descriptors, reset, route_to, shared,
};

#[test]
fn a_stop_ends_every_connection_and_reports_each() {
    let _alone = alone();
    let before = open_descriptors();
    let mut h = Harness::with(
        1,
        Box::new(|told, commands| {
            // Every other client waits for its verdict for ever.
            if told.slot % 2 == 0 {
                commands.pass(told);
            }
        }),
    );
    let echo = TcpListener::bind("127.0.0.1:0").expect("upstream");
    h.route(route_to(Destination::Tcp(
        echo.local_addr().expect("address"),
    )));
    let (_, address) = h.listen(listen_spec());
    let mut clients: Vec<TcpStream> = (0..20).map(|_| dial(address)).collect();
    let _ = h.nth(event::HANDSHAKE, 19);
    let events = h.stop();
    let closed: Vec<&Told> = events
        .iter()
        .filter(|it| it.kind == event::CLOSED)
        .collect();
    assert_eq!(closed.len(), 20);
    for told in closed {
        assert_reason(told.reason(), by::PROXY, phase::CLOSE, code::SHUTDOWN);
    }
    for client in &mut clients {
        expect_fin(client);
    }
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop((clients, echo, h));
    assert_eq!(open_descriptors(), before);
}

#[test]
fn unlisten_refuses_newcomers_and_leaves_sessions_alone() {
    let _shared = shared();
    let mut s = Session::open();
    let asked = s.h.next(event::HANDSHAKE);
    let listener = asked.operands[0] as u32;
    assert_eq!(s.h.unlisten(listener), 1);
    let closed = s.h.next(event::LISTENER_CLOSED);
    assert_eq!(closed.slot as u32, listener);
    assert_eq!(s.h.unlisten(listener), 0, "it is gone");
    s.client.write_all(b"still").expect("write");
    expect(&mut s.server, b"still");
    s.client.shutdown(Shutdown::Write).expect("shutdown");
    drop(s.server);
    expect_fin(&mut s.client);
    s.h.settle();
}

#[test]
fn unlisten_serves_what_the_kernel_has_accepted_already() {
    let _shared = shared();
    let Session { h, client, server } = Session::open();
    let asked = h.next(event::HANDSHAKE);
    let port = (h.record(&asked, field::PORTS) >> 16) as u16;
    let address = ([127, 0, 0, 1], port).into();
    let echo = Echo::start();
    h.route(route_to(Destination::Tcp(echo.address)));
    // The worker is held at its doorbell while clients connect and the listener goes.
    h.gate.close();
    let first = dial(address);
    h.until("the worker is held at its doorbell", |h| h.gate.holds());
    let mut waiting: Vec<TcpStream> = (0..100).map(|_| dial(address)).collect();
    assert_eq!(h.unlisten(asked.operands[0] as u32), 1);
    h.gate.open();
    let _ = h.next(event::LISTENER_CLOSED);
    drop(first);
    for client in &mut waiting {
        client.write_all(b"accepted by the kernel").expect("write");
        expect(client, b"accepted by the kernel");
        client.shutdown(Shutdown::Both).expect("shutdown");
    }
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop((waiting, client, server));
    h.settle();
}

#[test]
fn an_inherited_descriptor_is_listened_on_and_stays_with_its_owner() {
    let _shared = shared();
    let inherited = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = inherited.local_addr().expect("address");
    let h = Harness::start();
    let echo = Echo::start();
    h.route(route_to(Destination::Tcp(echo.address)));
    let (listener, local) = h.listen(ListenSpec {
        address: ListenAddress::Inherited(inherited.as_raw_fd()),
        ..listen_spec()
    });
    assert_eq!(local, address);
    let mut client = dial(address);
    client.write_all(b"fd").expect("write");
    expect(&mut client, b"fd");
    drop(client);
    h.settle();
    let _ = h.unlisten(listener);
    let _ = h.next(event::LISTENER_CLOSED);
    assert_eq!(inherited.local_addr().expect("still open"), address);
}

#[test]
fn a_stale_handle_is_counted_and_touches_nobody() {
    let _shared = shared();
    let mut s = Session::open();
    let real = s.h.next(event::CONNECTED);
    let stale = [
        Told {
            generation: real.generation + 1,
            ..real.clone()
        },
        Told {
            slot: -1,
            ..real.clone()
        },
        Told {
            slot: i32::MAX,
            ..real.clone()
        },
    ];
    let kinds = command::PROCEED..=command::CLOSE;
    let mut sent = 0;
    for handle in &stale {
        for kind in kinds.clone() {
            s.h.commands.send(handle, kind, [1, 2, 3, 4, 5]);
            sent += 1;
        }
    }
    s.h.until("each is counted", |h| h.stats().stale == sent);
    s.client.write_all(b"unharmed").expect("write");
    expect(&mut s.server, b"unharmed");
    s.client.shutdown(Shutdown::Both).expect("shutdown");
    drop(s.server);
    s.h.settle();
}

/// Policy knows the server's slot from CONNECTED; it must not be able to end
/// that connection behind its client's back.
#[test]
fn commands_about_a_server_side_do_nothing() {
    let _shared = shared();
    let mut s = Session::open();
    let connected = s.h.next(event::CONNECTED);
    let server_side = Told {
        slot: connected.operands[0],
        ..connected.clone()
    };
    let generation = s.h.record(&server_side, field::GENERATION);
    let server_side = Told {
        generation,
        ..server_side
    };
    let word = reason(by::POLICY, phase::DATA, code::KILLED);
    s.h.commands
        .send(&server_side, command::CLOSE, [word, 0, 0, 0, 0]);
    s.h.commands
        .send(&server_side, command::REPLY, [0, 0, word, 0, 0]);
    s.client.write_all(b"unharmed").expect("write");
    expect(&mut s.server, b"unharmed");
    assert!(s.h.all(event::CLOSED).is_empty());
    s.client.shutdown(Shutdown::Both).expect("shutdown");
    drop(s.server);
    s.h.settle();
}

#[test]
fn commands_that_come_too_late_change_nothing() {
    let _shared = shared();
    let mut s = Session::open();
    let connected = s.h.next(event::CONNECTED);
    for kind in [
        command::PROCEED,
        command::INSPECT,
        command::CONNECT,
        command::APPLET,
        command::SEND,
        command::CREDIT,
        99,
    ] {
        s.h.commands.send(&connected, kind, [0; 5]);
    }
    s.h.until("each is counted", |h| h.stats().late == 7);
    s.client.write_all(b"unharmed").expect("write");
    expect(&mut s.server, b"unharmed");
    s.client.shutdown(Shutdown::Both).expect("shutdown");
    drop(s.server);
    s.h.settle();
}

#[test]
fn a_panic_in_a_worker_is_reported_and_the_engine_can_stop() {
    let _shared = shared();
    let mut h = Harness::start();
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    let _ = h.next(event::HANDSHAKE);
    if let Some(engine) = h.engine.lock().expect("engine").as_ref() {
        engine.panic(0);
    }
    h.until("the death is told", |h| h.is_dead(0));
    let mut bytes = [0; 1];
    assert!(
        matches!(client.read(&mut bytes), Ok(0) | Err(_)),
        "a dead worker keeps no descriptor"
    );
    h.stop();
}

#[test]
fn nothing_is_lost_while_policy_is_blocked_behind_a_full_ring() {
    let _alone = alone();
    let mut h = Harness::with(1, Box::new(|_, _| {}));
    let (_, address) = h.listen(ListenSpec {
        handshakes: handshake::TCP_RULES,
        ask: handshake::TCP_RULES,
        backlog: 4096,
        ..listen_spec()
    });
    h.block_policy(true);
    // Two events a connection fill the ring; the engine holds back what does not fit.
    let total = layout::EVENT_CAPACITY as usize / 2 + 1000;
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for _ in 0..total / 4 + usize::from(part < total % 4) {
                    reset(dial(address));
                }
            });
        }
        // The slots of connections whose end nobody has read are not used again,
        // so the engine stops accepting long before the ring is full.
        h.until("the engine holds back", |h| {
            h.stats().events as usize >= crate::support::SLOTS / 2
        });
        h.block_policy(false);
    });
    let wakes = h.stats().wakes;
    h.settle();
    let events = h.stop();
    let of = |kind: i32| -> HashSet<(i32, i32)> {
        let of_kind = events.iter().filter(|it| it.kind == kind);
        of_kind.map(|it| (it.slot, it.generation)).collect()
    };
    let (asked, closed) = (of(event::HANDSHAKE), of(event::CLOSED));
    assert_eq!(asked, closed, "each connection's end is told, once");
    assert!(wakes > 0);
}

#[test]
fn two_workers_share_the_load_and_both_answer_for_a_listener() {
    let _shared = shared();
    let mut h = Harness::with(2, Box::new(|told, commands| commands.pass(told)));
    let echo = Echo::start();
    h.route(route_to(Destination::Tcp(echo.address)));
    let (listener, address) = h.listen(listen_spec());
    let workers = |h: &Harness| -> HashSet<usize> {
        let asked = h.all(event::HANDSHAKE);
        asked.iter().map(|told| told.worker).collect()
    };
    // The kernel spreads by address and port: a few hundred reach both.
    let mut served = 0;
    while workers(&h).len() < 2 {
        let mut client = dial(address);
        client.write_all(b"x").expect("write");
        expect(&mut client, b"x");
        served += 1;
        assert!(served < 1000, "one worker gets everything");
    }
    h.settle();
    assert_eq!(h.unlisten(listener), 2);
    let _ = h.nth(event::LISTENER_CLOSED, 1);
    h.stop();
}

#[test]
fn maxconn_holds_across_workers() {
    let _shared = shared();
    const LIMIT: usize = 6;
    let h = Harness::with(4, Box::new(|_, _| {}));
    let (_, address) = h.listen(ListenSpec {
        maxconn: LIMIT,
        ..listen_spec()
    });
    // At once, so that workers are at the limit together.
    let dialers: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || (0..5).map(|_| dial(address)).collect::<Vec<_>>()))
        .collect();
    let mut clients: Vec<TcpStream> = Vec::new();
    for dialer in dialers {
        clients.extend(dialer.join().expect("dialer"));
    }
    let _ = h.nth(event::HANDSHAKE, LIMIT - 1);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(h.all(event::HANDSHAKE).len(), LIMIT);
    // Each that ends lets another one in, until all had their turn.
    while let Some(client) = clients.pop() {
        reset(client);
    }
    h.until("the rest is served or gone", |h| {
        h.stats().connections == 0 && h.all(event::CLOSED).len() >= LIMIT
    });
    h.settle();
}
