//! Ends in the middle: what a connection has lost is passed on as a reset.

use crate::connection::{Connection, Deadline, data};
use crate::stream::forward::Flow;
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
    pub(super) fn cut_off(&mut self, client: u32, side: u32, flows: (Flow, Flow)) {
        let now = self.now;
        let patience = self.patience_with(client, side);
        let connection = self.slots.get_mut(side);
        let left = connection.ctrl.as_ref().map_or(0, Ctrl::unacknowledged);
        if left != connection.note_unacknowledged(left) {
            connection.last_io = now;
        }
        let read = left == 0 && connection.last_io + CUT_REST <= now;
        if read || connection.last_io + patience.max(CUT_REST) <= now {
            connection.reset_on_close();
            return self.end(client);
        }
        let server = self.slots.get(client).peer;
        self.slots.mirror(client);
        self.slots.mirror(server);
        self.watch_both(client, server, flows);
        // Nothing tells of an acknowledgement, nor of a read.
        self.set_deadline(client, Deadline::Cut, now + crate::timer::TICK);
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
