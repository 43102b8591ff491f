//! What resumption on the server's side needs: ticket keys and session caches,
//! shared by the contexts of a group for as long as there are any.

use std::fmt;
use std::sync::{Arc, Weak};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand::fill;
use rustls::TicketRotator;
use rustls::crypto::GetRandomFailed;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// Ticket keys and caches by the name of their group. A change of the rotation
/// or of the cache's size starts new ones.
#[derive(Default)]
pub struct SessionGroups {
    ticketers: Vec<(String, u32, Weak<TicketRotator>)>,
    caches: Vec<(String, usize, Weak<ServerSessionMemoryCache>)>,
}

impl SessionGroups {
    /// The group's ticket keys, rotated every `rotation` ms: tickets of the keys
    /// before are still good, older ones are not.
    pub(super) fn ticketer(
        &mut self,
        group: &str,
        rotation: u64,
    ) -> Result<Arc<dyn ProducesTickets>, String> {
        // Seconds, of which rustls tells clients twice as many in 32 bits; RFC 8446
        // allows a week.
        let seconds = (rotation / 1000).clamp(1, 7 * 24 * 3600 / 2) as u32;
        let ticketer = shared(&mut self.ticketers, group, seconds, || {
            TicketRotator::new(seconds, ticket_key)
                .map(Arc::new)
                .map_err(|error| format!("no ticket keys: {error}"))
        })?;
        Ok(ticketer)
    }

    /// The group's cache of at most `size` sessions.
    pub(super) fn cache(&mut self, group: &str, size: usize) -> Arc<dyn StoresServerSessions> {
        match shared(&mut self.caches, group, size, || {
            Ok::<_, std::convert::Infallible>(ServerSessionMemoryCache::new(size))
        }) {
            Ok(cache) => cache,
            Err(never) => match never {},
        }
    }
}

fn shared<S: PartialEq, V, E>(
    all: &mut Vec<(String, S, Weak<V>)>,
    group: &str,
    setting: S,
    make: impl FnOnce() -> Result<Arc<V>, E>,
) -> Result<Arc<V>, E> {
    let known = all
        .iter()
        .find(|(name, its, _)| name == group && *its == setting);
    if let Some(value) = known.and_then(|(_, _, value)| value.upgrade()) {
        return Ok(value);
    }
    let value = make()?;
    all.retain(|(_, _, value)| value.strong_count() > 0);
    all.push((group.to_owned(), setting, Arc::downgrade(&value)));
    Ok(value)
}

fn ticket_key() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    let mut key = [0; 32];
    fill(&mut key).map_err(|_| GetRandomFailed)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| GetRandomFailed)?;
    Ok(Box::new(TicketKey(key)))
}

/// Tickets are a nonce and the session, encrypted and authenticated (RFC 5077
/// section 4 leaves the construction open). The rotation above knows their age.
struct TicketKey(RandomizedNonceKey);

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

impl ProducesTickets for TicketKey {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // The rotation's own is asked.
        0
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        let mut sealed = plain.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::empty(), &mut sealed)
            .ok()?;
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::empty(), &mut sealed)
            .ok()?
            .len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_with_its_key_only() {
        let (one, other) = (ticket_key().unwrap(), ticket_key().unwrap());
        let ticket = one.encrypt(b"a session").unwrap();
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        assert_ne!(one.encrypt(b"a session").unwrap(), ticket);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(one.decrypt(&changed), None);
            assert_eq!(one.decrypt(&ticket[..at]), None);
        }
    }

    #[test]
    fn a_group_shares_while_somebody_uses_it() {
        let mut groups = SessionGroups::default();
        let first = groups.ticketer("a", 3_600_000).unwrap();
        let ticket = first.encrypt(b"x").unwrap();
        let opens = |ticketer: &Arc<dyn ProducesTickets>| ticketer.decrypt(&ticket).is_some();
        let second = groups.ticketer("a", 3_600_000).unwrap();
        drop(first);
        assert!(opens(&second));
        assert!(!opens(&groups.ticketer("b", 3_600_000).unwrap()));
        assert!(!opens(&groups.ticketer("a", 1_800_000).unwrap()));
        assert!(opens(&groups.ticketer("a", 3_600_000).unwrap()));
        drop(second);
        assert!(!opens(&groups.ticketer("a", 3_600_000).unwrap()));

        let cache = groups.cache("a", 8);
        assert!(cache.put(b"k".to_vec(), b"v".to_vec()));
        assert!(groups.cache("a", 8).get(b"k").is_some());
        assert!(groups.cache("b", 8).get(b"k").is_none());
        drop(cache);
        assert!(groups.cache("a", 8).get(b"k").is_none());
        // What nobody uses is forgotten.
        assert!(groups.ticketers.len() <= 1 && groups.caches.len() <= 1);
    }

    #[test]
    fn clients_hear_how_long_tickets_are_good() {
        let mut groups = SessionGroups::default();
        assert_eq!(groups.ticketer("a", 3_600_000).unwrap().lifetime(), 7200);
        assert_eq!(groups.ticketer("a", 0).unwrap().lifetime(), 2);
        let week = 7 * 24 * 3600;
        assert_eq!(groups.ticketer("a", u64::MAX).unwrap().lifetime(), week);
    }
}
