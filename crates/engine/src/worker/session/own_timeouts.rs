//! Time-outs that policy gave one connection. Those of its listener and its route hold for
//! what it did not set. Beside the connections: most have none.

use std::collections::HashMap;

use sluice_wire::commands::timeout;

const KINDS: usize = timeout::CONNECT as usize + 1;

/// By the slot of the client, then by `timeout`.
#[derive(Debug, Default)]
pub struct OwnTimeouts(HashMap<u32, [Option<u64>; KINDS]>);

impl OwnTimeouts {
    /// Sets one of them in milliseconds; less than 0 takes it back. What is none of `timeout` is ignored.
    pub fn set(&mut self, client: u32, which: i32, ms: i32) {
        let Some(which) = usize::try_from(which).ok().filter(|&it| it < KINDS) else {
            return;
        };
        self.0.entry(client).or_default()[which] = u64::try_from(ms).ok();
    }

    /// The connection has ended.
    pub fn forget(&mut self, client: u32) {
        if !self.0.is_empty() {
            self.0.remove(&client);
        }
    }

    /// The one that holds: its own, or what is configured.
    #[must_use]
    pub fn pick(&self, client: u32, which: i32, configured: u64) -> u64 {
        if self.0.is_empty() {
            return configured;
        }
        let own = self.0.get(&client).and_then(|own| own[which as usize]);
        own.unwrap_or(configured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ones_hold_until_they_are_taken_back_or_the_connection_ends() {
        let mut own = OwnTimeouts::default();
        assert_eq!(own.pick(3, timeout::CLIENT, 10), 10);
        own.set(3, timeout::CLIENT, 20);
        own.set(3, timeout::TUNNEL, 0);
        assert_eq!(own.pick(3, timeout::CLIENT, 10), 20);
        assert_eq!(own.pick(3, timeout::TUNNEL, 10), 0);
        assert_eq!(own.pick(3, timeout::SERVER, 10), 10);
        assert_eq!(own.pick(4, timeout::CLIENT, 10), 10);
        own.set(3, timeout::CLIENT, -1);
        assert_eq!(own.pick(3, timeout::CLIENT, 10), 10);
        own.forget(3);
        assert_eq!(own.pick(3, timeout::TUNNEL, 10), 10);
        own.set(3, KINDS as i32, 1);
        own.set(3, -1, 1);
        assert_eq!(own.pick(3, timeout::CLIENT, 10), 10);
    }
}
