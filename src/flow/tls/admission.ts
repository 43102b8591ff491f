/**
 * Who may do a TLS handshake now: places bound work, not waiting. A handshake holds one
 * from the answer to the ClientHello until it is complete, the connection is gone, or,
 * where places are getting short, the engine has done its part and waits for the client.
 * So clients that stall cannot hold more than half of them. Those over a limit wait in the
 * order they came, for a bounded time.
 */

import type { Clock } from '../../base/clock.js'

/** Handshakes at once; 0: no limit. `queue`: most that wait, `queueTimeout` in ms. */
export interface AdmissionLimits {
  /** In each worker. */
  readonly concurrent: number
  /** In the process. */
  readonly total: number
  readonly queue: number
  readonly queueTimeout: number
}

/** Who begins handshakes. `C`: what they are of. */
export interface AdmissionHost<C> {
  /** A handshake that waited may begin; it is counted already. */
  admitted(conn: C): void
  /** It waited too long and is no longer in the queue. */
  waitedTooLong(conn: C): void
}

/** How `arrive` answers. */
export const Admission = {
  GO: 0,
  WAIT: 1,
  FULL: 2,
} as const

/** A handshake that runs or waits. */
export class HandshakeTicket<C = unknown> {
  readonly conn: C
  readonly worker: number
  readonly host: AdmissionHost<C>
  running = false
  /** Half of the places were taken when it began: it gives its own back as soon as it can. */
  scarce = false
  // The queue of its worker, while it waits.
  waiting = false
  order = 0
  before: HandshakeTicket | undefined = undefined
  behind: HandshakeTicket | undefined = undefined
  cancelTimer: (() => void) | undefined = undefined

  constructor(conn: C, worker: number, host: AdmissionHost<C>) {
    this.conn = conn
    this.worker = worker
    this.host = host
  }
}

interface WorkerState {
  running: number
  first: HandshakeTicket | undefined
  last: HandshakeTicket | undefined
}

export class TlsAdmission {
  readonly #limits: AdmissionLimits
  readonly #clock: Clock
  readonly #workers: WorkerState[]
  #running = 0
  #waiting = 0
  #order = 0
  #serving = false
  #again = false

  constructor(limits: AdmissionLimits, workers: number, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
    this.#workers = Array.from({ length: Math.max(workers, 1) }, () => ({
      running: 0,
      first: undefined,
      last: undefined,
    }))
  }

  /** Handshakes under way. */
  get running(): number {
    return this.#running
  }

  /** Handshakes that wait. */
  get waiting(): number {
    return this.#waiting
  }

  /** A handshake wants to begin: a value of `Admission`. Precondition: the ticket is new. */
  arrive(ticket: HandshakeTicket): number {
    // Those who wait go first, where they could go at all.
    const { first } = this.#of(ticket)
    if (first === undefined && this.#hasRoom(ticket.worker)) {
      this.#begin(ticket)
      return Admission.GO
    }
    if (this.#waiting >= this.#limits.queue) return Admission.FULL
    this.#enqueue(ticket)
    return Admission.WAIT
  }

  /** The handshake is complete, or it is given up. Nothing happens the second time. */
  leave(ticket: HandshakeTicket): void {
    if (ticket.waiting) {
      this.#dequeue(ticket)
    } else if (ticket.running) {
      ticket.running = false
      this.#of(ticket).running--
      this.#running--
      if (this.#waiting > 0) this.#serve()
    }
  }

  #of(ticket: HandshakeTicket): WorkerState {
    return this.#workers[ticket.worker] as WorkerState
  }

  #hasRoom(worker: number): boolean {
    const { concurrent, total } = this.#limits
    if (total > 0 && this.#running >= total) return false
    return concurrent === 0 || (this.#workers[worker] as WorkerState).running < concurrent
  }

  #isScarce(worker: number): boolean {
    const { concurrent, total } = this.#limits
    const { running } = this.#workers[worker] as WorkerState
    return (
      (concurrent > 0 && running >= Math.floor(concurrent / 2)) ||
      (total > 0 && this.#running >= Math.floor(total / 2))
    )
  }

  #begin(ticket: HandshakeTicket): void {
    ticket.scarce = this.#isScarce(ticket.worker)
    ticket.running = true
    this.#of(ticket).running++
    this.#running++
  }

  #enqueue(ticket: HandshakeTicket): void {
    const worker = this.#of(ticket)
    ticket.waiting = true
    ticket.order = this.#order++
    ticket.before = worker.last
    if (worker.last === undefined) worker.first = ticket
    else worker.last.behind = ticket
    worker.last = ticket
    this.#waiting++
    const { queueTimeout } = this.#limits
    if (queueTimeout === 0) return
    ticket.cancelTimer = this.#clock.after(queueTimeout, () => {
      ticket.cancelTimer = undefined
      if (!ticket.waiting) return
      this.#dequeue(ticket)
      ticket.host.waitedTooLong(ticket.conn)
    })
  }

  #dequeue(ticket: HandshakeTicket): void {
    const worker = this.#of(ticket)
    const { before, behind } = ticket
    if (before === undefined) worker.first = behind
    else before.behind = behind
    if (behind === undefined) worker.last = before
    else behind.before = before
    ticket.before = undefined
    ticket.behind = undefined
    ticket.waiting = false
    ticket.cancelTimer?.()
    ticket.cancelTimer = undefined
    this.#waiting--
  }

  /** Lets in whoever may go. What the host does meanwhile is served by the same loop. */
  #serve(): void {
    this.#again = true
    if (this.#serving) return
    this.#serving = true
    try {
      while (this.#again) {
        this.#again = false
        for (let next = this.#next(); next !== undefined; next = this.#next()) {
          this.#dequeue(next)
          this.#begin(next)
          next.host.admitted(next.conn)
        }
      }
    } finally {
      this.#serving = false
    }
  }

  /** The first in line of those whose worker has room. */
  #next(): HandshakeTicket | undefined {
    let next: HandshakeTicket | undefined
    for (const [worker, { first }] of this.#workers.entries()) {
      if (first === undefined || !this.#hasRoom(worker)) continue
      if (next === undefined || first.order < next.order) next = first
    }
    return next
  }
}
