//! A stream: what goes between a client and its server, or an applet. It links two
//! connections for as long as they have to do with each other, and knows why that ended.

pub mod buffer;
pub mod channel;
pub mod forward;
pub mod pipe;

use std::num::NonZeroU32;

use crate::clock::Moment;
use crate::connection::{NONE, Side};
use crate::slab::{Entry, Slab};

use channel::Channel;

/// Number of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(NonZeroU32);

impl StreamId {
    /// The stream in this place.
    #[must_use]
    pub fn new(place: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place))
    }

    /// Its place.
    #[inline]
    #[must_use]
    pub fn place(self) -> u32 {
        self.0.get() - 1
    }
}

/// What a stream's timer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Nothing.
    None,
    /// The handshakes that the engine does alone.
    Handshake,
    /// TypeScript's answer.
    Verdict,
    /// The inspect delay.
    Inspect,
    /// The outgoing connection.
    Connect,
    /// Inactivity; the real deadline follows from when either side was heard.
    Idle,
    /// The client's FIN after a last chunk.
    Linger,
    /// The end of a tarpit.
    Tarpit,
    /// What was delivered before a cut is acknowledged; the reset follows.
    Cut,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    generation: i32,
    /// Slot of the client's connection.
    pub client: u32,
    /// Slot of the server's connection, or [`NONE`].
    pub server: u32,
    /// From the client to the server, or the applet.
    pub up: Channel,
    /// The other way.
    pub down: Channel,
    /// Reason word; the first one stays.
    pub reason: i32,
    /// errno behind the reason.
    pub errno: i32,
    /// What the timer means.
    pub deadline_kind: Deadline,
    /// When it strikes.
    pub deadline: Moment,
    /// When the client's connection last moved a byte.
    pub client_io: Moment,
    /// When the server's did.
    pub server_io: Moment,
    /// When payload began to flow.
    pub established_at: Moment,
}

impl Stream {
    /// Keeps the first reason.
    pub fn blame(&mut self, reason: i32, errno: i32) {
        if self.reason == 0 {
            self.reason = reason;
            self.errno = errno;
        }
    }

    /// Slot of a side's connection, or [`NONE`].
    #[must_use]
    pub fn of(&self, side: Side) -> u32 {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// What goes to a side.
    #[must_use]
    pub fn towards(&mut self, side: Side) -> &mut Channel {
        match side {
            Side::Client => &mut self.down,
            Side::Server => &mut self.up,
        }
    }

    /// True where payload has gone both ways.
    #[must_use]
    pub fn went_both_ways(&self) -> bool {
        self.up.moved() > 0 && self.down.moved() > 0
    }

    /// When a side's connection last moved a byte.
    pub fn io(&mut self, side: Side) -> &mut Moment {
        match side {
            Side::Client => &mut self.client_io,
            Side::Server => &mut self.server_io,
        }
    }
}

impl Entry for Stream {
    fn vacant(generation: i32) -> Self {
        Self {
            generation,
            client: NONE,
            server: NONE,
            up: Channel::new(),
            down: Channel::new(),
            reason: 0,
            errno: 0,
            deadline_kind: Deadline::None,
            deadline: Moment::NEVER,
            client_io: Moment::NEVER,
            server_io: Moment::NEVER,
            established_at: Moment::NEVER,
        }
    }

    fn generation(&self) -> i32 {
        self.generation
    }
}

/// The streams of a worker.
#[derive(Debug)]
pub struct Streams(Slab<Stream>);

impl Streams {
    /// At most `limit` at once: as many as there are connections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Slab::new(limit))
    }

    /// Begins a stream of this client.
    ///
    /// # Panics
    ///
    /// Where there are more streams than connections.
    pub fn begin(&mut self, client: u32) -> StreamId {
        let place = self.0.take().expect("a stream for each connection");
        self.0.get_mut(place).client = client;
        StreamId::new(place)
    }

    /// Forgets a stream.
    pub fn end(&mut self, id: StreamId) {
        self.0.vacate(id.place());
        self.0.give_back(id.place());
    }

    /// The stream.
    #[inline]
    #[must_use]
    pub fn get(&self, id: StreamId) -> &Stream {
        self.0.get(id.place())
    }

    /// The stream.
    #[inline]
    pub fn get_mut(&mut self, id: StreamId) -> &mut Stream {
        self.0.get_mut(id.place())
    }

    /// Does something with each.
    pub fn each(&mut self, what: impl FnMut(&mut Stream)) {
        self.0.each(what);
    }

    /// Those that are not ended.
    pub fn open(&self) -> impl Iterator<Item = StreamId> + '_ {
        let taken = |&place: &u32| self.0.get(place).client != NONE;
        (0..self.0.used()).filter(taken).map(StreamId::new)
    }
}
