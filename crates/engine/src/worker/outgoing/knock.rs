//! Connects to unix sockets whose accept queue is full. The kernel says EAGAIN and
//! tells nobody when there is room, so they are tried again, in the order in which
//! they came, until their connect time-out.

use std::collections::VecDeque;

use rustix::io::Errno;

use crate::connection::Watch;
use crate::route::Destination;
use crate::sys;
use crate::worker::Worker;

/// Milliseconds between two tries.
pub(in crate::worker) const KNOCK: u64 = 5;

/// Who waits for room in the queue of one unix socket.
#[derive(Debug)]
pub(in crate::worker) struct Crowd {
    destination: Destination,
    /// Servers' connections: slot and generation, the first one first.
    waiting: VecDeque<(u32, i32)>,
}

impl Worker {
    /// The queue is full: the server's connection is tried again later.
    pub(in crate::worker) fn join_crowd(&mut self, server: u32) {
        let connection = self.slots.get(server);
        let Some(route) = &connection.route else {
            return;
        };
        let entry = (server, connection.generation());
        if self.crowds.is_empty() {
            self.knock_at = self.now + KNOCK;
        }
        let same = |crowd: &&mut Crowd| crowd.destination == route.destination;
        match self.crowds.iter_mut().find(same) {
            Some(crowd) => crowd.waiting.push_back(entry),
            None => self.crowds.push(Crowd {
                destination: route.destination.clone(),
                waiting: VecDeque::from([entry]),
            }),
        }
    }

    /// Tries those again that wait, as many as there is room for.
    pub(in crate::worker) fn knock(&mut self) {
        if self.crowds.is_empty() || self.now < self.knock_at {
            return;
        }
        self.knock_at = self.now + KNOCK;
        let mut crowds = std::mem::take(&mut self.crowds);
        crowds.retain_mut(|crowd| {
            while let Some(&(server, generation)) = crowd.waiting.front() {
                if !self.try_again(server, generation, &crowd.destination) {
                    break;
                }
                crowd.waiting.pop_front();
            }
            !crowd.waiting.is_empty()
        });
        self.crowds = crowds;
    }

    /// False where there is still no room.
    fn try_again(&mut self, server: u32, generation: i32, destination: &Destination) -> bool {
        // Its time-out has passed, or its client has gone.
        if self.slots.find(server as i32, generation).is_none() {
            return true;
        }
        let id = self.stream_of(server);
        let socket = self.slots.get(server).socket();
        let (Some(fd), Destination::Unix(path)) = (socket, destination) else {
            return true;
        };
        match sys::connect_unix(fd, path) {
            Ok(()) => self.watch(server, Watch::ReadWrite),
            Err(Errno::AGAIN) => return false,
            Err(error) => self.fail_connect_with(id, error),
        }
        true
    }
}
