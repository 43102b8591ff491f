//! A worker that no thread runs, for tests that look inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use sluice_wire::ring_layout::{WORKER_WORDS, layout};

use super::{Limits, Mailbox, Worker, WorkerParts};
use crate::listener::{ListenAddress, ListenSpec, Listener, open};
use crate::memory::Words;
use crate::poller::Poller;
use crate::sys::Liveness;

const SLOTS: usize = 16;

fn words(memory: &[i32]) -> Words {
    // SAFETY: the caller keeps the memory beside the worker, and accesses it through
    // this view only.
    unsafe { Words::new(memory.as_ptr(), memory.len()) }
}

/// What is to be dropped last, a worker that no thread runs, and its memory.
pub fn worker() -> ([Box<[i32]>; 2], Worker, Words) {
    let backing = [WORKER_WORDS, SLOTS * layout::CONNECTION_WORDS as usize]
        .map(|count| vec![0_i32; count].into_boxed_slice());
    let (poller, waker) = Poller::new().expect("poller");
    let memory = words(&backing[0]);
    let mailbox = Arc::new(Mailbox {
        messages: std::sync::Mutex::default(),
        full: false.into(),
        waker,
        stats: crate::stats::WorkerStats::default(),
    });
    let worker = Worker::new(WorkerParts {
        index: 0,
        memory,
        table: words(&backing[1]),
        first_word: 0,
        slots: SLOTS,
        poller,
        mailboxes: [mailbox].into(),
        limits: Arc::new(Limits {
            maxconn: SLOTS,
            open: AtomicUsize::new(0),
            waiting: 0.into(),
        }),
        pipes: Arc::default(),
        contexts: Arc::default(),
        doorbell: Arc::new(|| false),
        started: Instant::now(),
    });
    (backing, worker, memory)
}

/// Listens for clients with these handshakes; those in a health check get "well".
pub fn listen(worker: &mut Worker, handshakes: i32) -> SocketAddr {
    let spec = ListenSpec {
        address: ListenAddress::Tcp {
            address: ([127, 0, 0, 1], 0).into(),
            v6only: false,
        },
        backlog: 16,
        maxconn: SLOTS,
        defer_accept: 0,
        fast_open: 0,
        reuse_port: false,
        liveness: Liveness::default(),
        transparent: false,
        original_dst: false,
        handshakes,
        ask: 0,
        proxy_limit: 0,
        silence_asks: false,
        health_reply: b"well".to_vec(),
        handshake_timeout: 0,
        verdict_timeout: 0,
        fallback_route: -1,
        client_timeout: 0,
        client_fin_timeout: 0,
    };
    let opened = open(&spec, 1).expect("listen");
    let listener = Arc::new(Listener {
        id: 7,
        spec,
        fixed_dst: opened.local,
        tcp: true,
        file: None,
        open: AtomicUsize::new(0),
        paused: false.into(),
    });
    worker.add_listener(listener, opened.sockets[0].clone(), false);
    opened.local.expect("an address")
}
