//! The contexts that policy made, by number, for the program and its workers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::{ClientConfig, ServerConfig};

/// A context.
#[derive(Clone, Debug)]
pub enum Context {
    /// Terminates TLS of clients.
    Downstream(Arc<ServerConfig>),
    /// Speaks TLS to servers.
    Upstream {
        /// What connections are made from.
        config: Arc<ClientConfig>,
        /// False where every certificate is accepted.
        verify: bool,
    },
}

/// All contexts. Written when certificates change, read for each handshake.
#[derive(Debug, Default)]
pub struct Contexts(RwLock<All>);

#[derive(Debug, Default)]
struct All {
    contexts: HashMap<i32, Context>,
    /// A number is never used again: an answer of policy that is on its way must
    /// not find another certificate.
    next: i32,
}

impl Contexts {
    /// Keeps a context; returns its number.
    pub fn add(&self, context: Context) -> i32 {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let id = all.next;
        all.next += 1;
        all.contexts.insert(id, context);
        id
    }

    /// Forgets a context; connections that use it keep it.
    pub fn remove(&self, id: i32) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let removed = all.contexts.remove(&id);
        drop(all);
        // Outside the lock: freeing certificates takes a moment.
        drop(removed);
    }

    /// The downstream context of a number.
    #[must_use]
    pub fn downstream(&self, id: i32) -> Option<Arc<ServerConfig>> {
        match self.get(id)? {
            Context::Downstream(config) => Some(config),
            Context::Upstream { .. } => None,
        }
    }

    /// The context of a number.
    #[must_use]
    pub fn get(&self, id: i32) -> Option<Context> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.contexts.get(&id).cloned()
    }
}
