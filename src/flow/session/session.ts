/**
 * A session: two stream interfaces and what links them. The states are kept
 * here as numbers; every change goes through `transition`, and what the session
 * holds (a server slot, a place in a queue) is given back by the transition
 * that leaves the holding states, not by looking at where it has been.
 */

import type { Backend, BackendClient, Server } from '../../backend/backend.js'
import type { Connection, TlsInfo } from '../../policy/types.js'
import type { ClientConnection } from '../connection.js'
import { holdsSlot, mayFollow, Side, SiState } from './state.js'
import type { Target } from './target.js'

/** What a session needs of the core. */
export interface SessionOwner {
  /** Every transition is reported where this is true. */
  readonly tracing: boolean
  transitioned(session: Session, side: 0 | 1, from: number, to: number): void
  /** A transition that the table does not have: logs it and closes this one session. */
  illegal(session: Session, side: 0 | 1, from: number, to: number): void
  /** A queued session was given a slot of `server`. */
  dequeued(session: Session, server: Server): void
  queueExpired(session: Session): void
}

/** A connect that failed. */
export interface FailedAttempt {
  readonly server: string | undefined
  readonly endpoint: string | undefined
  /** Reason word. */
  readonly reason: number
  readonly errno: number
}

/** Failed attempts that a session remembers for its log line. */
const MOST_ATTEMPTS = 16

const NOBODY: readonly Server[] = []
const NO_ROUTES: readonly number[] = []

export class Session implements BackendClient {
  readonly client: ClientConnection
  readonly #owner: SessionOwner
  #clientState: number = SiState.INI
  #serverState: number = SiState.INI

  /** The backend whose server is wanted. */
  backend: Backend | undefined = undefined
  /** The server whose slot is held, or was held last. */
  server: Server | undefined = undefined
  /** Connect attempts. */
  attempts = 0
  /** Attempts that followed a failed one at once, on another server or address. */
  moves = 0
  /** Attempts that followed a failed one after a pause. */
  pauses = 0
  /** Servers that failed since the last pause, and the routes to them. */
  tried: readonly Server[] = NOBODY
  triedRoutes: readonly number[] = NO_ROUTES
  /** Another server is to be tried where there is one. */
  leaves = false
  /** Engine route of the last attempt. */
  route = -1
  /** Clock at which the last attempt began. */
  attemptedAt = 0
  /** Failures on `server` since it was chosen. */
  serverFailures = 0
  /** Where the last attempt went; undefined for an applet. */
  endpoint: string | undefined = undefined
  /** Attempts that failed, the first ones where there are many. */
  failed: FailedAttempt[] | undefined = undefined
  /** Reason word of the last failed attempt. */
  lastFailure = 0
  /** Opened by the engine, past policy, because the verdict was late. */
  opened = false
  /** ms spent in queues. */
  queueTime = 0
  /** Clock at which it was queued. */
  queuedAt = 0
  cancelTimer: (() => void) | undefined = undefined
  /** The line of a long session is to come. */
  cancelOpenLine: (() => void) | undefined = undefined

  constructor(client: ClientConnection, owner: SessionOwner) {
    this.client = client
    this.#owner = owner
  }

  get connection(): Connection {
    return this.client
  }

  get priority(): number {
    return this.client.priority
  }

  /** TLS with the server, once it is complete. */
  get serverTls(): TlsInfo | undefined {
    return this.client.secure?.serverInfo
  }

  /** State of the client's side. */
  get clientState(): number {
    return this.#clientState
  }

  /** State of the server's side. */
  get serverState(): number {
    return this.#serverState
  }

  /** What the client's side talks to. */
  get source(): Target {
    return this.client.listener.target
  }

  /** What the server's side talks to; undefined while none is chosen. */
  get target(): Target | undefined {
    const { server } = this
    if (server === undefined) return undefined
    const { applet } = server
    return applet === undefined ? { kind: 'server', server } : { kind: 'applet', applet, server }
  }

  /** An attempt failed; `errno` or 0. */
  attemptFailed(reason: number, errno: number): void {
    this.serverFailures++
    this.lastFailure = reason
    this.client.errno = errno
    this.failed ??= []
    if (this.failed.length === MOST_ATTEMPTS) return
    this.failed.push({ server: this.server?.name, endpoint: this.endpoint, reason, errno })
  }

  /** False where the transition is illegal; the session is then closed. */
  transition(side: 0 | 1, to: number): boolean {
    const from = side === Side.CLIENT ? this.#clientState : this.#serverState
    if (!mayFollow(side, from, to)) {
      this.#owner.illegal(this, side, from, to)
      return false
    }
    if (side === Side.CLIENT) this.#clientState = to
    else {
      this.#serverState = to
      this.#giveBack(from, to)
    }
    if (this.#owner.tracing) this.#owner.transitioned(this, side, from, to)
    return true
  }

  /** Walks both sides to CLO by legal steps, from wherever they are. */
  finish(): void {
    for (const side of [Side.SERVER, Side.CLIENT]) {
      const state = side === Side.CLIENT ? this.#clientState : this.#serverState
      if (state === SiState.EST) this.transition(side, SiState.DIS)
      if (state !== SiState.CLO) this.transition(side, SiState.CLO)
    }
  }

  dequeued(server: Server): void {
    this.#owner.dequeued(this, server)
  }

  queueExpired(): void {
    this.#owner.queueExpired(this)
  }

  #giveBack(from: number, to: number): void {
    if (this.cancelTimer !== undefined && from === SiState.TAR) {
      this.cancelTimer()
      this.cancelTimer = undefined
    }
    if (from === SiState.QUE && to === SiState.CLO) this.backend?.cancel(this)
    if (holdsSlot(from) && !holdsSlot(to)) {
      const { server } = this
      if (server !== undefined) server.backend.release(server)
    }
  }
}
