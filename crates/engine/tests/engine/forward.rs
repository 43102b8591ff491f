//! Payload: both directions, half-close, bulk, back-pressure.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use sluice_engine::listener::{ListenAddress, ListenSpec};
use sluice_engine::route::Destination;
use sluice_wire::commands::{command, send_flag};
use sluice_wire::errors::{by, code, phase};
use sluice_wire::events::{bytes_flag, event};
use sluice_wire::states::conn_state;

use crate::support::{
    DONE_BY_CLIENT, Harness, PATIENCE, Pattern, Session, accept, assert_reason, byte_counts, dial,
    expect, expect_fin, fill_up, listen_spec, route_to, shared,
};

const BULK: usize = 64 * 1024 * 1024;

#[test]
fn a_session_from_accept_to_its_clean_end() {
    let _shared = shared();
    let Session {
        h,
        mut client,
        mut server,
    } = Session::open();
    let connected = h.next(event::CONNECTED);
    let state = h.record(&connected, sluice_wire::ring_layout::field::STATE);
    assert_eq!(state, conn_state::ESTABLISHED);
    client.write_all(b"question").expect("write");
    expect(&mut server, b"question");
    server.write_all(b"answer").expect("write");
    expect(&mut client, b"answer");
    client.shutdown(Shutdown::Write).expect("shutdown");
    expect_fin(&mut server);
    drop(server);
    expect_fin(&mut client);
    let closed = h.next(event::CLOSED);
    let (by, phase, code) = DONE_BY_CLIENT;
    assert_reason(closed.reason(), by, phase, code);
    assert_eq!(byte_counts(&h, &closed), (8, 6));
    assert!(closed.operands[3] >= 0, "it had a connect time");
    h.settle();
}

#[test]
fn the_server_may_end_first() {
    let _shared = shared();
    let mut s = Session::open();
    s.server.write_all(b"greeting").expect("write");
    s.server.shutdown(Shutdown::Write).expect("shutdown");
    expect(&mut s.client, b"greeting");
    expect_fin(&mut s.client);
    s.client.shutdown(Shutdown::Both).expect("shutdown");
    s.ends(by::SERVER, phase::DATA, code::DONE);
}

#[test]
fn after_either_fin_the_other_direction_goes_on() {
    let _shared = shared();
    let pattern = Pattern::new();
    let total = 4 * 1024 * 1024;
    for client_first in [true, false] {
        let Session { h, client, server } = Session::open();
        let (mut first, mut last) = if client_first {
            (client, server)
        } else {
            (server, client)
        };
        first.shutdown(Shutdown::Write).expect("shutdown");
        expect_fin(&mut last);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pattern.write(&mut last, total);
                last.shutdown(Shutdown::Write).expect("shutdown");
            });
            pattern.read(&mut first, total);
        });
        let side = if client_first { by::CLIENT } else { by::SERVER };
        assert_reason(
            h.next(event::CLOSED).reason(),
            side,
            phase::DATA,
            code::DONE,
        );
        h.settle();
    }
}

#[test]
fn bulk_in_both_directions_at_once_arrives_whole() {
    let _shared = shared();
    let pattern = Pattern::new();
    let Session { h, client, server } = Session::open();
    std::thread::scope(|scope| {
        for end in [&client, &server] {
            scope.spawn(|| {
                pattern.write(&mut &*end, BULK);
                end.shutdown(Shutdown::Write).expect("shutdown");
            });
            scope.spawn(|| pattern.read(&mut &*end, BULK));
        }
    });
    let closed = h.next(event::CLOSED);
    assert_eq!(byte_counts(&h, &closed), (BULK as i32, BULK as i32));
    h.settle();
}

#[test]
fn a_slow_reader_holds_the_writer_back_and_loses_nothing() {
    let _shared = shared();
    let pattern = Pattern::new();
    let Session {
        h,
        mut client,
        mut server,
    } = Session::open();
    // Nobody reads: the writer must stop once the kernel's buffers are full.
    let written = fill_up(&mut server, &pattern);
    let stats = h.stats();
    assert!(
        stats.buffers + stats.pipes <= 1,
        "one direction waits in one place"
    );
    server.set_write_timeout(Some(PATIENCE)).expect("timeout");
    // A late FIN behind full buffers drops nothing.
    server.shutdown(Shutdown::Write).expect("shutdown");
    pattern.read(&mut client, written);
    drop(client);
    let closed = h.next(event::CLOSED);
    assert_reason(closed.reason(), by::SERVER, phase::DATA, code::DONE);
    h.settle();
}

#[test]
fn bytes_and_fin_in_one_segment_before_the_connect_are_kept() {
    let _shared = shared();
    let h = Harness::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let (_, address) = h.listen(listen_spec());
    h.block_policy(true);
    let mut client = dial(address);
    client.write_all(b"early").expect("write");
    client.shutdown(Shutdown::Write).expect("shutdown");
    h.route(route_to(Destination::Tcp(
        upstream.local_addr().expect("address"),
    )));
    h.block_policy(false);
    let mut server = accept(&upstream);
    expect(&mut server, b"early");
    expect_fin(&mut server);
    server.write_all(b"late").expect("write");
    drop(server);
    expect(&mut client, b"late");
    expect_fin(&mut client);
    h.settle();
}

#[test]
fn unix_sockets_on_both_sides() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let _shared = shared();
    let folder = std::env::temp_dir().join(format!("sluice-unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let (front, back) = (folder.join("front"), folder.join("back"));
    let upstream = UnixListener::bind(&back).expect("upstream");
    let h = Harness::start();
    h.route(route_to(Destination::Unix(back)));
    let address = ListenAddress::Unix {
        path: front.clone(),
        mode: Some(0o600),
    };
    let (listener, _) = h.listen(ListenSpec {
        address,
        ..listen_spec()
    });
    let mut client = UnixStream::connect(&front).expect("connect");
    let (mut server, _) = upstream.accept().expect("accept");
    let pattern = Pattern::new();
    let total = 8 * 1024 * 1024;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pattern.write(&mut client, total);
            client.shutdown(Shutdown::Write).expect("shutdown");
        });
        pattern.read(&mut server, total);
    });
    server.write_all(b"thanks").expect("write");
    drop(server);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("read");
    assert_eq!(rest, b"thanks");
    let (by, phase, code) = DONE_BY_CLIENT;
    assert_reason(h.next(event::CLOSED).reason(), by, phase, code);
    h.settle();
    assert_eq!(h.unlisten(listener), 1);
    let _ = h.next(event::LISTENER_CLOSED);
    assert!(!front.exists(), "the socket file is gone");
    let _ = std::fs::remove_dir_all(folder);
}

/// An engine between two unix sockets, whose policy takes `thinks` ms to answer.
struct Unix {
    h: Harness,
    front: std::path::PathBuf,
    upstream: std::os::unix::net::UnixListener,
    folder: std::path::PathBuf,
}

impl Unix {
    fn start(name: &str, thinks: u64) -> Self {
        let folder = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let (front, back) = (folder.join("front"), folder.join("back"));
        let upstream = std::os::unix::net::UnixListener::bind(&back).expect("upstream");
        let h = Harness::with(
            1,
            Box::new(move |told, commands| {
                if told.kind == event::HANDSHAKE {
                    std::thread::sleep(Duration::from_millis(thinks));
                }
                commands.pass(told);
            }),
        );
        h.route(route_to(Destination::Unix(back)));
        let address = ListenAddress::Unix {
            path: front.clone(),
            mode: Some(0o600),
        };
        h.listen(ListenSpec {
            address,
            ..listen_spec()
        });
        Self {
            h,
            front,
            upstream,
            folder,
        }
    }

    fn dial(&self) -> std::os::unix::net::UnixStream {
        std::os::unix::net::UnixStream::connect(&self.front).expect("connect")
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A unix socket says of a close only that both directions are over.
#[test]
fn what_a_unix_client_sent_before_it_closed_is_forwarded() {
    let _shared = shared();
    let u = Unix::start("fire", 50);
    let mut client = u.dial();
    client.write_all(b"fire and forget").expect("write");
    drop(client);
    let (mut server, _) = u.upstream.accept().expect("accept");
    server.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut got = Vec::new();
    server.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"fire and forget");
    drop(server);
    let closed = u.h.next(event::CLOSED);
    let (by, phase, code) = DONE_BY_CLIENT;
    assert_reason(closed.reason(), by, phase, code);
    u.h.settle();
}

#[test]
fn a_unix_client_that_leaves_without_a_word_while_policy_thinks_is_noticed() {
    let _shared = shared();
    let u = Unix::start("leaves", 0);
    u.h.block_policy(true);
    let client = u.dial();
    u.h.until("it is accepted", |h| h.stats().connections == 1);
    drop(client);
    // Nothing is decided: only the client's leaving can end it.
    u.h.until("it ends", |h| h.stats().connections == 0);
    u.h.block_policy(false);
    let closed = u.h.next(event::CLOSED);
    assert_reason(
        closed.reason(),
        by::CLIENT,
        phase::ACCEPT_SESSION,
        code::ABORTED,
    );
    u.h.settle();
}

/// Descriptors end a read early, whatever is behind them.
#[test]
fn payload_behind_a_message_with_descriptors_is_forwarded_and_a_fin_behind_it() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let _shared = shared();
    let u = Unix::start("rights", 0);
    let mut client = u.dial();
    let (mut server, _) = u.upstream.accept().expect("accept");
    server.set_read_timeout(Some(PATIENCE)).expect("timeout");
    client.write_all(b"x").expect("write");
    expect(&mut server, b"x");
    // The worker is held, so that everything is there when it reads.
    u.h.gate.close();
    let other = u.dial();
    u.h.until("the worker is held at its doorbell", |h| h.gate.holds());
    let fds = [client.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let with = [std::io::IoSlice::new(b"with ")];
    sendmsg(&client, &with, &mut control, SendFlags::empty()).expect("sendmsg");
    client.write_all(b"behind").expect("write");
    client.shutdown(Shutdown::Write).expect("FIN");
    u.h.gate.open();
    let mut got = Vec::new();
    server.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"with behind");
    let second = u.upstream.accept().expect("accept");
    drop((client, server, other, second));
    u.h.settle();
}

#[test]
fn nagle_is_off_before_the_second_write_also_where_it_is_a_splice() {
    let _alone = crate::support::alone();
    let h = Harness::start();
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let target = upstream.local_addr().expect("address");
    h.route(route_to(Destination::Tcp(target)));
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    let mut server = accept(&upstream);
    let mut bytes = vec![1; 300_001];
    for _ in 0..20 {
        client.write_all(&bytes).expect("write");
        server.read_exact(&mut bytes).expect("read");
    }
    let to_server = (3..1000).filter_map(|fd| {
        // SAFETY: only looked at while this process keeps it open; an error where it is none.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let peer = rustix::net::getpeername(fd).ok()??;
        let ours = std::net::SocketAddr::try_from(peer).ok()? == target;
        ours.then(|| rustix::net::sockopt::tcp_nodelay(fd).expect("nodelay"))
    });
    assert_eq!(to_server.collect::<Vec<_>>(), [true]);
    drop((client, server));
    h.settle();
}

/// An applet that has sent more than the kernel takes, and is closed over it.
fn close_behind(mode: i32) -> (Vec<u8>, std::io::Result<usize>) {
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::HANDSHAKE {
                commands.send(told, command::APPLET, [1000, 0, 0, 0, 0]);
            }
        }),
    );
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    client.write_all(b"ask").expect("write");
    let first = h.next(event::DATA);
    let chunk = vec![7_u8; 65_536];
    for _ in 0..CHUNKS {
        h.commands
            .send_bytes(&first, command::SEND, [0; 5], 0, &chunk);
        std::thread::sleep(Duration::from_millis(1));
    }
    // It was not read by anybody.
    client.write_all(b"and more").expect("write");
    let word = sluice_wire::errors::reason(by::POLICY, phase::DATA, code::APPLET_ERROR);
    h.commands
        .send(&first, command::CLOSE, [word, mode, 0, 0, 0]);
    std::thread::sleep(Duration::from_millis(50));
    let mut got = Vec::new();
    let end = client.read_to_end(&mut got);
    drop(client);
    let closed = h.next(event::CLOSED);
    assert_eq!(closed.reason(), word);
    if end.is_ok() {
        assert_eq!(byte_counts(&h, &closed).1 as usize, got.len());
    }
    h.settle();
    (got, end)
}

const CHUNKS: usize = 150;

#[test]
fn a_close_sends_what_policy_has_sent_first() {
    let _shared = shared();
    let (got, end) = close_behind(sluice_wire::commands::close_mode::CLOSE);
    end.expect("a FIN");
    assert_eq!(got.len(), CHUNKS * 65_536);
}

#[test]
fn a_reset_waits_for_nothing() {
    let _shared = shared();
    let (got, end) = close_behind(sluice_wire::commands::close_mode::RESET);
    assert_eq!(
        end.expect_err("a reset").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert!(got.len() < CHUNKS * 65_536);
}

/// Every rule looks at all of it at each BYTES event.
#[test]
fn an_inspection_shows_together_what_comes_while_policy_is_busy() {
    let _shared = shared();
    let h = Harness::with(
        1,
        Box::new(|told, commands| {
            if told.kind == event::HANDSHAKE {
                commands.send(told, command::INSPECT, [16_384, 30_000, 0, 1, 0]);
            }
        }),
    );
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    client.write_all(b"1").expect("write");
    let first = h.next(event::BYTES);
    h.block_policy(true);
    for n in 2..=100 {
        client.write_all(b"x").expect("write");
        h.until("the engine has read it", |h| byte_counts(h, &first).0 == n);
    }
    h.block_policy(false);
    h.until("everything is shown", |h| {
        h.all(event::BYTES).last().map(|it| it.bytes.len()) == Some(100)
    });
    let shown = h.all(event::BYTES).len();
    assert!(shown <= 4, "{shown} times");
    crate::support::reset(client);
    h.settle();
}

#[test]
fn an_applet_gets_no_more_than_its_credit_and_sends_until_its_fin() {
    let _shared = shared();
    const CREDIT: i32 = 1000;
    let h = Harness::with(
        1,
        Box::new(|told, commands| match told.kind {
            event::HANDSHAKE => commands.send(told, command::APPLET, [CREDIT, 0, 0, 0, 0]),
            event::DATA if told.operands[2] & bytes_flag::EOF != 0 => {
                let fin = [0, 0, send_flag::FIN, 0, 0];
                commands.send_bytes(told, command::SEND, fin, 0, b"");
            }
            event::DATA => {
                assert!(told.bytes.len() <= CREDIT as usize);
                commands.send_bytes(told, command::SEND, [0; 5], 0, &told.bytes);
                let count = told.bytes.len() as i32;
                commands.send(told, command::CREDIT, [count, 0, 0, 0, 0]);
            }
            _ => {}
        }),
    );
    let (_, address) = h.listen(listen_spec());
    let mut client = dial(address);
    let pattern = Pattern::new();
    let total = 300_000;
    let mut reader = client.try_clone().expect("clone");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pattern.write(&mut client, total);
            client.shutdown(Shutdown::Write).expect("shutdown");
        });
        pattern.read(&mut reader, total);
    });
    let (by, phase, code) = DONE_BY_CLIENT;
    assert_reason(h.next(event::CLOSED).reason(), by, phase, code);
    let sent: i32 = h.all(event::SENT).iter().map(|it| it.operands[0]).sum();
    assert_eq!(sent as usize, total);
    h.settle();
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_does_not_read_holds_little_of_the_kernels_memory() {
    let _shared = shared();
    let Session {
        h,
        client,
        mut server,
    } = Session::open();
    let told = h.next(event::HANDSHAKE);
    server
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("time-out");
    let chunk = vec![7; 64 * 1024];
    // Until nobody on the way takes any more.
    while server.write_all(&chunk).is_ok() {}
    let (_, sent) = byte_counts(&h, &told);
    // Its own receive buffer, and 1 MiB of ours; the kernel alone would hold 4 MB.
    assert!(sent > 0 && sent < 2 << 20, "{sent}");
    drop((client, server));
    let _ = h.next(event::CLOSED);
    h.settle();
}
