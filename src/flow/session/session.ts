/**
 * A session: finds a server for a client and connects to it. Its server's side goes through REQ,
 * QUE, ASS, CON, CER and TAR to EST; what it holds (a server's slot, a place in a queue) is given
 * back by the transition that leaves the states that hold it.
 */

import type { Asker, Backend, BackendClient, Server } from '../../backend/backend.js'
import type { Connection } from '../../policy/types.js'
import { packReason } from '../../wire/reason.js'
import { By, Code, ConnectFlag, Handshake, Phase } from '../../wire/wire.js'
import { AppletRuntime } from '../applet/runtime.js'
import type { SessionClient } from './client.js'
import { type Course, Rest } from './rest.js'
import { Next, Retries } from './retries.js'
import { tlvsFor } from './send-proxy.js'
import { Sides } from './sides.js'
import { holdsSlot, Side, SiState, SiStateNames } from './state.js'

const { SERVER } = Side

/**
 * There is one for each client that is connected, most of them idle. So what few sessions need is
 * elsewhere, and methods are `private`, not `#`: a class with such methods marks every object.
 */
export class Session extends Sides implements BackendClient, Asker, Course {
  readonly client: SessionClient
  backend: Backend | undefined = undefined
  server: Server | undefined = undefined
  /** The applet that stands where the server would. */
  applet: AppletRuntime | undefined = undefined
  /** What failed; undefined while nothing did. */
  retries: Retries | undefined = undefined
  /** Engine route of the last attempt. */
  route = -1
  /** Where the last attempt went; undefined for an applet. */
  endpoint: string | undefined = undefined
  /** Opened by the engine, past policy, because the verdict was late. */
  opened = false
  /** The line of a long session is to come. */
  cancelOpenLine: (() => void) | undefined = undefined
  /** ms spent in queues; while it is in one, the clock less what was spent before. */
  #waited = 0

  constructor(client: SessionClient) {
    super()
    this.client = client
  }

  /** A session that was idle: it is where it was. */
  static woken(client: SessionClient, rest: Rest): Session {
    const session = new Session(client)
    session.backend = rest.backend
    session.server = rest.server
    session.route = rest.route
    session.endpoint = rest.endpoint
    session.stand(rest.clientState, rest.serverState)
    return session
  }

  /** It is made: the client's side is there. */
  begin(): void {
    this.transition(Side.CLIENT, SiState.EST)
  }

  get connection(): Connection {
    return this.client.subject
  }

  get priority(): number {
    return this.client.priority
  }

  get wanted(): Server | undefined {
    return this.client.wanted
  }

  get strict(): boolean {
    return this.client.strict
  }

  get queueTimeout(): number | undefined {
    return this.client.queueTimeout
  }

  get lastFailure(): number {
    return this.retries === undefined ? 0 : this.retries.reason
  }

  /** ms spent in queues until now. */
  get queuedFor(): number {
    if (this.serverState !== SiState.QUE) return this.#waited
    return this.client.context.clock.now() - this.#waited
  }

  /** What is left of it while it is idle; undefined where it has more to remember. */
  get rest(): Rest | undefined {
    const { backend, server } = this
    const remembers = this.retries ?? this.applet ?? this.cancelOpenLine
    if (remembers !== undefined || this.opened || this.#waited !== 0) return undefined
    if (this.serverState !== SiState.CON || backend === undefined || server === undefined) {
      return undefined
    }
    return Rest.of(backend, server, this.route, this.endpoint)
  }

  /** Chooses a server and goes on from there. Precondition: the server's side is in INI. */
  assign(): void {
    const { client } = this
    this.backend = client.backend ?? client.defaultBackend
    if (this.backend === undefined) {
      client.close(packReason(By.PROXY, Phase.ACCEPT_SESSION, Code.NO_BACKEND))
    } else if (this.transition(SERVER, SiState.REQ)) {
      this.request(this.backend)
    }
  }

  /** A slot came free; it is taken already. */
  dequeued(server: Server): void {
    this.client.guard(() => this.take(server))
  }

  queueExpired(): void {
    this.client.guard(() => this.fail(packReason(By.TIMEOUT, Phase.QUEUE, Code.QUEUE_TIMEOUT)))
  }

  /** The end is decided: nobody serves it any more. */
  leaveQueue(): void {
    if (this.serverState === SiState.QUE) this.transition(SERVER, SiState.CLO)
  }

  /**
   * The engine took its own way to the default backend, because policy was late.
   * No server is counted for it: the engine chose, not a backend.
   */
  openedByEngine(): void {
    const { client } = this
    // An applet that was chosen too late has no client.
    this.applet?.closed()
    this.applet = undefined
    if (this.serverState === SiState.QUE) this.backend?.cancel(this)
    // A choice that came too late is undone by legal steps, which give its slot back.
    if (this.serverState === SiState.CON) this.transition(SERVER, SiState.CER)
    if (this.serverState === SiState.CER) this.transition(SERVER, SiState.REQ)
    if (this.serverState === SiState.INI) this.transition(SERVER, SiState.REQ)
    this.opened = true
    this.backend = client.defaultBackend
    client.phase = Phase.CONNECT
    client.answered = true
    if (this.serverState === SiState.EST) return
    this.server = undefined
    this.endpoint = undefined
    if (this.transition(SERVER, SiState.ASS)) this.transition(SERVER, SiState.CON)
  }

  /** The engine reports that the server's side is there. */
  connected(): void {
    if (this.serverState !== SiState.CON || !this.transition(SERVER, SiState.EST)) return
    this.client.phase = Phase.DATA
    this.server?.backend.succeeded(this.server, this.route)
  }

  /**
   * An attempt failed with `reason` and `errno`, or 0, after `elapsed` ms; the client is still
   * there.
   */
  connectFailed(reason: number, errno: number, elapsed: number): void {
    if (!this.transition(SERVER, SiState.CER)) return
    const { backend, server, endpoint } = this
    this.retries ??= new Retries()
    this.retries.note({ server: server?.name, endpoint, reason, errno })
    if (server === undefined || backend === undefined) {
      this.fail(reason)
      return
    }
    backend.failed(server, this.retries.code, this.route)
    switch (this.retries.next(backend, server, this.route, this.strict)) {
      case Next.ADDRESS:
        if (this.transition(SERVER, SiState.ASS)) this.connect(server)
        return
      case Next.LEAVE:
        this.leave(backend, this.retries)
        return
      case Next.PAUSE:
        this.pause(backend, server, this.retries, elapsed)
        return
      default:
        this.fail(reason)
    }
  }

  /** The connection ended. `connectTime`: ms, or -1 where it never connected. */
  ended(connectTime: number): void {
    if (this.serverState === SiState.CON && connectTime >= 0) this.transition(SERVER, SiState.EST)
    this.finish()
    this.cancelOpenLine?.()
  }

  protected moved(side: 0 | 1, from: number, to: number): void {
    if (side === SERVER) this.giveBack(from, to)
    const { onTransition } = this.client.context.observer
    if (onTransition !== undefined) onTransition(this, side, from, to)
  }

  protected illegal(side: 0 | 1, from: number, to: number): void {
    const { client } = this
    client.context.logger.error(
      { id: client.id, ...transitionNames(side, from, to) },
      'illegal transition of a session',
    )
    client.close(packReason(By.PROXY, client.phase, Code.INTERNAL))
  }

  private giveBack(from: number, to: number): void {
    if (from === SiState.TAR) this.retries?.leavePause()
    if (from === SiState.QUE || to === SiState.QUE) {
      this.#waited = this.client.context.clock.now() - this.#waited
    }
    if (from === SiState.QUE && to === SiState.CLO) this.backend?.cancel(this)
    if (holdsSlot(from) && !holdsSlot(to)) {
      const { server } = this
      if (server !== undefined) server.backend.release(server)
    }
  }

  /** `avoid`: servers that are not wanted where there are others. */
  private request(backend: Backend, avoid?: readonly Server[]): void {
    const choice = backend.pick(this, avoid)
    const { onPick } = this.client.context.observer
    if (onPick !== undefined) onPick(this, choice)
    switch (choice.kind) {
      case 'server':
        this.take(choice.server)
        return
      case 'queued':
        this.queued(backend)
        return
      case 'full':
        this.fail(packReason(By.PROXY, Phase.QUEUE, Code.QUEUE_FULL))
        return
      case 'none':
        this.fail(this.lastFailure || packReason(By.PROXY, Phase.ACCEPT_SESSION, Code.NO_SERVER))
    }
  }

  private queued(backend: Backend): void {
    if (!this.transition(SERVER, SiState.QUE)) {
      backend.cancel(this)
      return
    }
    const { client } = this
    client.phase = Phase.QUEUE
    if (client.answered) return
    client.answered = true
    // The session is made: the engine waits without a verdict deadline now.
    const made = Handshake.TCP_RULES | Handshake.CUSTOM | Handshake.ACCEPT_SESSION
    const { slot, generation } = client
    client.context.engine.proceed(slot, generation, made, 0, client.takeConsumed())
  }

  /** Precondition: a slot of `server` is taken for the session. */
  private take(server: Server): void {
    if (this.server !== server) {
      this.server = server
      if (this.retries !== undefined) this.retries.failures = 0
    }
    if (this.transition(SERVER, SiState.ASS)) this.connect(server)
    else server.backend.release(server)
  }

  private connect(server: Server): void {
    const { client } = this
    const { engine } = client.context
    client.phase = Phase.CONNECT
    client.answered = true
    if (this.retries !== undefined) this.retries.begun++
    this.endpoint = server.endpointFor(this)
    if (server.applet !== undefined) {
      if (!this.transition(SERVER, SiState.EST)) return
      client.phase = Phase.DATA
      client.kept = true
      this.applet = new AppletRuntime(client, server.applet)
      this.applet.start()
      return
    }
    const route = this.routeTo(server)
    if (route === undefined) return
    if (route < 0) {
      this.connectFailed(packReason(By.PROXY, Phase.CONNECT, Code.RESOLVE), 0, 0)
      return
    }
    if (!this.transition(SERVER, SiState.CON)) return
    this.route = route
    const outcome = server.wantsOutcome ? ConnectFlag.WANT_CONNECTED : 0
    const watched = client.context.observer.onTransition !== undefined
    const flags = outcome | (watched || client.recorded ? ConnectFlag.WANT_SOURCE : 0)
    const consumed = client.takeConsumed()
    client.settle(watched || outcome !== 0 ? undefined : this.rest)
    engine.connect(client.slot, client.generation, route, flags, consumed, tlvsFor(client, server))
  }

  /** Undefined where policy failed to choose a TLS server name, or the server has no such port: the session ends. */
  private routeTo(server: Server): number | undefined {
    const { client } = this
    // That of an earlier attempt is not this one's.
    client.serverTls = undefined
    try {
      return server.route(this)
    } catch (err) {
      client.counts.policyErrors++
      client.failed('error', { err, server: server.name }, 'no route to the server')
      this.fail(packReason(By.POLICY, Phase.CONNECT, Code.POLICY_ERROR))
      return undefined
    }
  }

  /** Gives the slot back, by leaving its states for REQ, and asks for another server. */
  private leave(backend: Backend, retries: Retries): void {
    if (this.transition(SERVER, SiState.REQ)) this.request(backend, retries.servers)
  }

  /**
   * Waits in TAR, the slot in hand. Attempts begin `retryDelay` after each other at least: one
   * that took longer, to its time-out, is followed by the next at once. `elapsed`: ms since the
   * last one began.
   */
  private pause(backend: Backend, server: Server, retries: Retries, elapsed: number): void {
    if (!this.transition(SERVER, SiState.TAR)) return
    const { client } = this
    const { clock } = client.context
    const delay = Math.max(backend.config.retryDelay - elapsed, 0)
    const over = () => {
      retries.cancelPause = undefined
      if (this.serverState !== SiState.TAR) return
      retries.paused(server, this.route)
      if (retries.leaves) this.leave(backend, retries)
      else if (this.transition(SERVER, SiState.ASS)) this.connect(server)
    }
    retries.cancelPause = clock.after(delay, () => client.guard(over))
  }

  /** No server: CLO gives back what is held. */
  private fail(reason: number): void {
    if (this.transition(SERVER, SiState.CLO)) this.client.close(reason)
  }
}

/** A transition in words. */
export function transitionNames(side: 0 | 1, from: number, to: number) {
  return {
    side: side === Side.CLIENT ? 'client' : 'server',
    from: SiStateNames[from],
    to: SiStateNames[to],
  }
}
