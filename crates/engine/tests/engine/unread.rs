//! TLS clients that read late, or never: sealed records and close_notify wait for
//! room in the socket.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt;
use sluice_engine::listener::{ListenAddress, ListenSpec};
use sluice_engine::route::{Destination, Route};
use sluice_engine::tls::config::{ClientCert, Version};
use sluice_wire::commands::{close_mode, command, send_flag};
use sluice_wire::errors::{by, code, phase, reason, reason_code};
use sluice_wire::events::event;
use sluice_wire::flags::conn_flag;
use sluice_wire::handshakes::handshake;
use sluice_wire::ring_layout::field;

use crate::support::{
    Answer, Commands, Harness, Told, accept, assert_reason, byte_counts, dial, expect, listen_spec,
    reset, route_to, shared,
};
use crate::tls::{Secure, Stream, client, say_end, secure};

/// What a unix socket of this system takes is known: a write goes in whole while
/// less than this is in it, and not at all beyond. So the write that finds no room
/// can be chosen.
fn room() -> usize {
    let (one, _other) = UnixStream::pair().expect("sockets");
    sockopt::socket_send_buffer_size(&one).expect("SO_SNDBUF")
}

/// Sizes on both sides of that, closer than a write is long.
fn sizes() -> impl Iterator<Item = usize> {
    let room = room();
    (room - 80_000..room + 80_000).step_by(20_000)
}

/// A listener on a unix socket.
struct Front {
    s: Secure,
    path: PathBuf,
}

impl Front {
    fn start(name: &str, spec: ListenSpec, answer: Answer) -> Self {
        let asked = handshake::TLS | handshake::ACCEPT_SESSION;
        Self::asking(asked, name, spec, answer)
    }

    fn asking(asked: i32, name: &str, spec: ListenSpec, answer: Answer) -> Self {
        let file = format!("sluice-unread-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(file);
        let s = Secure::with(Version::Tls13, ClientCert::None, answer);
        s.h.listen(ListenSpec {
            address: ListenAddress::Unix {
                path: path.clone(),
                mode: None,
            },
            handshakes: asked,
            ask: asked,
            ..spec
        });
        Self { s, path }
    }

    fn dial(&self) -> Stream<UnixStream> {
        secure(self.connect(), client())
    }

    fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(&self.path).expect("connect");
        let patience = Some(crate::support::PATIENCE);
        socket.set_read_timeout(patience).expect("timeout");
        socket.set_write_timeout(patience).expect("timeout");
        socket
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How policy ends what it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Reply,
    AppletEnds,
    Close,
}

const DONE: i32 = reason(by::POLICY, phase::DATA, code::DONE);

fn end_behind(ending: Ending, size: usize, told: &Told, commands: &Commands) {
    let bytes = vec![5; size];
    if ending == Ending::Reply {
        return commands.send_bytes(told, command::REPLY, [0, 0, DONE, 0, 0], 0, &bytes);
    }
    commands.send(told, command::APPLET, [1000, 0, 0, 0, 0]);
    let fin = i32::from(ending == Ending::AppletEnds) * send_flag::FIN;
    commands.send_bytes(told, command::SEND, [0, 0, fin, 0, 0], 0, &bytes);
    if ending == Ending::Close {
        let close = [DONE, close_mode::CLOSE, 0, 0, 0];
        commands.send(told, command::CLOSE, close);
    }
}

fn close_notify_follows(ending: Ending) {
    let _shared = shared();
    let size: Arc<AtomicUsize> = Arc::default();
    let wanted = size.clone();
    let front = Front::start(
        &format!("{ending:?}"),
        listen_spec(),
        Box::new(move |told, commands| {
            if told.kind == event::HANDSHAKE {
                end_behind(ending, wanted.load(Ordering::SeqCst), told, commands);
            }
        }),
    );
    let h = &front.s.h;
    let mut found_no_room = [0; 2];
    for (n, bytes) in sizes().enumerate() {
        size.store(bytes, Ordering::SeqCst);
        let mut stream = front.dial();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("TLS");
        }
        let told = h.nth(event::HANDSHAKE, 2 * n + 1);
        let is_told = |h: &Harness| h.record(&told, field::FLAGS) & conn_flag::SHW != 0;
        h.until("the end has left or waits", |h| {
            is_told(h) || h.stats().buffers > 0
        });
        std::thread::sleep(Duration::from_millis(20));
        let queued = rustix::io::ioctl_fionread(&stream.sock).expect("FIONREAD") as usize;
        // Every other client has ended its side before.
        let early = n % 2 == 1;
        found_no_room[n % 2] += usize::from(queued >= bytes && !is_told(h));
        let mut expected = DONE;
        if early {
            if ending == Ending::AppletEnds && !is_told(h) {
                expected = reason(by::CLIENT, phase::DATA, code::DONE);
            }
            say_end(&mut stream);
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got);
        assert!(end.is_ok(), "{end:?} behind {bytes} bytes, {queued} queued");
        assert_eq!(got.len(), bytes);
        drop(stream);
        let closed = h.nth(event::CLOSED, n);
        assert_eq!(closed.reason(), expected);
        assert_eq!(byte_counts(h, &closed).1 as usize, bytes);
        h.settle();
    }
    let [late, early] = found_no_room;
    assert!(late > 0 && early > 0, "close_notify always found room");
}

#[test]
fn close_notify_of_a_reply_that_finds_no_room_goes_out_later() {
    close_notify_follows(Ending::Reply);
}

#[test]
fn close_notify_of_an_applet_that_finds_no_room_goes_out_later() {
    close_notify_follows(Ending::AppletEnds);
}

#[test]
fn close_notify_of_a_close_behind_an_applet_that_finds_no_room_goes_out_later() {
    close_notify_follows(Ending::Close);
}

/// Everything that the server has sent finds room, and the end behind it does not.
#[test]
fn close_notify_of_forwarded_payload_that_finds_no_room_goes_out_later() {
    let _shared = shared();
    let front = Front::start("forwarded", listen_spec(), pass());
    let h = &front.s.h;
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    let target = upstream.local_addr().expect("address");
    h.route(route_to(Destination::Tcp(target)));
    let mut found_no_room = 0;
    for (n, bytes) in sizes().enumerate() {
        let mut stream = front.dial();
        stream.write_all(b"GET").expect("write");
        let mut server = accept(&upstream);
        expect(&mut server, b"GET");
        let told = h.nth(event::CONNECTED, n);
        server.write_all(&vec![6; bytes]).expect("write");
        std::thread::sleep(Duration::from_millis(20));
        drop(server);
        let server_side = Told {
            slot: told.operands[0],
            ..told.clone()
        };
        let shut = |side: &Told, flag: i32| h.record(side, field::FLAGS) & flag != 0;
        h.until(
            "the server's end was read, or waits behind its bytes",
            |h| shut(&server_side, conn_flag::SHR) || h.stats().buffers > 0,
        );
        std::thread::sleep(Duration::from_millis(20));
        let queued = rustix::io::ioctl_fionread(&stream.sock).expect("FIONREAD") as usize;
        let waits = shut(&server_side, conn_flag::SHR) && !shut(&told, conn_flag::SHW);
        found_no_room += usize::from(queued >= bytes && waits);
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got);
        assert!(end.is_ok(), "{end:?} behind {bytes} bytes, {queued} queued");
        assert_eq!(got.len(), bytes);
        drop(stream);
        h.settle();
    }
    assert!(found_no_room > 0, "close_notify always found room");
}

/// Of both sides. Longer than a test is kept from going on by a busy machine.
const TIMEOUT: u64 = 700;
/// What the engine reads last, together with the FIN.
const LAST: usize = 15_000;
const LITTLE: usize = 4_000;

fn impatient() -> ListenSpec {
    ListenSpec {
        client_timeout: TIMEOUT,
        client_fin_timeout: TIMEOUT,
        ..listen_spec()
    }
}

/// A server of an engine, with the time-outs that are wrongly named where the one
/// who does not read is not.
fn impatient_server(h: &Harness) -> TcpListener {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
    h.route(Route {
        server_timeout: TIMEOUT,
        server_fin_timeout: TIMEOUT,
        ..route_to(Destination::Tcp(upstream.local_addr().expect("address")))
    });
    upstream
}

fn pass() -> Answer {
    Box::new(|told, commands| commands.pass(told))
}

/// A session whose client has asked.
fn ask(h: &Harness, stream: &mut (impl Read + Write), upstream: &TcpListener) -> TcpStream {
    stream.write_all(b"GET").expect("write");
    let mut server = accept(upstream);
    expect(&mut server, b"GET");
    let _ = h.next(event::CONNECTED);
    server
}

/// The server answers with `size` bytes, the last of them and the FIN together. Then
/// the client ends its side too, by `end`, and has read nothing.
fn leave_unread(h: &Harness, mut server: TcpStream, size: usize, end: impl FnOnce()) {
    let (_, plain) = h.listen(listen_spec());
    // A little in between, so that what comes last is read and not spliced.
    for part in [size - LAST - LITTLE, LITTLE] {
        server.write_all(&vec![3; part]).expect("write");
        std::thread::sleep(Duration::from_millis(20));
    }
    h.gate.close();
    let other = dial(plain);
    h.until("the worker is held at its doorbell", |h| h.gate.holds());
    server.write_all(&[3; LAST]).expect("write");
    drop(server);
    h.gate.open();
    reset(other);
    std::thread::sleep(Duration::from_millis(50));
    end();
}

/// Reads an answer that was left unread, to its clean end; true where its end was known
/// to the engine before there was room for it.
fn reads_late(h: &Harness, stream: &mut impl Read, size: usize) -> bool {
    std::thread::sleep(Duration::from_millis(20));
    let client_side = h.next(event::CONNECTED);
    let server_side = Told {
        slot: client_side.operands[0],
        ..client_side.clone()
    };
    let flags = |side: &Told| h.record(side, field::FLAGS);
    let waited = flags(&server_side) & conn_flag::SHR != 0
        && flags(&client_side) & conn_flag::SHW == 0
        && h.stats().buffers > 0;
    let mut got = Vec::new();
    let end = stream.read_to_end(&mut got);
    assert!(end.is_ok() && got.len() == size, "{end:?} of {size} bytes");
    h.settle();
    waited
}

#[test]
fn a_client_that_ends_its_side_before_it_reads_gets_the_whole_answer() {
    let _shared = shared();
    let room = room();
    for secured in [true, false] {
        let mut waited = 0;
        // What was written last must have filled the socket: records of all that is
        // there, or a little.
        let step = if secured { 16_000 } else { 3_000 };
        for size in (room - 8_000..room + 48_000).step_by(step) {
            let handshakes = handshake::ACCEPT_SESSION | (i32::from(secured) * handshake::TLS);
            let front = Front::asking(handshakes, &format!("late-{size}"), listen_spec(), pass());
            let h = &front.s.h;
            let upstream = TcpListener::bind("127.0.0.1:0").expect("upstream");
            let target = upstream.local_addr().expect("address");
            h.route(route_to(Destination::Tcp(target)));
            waited += usize::from(if secured {
                let mut stream = front.dial();
                let server = ask(h, &mut stream, &upstream);
                leave_unread(h, server, size, || say_end(&mut stream));
                reads_late(h, &mut stream, size)
            } else {
                let mut stream = front.connect();
                let server = ask(h, &mut stream, &upstream);
                leave_unread(h, server, size, || {
                    stream.shutdown(Shutdown::Write).expect("FIN");
                });
                reads_late(h, &mut stream, size)
            });
        }
        assert!(waited > 0, "everything found room");
    }
}

/// How a session ends that is left so: it may be over, or its client is named. True
/// where it was a time-out.
fn client_is_named(h: &Harness) -> bool {
    let asked = h.next(event::CONNECTED);
    let of_it = |h: &Harness| {
        let mut ends = h.all(event::CLOSED).into_iter();
        ends.rfind(|it| it.slot == asked.slot)
    };
    h.until("it ends", |h| of_it(h).is_some());
    let word = of_it(h).expect("it ended").reason();
    let is_late = reason_code(word) != code::DONE;
    if is_late {
        assert_reason(word, by::TIMEOUT, phase::CLOSE, code::CLIENT_FIN_TIMEOUT);
    } else {
        assert_reason(word, by::SERVER, phase::DATA, code::DONE);
    }
    h.settle();
    is_late
}

#[test]
fn a_client_that_leaves_the_rest_unread_is_timed_out_whatever_waits() {
    let _shared = shared();
    let rows: Vec<_> = sizes()
        .map(|size| {
            let front = Front::start(&size.to_string(), impatient(), pass());
            let h = &front.s.h;
            let upstream = impatient_server(h);
            let mut stream = front.dial();
            let server = ask(h, &mut stream, &upstream);
            leave_unread(h, server, size, || say_end(&mut stream));
            (front, stream, upstream)
        })
        .collect();
    let late: Vec<bool> = rows.iter().map(|row| client_is_named(&row.0.s.h)).collect();
    assert!(late.contains(&true) && late.contains(&false), "{late:?}");
}

/// Over TCP buffers grow, and take less than a whole write: sizes are tried until some
/// of them found no room, in steps that are shorter than what is read last.
#[test]
fn so_it_is_over_tcp() {
    let _shared = shared();
    let mut late = 0;
    for size in (50_000..8_000_000).step_by(LAST - 3_000) {
        let s = Secure::start(Version::Tls13);
        let upstream = impatient_server(&s.h);
        let asked = handshake::TLS | handshake::ACCEPT_SESSION;
        let (_, address) = s.h.listen(ListenSpec {
            handshakes: asked,
            ask: asked,
            ..impatient()
        });
        let mut stream = dial_narrow(address);
        let server = ask(&s.h, &mut stream, &upstream);
        leave_unread(&s.h, server, size, || say_end(&mut stream));
        late += usize::from(client_is_named(&s.h));
        if late == 3 {
            return;
        }
    }
    panic!("everything found room");
}

/// A client with a small window and segments of an Ethernet: buffers fill sooner.
fn dial_narrow(address: SocketAddr) -> Stream {
    use rustix::net::{AddressFamily, SocketType, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("socket");
    sockopt::set_socket_recv_buffer_size(&socket, 4096).expect("SO_RCVBUF");
    let mss: i32 = 1400;
    // SAFETY: an option of an int, which lives through the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG,
            (&raw const mss).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(outcome, 0, "TCP_MAXSEG");
    connect(&socket, &address).expect("connect");
    secure(TcpStream::from(socket), client())
}
