//! The slots of a worker's connections, with generations, and the mirror of
//! their records in shared memory.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use sluice_wire::ring_layout::{family, field, layout};

use super::{Connection, NONE};
use crate::memory::Words;

const WORDS: usize = layout::CONNECTION_WORDS as usize;
/// Slots are made in steps: pages are used where connections are.
const STEP: usize = 512;

/// Connections by slot.
#[derive(Debug)]
pub struct Slots {
    connections: Vec<Connection>,
    free: Vec<u32>,
    /// Slots whose last event is not consumed yet, with its position.
    quarantine: VecDeque<(i32, u32)>,
    /// Records of this worker's slots.
    table: Words,
    /// The table's number of this worker's slot 0.
    first_slot: usize,
    limit: usize,
    open: usize,
}

impl Slots {
    /// `limit` slots whose records start at word `first_word` of `table`.
    #[must_use]
    pub fn new(table: Words, first_word: usize, limit: usize) -> Self {
        // Address space for all of them at once: growing would copy them, and leave as much
        // memory behind as it takes. Where there is not enough of it, it grows all the same.
        let mut connections = Vec::new();
        let _ = connections.try_reserve_exact(limit);
        Self {
            connections,
            free: Vec::new(),
            quarantine: VecDeque::new(),
            table,
            first_slot: first_word / WORDS,
            limit,
            open: 0,
        }
    }

    /// Takes a free slot, reset but for its generation.
    pub fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            let length = self.connections.len();
            let more = STEP.min(self.limit - length);
            self.connections.reserve_exact(more);
            for slot in (length..length + more).rev() {
                self.free.push(slot as u32);
            }
            self.connections
                .resize_with(length + more, Connection::empty);
        }
        let slot = self.free.pop()?;
        self.open += 1;
        Some(slot)
    }

    /// Frees a slot: stale handles no longer match. The caller has closed the
    /// fd and given buffers back. With `position`, the slot is used again only
    /// after that event has been consumed, so that its record stays readable.
    pub fn free(&mut self, slot: u32, position: Option<i32>) {
        let connection = &mut self.connections[slot as usize];
        let generation = connection.generation;
        *connection = Connection::empty();
        connection.generation = if generation == i32::MAX {
            1
        } else {
            generation + 1
        };
        self.open -= 1;
        match position {
            Some(position) => self.quarantine.push_back((position, slot)),
            None => self.free.push(slot),
        }
    }

    /// Frees quarantined slots whose event has been consumed.
    pub fn thaw(&mut self, consumed: impl Fn(i32) -> bool) {
        while let Some(&(position, slot)) = self.quarantine.front() {
            if !consumed(position) {
                break;
            }
            self.quarantine.pop_front();
            self.free.push(slot);
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
        self.free.len() + self.limit - self.connections.len() >= count
    }

    /// Open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Slots that have ever been used.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.connections.len() as u32
    }

    /// The connection in `slot`.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> &Connection {
        &self.connections[slot as usize]
    }

    /// The connection in `slot`.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut Connection {
        &mut self.connections[slot as usize]
    }

    /// The connection that a handle names, if it is still there.
    #[must_use]
    pub fn find(&self, slot: i32, generation: i32) -> Option<u32> {
        let slot = u32::try_from(slot).ok()?;
        let connection = self.connections.get(slot as usize)?;
        (connection.generation == generation
            && connection.state() != sluice_wire::states::conn_state::CLOSED)
            .then_some(slot)
    }

    /// Two different connections at once.
    ///
    /// # Panics
    ///
    /// Where both slots are the same: a connection is never its own peer.
    #[inline]
    pub fn pair(&mut self, one: u32, other: u32) -> (&mut Connection, &mut Connection) {
        let [one, other] = self
            .connections
            .get_disjoint_mut([one as usize, other as usize])
            .expect("a connection and its peer");
        (one, other)
    }

    /// Writes what the engine changes often.
    pub fn mirror(&self, slot: u32) {
        let connection = self.get(slot);
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        put(field::STATE, connection.state());
        put(field::FLAGS, connection.flags);
        put(field::CLOSE_OPS, connection.close_ops());
        put(field::HANDSHAKES, connection.handshakes);
        put(field::REASON, connection.reason);
        put(
            field::PEER,
            if connection.peer == NONE {
                -1
            } else {
                // Policy reads it, and knows no workers: the table's number.
                (self.first_slot + connection.peer as usize) as i32
            },
        );
        put(field::ESTABLISHED_AT, clock(connection.established_at));
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
    pub fn mirror_open(&self, slot: u32, src: Option<SocketAddr>, dst: Option<SocketAddr>) {
        let connection = self.get(slot);
        let base = self.base(slot);
        let put = |field: i32, value: i32| self.table.put(base + field as usize, value);
        put(field::GENERATION, connection.generation);
        put(field::LISTENER, connection.listener as i32);
        put(field::OPENED_AT, clock(connection.opened_at));
        self.mirror_addresses(slot, src, dst);
        self.mirror(slot);
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

/// The clock as records hold it: 31 bits, which wrap after 24.8 days. Readers
/// take differences under the same mask. Never 0 but for "never".
#[must_use]
pub fn clock(at: u64) -> i32 {
    let low = (at & layout::POSITION_MASK as u64) as i32;
    if at > 0 { low.max(1) } else { 0 }
}

/// An IPv4-mapped IPv6 address is the IPv4 address that it stands for.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::states::conn_state;

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
        slots.get_mut(one).peer = other;
        slots.mirror(one);
        let at = (4 + one as usize) * WORDS + field::PEER as usize;
        assert_eq!(words.get(at), 4 + other as i32);
    }

    #[test]
    fn a_stale_handle_finds_nothing() {
        let (_backing, mut slots) = slots(4);
        let slot = slots.take().expect("slot");
        slots.get_mut(slot).set_state(conn_state::ACCEPTED);
        let generation = slots.get(slot).generation;
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
    fn the_clock_of_records_wraps_in_31_bits() {
        assert_eq!(clock(0), 0);
        assert_eq!(clock(5), 5);
        let wrap = 1_u64 << 31;
        assert_eq!(clock(wrap - 1), i32::MAX);
        assert_eq!(clock(wrap), 1);
        assert_eq!(
            (clock(wrap + 7) - clock(wrap - 3)) & layout::POSITION_MASK,
            10
        );
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
