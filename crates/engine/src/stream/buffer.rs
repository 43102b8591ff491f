//! Byte buffers, lent by a pool only while bytes wait in them.

/// Capacity of a pooled buffer in bytes.
pub const BUFFER_SIZE: usize = 16 * 1024;
/// Bytes of the scratch memory for TLS records.
pub const RECORDS_SIZE: usize = 72 * 1024;
/// Buffers that a pool keeps for later.
const KEEP: usize = 256;

/// Bytes that wait: appended at the back, consumed at the front. One word where it is
/// kept, since every connection has room for one and few have one.
#[derive(Debug)]
pub struct Buffer(Box<Bytes>);

#[derive(Debug)]
struct Bytes {
    data: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// The bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.data.get(self.0.start..).unwrap_or(&[])
    }

    /// Number of bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.data.len() - self.0.start
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes. The caller bounds the length.
    pub fn append(&mut self, bytes: &[u8]) {
        let Bytes { data, start } = &mut *self.0;
        if *start > 0 && data.len() + bytes.len() > data.capacity() {
            data.drain(..*start);
            *start = 0;
        }
        data.extend_from_slice(bytes);
    }

    /// Puts bytes in front of those that wait. The caller bounds the length.
    pub fn prepend(&mut self, bytes: &[u8]) {
        let Bytes { data, start } = &mut *self.0;
        // In the room of bytes that were consumed, as far as there is any.
        let kept = start.saturating_sub(bytes.len());
        data.splice(kept..*start, bytes.iter().copied());
        *start = kept;
    }

    /// Drops up to `count` bytes at the front.
    pub fn consume(&mut self, count: usize) {
        self.0.start = (self.0.start + count).min(self.0.data.len());
    }
}

/// Lends buffers and counts those that are out.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Buffer>,
    borrowed: usize,
    /// Scratch memory for TLS records, made on first use.
    records: Vec<u8>,
}

impl BufferPool {
    /// A buffer that holds a copy of `bytes`.
    pub fn lend(&mut self, bytes: &[u8]) -> Buffer {
        self.borrowed += 1;
        let mut buffer = self.free.pop().unwrap_or_else(|| {
            let data = Vec::with_capacity(BUFFER_SIZE);
            Buffer(Box::new(Bytes { data, start: 0 }))
        });
        buffer.append(bytes);
        buffer
    }

    /// Takes a buffer back, if there is one.
    pub fn give_back(&mut self, buffer: &mut Option<Buffer>) {
        let Some(mut buffer) = buffer.take() else {
            return;
        };
        self.borrowed -= 1;
        if self.free.len() < KEEP && buffer.0.data.capacity() <= BUFFER_SIZE {
            buffer.0.data.clear();
            buffer.0.start = 0;
            self.free.push(buffer);
        }
    }

    /// Appends `bytes` to the buffer in `place`, lending one where there is none.
    pub fn append(&mut self, place: &mut Option<Buffer>, bytes: &[u8]) {
        match place {
            Some(buffer) => buffer.append(bytes),
            None => *place = Some(self.lend(bytes)),
        }
    }

    /// Puts `bytes` in front of those in `place`, lending a buffer where there is none.
    pub fn prepend(&mut self, place: &mut Option<Buffer>, bytes: &[u8]) {
        match place {
            Some(buffer) => buffer.prepend(bytes),
            None if bytes.is_empty() => {}
            None => *place = Some(self.lend(bytes)),
        }
    }

    /// Drops `count` bytes of the buffer in `place`, and the buffer once it is empty.
    pub fn consume(&mut self, place: &mut Option<Buffer>, count: usize) {
        if let Some(buffer) = place {
            buffer.consume(count);
            if buffer.is_empty() {
                self.give_back(place);
            }
        }
    }

    /// Scratch memory of [`RECORDS_SIZE`] bytes, to be put back at once.
    pub fn take_records(&mut self) -> Vec<u8> {
        let mut records = std::mem::take(&mut self.records);
        records.resize(RECORDS_SIZE, 0);
        records
    }

    /// Puts the scratch memory back.
    pub fn put_records(&mut self, records: Vec<u8>) {
        self.records = records;
    }

    /// Buffers that are out.
    #[must_use]
    pub fn borrowed(&self) -> usize {
        self.borrowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_back_when_its_last_byte_is_consumed() {
        let mut pool = BufferPool::default();
        let mut place = None;
        pool.append(&mut place, b"hello ");
        pool.append(&mut place, b"world");
        pool.consume(&mut place, 6);
        assert_eq!(place.as_ref().map(Buffer::bytes), Some(&b"world"[..]));
        assert_eq!(pool.borrowed(), 1);
        pool.consume(&mut place, 99);
        assert!(place.is_none());
        assert_eq!(pool.borrowed(), 0);
    }

    #[test]
    fn bytes_go_in_front_of_those_that_wait() {
        let mut pool = BufferPool::default();
        let mut place = None;
        pool.prepend(&mut place, b"");
        assert_eq!(pool.borrowed(), 0);
        pool.prepend(&mut place, b"world");
        pool.prepend(&mut place, b"old hello ");
        pool.consume(&mut place, 4);
        // Shorter than what was consumed, and longer.
        pool.prepend(&mut place, b"a ");
        pool.prepend(&mut place, b"once upon ");
        let seen = place.as_ref().map(Buffer::bytes);
        assert_eq!(seen, Some(&b"once upon a hello world"[..]));
        pool.consume(&mut place, 99);
        assert_eq!(pool.borrowed(), 0);
    }

    #[test]
    fn consumed_room_is_used_again() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.lend(&[1; BUFFER_SIZE]);
        buffer.consume(BUFFER_SIZE - 10);
        buffer.append(&[2; BUFFER_SIZE - 10]);
        assert_eq!(buffer.len(), BUFFER_SIZE);
        assert_eq!(buffer.0.data.capacity(), BUFFER_SIZE);
    }
}
