//! A server's connection without a stream. It is kept for another one, until it has
//! waited too long or its server says anything at all: nobody has asked.

use crate::clock::Moment;
use crate::connection::data::{Got, read};
use crate::connection::extra::Step;
use crate::connection::{Connection, Mode, NONE, Owner, Watch};
use crate::stream::StreamId;
use crate::timer::Kind;
use crate::worker::Worker;

/// Names a server's connection that is alone. It may be gone when it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    slot: u32,
    generation: i32,
}

impl Worker {
    /// Takes the server's connection away from a stream and keeps it, for `longest`
    /// milliseconds where there is a limit. None where it is of no more use, and closed:
    /// something of this stream is still on its way, or an end.
    pub fn part(&mut self, id: StreamId, longest: Option<u64>) -> Option<Alone> {
        let stream = self.streams.get_mut(id);
        let slot = stream.server;
        if slot == NONE {
            return None;
        }
        if stream.up.ahead.is_some() || !is_reusable(self.slots.get(slot)) {
            self.detach(id);
            return None;
        }
        stream.server = NONE;
        let connection = self.slots.get_mut(slot);
        connection.owner = Owner::None;
        connection.hold_back(false);
        let generation = connection.generation();
        self.timers.cancel(Kind::Connection, slot);
        if let Some(ms) = longest {
            let until = self.now + ms;
            connection.extra().step = Step::Alone(Moment::at(until));
            self.timers.schedule(Kind::Connection, slot, until);
        }
        self.mirror(slot);
        self.watch(slot, Watch::Read);
        // What the poller has told already, it tells no more.
        let lives = self.listen_alone(slot);
        lives.then_some(Alone { slot, generation })
    }

    /// Gives a stream that has no server a connection that was kept, and payload flows.
    /// False where that has gone. Its counts begin anew.
    pub fn attach(&mut self, id: StreamId, alone: Alone) -> bool {
        let found = self.slots.find(alone.slot as i32, alone.generation);
        // The poller's news may be on its way: the socket says it now.
        let Some(slot) = found.filter(|&slot| {
            let connection = self.slots.get_mut(slot);
            connection.ready.look_again();
            connection.owner == Owner::None && self.listen_alone(slot)
        }) else {
            return false;
        };
        self.timers.cancel(Kind::Connection, slot);
        let connection = self.slots.get_mut(slot);
        connection.owner = Owner::Stream(id);
        connection.opened_at = Moment::at(self.now);
        connection.bytes_in = 0;
        connection.bytes_out = 0;
        let stream = self.streams.get_mut(id);
        stream.server = slot;
        self.slots.get_mut(stream.client).set_handshakes(0);
        self.establish(id);
        true
    }

    /// Ends a stream without its client's connection, which gets another one at once.
    pub fn renew(&mut self, id: StreamId) -> StreamId {
        let client = self.streams.get(id).client;
        self.detach(id);
        self.forget(id);
        let id = self.begin(client);
        self.hold(id);
        id
    }

    /// A connection that is alone has news, or may have; false where it is closed.
    pub(in crate::worker) fn listen_alone(&mut self, slot: u32) -> bool {
        let connection = self.slots.get_mut(slot);
        let (buffers, scratch) = (&mut self.mover.buffers, &mut self.mover.scratch);
        loop {
            match read(connection, scratch, buffers) {
                // TLS has something to say to itself, such as a ticket.
                Got::Records => {}
                Got::Nothing if !connection.ready.has_fin() => return true,
                Got::Nothing | Got::Bytes(_) | Got::End => break,
            }
        }
        self.discard(slot);
        false
    }

    /// The time of a connection that is alone may be over.
    pub(in crate::worker) fn alone_for_long(&mut self, slot: u32) {
        let Some(until) = self.slots.get(slot).waits_until() else {
            return;
        };
        let until = until.due(self.now);
        if until > self.now {
            return self.timers.schedule(Kind::Connection, slot, until);
        }
        self.discard(slot);
    }
}

/// True where nothing of a stream is left in a connection, and neither side has ended.
fn is_reusable(connection: &Connection) -> bool {
    let plain = |tls: &crate::tls::layer::Tls| tls.plain.is_some();
    connection.mode == Mode::Stream
        && !connection.is_half_closed()
        && !connection.input.holds()
        && !connection.unsent()
        && !connection.tls.as_deref().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use sluice_wire::errors::{by, code, phase, reason};
    use sluice_wire::events::event;
    use sluice_wire::handshakes::handshake;
    use sluice_wire::ring_layout::{EVENT_RING, control, field, layout};
    use sluice_wire::states::conn_state;

    use super::*;
    use crate::memory::Words;
    use crate::route::{Destination, Route, SendProxy};
    use crate::sys::Liveness;
    use crate::worker::testing::{listen, worker};

    const PATIENCE: Duration = Duration::from_secs(20);
    const ROUTE: i32 = 1;

    /// A worker with a listener and a route to `server`, and nobody who decides.
    struct Scene {
        worker: Worker,
        memory: Words,
        table: Words,
        listener: SocketAddr,
        server: TcpListener,
        _backing: [Box<[i32]>; 2],
    }

    fn scene() -> Scene {
        let (backing, mut worker, memory) = worker();
        // SAFETY: the memory is kept beside this view, and accessed through views only.
        let table = unsafe { Words::new(backing[1].as_ptr(), backing[1].len()) };
        let listener = listen(&mut worker, 0);
        let server = TcpListener::bind("127.0.0.1:0").expect("bind");
        let route = Route {
            destination: Destination::Tcp(server.local_addr().expect("address")),
            source: None,
            send_proxy: SendProxy::No,
            socks: None,
            tls: None,
            liveness: Liveness::default(),
            connect_timeout: 0,
            server_timeout: 0,
            server_fin_timeout: 0,
            tunnel_timeout: 0,
        };
        worker.routes.insert(ROUTE, Arc::new(route));
        Scene {
            worker,
            memory,
            table,
            listener,
            server,
            _backing: backing,
        }
    }

    impl Scene {
        /// Runs turns until there is what is looked for.
        fn until<T>(&mut self, mut look: impl FnMut(&mut Worker) -> Option<T>) -> T {
            let deadline = Instant::now() + PATIENCE;
            loop {
                if let Some(found) = look(&mut self.worker) {
                    return found;
                }
                assert!(Instant::now() < deadline, "it never came");
                assert_eq!(self.worker.turn(Some(5)), Ok(true));
            }
        }

        /// A client about whom policy is asked.
        fn client(&mut self) -> (TcpStream, StreamId) {
            let client = TcpStream::connect(self.listener).expect("connect");
            client.set_nonblocking(true).expect("nonblocking");
            let asked = Mode::Ask(handshake::ACCEPT_SESSION as u8);
            let id = self.until(|worker| {
                let mut open = worker.streams.open();
                open.find(|&id| worker.slots.get(worker.streams.get(id).client).mode == asked)
            });
            (client, id)
        }

        /// Connects a stream to the server; what the server has of it.
        fn connect(&mut self, id: StreamId) -> TcpStream {
            let client = self.worker.streams.get(id).client;
            self.worker.connect(client, ROUTE, 0, Vec::new());
            let (accepted, _) = self.server.accept().expect("accept");
            accepted.set_nonblocking(true).expect("nonblocking");
            self.until(|worker| {
                let flows = !worker.streams.get(id).established_at.is_never();
                flows.then_some(())
            });
            accepted
        }

        /// What comes out of the one end of what goes in at the other.
        fn pass(&mut self, from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
            from.write_all(bytes).expect("write");
            let mut got = Vec::new();
            self.until(|_| {
                let mut room = [0; 64];
                if let Ok(count) = to.read(&mut room) {
                    got.extend_from_slice(&room[..count]);
                }
                (got.len() >= bytes.len()).then_some(())
            });
            assert_eq!(got, bytes);
        }

        /// Waits for the end of what comes in, a FIN.
        fn end(&mut self, stream: &mut TcpStream) {
            let ended = self.until(|_| match stream.read(&mut [0; 64]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                outcome => Some(outcome.expect("no reset")),
            });
            assert_eq!(ended, 0);
        }

        /// A session that has moved bytes both ways and is over: its client, its stream,
        /// what the server has of it.
        fn answered(&mut self) -> (TcpStream, StreamId, TcpStream) {
            let (mut client, id) = self.client();
            let mut server = self.connect(id);
            self.pass(&mut client, &mut server, b"ask");
            self.pass(&mut server, &mut client, b"answer");
            (client, id, server)
        }

        fn word(&self, slot: u32, word: i32) -> i32 {
            self.table
                .get(slot as usize * layout::CONNECTION_WORDS as usize + word as usize)
        }

        /// Kind and first operand of each event.
        fn told(&self) -> Vec<(i32, i32)> {
            let head = self.memory.get(control::EVENT_HEAD as usize) as usize;
            let at = |position: usize| EVENT_RING + position * layout::RECORD_WORDS as usize;
            let told = |position| {
                let record = at(position);
                (self.memory.get(record), self.memory.get(record + 3))
            };
            (0..head).map(told).collect()
        }
    }

    #[test]
    fn a_kept_connection_serves_another_stream() {
        let mut scene = scene();
        let (mut first, id, mut server) = scene.answered();
        let alone = scene.worker.part(id, Some(60_000)).expect("kept");
        assert_eq!(scene.word(alone.slot, field::PEER), -1);
        scene
            .worker
            .end_with(id, reason(by::POLICY, phase::DATA, code::DONE), 0);
        scene.end(&mut first);
        assert_eq!(scene.worker.slots.open(), 1);

        let (mut second, id) = scene.client();
        assert!(scene.worker.attach(id, alone));
        scene.pass(&mut second, &mut server, b"ask again");
        scene.pass(&mut server, &mut second, b"answer again");
        // Its record is the second stream's.
        let client = scene.worker.streams.get(id).client;
        assert_eq!(scene.word(alone.slot, field::PEER), client as i32);
        assert_eq!(scene.word(alone.slot, field::BYTES_IN), 12);
        assert_eq!(
            scene.word(alone.slot, field::STATE),
            conn_state::ESTABLISHED
        );
        // Another one's is not given away.
        let (_third, third) = scene.client();
        assert!(!scene.worker.attach(third, alone));
        scene.pass(&mut second, &mut server, b"more");
        // The end goes through as ever.
        drop(second);
        scene.end(&mut server);
    }

    #[test]
    fn a_connection_that_is_alone_for_too_long_is_closed() {
        let mut scene = scene();
        let (_client, id, mut server) = scene.answered();
        let alone = scene.worker.part(id, Some(30)).expect("kept");
        scene.end(&mut server);
        assert_eq!(scene.worker.slots.open(), 1);
        assert!(!scene.worker.attach(id, alone));
    }

    #[test]
    fn a_server_that_ends_or_speaks_unasked_is_not_kept() {
        for speaks in [false, true] {
            let mut scene = scene();
            let (_client, id, mut server) = scene.answered();
            let alone = scene.worker.part(id, None).expect("kept");
            let open = scene.worker.slots.open();
            if speaks {
                server.write_all(b"unasked").expect("write");
            } else {
                server
                    .shutdown(std::net::Shutdown::Write)
                    .expect("shutdown");
            }
            scene.until(|worker| (worker.slots.open() < open).then_some(()));
            assert!(!scene.worker.attach(id, alone));
        }
    }

    #[test]
    fn an_end_that_the_poller_has_not_told_yet_is_seen_by_who_attaches() {
        let mut scene = scene();
        let (_client, id, server) = scene.answered();
        let alone = scene.worker.part(id, None).expect("kept");
        drop(server);
        assert!(!scene.worker.attach(id, alone));
        assert_eq!(scene.worker.streams.get(id).server, NONE);
    }

    #[test]
    fn a_connection_with_something_on_its_way_is_closed_instead() {
        let mut scene = scene();
        let (_client, id, mut server) = scene.answered();
        let slot = scene.worker.streams.get(id).server;
        let held = scene.worker.mover.buffers.lend(b"the rest of an answer");
        scene.worker.slots.get_mut(slot).input.buffer = Some(held);
        assert_eq!(scene.worker.part(id, None), None);
        assert_eq!(scene.worker.streams.get(id).server, NONE);
        assert_eq!(scene.worker.mover.buffers.borrowed(), 0);
        scene.end(&mut server);
    }

    #[test]
    fn a_client_gets_another_stream_and_ends_once() {
        let mut scene = scene();
        let (mut client, id, mut server) = scene.answered();
        let next = scene.worker.renew(id);
        scene.end(&mut server);
        let mut server = scene.connect(next);
        scene.pass(&mut client, &mut server, b"next");
        scene.pass(&mut server, &mut client, b"answer");
        assert_eq!(scene.worker.streams.get(next).up.moved(), 4);
        drop(client);
        scene.end(&mut server);
        drop(server);
        scene.until(|worker| (worker.slots.open() == 0).then_some(()));
        assert_eq!(scene.worker.turn(Some(5)), Ok(true));
        let done = reason(by::CLIENT, phase::DATA, code::DONE);
        let ends: Vec<_> = scene.told();
        let ends = ends.into_iter().filter(|&(kind, _)| kind == event::CLOSED);
        assert_eq!(ends.collect::<Vec<_>>(), [(event::CLOSED, done)]);
    }

    #[test]
    fn a_stop_closes_what_is_alone() {
        let mut scene = scene();
        let (_client, id, mut server) = scene.answered();
        let alone = scene.worker.part(id, None);
        assert!(alone.is_some());
        scene.worker.finish();
        assert_eq!(scene.worker.slots.open(), 0);
        server.set_nonblocking(false).expect("blocking");
        server.set_read_timeout(Some(PATIENCE)).expect("time-out");
        assert_eq!(server.read(&mut [0; 1]).expect("end"), 0);
    }
}
