/**
 * Finds a server for a session and connects to it: REQ, QUE, ASS, CON, CER and
 * TAR of the server's side.
 */

import type { Server } from '../../backend/backend.js'
import { isLocalFailure } from '../../backend/passive.js'
import type { Clock } from '../../base/clock.js'
import type { Engine } from '../../engine/engine.js'
import { packReason, reasonCode } from '../../wire/reason.js'
import { By, Code, ConnectFlag, Handshake, Phase } from '../../wire/wire.js'
import { AppletRuntime } from '../applet/runtime.js'
import type { ClientConnection } from '../connection.js'
import { tlvsFor } from './send-proxy.js'
import type { Session } from './session.js'
import { Side, SiState } from './state.js'

/** What the connector asks of the core. */
export interface ConnectorHost {
  /** Closes the connection with a reason word. */
  close(conn: ClientConnection, reason: number): void
  /** Runs `fn`; whatever it throws is logged and closes that one connection. */
  guard(conn: ClientConnection, fn: () => void): void
}

const { SERVER } = Side

/** Failures that the same server may not have next time. */
function worthRetrying(code: number): boolean {
  switch (code) {
    case Code.BAD_ADDRESS:
    case Code.SOCKS_AUTH:
    case Code.SOCKS_NO_METHOD:
    case Code.SOCKS_MALFORMED:
    // What a server is does not change within a turn-around: its certificate, what it speaks.
    case Code.NOT_TLS:
    case Code.TLS_MALFORMED:
    case Code.TLS_VERSION:
    case Code.TLS_CIPHER:
    case Code.TLS_ALPN:
    case Code.TLS_ALERT:
    case Code.TLS_CERT_MISSING:
    case Code.TLS_CERT_EXPIRED:
    case Code.TLS_CERT_NAME:
    case Code.TLS_CERT_UNTRUSTED:
    case Code.TLS_CERT_REVOKED:
    case Code.TLS_CERT_INVALID:
      return false
    default:
      return true
  }
}

export class Connector {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #host: ConnectorHost

  constructor(engine: Engine, clock: Clock, host: ConnectorHost) {
    this.#engine = engine
    this.#clock = clock
    this.#host = host
  }

  /** Chooses a server and goes on from there. Precondition: the server's side is in INI. */
  assign(session: Session): void {
    const { client } = session
    const backend = client.backend ?? client.listener.frontend.backend
    if (backend === undefined) {
      this.#host.close(client, packReason(By.PROXY, Phase.ACCEPT_SESSION, Code.NO_BACKEND))
      return
    }
    session.backend = backend
    if (session.transition(SERVER, SiState.REQ)) this.#request(session)
  }

  /** A slot came free for a queued session; the slot is taken already. */
  dequeued(session: Session, server: Server): void {
    session.queueTime += this.#clock.now() - session.queuedAt
    this.#take(session, server)
  }

  queueExpired(session: Session): void {
    session.queueTime += this.#clock.now() - session.queuedAt
    this.#fail(session, packReason(By.TIMEOUT, Phase.QUEUE, Code.QUEUE_TIMEOUT))
  }

  /**
   * The engine took its own way to the default backend, because policy was late.
   * No server is counted for it: the engine chose, not a backend.
   */
  opened(session: Session): void {
    const { client } = session
    if (session.serverState === SiState.QUE) session.backend?.cancel(session)
    // A choice that came too late is undone by legal steps, which give its slot back.
    if (session.serverState === SiState.CON) session.transition(SERVER, SiState.CER)
    if (session.serverState === SiState.CER) session.transition(SERVER, SiState.REQ)
    if (session.serverState === SiState.INI) session.transition(SERVER, SiState.REQ)
    session.opened = true
    session.backend = client.listener.frontend.backend
    client.phase = Phase.CONNECT
    client.answered = true
    if (session.serverState === SiState.EST) return
    session.server = undefined
    session.endpoint = undefined
    if (session.transition(SERVER, SiState.ASS)) session.transition(SERVER, SiState.CON)
  }

  /** The engine reports that the server's side is there. */
  connected(session: Session): void {
    if (session.serverState !== SiState.CON || !session.transition(SERVER, SiState.EST)) return
    session.client.phase = Phase.DATA
    session.server?.backend.succeeded(session.server, session.route)
  }

  /** An attempt failed with `reason` and `errno`, or 0; the client is still there. */
  failed(session: Session, reason: number, errno: number): void {
    if (!session.transition(SERVER, SiState.CER)) return
    const { backend, server } = session
    session.attemptFailed(reason, errno)
    if (server === undefined || backend === undefined) {
      this.#fail(session, reason)
      return
    }
    const code = reasonCode(reason)
    backend.failed(server, code, session.route)
    const { retries, redispatch } = backend.config
    const retrySame = worthRetrying(code)
    session.tried = [...session.tried, server]
    session.triedRoutes = [...session.triedRoutes, session.route]
    session.leaves = redispatch > 0 && (session.serverFailures >= redispatch || !retrySame)
    // Lack of something on this machine is not mended by asking another server.
    const mayMove = session.moves < retries && !isLocalFailure(code)
    if (code === Code.INTERNAL) {
      this.#fail(session, reason)
    } else if (mayMove && server.hasUntried(session.triedRoutes)) {
      session.moves++
      if (session.transition(SERVER, SiState.ASS)) this.#connect(session, server)
    } else if (mayMove && session.leaves && backend.offers(session.tried)) {
      session.moves++
      this.#leave(session)
    } else if (session.pauses < retries && (retrySame || this.#mayLeave(session, server))) {
      session.pauses++
      this.#turnAround(session)
    } else {
      this.#fail(session, reason)
    }
  }

  /** Whether another server could be asked after a pause. */
  #mayLeave({ leaves, backend }: Session, server: Server): boolean {
    return leaves && backend?.offers([server]) === true
  }

  /** Gives the slot back, by leaving its states for REQ, and asks for another server. */
  #leave(session: Session): void {
    if (session.transition(SERVER, SiState.REQ)) this.#request(session, session.tried)
  }

  #request(session: Session, avoid?: readonly Server[]): void {
    const backend = session.backend as NonNullable<Session['backend']>
    const choice = backend.pick(session, avoid)
    switch (choice.kind) {
      case 'server':
        this.#take(session, choice.server)
        return
      case 'queued':
        this.#queued(session)
        return
      case 'full':
        this.#fail(session, packReason(By.PROXY, Phase.QUEUE, Code.QUEUE_FULL))
        return
      case 'none':
        this.#fail(
          session,
          session.lastFailure || packReason(By.PROXY, Phase.ACCEPT_SESSION, Code.NO_SERVER),
        )
    }
  }

  #queued(session: Session): void {
    if (!session.transition(SERVER, SiState.QUE)) {
      session.backend?.cancel(session)
      return
    }
    const { client } = session
    session.queuedAt = this.#clock.now()
    client.phase = Phase.QUEUE
    if (client.answered) return
    client.answered = true
    // The session is made: the engine waits without a verdict deadline now.
    this.#engine.proceed(
      client.slot,
      client.generation,
      Handshake.TCP_RULES | Handshake.ACCEPT_SESSION,
      0,
      0,
    )
  }

  /** Precondition: a slot of `server` is taken for the session. */
  #take(session: Session, server: Server): void {
    if (session.server !== server) {
      session.server = server
      session.serverFailures = 0
    }
    if (session.transition(SERVER, SiState.ASS)) this.#connect(session, server)
    else server.backend.release(server)
  }

  #connect(session: Session, server: Server): void {
    const { client } = session
    client.phase = Phase.CONNECT
    client.answered = true
    session.attempts++
    session.endpoint = server.endpointFor(client)
    session.attemptedAt = this.#clock.now()
    if (server.applet !== undefined) {
      if (!session.transition(SERVER, SiState.EST)) return
      client.phase = Phase.DATA
      client.kept = true
      client.applet = new AppletRuntime(this.#engine, client, server.applet)
      client.applet.start()
      return
    }
    const route = this.#routeOf(session, server)
    if (route === undefined) return
    if (route < 0) {
      this.failed(session, packReason(By.PROXY, Phase.CONNECT, Code.RESOLVE), 0)
      return
    }
    if (!session.transition(SERVER, SiState.CON)) return
    session.route = route
    const flags = server.wantsOutcome ? ConnectFlag.WANT_CONNECTED : 0
    const tlvs = tlvsFor(client, server)
    this.#engine.connect(client.slot, client.generation, route, flags, 0, tlvs)
  }

  /** Undefined where policy failed to choose a TLS server name, or the server has no such port: the session ends. */
  #routeOf(session: Session, server: Server): number | undefined {
    const { client } = session
    // That of an earlier attempt is not this one's.
    if (client.secure !== undefined) client.secure.serverInfo = undefined
    try {
      return server.route(client)
    } catch (err) {
      client.listener.frontend.policyErrors++
      client.failed('error', { err, server: server.name }, 'no route to the server')
      this.#fail(session, packReason(By.POLICY, Phase.CONNECT, Code.POLICY_ERROR))
      return undefined
    }
  }

  /**
   * Waits in TAR, the slot in hand. Attempts begin `retryDelay` after each other at least: one
   * that took longer, to its time-out, is followed by the next at once.
   */
  #turnAround(session: Session): void {
    if (!session.transition(SERVER, SiState.TAR)) return
    const { config } = session.backend as NonNullable<Session['backend']>
    const passed = this.#clock.now() - session.attemptedAt
    const delay = Math.max(config.retryDelay - passed, 0)
    session.cancelTimer = this.#clock.after(delay, () =>
      this.#host.guard(session.client, () => {
        session.cancelTimer = undefined
        if (session.serverState === SiState.TAR) this.#afterPause(session)
      }),
    )
  }

  /** The same server again or, where the session is to leave it, any other that there is. */
  #afterPause(session: Session): void {
    const { server } = session
    if (server === undefined) return
    session.tried = [server]
    session.triedRoutes = [session.route]
    if (session.leaves) this.#leave(session)
    else if (session.transition(SERVER, SiState.ASS)) this.#connect(session, server)
  }

  /** No server: CLO gives back what is held. */
  #fail(session: Session, reason: number): void {
    if (session.transition(SERVER, SiState.CLO)) this.#host.close(session.client, reason)
  }
}
