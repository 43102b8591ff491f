//! Ends in the middle: what a connection has lost is passed on as a reset.

use crate::clock::Moment;
use crate::connection::{Connection, Side, data};
use crate::stream::forward::Flow;
use crate::stream::{Deadline, StreamId};
use crate::sys;
use crate::transport::Ctrl;
use crate::worker::Worker;

/// Time between the last bytes and a reset behind them, in milliseconds: a program
/// that reads on libuv takes both at once for a FIN.
const CUT_REST: u64 = 100;

impl Worker {
    /// Passes a cut on to `side`, as a reset: a FIN would say that what it got is
    /// complete. A reset also drops what the kernel has not delivered yet, so it
    /// waits until the other kernel has acknowledged everything.
    pub(super) fn cut_off(&mut self, id: StreamId, side: Side, flows: (Flow, Flow)) {
        let patience = self.patience_with(id, side);
        let stream = self.streams.get_mut(id);
        let (client, server) = (stream.client, stream.server);
        let connection = self.slots.get_mut(stream.of(side));
        let left = connection.ctrl.as_ref().map_or(0, Ctrl::unacknowledged);
        if left != connection.note_unacknowledged(left) {
            *stream.io(side) = Moment::at(self.now);
        }
        let silent = stream.io(side).ago(self.now);
        let read = left == 0 && silent >= CUT_REST;
        if read || silent >= patience.max(CUT_REST) {
            connection.reset_on_close();
            return self.end(id);
        }
        self.mirror(client);
        self.mirror(server);
        self.watch_both(client, server, flows);
        // Nothing tells of an acknowledgement, nor of a read.
        self.set_deadline(id, Deadline::Cut, self.now + crate::timer::TICK);
    }
}

/// True where `source` ended in the middle or has lost what it was sent, everything
/// that came from it is written, and a reset is the only way to tell `target` so.
/// With TLS the missing close_notify says it, and a unix socket has nothing to say
/// it with.
pub(super) fn is_cut(flow: Flow, source: &Connection, target: &Connection) -> bool {
    let cut = source.input.ended_broken() && target.output.is_open();
    flow == Flow::Finished
        && (cut || source.output.is_broken())
        && target.tls.is_none()
        && target.ctrl.as_ref().is_some_and(Ctrl::has_reset)
        && !target.output.is_broken()
}

/// A peer whose end was read already, or from which nobody reads any more because
/// the other side is gone, may reset: no read will tell, and a write only where there
/// is one.
pub(super) fn note_reset(connection: &mut Connection, other: &Connection) {
    let unread = connection.input.ended() || !other.output.is_open();
    let asks = unread && connection.ready.has_hangup() && connection.output.is_open();
    if asks && let Some(error) = connection.ctrl.as_ref().and_then(Ctrl::error) {
        data::write_failed(connection, error);
        connection
            .input
            .fail(sys::code_of(error), error.raw_os_error());
    }
}
