//! Inactivity: which side is expected to act, and when its time is over.

use sluice_wire::commands::timeout;
use sluice_wire::errors::{by, code, phase, reason};

use crate::connection::{Connection, Mode, NONE, Side};
use crate::route::Route;
use crate::stream::{Deadline, StreamId};
use crate::timer::Kind;
use crate::worker::Worker;
use crate::worker::incoming::last_chunk::LAST_CHUNK_TIMEOUT;
use crate::worker::incoming::phase_of;

impl Worker {
    /// Starts or updates the inactivity deadline.
    pub(in crate::worker) fn set_idle_deadline(&mut self, id: StreamId) {
        self.streams.get_mut(id).deadline_kind = Deadline::Idle;
        if let Some((at, _)) = self.idle_deadline(id) {
            self.timers.schedule(Kind::Stream, id.place(), at);
        }
    }

    /// Policy gave this connection a time-out of its own.
    pub(in crate::worker) fn set_timeout(&mut self, client: u32, which: i32, ms: i32) {
        self.own_timeouts.set(client, which, ms);
        let id = self.stream_of(client);
        if self.streams.get(id).deadline_kind == Deadline::Idle {
            self.set_idle_deadline(id);
        }
    }

    /// The time-outs of a client's connection: normally, and once either side is shut.
    fn client_timeouts(&self, client: u32) -> Option<(u64, u64)> {
        let spec = &self.listener_of(client)?.spec;
        let own = &self.own_timeouts;
        Some((
            own.pick(client, timeout::CLIENT, spec.client_timeout),
            own.pick(client, timeout::CLIENT_FIN, spec.client_fin_timeout),
        ))
    }

    /// The same of its server's.
    fn server_timeouts(&self, client: u32, route: &Route) -> (u64, u64) {
        let own = &self.own_timeouts;
        (
            own.pick(client, timeout::SERVER, route.server_timeout),
            own.pick(client, timeout::SERVER_FIN, route.server_fin_timeout),
        )
    }

    fn tunnel_timeout(&self, client: u32, route: &Route) -> u64 {
        self.own_timeouts
            .pick(client, timeout::TUNNEL, route.tunnel_timeout)
    }

    /// True once the tunnel time-out holds: both sides have sent payload.
    fn is_tunnel(&self, id: StreamId) -> bool {
        let stream = self.streams.get(id);
        stream.went_both_ways()
            && self
                .server_of(id)
                .and_then(|server| server.route.as_ref())
                .is_some_and(|route| self.tunnel_timeout(stream.client, route) > 0)
    }

    /// When inactivity ends the session, and which time-out that is. A side is
    /// held responsible only while it is expected to act: while it is read from
    /// and has not sent its FIN, or while bytes wait for it.
    fn idle_deadline(&self, id: StreamId) -> Option<(u64, i32)> {
        let stream = self.streams.get(id);
        let connection = self.slots.get(stream.client);
        let (client_timeout, client_fin) = self.client_timeouts(stream.client)?;
        let server = self.server_of(id);
        let client_io = stream.client_io.past(self.now);
        let server_io = stream.server_io.past(self.now);
        let half_closed =
            connection.is_half_closed() || server.is_some_and(Connection::is_half_closed);
        let pick = |normal: u64, fin: u64| if half_closed && fin > 0 { fin } else { normal };
        let mut found = None;
        let mut consider = |timeout: u64, last_io: u64, code: i32| {
            if timeout > 0 && found.is_none_or(|(at, _)| last_io + timeout < at) {
                found = Some((last_io + timeout, code));
            }
        };
        let code = |timeout: u64, normal: i32, fin: i32| {
            if half_closed && timeout > 0 {
                fin
            } else {
                normal
            }
        };
        let route = server.and_then(|server| server.route.as_ref());
        if let Some(route) = route
            && !half_closed
            && self.is_tunnel(id)
        {
            let last_io = client_io.max(server_io);
            let tunnel = self.tunnel_timeout(stream.client, route);
            consider(tunnel, last_io, code::TUNNEL_TIMEOUT);
            return found;
        }
        let sends = |side: &Connection, held: bool| !side.input.ended() && !held;
        let for_client = stream.down.ahead.is_some()
            || connection.unsent()
            || server.is_some_and(|server| connection.holds_back(server));
        if for_client || sends(connection, self.is_held_back(id)) {
            consider(
                pick(client_timeout, client_fin),
                client_io,
                code(client_fin, code::CLIENT_TIMEOUT, code::CLIENT_FIN_TIMEOUT),
            );
        }
        if let (Some(server), Some(route)) = (server, route)
            && (stream.up.ahead.is_some()
                || server.unsent()
                || server.holds_back(connection)
                || sends(server, connection.holds_back(server)))
        {
            let (normal, fin) = self.server_timeouts(stream.client, route);
            consider(
                pick(normal, fin),
                server_io,
                code(fin, code::SERVER_TIMEOUT, code::SERVER_FIN_TIMEOUT),
            );
        }
        found
    }

    /// The server's connection of a stream that has one.
    fn server_of(&self, id: StreamId) -> Option<&Connection> {
        let server = self.streams.get(id).server;
        (server != NONE).then(|| self.slots.get(server))
    }

    /// True where a client is not read from: it cannot help being silent.
    fn is_held_back(&self, id: StreamId) -> bool {
        let stream = self.streams.get(id);
        let connection = self.slots.get(stream.client);
        match (connection.mode, self.server_of(id)) {
            // More is wanted, whatever is there.
            (Mode::Inspect, _) => false,
            (Mode::Applet, _) => connection.input.holds() || stream.up.is_spent(),
            (_, Some(server)) => server.holds_back(connection),
            (_, None) => connection.input.holds(),
        }
    }

    /// The shortest time-out of inactivity that a session has, in milliseconds.
    fn shortest_timeout(&self, id: StreamId) -> Option<u64> {
        let client = self.streams.get(id).client;
        let (normal, fin) = self.client_timeouts(client)?;
        let mut all = vec![normal, fin];
        if let Some(route) = self.server_of(id).and_then(|it| it.route.as_ref()) {
            let (normal, fin) = self.server_timeouts(client, route);
            all.extend([normal, fin, self.tunnel_timeout(client, route)]);
        }
        all.into_iter().filter(|&timeout| timeout > 0).min()
    }

    /// How long a side that takes nothing is waited for once the other has ended, in
    /// milliseconds.
    pub(in crate::worker) fn patience_with(&self, id: StreamId, side: Side) -> u64 {
        let stream = self.streams.get(id);
        let (normal, fin) = match &self.slots.get(stream.of(side)).route {
            Some(route) => self.server_timeouts(stream.client, route),
            None => self.client_timeouts(stream.client).unwrap_or_default(),
        };
        match (normal, fin) {
            (0, 0) => LAST_CHUNK_TIMEOUT,
            (normal, 0) => normal,
            (_, fin) => fin,
        }
    }

    pub(in crate::worker) fn on_idle(&mut self, id: StreamId) {
        let Some((at, code)) = self.idle_deadline(id) else {
            // Nobody is expected to act now, but the session is not over: it must
            // not go on without a timer.
            if let Some(ms) = self.shortest_timeout(id) {
                let at = self.now + ms;
                self.timers.schedule(Kind::Stream, id.place(), at);
            }
            return;
        };
        if at > self.now {
            return self.timers.schedule(Kind::Stream, id.place(), at);
        }
        let stream = self.streams.get_mut(id);
        let half_closed = matches!(code, code::CLIENT_FIN_TIMEOUT | code::SERVER_FIN_TIMEOUT);
        let phase = if half_closed {
            phase::CLOSE
        } else {
            phase_of(self.slots.get(stream.client))
        };
        stream.reason = 0;
        self.end_with(id, reason(by::TIMEOUT, phase, code), 0);
    }
}
