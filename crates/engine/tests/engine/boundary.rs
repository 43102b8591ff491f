//! Rings, numbers and doorbells, against a policy that is slow, blocked or gone.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use sluice_engine::listener::ListenSpec;
use sluice_engine::route::Destination;
use sluice_wire::commands::command;
use sluice_wire::events::event;
use sluice_wire::ring_layout::layout;

use crate::support::*;

#[test]
fn a_connect_never_goes_to_another_route_than_policy_named() {
    let _shared = shared();
    let h = Harness::with(1, Box::new(|_, _| {}));
    let right = TcpListener::bind("127.0.0.1:0").expect("right");
    let wrong = TcpListener::bind("127.0.0.1:0").expect("wrong");
    let to = |it: &TcpListener| route_to(Destination::Tcp(it.local_addr().expect("address")));
    let route = h.route(to(&right));
    let (_, address) = h.listen(listen_spec());
    let _client = dial(address);
    let asked = h.next(event::HANDSHAKE);
    // The worker is busy for a moment: it reads of the command and of the routes at once.
    h.gate.close();
    let _other = dial(address);
    h.until("held", |h| h.gate.holds());
    h.commands
        .send(&asked, command::CONNECT, [route, 0, 0, 0, 0]);
    lock(&h.engine).as_mut().expect("engine").unroute(route);
    let other = h.route(to(&wrong));
    assert_ne!(route, other);
    h.gate.open();
    let closed = h.next(event::CONNECT_FAILED);
    assert_eq!(closed.slot, asked.slot);
    wrong.set_nonblocking(true).expect("nonblocking");
    assert!(wrong.accept().is_err(), "connected to the other server");
}

#[test]
fn numbers_of_listeners_are_not_used_again() {
    let _shared = shared();
    let h = Harness::start();
    let mut last = None;
    for _ in 0..10 {
        let (id, address) = h.listen(listen_spec());
        assert!(last.is_none_or(|last| id > last));
        last = Some(id);
        let client = dial(address);
        h.until("it is asked about", |h| {
            h.all(event::HANDSHAKE)
                .iter()
                .any(|told| told.operands[0] == id as i32)
        });
        assert_eq!(h.unlisten(id), 1);
        drop(client);
    }
    h.settle();
}

/// An engine whose ring of events is full, and its clients: one whose applet has filled
/// the ring, and others that policy holds.
fn full_ring() -> (Harness, Vec<TcpStream>) {
    let h = Harness::with(1, Box::new(|_, _| {}));
    let (_, address) = h.listen(listen_spec());
    let clients: Vec<TcpStream> = (0..50).map(|_| dial(address)).collect();
    let mut reader = clients[clients.len() - 1].try_clone().expect("clone");
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let last = h.nth(event::HANDSHAKE, clients.len() - 1);
    h.block_policy(true);
    h.commands.send(&last, command::APPLET, [1000, 0, 0, 0, 0]);
    // Bytes are told about as they leave.
    while h.stats().ring_full == 0 {
        for _ in 0..100 {
            h.commands.send_bytes(&last, command::SEND, [0; 5], 0, b"x");
        }
    }
    (h, clients)
}

#[test]
fn every_connection_that_a_stop_ends_is_told() {
    let _shared = shared();
    let (mut h, clients) = full_ring();
    let events = h.stop();
    let closed = events.iter().filter(|told| told.kind == event::CLOSED);
    assert_eq!(closed.count(), clients.len());
    // They came after what had no room before them.
    let kinds: Vec<i32> = events.iter().map(|told| told.kind).collect();
    let first = kinds.iter().position(|&kind| kind == event::CLOSED);
    assert!(first.is_some_and(|first| first > layout::EVENT_CAPACITY as usize));
}

/// Times that the workers' threads of this process went to sleep.
fn sleeps() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("tasks");
    let of_task = |path: std::path::PathBuf| {
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        name.starts_with("sluice-")
            .then(|| line.trim().parse().unwrap_or(0))
    };
    tasks
        .flatten()
        .filter_map(|task| of_task(task.path()))
        .sum::<u64>()
}

#[test]
fn a_listener_that_is_held_back_costs_nothing() {
    let _alone = alone();
    let h = Harness::with(2, Box::new(|_, _| {}));
    let (paused, _) = h.listen(listen_spec());
    let (_, full) = h.listen(ListenSpec {
        maxconn: 1,
        ..listen_spec()
    });
    lock(&h.engine)
        .as_ref()
        .expect("engine")
        .pause(paused, true);
    let first = dial(full);
    let _ = h.next(event::HANDSHAKE);
    // One for each of both workers, so that both come to their limit.
    let waiting: Vec<TcpStream> = (0..16).map(|_| dial(full)).collect();
    std::thread::sleep(Duration::from_millis(200));
    let before = sleeps();
    std::thread::sleep(Duration::from_millis(500));
    let slept = sleeps() - before;
    assert!(slept < 20, "{slept} wake-ups in half a second of nothing");
    // And it goes on where a place comes free, whichever worker has it.
    for n in 0..=waiting.len() {
        let told = h.nth(event::HANDSHAKE, n);
        let word = sluice_wire::errors::reason(4, 17, 42);
        h.commands.send(&told, command::CLOSE, [word, 0, 0, 0, 0]);
    }
    drop((first, waiting));
    h.settle();
}

#[test]
fn inspections_that_find_no_room_are_not_tried_in_vain() {
    let _alone = alone();
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::HANDSHAKE && told.operands[0] == 1 {
                commands.send(told, command::INSPECT, [16_384, 0, 0, 1, 0]);
            } else {
                commands.pass(told);
            }
        }),
    );
    let echo = Echo::start();
    h.route(route_to(Destination::Tcp(echo.address)));
    let (_, fast) = h.listen(listen_spec());
    let (_, slow) = h.listen(listen_spec());
    let mut client = dial(fast);
    let mut round = |n: usize| {
        for _ in 0..n {
            client.write_all(b"x").expect("write");
            expect(&mut client, b"x");
        }
    };
    round(10);
    const INSPECTED: usize = 600;
    let mut inspected: Vec<TcpStream> = (0..INSPECTED).map(|_| dial(slow)).collect();
    h.until("all are asked about", |h| {
        h.all(event::HANDSHAKE).len() > INSPECTED
    });
    h.block_policy(true);
    // More than the slab holds.
    for client in &mut inspected {
        client.write_all(&[1; 8_000]).expect("write");
    }
    h.until("the slab is full", |h| h.stats().ring_full > 0);
    round(100);
    let full = h.stats().ring_full;
    round(1000);
    let tried = h.stats().ring_full - full;
    assert!(tried < 1000, "{tried} vain attempts in 1000 round trips");
    h.block_policy(false);
    h.until("every one is shown in the end", |h| {
        let mut shown: Vec<i32> = h.all(event::BYTES).iter().map(|told| told.slot).collect();
        shown.sort_unstable();
        shown.dedup();
        shown.len() == INSPECTED
    });
}

#[test]
fn a_death_is_told_also_behind_a_full_ring() {
    let _shared = shared();
    let (mut h, _clients) = full_ring();
    lock(&h.engine).as_ref().expect("engine").panic(0);
    h.until("the death is told", |h| h.is_dead(0));
    h.stop();
}

#[test]
fn worker_threads_block_sigpipe() {
    const SIGPIPE: u64 = 1 << (13 - 1);
    let _alone = alone();
    let h = Harness::with(2, Box::new(|_, _| {}));
    let blocked = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("tasks");
        let of_task = |path: std::path::PathBuf| {
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:"))?;
            let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
            (name.starts_with("sluice-") && mask & SIGPIPE != 0).then_some(())
        };
        tasks.flatten().filter_map(|it| of_task(it.path())).count()
    };
    h.until("both workers block it", |_| blocked() == 2);
}
