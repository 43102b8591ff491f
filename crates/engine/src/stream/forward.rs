//! Moves payload from one connection to the other, one direction at a time, as far as
//! its channel allows.
//!
//! Bytes are read into the worker's scratch memory and written at once; what
//! the target does not take waits in a lent buffer, and nothing more is read
//! until it is gone. A read that fills the scratch memory means bulk: from then
//! on the direction uses splice through a lent pipe, until a read finds little.

use rustix::io::Errno;

use crate::connection::Connection;
use crate::connection::data::{self, Got, read, write};
use crate::stream::buffer::BufferPool;
use crate::stream::channel::Channel;
use crate::stream::pipe::{PipeBudget, PipePool};
use crate::tls::layer::SEAL_MAX;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::transport::Ctrl;

/// Bytes of one read; a read that fills it switches to splice.
pub const SCRATCH_SIZE: usize = 16 * 1024;
/// Bytes moved before other connections get their turn.
pub const BUDGET: usize = 64 * 1024;
/// Bytes of one splice.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SPLICE_MAX: usize = 1024 * 1024;
/// Bytes of one splice towards a target that may not read at all: as much of the
/// kernel's memory stays pinned in the pipe then.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SPLICE_CAREFUL: usize = 128 * 1024;
/// Bytes of a direction behind which its target does read: more than the buffers of
/// two sockets hold.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SPLICE_PROVEN: u64 = 16 * 1024 * 1024;
/// A splice that moves less than this goes back to reading.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SPLICE_WORTH: usize = 8 * 1024;

/// What forwarding needs besides the two connections.
#[derive(Debug)]
pub struct Mover {
    /// Lent buffers.
    pub buffers: BufferPool,
    /// Lent pipes.
    pub pipes: PipePool,
    /// Scratch memory of [`SCRATCH_SIZE`] bytes.
    pub scratch: Box<[u8]>,
    /// More of it, made on first use: with TLS on either side a read takes and a
    /// write gives several records at once.
    wide: Vec<u8>,
}

impl Mover {
    /// With pipes from this budget.
    #[must_use]
    pub fn new(pipes: PipeBudget) -> Self {
        Self {
            buffers: BufferPool::default(),
            pipes: PipePool::new(pipes),
            scratch: vec![0; SCRATCH_SIZE].into_boxed_slice(),
            wide: Vec::new(),
        }
    }
}

/// How one direction stands after [`forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Waits for the source to become readable.
    Idle,
    /// Waits for the target to become writable; bytes wait.
    Blocked,
    /// The budget is used up; more can be moved at once.
    More,
    /// What the channel allows is used up: somebody has to decide.
    Spent,
    /// The source has ended, in one way or another, and everything has been written.
    Finished,
    /// Writing failed.
    WriteError(Errno),
}

/// Moves what can be moved from `source` to `target`. More than the channel allows is
/// never read. `budget`: bytes to read before other connections get their turn.
pub fn forward(
    source: &mut Connection,
    target: &mut Connection,
    channel: &mut Channel,
    budget: usize,
    mover: &mut Mover,
) -> Flow {
    let mut spent = 0;
    loop {
        match flush(source, target, channel, mover) {
            Flow::Finished => {}
            flow => return flow,
        }
        if channel.is_spent() {
            return Flow::Spent;
        }
        if source.input.ended() {
            return Flow::Finished;
        }
        if !source.ready.reads() {
            return Flow::Idle;
        }
        if spent >= budget {
            return Flow::More;
        }
        let before = source.traffic;
        let step = if source.input.is_bulk() && !source.ready.is_urgent() {
            splice(source, channel, mover)
        } else {
            copy(source, target, channel, mover)
        };
        match step {
            Step::Moved => spent += data::cost(source, before),
            Step::Flow(flow) => return flow,
        }
    }
}

enum Step {
    Moved,
    Flow(Flow),
}

/// Writes the bytes of ours that wait: how many went. Those that did not are still ahead.
///
/// # Errors
///
/// As those of [`write`], but for AGAIN.
pub fn flush_ahead(
    target: &mut Connection,
    channel: &mut Channel,
    buffers: &mut BufferPool,
) -> Result<usize, Errno> {
    let mut total = 0;
    while let Some(buffer) = &channel.ahead {
        if !target.ready.writes() {
            break;
        }
        match write(target, buffer.bytes(), false, buffers) {
            Ok(count) => {
                total += count;
                buffers.consume(&mut channel.ahead, count);
            }
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Writes what waits and may go; `Finished` where nothing of that is left.
fn flush(
    source: &mut Connection,
    target: &mut Connection,
    channel: &mut Channel,
    mover: &mut Mover,
) -> Flow {
    if channel.ahead.is_some() {
        match flush_ahead(target, channel, &mut mover.buffers) {
            Ok(_) if channel.ahead.is_some() => return Flow::Blocked,
            Ok(_) => {}
            Err(error) => return Flow::WriteError(error),
        }
    }
    while let Some(buffer) = &source.input.buffer {
        let bytes = buffer.bytes();
        let bytes = &bytes[..bytes.len().min(channel.room())];
        if bytes.is_empty() {
            break;
        }
        if !target.ready.writes() {
            return Flow::Blocked;
        }
        let last = channel.ends_with(bytes.len());
        match write(target, bytes, last, &mut mover.buffers) {
            Ok(count) => {
                channel.pass(count);
                mover.buffers.consume(&mut source.input.buffer, count);
            }
            Err(Errno::AGAIN) => return Flow::Blocked,
            Err(error) => return Flow::WriteError(error),
        }
    }
    match flush_pipe(source, target, channel, mover) {
        Flow::Finished => {}
        flow => return flow,
    }
    match data::flush(target, &mut mover.buffers) {
        Ok(true) => Flow::Finished,
        Ok(false) => Flow::Blocked,
        Err(error) => Flow::WriteError(error),
    }
}

fn copy(
    source: &mut Connection,
    target: &mut Connection,
    channel: &mut Channel,
    mover: &mut Mover,
) -> Step {
    let Mover {
        buffers,
        scratch,
        wide,
        ..
    } = mover;
    let encrypted = source.tls.is_some() || target.tls.is_some();
    let scratch = if encrypted {
        wide.resize(SEAL_MAX, 0);
        wide.as_mut_slice()
    } else {
        scratch
    };
    let room = scratch.len().min(channel.room());
    let count = match read(source, &mut scratch[..room], buffers) {
        Got::Bytes(count) => count,
        Got::Records | Got::End => return Step::Moved,
        Got::Nothing => return Step::Flow(Flow::Idle),
    };
    let bytes = scratch.get(..count).unwrap_or(&[]);
    let spliced = cfg!(any(target_os = "linux", target_os = "android")) && !encrypted;
    source.input.set_bulk(spliced && count == SCRATCH_SIZE);
    let written = if target.ready.writes() {
        let last = source.input.ended_clean() || channel.ends_with(count);
        write(target, bytes, last, buffers)
    } else {
        Ok(0)
    };
    if let Ok(written) = written {
        channel.pass(written);
    }
    match written {
        Ok(written) if written == count => {}
        Ok(written) => {
            source.input.buffer = Some(buffers.lend(bytes.get(written..).unwrap_or(&[])));
        }
        Err(Errno::AGAIN) => source.input.buffer = Some(buffers.lend(bytes)),
        Err(error) => return Step::Flow(Flow::WriteError(error)),
    }
    Step::Moved
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn splice(source: &mut Connection, channel: &Channel, mover: &mut Mover) -> Step {
    use rustix::pipe::{SpliceFlags, splice};
    let pipe = match &mut source.input.pipe {
        Some(pipe) => pipe,
        None => match mover.pipes.lend() {
            Ok(pipe) => source.input.pipe.insert(pipe),
            Err(_) => {
                source.input.set_bulk(false);
                return Step::Moved;
            }
        },
    };
    let Some(fd) = source.ctrl.as_ref().and_then(Ctrl::splice_fd) else {
        return Step::Flow(Flow::Idle);
    };
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    let most = if channel.moved() < SPLICE_PROVEN {
        SPLICE_CAREFUL
    } else {
        SPLICE_MAX
    };
    let most = most.min(channel.room());
    let moved = splice(fd, None, &pipe.writer, None, most, flags);
    if let Ok(count @ 1..) = moved {
        pipe.pending += count;
        source.bytes_in += count as u64;
        source.traffic = source.traffic.wrapping_add(count as u32);
        source.input.set_bulk(count >= SPLICE_WORTH);
        return Step::Moved;
    }
    if moved == Err(Errno::INTR) {
        return Step::Moved;
    }
    mover.pipes.give_back(&mut source.input.pipe);
    match moved {
        // The FIN, or the mark of urgent data before one: a read tells. Or this kind
        // of socket cannot be spliced.
        Ok(_) | Err(Errno::INVAL | Errno::NOSYS) => {
            source.input.set_bulk(false);
            Step::Moved
        }
        Err(Errno::AGAIN) => {
            source.ready.read_blocks();
            Step::Flow(Flow::Idle)
        }
        Err(error) => {
            data::read_failed(source, error, &mut mover.buffers);
            Step::Moved
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn flush_pipe(
    source: &mut Connection,
    target: &mut Connection,
    channel: &mut Channel,
    mover: &mut Mover,
) -> Flow {
    use rustix::pipe::{SpliceFlags, splice};
    while let Some(pipe) = &mut source.input.pipe {
        if pipe.pending == 0 {
            mover.pipes.give_back(&mut source.input.pipe);
            break;
        }
        if !target.ready.writes() {
            return Flow::Blocked;
        }
        data::before_write(target);
        let Some(fd) = target.ctrl.as_ref().and_then(Ctrl::splice_fd) else {
            return Flow::WriteError(Errno::PIPE);
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&pipe.reader, None, fd, None, pipe.pending, flags) {
            Ok(0) => return Flow::WriteError(data::write_failed(target, Errno::PIPE)),
            Ok(count) => {
                pipe.pending -= count;
                channel.pass(count);
                target.bytes_out += count as u64;
                target.traffic = target.traffic.wrapping_add(count as u32);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                target.ready.write_blocks();
                return Flow::Blocked;
            }
            Err(error) => return Flow::WriteError(data::write_failed(target, error)),
        }
    }
    Flow::Finished
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn splice(source: &mut Connection, _channel: &Channel, _mover: &mut Mover) -> Step {
    source.input.set_bulk(false);
    Step::Moved
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn flush_pipe(
    _source: &mut Connection,
    _target: &mut Connection,
    _channel: &mut Channel,
    _mover: &mut Mover,
) -> Flow {
    Flow::Finished
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Ctrl;
    use rustix::fd::OwnedFd;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::net::{RecvFlags, SendFlags, recv, send};

    /// A source and a target, and what is at their other ends.
    fn line() -> (Connection, Connection, OwnedFd, OwnedFd) {
        let end = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (fd, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("pair");
            let mut connection = Connection::empty();
            connection.ctrl = Some(Ctrl::Socket { fd, unix: true });
            (connection, theirs)
        };
        let ((source, sender), (target, receiver)) = (end(), end());
        (source, target, sender, receiver)
    }

    fn mover() -> Mover {
        Mover::new(std::sync::Arc::new(8.into()))
    }

    fn put(fd: &OwnedFd, bytes: &[u8]) {
        assert_eq!(send(fd, bytes, SendFlags::empty()), Ok(bytes.len()));
    }

    fn got(fd: &OwnedFd) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut all = Vec::new();
        while let Ok((_, count @ 1..)) = recv(fd, &mut bytes, RecvFlags::empty()) {
            all.extend_from_slice(&bytes[..count]);
        }
        all
    }

    #[test]
    fn no_more_is_read_than_is_allowed_and_ours_goes_first() {
        let (mut source, mut target, sender, receiver) = line();
        let (mut channel, mut mover) = (Channel::new(), mover());
        channel.stop();
        put(&sender, b"abcdefgh");
        channel.ahead = Some(mover.buffers.lend(b"ours "));
        let mut run = |channel: &mut Channel, mover: &mut Mover| {
            let flow = forward(&mut source, &mut target, channel, BUDGET, mover);
            (flow, source.bytes_in, got(&receiver))
        };
        let told = run(&mut channel, &mut mover);
        assert_eq!(told, (Flow::Spent, 0, b"ours ".to_vec()));
        channel.allow(3);
        let told = run(&mut channel, &mut mover);
        assert_eq!(told, (Flow::Spent, 3, b"abc".to_vec()));
        channel.allow(u64::MAX);
        let told = run(&mut channel, &mut mover);
        assert_eq!(told, (Flow::Idle, 8, b"defgh".to_vec()));
        assert_eq!((channel.moved(), mover.buffers.borrowed()), (8, 0));
    }

    #[test]
    fn what_was_read_before_is_passed_on_as_far_as_it_is_allowed() {
        let (mut source, mut target, sender, receiver) = line();
        let (mut channel, mut mover) = (Channel::new(), mover());
        channel.stop();
        channel.allow(4);
        source.input.buffer = Some(mover.buffers.lend(b"bodynext"));
        drop(sender);
        let flow = forward(&mut source, &mut target, &mut channel, BUDGET, &mut mover);
        assert_eq!((flow, got(&receiver)), (Flow::Spent, b"body".to_vec()));
        assert_eq!(source.input.bytes(), b"next");
        channel.allow(100);
        let flow = forward(&mut source, &mut target, &mut channel, BUDGET, &mut mover);
        assert_eq!((flow, got(&receiver)), (Flow::Finished, b"next".to_vec()));
    }

    #[test]
    fn a_splice_keeps_to_the_allowance_and_reading_to_its_budget() {
        let (mut source, mut target, sender, receiver) = line();
        let (mut channel, mut mover) = (Channel::new(), mover());
        let bytes: Vec<u8> = (0..100_000_u32).map(|it| it as u8).collect();
        put(&sender, &bytes);
        channel.stop();
        channel.allow(70_000);
        let mut all = Vec::new();
        let mut turns = 0;
        loop {
            let flow = forward(&mut source, &mut target, &mut channel, 1, &mut mover);
            all.extend(got(&receiver));
            match flow {
                Flow::More => turns += 1,
                Flow::Blocked => {}
                Flow::Spent => break,
                flow => panic!("{flow:?}"),
            }
            target.ready.write_went();
        }
        assert!(turns > 0, "a budget of one byte is one read");
        assert!(all == bytes[..70_000], "{} bytes", all.len());
        assert_eq!((source.bytes_in, channel.moved()), (70_000, 70_000));
        assert_eq!(mover.pipes.borrowed(), 0);
    }
}
