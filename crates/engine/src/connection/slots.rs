//! The slots of a worker's connections, with generations, and the mirror of
//! their records in shared memory.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use sluice_wire::ring_layout::{family, field, layout};
use sluice_wire::states::conn_state;

use super::{Connection, NONE, Side};
use crate::clock::Moment;
use crate::memory::Words;
use crate::slab::Slab;
use crate::stream::Stream;

const WORDS: usize = layout::CONNECTION_WORDS as usize;

/// Connections by slot.
#[derive(Debug)]
pub struct Slots {
    slab: Slab<Connection>,
    /// Slots whose last event is not consumed yet, with its position.
    quarantine: VecDeque<(i32, u32)>,
    /// Records of this worker's slots.
    table: Words,
    /// The table's number of this worker's slot 0.
    first_slot: usize,
}

impl Slots {
    /// `limit` slots whose records start at word `first_word` of `table`.
    #[must_use]
    pub fn new(table: Words, first_word: usize, limit: usize) -> Self {
        Self {
            slab: Slab::new(limit),
            quarantine: VecDeque::new(),
            table,
            first_slot: first_word / WORDS,
        }
    }

    /// Takes a free slot, reset but for its generation.
    pub fn take(&mut self) -> Option<u32> {
        self.slab.take()
    }

    /// Frees a slot: stale handles no longer match. The caller has closed the
    /// fd and given buffers back. With `position`, the slot is used again only
    /// after that event has been consumed, so that its record stays readable.
    pub fn free(&mut self, slot: u32, position: Option<i32>) {
        self.slab.vacate(slot);
        match position {
            Some(position) => self.quarantine.push_back((position, slot)),
            None => self.slab.give_back(slot),
        }
    }

    /// Frees quarantined slots whose event has been consumed.
    pub fn thaw(&mut self, consumed: impl Fn(i32) -> bool) {
        while let Some(&(position, slot)) = self.quarantine.front() {
            if !consumed(position) {
                break;
            }
            self.quarantine.pop_front();
            self.slab.give_back(slot);
        }
    }

    /// True where slots come free once TypeScript has read of their ends.
    #[must_use]
    pub fn thaws(&self) -> bool {
        !self.quarantine.is_empty()
    }

    /// True where at least `count` slots can be taken.
    #[must_use]
    pub fn room(&self, count: usize) -> bool {
        self.slab.room() >= count
    }

    /// Open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.slab.open()
    }

    /// Slots that have ever been used.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.slab.used()
    }

    /// The connection in `slot`.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> &Connection {
        self.slab.get(slot)
    }

    /// The connection in `slot`.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut Connection {
        self.slab.get_mut(slot)
    }

    /// The connection that a handle names, if it is still there.
    #[must_use]
    pub fn find(&self, slot: i32, generation: i32) -> Option<u32> {
        let slot = u32::try_from(slot).ok()?;
        let connection = self.slab.find(slot, generation)?;
        (connection.state() != conn_state::CLOSED).then_some(slot)
    }

    /// Two different connections at once.
    ///
    /// # Panics
    ///
    /// Where both slots are the same.
    #[inline]
    pub fn pair(&mut self, one: u32, other: u32) -> (&mut Connection, &mut Connection) {
        self.slab.pair(one, other)
    }

    /// Writes what the engine changes often. `stream`: whose the connection is.
    pub fn mirror(&self, slot: u32, stream: Option<&Stream>) {
        let connection = self.get(slot);
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        put(field::STATE, connection.state());
        put(field::FLAGS, connection.flags);
        put(field::CLOSE_OPS, connection.close_ops());
        put(field::HANDSHAKES, connection.handshakes());
        // The reason of a session is told in its client's record.
        let told = stream.filter(|_| connection.side == Side::Client);
        put(field::REASON, told.map_or(0, |stream| stream.reason));
        let peer = stream.map_or(NONE, |stream| stream.of(connection.side.other()));
        put(
            field::PEER,
            if peer == NONE {
                -1
            } else {
                // Policy reads it, and knows no workers: the table's number.
                (self.first_slot + peer as usize) as i32
            },
        );
        let established_at = stream.map_or(Moment::NEVER, |stream| stream.established_at);
        put(field::ESTABLISHED_AT, established_at.word());
        self.mirror_bytes(slot);
    }

    /// Writes the byte counts.
    #[inline]
    pub fn mirror_bytes(&self, slot: u32) {
        let connection = self.get(slot);
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        put(field::BYTES_IN, connection.bytes_in as i32);
        put(field::BYTES_IN_HIGH, (connection.bytes_in >> 32) as i32);
        put(field::BYTES_OUT, connection.bytes_out as i32);
        put(field::BYTES_OUT_HIGH, (connection.bytes_out >> 32) as i32);
    }

    /// Writes what is known when a connection opens, and everything else.
    pub fn mirror_open(
        &self,
        slot: u32,
        stream: Option<&Stream>,
        src: Option<SocketAddr>,
        dst: Option<SocketAddr>,
    ) {
        let connection = self.get(slot);
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        put(field::GENERATION, connection.generation());
        put(field::LISTENER, connection.listener as i32);
        put(field::OPENED_AT, connection.opened_at.word());
        self.mirror_addresses(slot, src, dst);
        self.mirror(slot, stream);
    }

    /// Writes source and destination. `None` is a unix socket.
    pub fn mirror_addresses(&self, slot: u32, src: Option<SocketAddr>, dst: Option<SocketAddr>) {
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        let (src, dst) = (src.map(canonical), dst.map(canonical));
        // One family for both: a mixed pair is written as IPv6.
        let wide = [src, dst]
            .into_iter()
            .flatten()
            .any(|address| address.is_ipv6());
        put(
            field::FAMILY,
            match (src.or(dst), wide) {
                (None, _) => family::UNIX,
                (Some(_), true) => family::INET6,
                (Some(_), false) => family::INET,
            },
        );
        let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
        put(
            field::PORTS,
            i32::from(port(src)) | i32::from(port(dst)) << 16,
        );
        for (start, address) in [(field::SRC, src), (field::DST, dst)] {
            let mut bytes = [0_u8; 16];
            match address.map(|address| address.ip()) {
                Some(IpAddr::V4(ip)) if wide => bytes = ip.to_ipv6_mapped().octets(),
                Some(IpAddr::V4(ip)) => bytes[..4].copy_from_slice(&ip.octets()),
                Some(IpAddr::V6(ip)) => bytes = ip.octets(),
                None => {}
            }
            for (offset, word) in bytes.chunks_exact(4).enumerate() {
                let word = i32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                put(start + offset as i32, word);
            }
        }
    }

    /// Reads source and destination back, for PROXY headers.
    #[must_use]
    pub fn addresses(&self, slot: u32) -> Option<(SocketAddr, SocketAddr)> {
        let base = self.base(slot);
        let get = |field: i32| self.table.get(base + field as usize);
        let bytes = |start: i32| {
            let mut bytes = [0_u8; 16];
            for offset in 0..4 {
                let at = offset as usize * 4;
                bytes[at..at + 4].copy_from_slice(&get(start + offset).to_le_bytes());
            }
            bytes
        };
        let ip = |start: i32| -> Option<IpAddr> {
            let bytes = bytes(start);
            match get(field::FAMILY) {
                family::INET => Some(IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])),
                family::INET6 => Some(IpAddr::from(bytes)),
                _ => None,
            }
        };
        let ports = get(field::PORTS);
        Some((
            SocketAddr::new(ip(field::SRC)?, ports as u16),
            SocketAddr::new(ip(field::DST)?, (ports >> 16) as u16),
        ))
    }

    /// The source port of a record; 0 for none.
    #[must_use]
    pub fn source_port(&self, slot: u32) -> i32 {
        self.table.get(self.base(slot) + field::PORTS as usize) & 0xffff
    }

    fn base(&self, slot: u32) -> usize {
        (self.first_slot + slot as usize) * WORDS
    }
}

/// An IPv4-mapped IPv6 address is the IPv4 address that it stands for.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Entry;

    fn slots(limit: usize) -> (Vec<i32>, Slots) {
        let backing = vec![0_i32; limit * WORDS];
        // SAFETY: the vector is returned with the view and outlives it.
        let words = unsafe { Words::new(backing.as_ptr(), backing.len()) };
        (backing, Slots::new(words, 0, limit))
    }

    #[test]
    fn records_name_the_peer_as_the_table_counts() {
        let backing = vec![0_i32; 8 * WORDS];
        // SAFETY: the vector outlives the view.
        let words = unsafe { Words::new(backing.as_ptr(), backing.len()) };
        let mut slots = Slots::new(words, 4 * WORDS, 4);
        let (one, other) = (slots.take().expect("slot"), slots.take().expect("slot"));
        let mut stream = Stream::vacant(1);
        (stream.client, stream.server) = (one, other);
        slots.mirror(one, Some(&stream));
        let at = (4 + one as usize) * WORDS + field::PEER as usize;
        assert_eq!(words.get(at), 4 + other as i32);
    }

    #[test]
    fn a_stale_handle_finds_nothing() {
        let (_backing, mut slots) = slots(4);
        let slot = slots.take().expect("slot");
        slots.get_mut(slot).set_state(conn_state::ACCEPTED);
        let generation = slots.get(slot).generation();
        assert_eq!(slots.find(slot as i32, generation), Some(slot));
        slots.free(slot, None);
        assert_eq!(slots.find(slot as i32, generation), None);
        let again = slots.take().expect("slot");
        slots.get_mut(again).set_state(conn_state::ACCEPTED);
        assert_eq!(again, slot);
        assert_eq!(slots.find(slot as i32, generation), None);
        assert_eq!(slots.find(-1, 1), None);
        assert_eq!(slots.find(99, 1), None);
    }

    #[test]
    fn a_slot_waits_until_its_last_event_is_consumed() {
        let (_backing, mut slots) = slots(1);
        let slot = slots.take().expect("slot");
        slots.free(slot, Some(5));
        assert!(slots.take().is_none());
        slots.thaw(|position| position < 5);
        assert!(!slots.room(1));
        slots.thaw(|position| position <= 5);
        assert_eq!(slots.take(), Some(slot));
    }

    #[test]
    fn addresses_round_trip_through_the_table() {
        let (_backing, mut slots) = slots(1);
        let slot = slots.take().expect("slot");
        for (src, dst) in [
            ("1.2.3.4:5", "6.7.8.9:65535"),
            ("[2001:db8::1]:5", "[::1]:443"),
            ("[2001:db8::1]:5", "10.0.0.1:443"),
        ] {
            let (src, dst): (SocketAddr, SocketAddr) =
                (src.parse().expect("src"), dst.parse().expect("dst"));
            slots.mirror_addresses(slot, Some(src), Some(dst));
            let (read_src, read_dst) = slots.addresses(slot).expect("addresses");
            assert_eq!((canonical(read_src), canonical(read_dst)), (src, dst));
        }
        slots.mirror_addresses(slot, None, None);
        assert_eq!(slots.addresses(slot), None);
    }
}
