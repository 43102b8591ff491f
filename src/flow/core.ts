/**
 * The core: hears the engine's events and decides, for every connection, what
 * happens next. Connections live in one array by slot; the synchronous path
 * makes one ClientConnection and one Session and nothing else.
 */

import type { Logger } from 'pino'
import type { Backend, Server } from '../backend/backend.js'
import { BySlot } from '../base/by-slot.js'
import type { Clock } from '../base/clock.js'
import type { Engine, EngineEvents } from '../engine/engine.js'
import type {
  BytesEvent,
  ClosedEvent,
  ConnectedEvent,
  ConnectFailedEvent,
  DataEvent,
  HandshakeEvent,
  HandshakeWaitsEvent,
  ListenerPausedEvent,
  SecuredEvent,
  SentEvent,
  VerdictTimeoutEvent,
} from '../engine/event.js'
import { FailureLog } from '../log/failures.js'
import type { StickTable } from '../tables/stick-table.js'
import { packReason, reasonPhase, withPhase } from '../wire/reason.js'
import { By, CloseMode, Code, Field, Handshake, Layout, Phase } from '../wire/wire.js'
import { ClientConnection, type ConnectionContext } from './connection.js'
import { closeFailed, enforce } from './enforce.js'
import type { Frontend, Listener } from './frontend.js'
import { Limits } from './limits.js'
import { Reporter, type ReporterEvents } from './record/reporter.js'
import { Outcome, type RuleTargets } from './rules/run.js'
import { RuleRunner, type RulesHost } from './rules/runner.js'
import { Connector, type ConnectorHost } from './session/connector.js'
import { Session, type SessionOwner } from './session/session.js'
import { Side, SiState } from './session/state.js'
import { CustomHandshakes, type HandshakeHost } from './stage/custom.js'
import type { AdmissionLimits } from './tls/admission.js'
import { type TlsHost, TlsPolicy } from './tls/policy.js'

/** What a proxy hears of its core. */
export interface CoreEvents extends ReporterEvents {
  fatal(error: Error): void
}

export interface CoreOptions {
  engine: Engine
  clock: Clock
  logger: Logger
  tables: ReadonlyMap<string, StickTable>
  backends: ReadonlyMap<string, Backend>
  /** Start of connection ids. */
  idPrefix: string
  /** Connections at once in the process; 0: no limit. */
  maxconn: number
  /** TLS handshakes with clients at once. Default: no limit. */
  tlsHandshakes?: AdmissionLimits
  events: CoreEvents
}

interface FrontendRunners {
  readonly connection: RuleRunner
  readonly session: RuleRunner
  readonly content: RuleRunner
}

const ANSWERED_BY_POLICY = Handshake.TCP_RULES | Handshake.ACCEPT_SESSION
const NO_LIMITS: AdmissionLimits = { concurrent: 0, total: 0, queue: 0, queueTimeout: 0 }

type Hosts = SessionOwner & ConnectorHost & RulesHost & HandshakeHost & TlsHost

export class Core implements EngineEvents, Hosts {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #events: CoreEvents
  readonly #targets: RuleTargets
  readonly #context: ConnectionContext
  readonly #connector: Connector
  readonly #custom: CustomHandshakes
  readonly #tls: TlsPolicy
  readonly #reporter: Reporter
  readonly #guard = (conn: ClientConnection, fn: () => void) => this.guard(conn, fn)
  readonly #connections: BySlot<ClientConnection>
  readonly #listeners: (Listener | undefined)[] = []
  readonly #runners = new Map<Frontend, FrontendRunners>()
  #sequence = 0
  #current = 0
  #stopping = false
  readonly #limits: Limits
  #onIdle: (() => void) | undefined
  tracing = false
  /** The proxy is about to stop: the monitor says no. */
  leaving = false

  constructor(options: CoreOptions) {
    const { engine, clock } = options
    this.#engine = engine
    this.#clock = clock
    this.#logger = options.logger
    this.#events = options.events
    this.#targets = { tables: options.tables, backends: options.backends }
    const { logger, idPrefix } = options
    const failures = new FailureLog(() => clock.now())
    this.#context = { table: engine.table, logger, idPrefix, failures }
    this.#connector = new Connector(engine, clock, this)
    this.#limits = new Limits(engine, options.maxconn)
    this.#reporter = new Reporter(options.logger, engine.table, options.events)
    this.#custom = new CustomHandshakes(engine, clock, this.#guard, this.#targets, this)
    const limits = options.tlsHandshakes ?? NO_LIMITS
    const targets = this.#targets
    this.#tls = new TlsPolicy({ engine, clock, targets, guard: this.#guard, limits }, this)
    this.#connections = new BySlot(engine.table.slots)
    this.refreshTracing()
  }

  /** Connections that policy heard of and that are open. */
  get current(): number {
    return this.#current
  }

  /** TLS handshakes with clients that are under way, and those that wait for their turn. */
  get tlsHandshakes(): { running: number; waiting: number } {
    const { running, waiting } = this.#tls.admission
    return { running, waiting }
  }

  /** Call when the log level or the listeners of 'transition' have changed. */
  refreshTracing(): void {
    this.tracing = this.#logger.isLevelEnabled('trace') || this.#events.wantsTransitions()
  }

  addFrontend(frontend: Frontend): void {
    const runner = (set: Frontend['connectionRules']) =>
      new RuleRunner(set, this.#targets, this.#clock, this.#guard, this)
    this.#limits.addFrontend(frontend)
    this.#tls.addFrontend(frontend)
    this.#runners.set(frontend, {
      connection: runner(frontend.connectionRules),
      session: runner(frontend.sessionRules),
      content: runner(frontend.contentRules),
    })
  }

  /** Precondition: the listener's frontend was added, and its id is the engine's. */
  addListener(listener: Listener): void {
    this.#listeners[listener.id] = listener
    this.#limits.addListener()
  }

  /** Resolves when no connection is left; at once where there is none. */
  idle(): Promise<void> {
    if (this.#current === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }

  /** Tells what was held back of failing policies; at the end. */
  tellFailures(): void {
    this.#context.failures.tellRest(this.#logger)
  }

  /** Closes every connection as `by proxy`, with `code`; returns how many. */
  closeAll(code: number): number {
    this.#stopping = true
    let closed = 0
    const open = [...this.#connections]
    // The queues first: a slot that another one gives back must not start a session now.
    open.sort((a, b) => Number(isQueued(b)) - Number(isQueued(a)))
    for (const conn of open) {
      if (conn.ended) continue
      closed++
      // Also those that are closing in their own time: a tarpit, a last chunk.
      conn.decided = 0
      this.close(conn, packReason(By.PROXY, this.#phaseOf(conn), code))
    }
    return closed
  }

  // --- engine events ---

  handshake({ conn: slot, generation, listener, bit, bytes, hello }: HandshakeEvent): void {
    let conn = this.#connections.get(slot)
    if (conn === undefined || conn.generation !== generation) {
      conn = this.#open(slot, generation, listener)
      if (conn === undefined) return
    }
    if (conn.decided !== 0) return
    try {
      if (bit === Handshake.TLS) {
        this.#tls.asked(conn, bytes, hello)
        return
      }
      if (bytes.length > 0) conn.setTlvs(bytes)
      if (this.#tls.mayDecide(conn, bit)) this.#decide(conn, bit)
    } catch (error) {
      this.#defect(conn, error)
    }
  }

  bytes({ conn: slot, generation, bytes, flags }: BytesEvent): void {
    const conn = this.#find(slot, generation)
    if (conn === undefined || conn.decided !== 0) return
    try {
      if (conn.phase === Phase.CUSTOM) this.#custom.bytes(conn, bytes, flags)
      else if (conn.phase === Phase.CONTENT) this.#contentBytes(conn, bytes, flags)
    } catch (error) {
      this.#defect(conn, error)
    }
  }

  connected({ conn: slot, generation }: ConnectedEvent): void {
    const conn = this.#find(slot, generation)
    if (conn?.session !== undefined && conn.decided === 0) this.#connector.connected(conn.session)
  }

  connectFailed({ conn: slot, generation, reason, errno }: ConnectFailedEvent): void {
    const conn = this.#find(slot, generation)
    if (conn?.session === undefined || conn.decided !== 0) return
    try {
      this.#connector.failed(conn.session, reason, errno)
    } catch (error) {
      this.#defect(conn, error)
    }
  }

  closed({ conn: slot, generation, reason, errno, clock, connectTime }: ClosedEvent): void {
    const conn = this.#find(slot, generation) ?? this.#unheard(slot, generation, reason)
    if (conn === undefined) return
    this.#connections.delete(slot)
    this.#current--
    try {
      this.#ended(conn, this.#reasonOf(conn, reason), errno, clock, connectTime)
    } catch (error) {
      this.fault(error)
    }
    this.#limits.changed(conn.listener.frontend, this.#current)
    if (this.#current === 0 && this.#onIdle !== undefined) {
      const idle = this.#onIdle
      this.#onIdle = undefined
      idle()
    }
  }

  verdictTimeout({ conn: slot, generation, opened }: VerdictTimeoutEvent): void {
    const conn = this.#find(slot, generation)
    if (conn === undefined || conn.decided !== 0) return
    conn.forget()
    conn.listener.frontend.lateVerdicts++
    if (!opened) {
      // The engine closes; its `closed` follows.
      conn.decided = packReason(By.TIMEOUT, conn.phase, Code.VERDICT_TIMEOUT)
      this.#leaveQueues(conn)
      return
    }
    conn.failed('warn', {}, 'policy was late: opened to the default backend')
    // An applet that was chosen too late has no client.
    conn.applet?.closed()
    conn.applet = undefined
    this.#connector.opened(conn.session ?? this.#makeSession(conn))
  }

  data({ conn: slot, generation, bytes, flags }: DataEvent): void {
    this.#find(slot, generation)?.applet?.data(bytes, flags)
  }

  sent({ conn: slot, generation, sent }: SentEvent): void {
    this.#find(slot, generation)?.applet?.sent(sent)
  }

  listenerPaused({ listener, errno }: ListenerPausedEvent): void {
    this.#reporter.listenerPaused(this.#listeners[listener], listener, errno, this.#clock.now())
  }

  fatal(error: Error): void {
    this.#logger.fatal({ err: error }, 'the engine cannot go on')
    this.#events.fatal(error)
  }

  fault(error: unknown): void {
    this.#logger.error({ err: error }, 'internal error')
  }

  handshakeWaits({ conn: slot, generation }: HandshakeWaitsEvent): void {
    const conn = this.#find(slot, generation)
    if (conn !== undefined) this.#tls.leave(conn)
  }

  secured(event: SecuredEvent): void {
    const conn = this.#find(event.conn, event.generation)
    if (conn === undefined || conn.decided !== 0) return
    try {
      this.#tls.secured(conn, event)
    } catch (error) {
      this.#defect(conn, error)
    }
  }

  // --- decisions ---

  #decide(conn: ClientConnection, bit: number): void {
    switch (bit) {
      case Handshake.MONITOR_IN:
        this.#monitor(conn)
        return
      case Handshake.ACCEPT_PROXY:
        this.#acceptProxy(conn)
        return
      case Handshake.TCP_RULES:
        this.#runnersOf(conn).connection.run(conn)
        return
      case Handshake.CUSTOM:
        this.#custom.start(conn)
        return
      case Handshake.ACCEPT_SESSION:
        this.#acceptSession(conn)
        return
      default:
        // A handshake of the engine's own that policy has nothing to say about.
        this.#engine.proceed(conn.slot, conn.generation, 0, 0, 0)
    }
  }

  #monitor(conn: ClientConnection): void {
    conn.phase = Phase.MONITOR_IN
    const { frontend } = conn.listener
    const { monitor } = frontend.config
    if (monitor !== undefined && frontend.monitorSources?.has(conn.src)) {
      const reason = packReason(By.PROXY, Phase.MONITOR_IN, Code.SHUTDOWN)
      if (this.leaving) this.close(conn, reason, CloseMode.RESET)
      else this.reply(conn, monitor.reply, packReason(By.PROXY, Phase.MONITOR_IN, Code.MONITOR))
    } else {
      this.#engine.proceed(conn.slot, conn.generation, Handshake.MONITOR_IN, 0, 0)
    }
  }

  #acceptProxy(conn: ClientConnection): void {
    conn.phase = Phase.ACCEPT_PROXY
    const { proxySources } = conn.listener
    if (!conn.expectsProxy && proxySources !== undefined && !proxySources.has(conn.src)) {
      this.close(conn, packReason(By.PROXY, Phase.ACCEPT_PROXY, Code.PROXY_UNTRUSTED))
      return
    }
    conn.keepPeer()
    this.#engine.proceed(conn.slot, conn.generation, 0, 0, 0)
  }

  #acceptSession(conn: ClientConnection): void {
    conn.phase = Phase.ACCEPT_SESSION
    this.#makeSession(conn)
    const { session } = this.#runnersOf(conn)
    if (session.empty) this.#sessionAccepted(conn)
    else session.run(conn)
  }

  #makeSession(conn: ClientConnection): Session {
    const session = new Session(conn, this)
    conn.session = session
    const { frontend } = conn.listener
    frontend.sessions++
    const { logOpenAfter } = frontend.config
    if (logOpenAfter > 0) {
      const tell = () => this.guard(conn, () => this.#reporter.stillOpen(conn, logOpenAfter))
      session.cancelOpenLine = this.#clock.after(logOpenAfter, tell)
    }
    session.transition(Side.CLIENT, SiState.EST)
    return session
  }

  /** The session rules are through. */
  #sessionAccepted(conn: ClientConnection): void {
    conn.countSession()
    if (this.#runnersOf(conn).content.empty) {
      this.#connector.assign(conn.session as Session)
      return
    }
    const { inspectDelay, inspectLimit } = conn.listener.frontend.config
    conn.phase = Phase.CONTENT
    conn.forgetPayload()
    // Without a delay the rules see what is there: 1 ms is the engine's shortest.
    this.#engine.inspect(conn.slot, conn.generation, inspectLimit, inspectDelay || 1, 0)
  }

  #contentBytes(conn: ClientConnection, bytes: Uint8Array, flags: number): void {
    conn.payloadFlags |= flags
    // The rules may keep it across a promise, and the engine's view does not last.
    const owned = conn.prefix.grow(bytes)
    if (conn.promise !== undefined) {
      conn.inbox = owned
      return
    }
    conn.payload = owned
    this.#runnersOf(conn).content.run(conn)
  }

  rulesEnded(conn: ClientConnection, phase: number, outcome: number, late: boolean): void {
    switch (outcome) {
      case Outcome.PASS:
        this.#rulesPassed(conn, phase)
        return
      case Outcome.STOP:
        enforce(this, conn, phase)
        return
      case Outcome.MORE:
        // Payload that came while an asynchronous rule was thinking.
        if (conn.inbox !== undefined) {
          conn.payload = conn.inbox
          conn.inbox = undefined
          this.#runnersOf(conn).content.run(conn)
        }
        return
      default:
        closeFailed(this, conn, phase, late)
    }
  }

  #rulesPassed(conn: ClientConnection, phase: number): void {
    if (phase === Phase.TCP_RULES) {
      this.#connectionAccepted(conn)
    } else if (phase === Phase.ACCEPT_SESSION) {
      this.#sessionAccepted(conn)
    } else {
      conn.inbox = undefined
      conn.forgetPayload()
      this.#connector.assign(conn.session as Session)
    }
  }

  #connectionAccepted(conn: ClientConnection): void {
    const { slot, generation } = conn
    if (conn.expectsProxy) {
      conn.keepPeer()
      this.#engine.proceed(slot, generation, Handshake.TCP_RULES, Handshake.ACCEPT_PROXY, 0)
      return
    }
    const pending = this.#engine.table.get(slot, Field.HANDSHAKES)
    // Nobody else has anything to do: the session is made in the same turn, without another event.
    if ((pending & ~ANSWERED_BY_POLICY) === 0) this.#acceptSession(conn)
    else this.#engine.proceed(slot, generation, Handshake.TCP_RULES, 0, 0)
  }

  tlsAccepted(conn: ClientConnection, bit: number): void {
    this.#decide(conn, bit)
  }

  handshakesDone(conn: ClientConnection, consume: number): void {
    this.#engine.proceed(conn.slot, conn.generation, Handshake.CUSTOM, 0, consume)
  }

  // --- what the parts ask for ---

  close(conn: ClientConnection, reason: number, mode: number = CloseMode.CLOSE, hold = 0): void {
    if (conn.decided !== 0 || conn.ended) return
    conn.decided = reason
    conn.forget()
    this.#leaveQueues(conn)
    this.#engine.close(conn.slot, conn.generation, reason, mode, hold)
  }

  reply(conn: ClientConnection, bytes: Uint8Array, reason: number): void {
    if (conn.decided !== 0 || conn.ended) return
    conn.decided = reason
    conn.forget()
    this.#leaveQueues(conn)
    this.#engine.reply(conn.slot, conn.generation, bytes, reason)
  }

  guard(conn: ClientConnection, fn: () => void): void {
    if (conn.ended) return
    try {
      fn()
    } catch (error) {
      this.#defect(conn, error)
    }
  }

  dequeued(session: Session, server: Server): void {
    try {
      this.#connector.dequeued(session, server)
    } catch (error) {
      this.#defect(session.client, error)
    }
  }

  queueExpired(session: Session): void {
    try {
      this.#connector.queueExpired(session)
    } catch (error) {
      this.#defect(session.client, error)
    }
  }

  transitioned(session: Session, side: 0 | 1, from: number, to: number): void {
    try {
      this.#reporter.transitioned(session, side, from, to)
    } catch (error) {
      this.fault(error)
    }
  }

  illegal(session: Session, side: 0 | 1, from: number, to: number): void {
    this.#reporter.illegal(session, side, from, to)
    this.close(session.client, packReason(By.PROXY, session.client.phase, Code.INTERNAL))
  }

  // --- beginning and end ---

  #open(slot: number, generation: number, listenerId: number): ClientConnection | undefined {
    const listener = this.#listeners[listenerId]
    if (listener === undefined || this.#stopping) {
      const reason = packReason(By.PROXY, Phase.ACCEPT, Code.SHUTDOWN)
      this.#engine.close(slot, generation, reason, CloseMode.CLOSE, 0)
      return undefined
    }
    const conn = new ClientConnection(slot, generation, listener, this.#context, ++this.#sequence)
    this.#connections.set(slot, conn)
    this.#current++
    const { frontend } = listener
    frontend.connections++
    frontend.current++
    this.#limits.changed(frontend, this.#current)
    return conn
  }

  /**
   * A client that ended before anything was asked about it, and counts: before its ClientHello
   * was there, or so early that the js engine could not learn its address.
   */
  #unheard(slot: number, generation: number, reason: number): ClientConnection | undefined {
    const phase = reasonPhase(reason)
    if ((phase !== Phase.TLS && phase !== Phase.ACCEPT) || this.#stopping) return undefined
    const conn = this.#open(slot, generation, this.#engine.table.get(slot, Field.LISTENER))
    if (conn !== undefined) conn.phase = phase
    return conn
  }

  #ended(
    conn: ClientConnection,
    reason: number,
    errno: number,
    clock: number,
    connectTime: number,
  ): void {
    const { frontend } = conn.listener
    const { session, applet } = conn
    const openedAt = this.#engine.table.get(conn.slot, Field.OPENED_AT)
    if (session !== undefined) {
      if (session.serverState === SiState.CON && connectTime >= 0) {
        session.transition(Side.SERVER, SiState.EST)
      }
      if (session.serverState === SiState.QUE) {
        session.queueTime += this.#clock.now() - session.queuedAt
      }
      session.finish()
      session.cancelOpenLine?.()
    }
    this.#tls.leave(conn)
    frontend.current--
    frontend.countEnd(reason)
    try {
      // The clock of records has 31 bits; half of it and more is a rounding below 0.
      const passed = (clock - openedAt) & Layout.POSITION_MASK
      const total = passed > Layout.POSITION_MASK / 2 ? 0 : passed
      this.#reporter.ended(conn, reason, errno, connectTime, total)
    } catch (error) {
      // Somebody else's code; the connection must be given up all the same.
      this.fault(error)
    }
    conn.end()
    frontend.bytesIn += conn.bytesIn
    frontend.bytesOut += conn.bytesOut
    applet?.closed()
  }

  /** The engine does not know of queues, turn-arounds and content rules. */
  #reasonOf(conn: ClientConnection, reason: number): number {
    if (conn.decided !== 0) return reason
    const { phase, session } = conn
    if (phase === Phase.QUEUE || phase === Phase.CONTENT) return withPhase(reason, phase)
    return session?.serverState === SiState.TAR ? withPhase(reason, Phase.CONNECT) : reason
  }

  /** Nobody tells policy when a connect succeeds, unless the outcome is wanted. */
  #phaseOf(conn: ClientConnection): number {
    if (conn.phase !== Phase.CONNECT) return conn.phase
    return this.#engine.table.get(conn.slot, Field.ESTABLISHED_AT) === 0 ? conn.phase : Phase.DATA
  }

  #leaveQueues(conn: ClientConnection): void {
    this.#tls.leave(conn)
    const { session } = conn
    if (session?.serverState === SiState.QUE) session.transition(Side.SERVER, SiState.CLO)
  }

  #find(slot: number, generation: number): ClientConnection | undefined {
    const conn = this.#connections.get(slot)
    return conn !== undefined && conn.generation === generation ? conn : undefined
  }

  #runnersOf(conn: ClientConnection): FrontendRunners {
    return this.#runners.get(conn.listener.frontend) as FrontendRunners
  }

  /** A defect of ours: that connection's problem only. */
  #defect(conn: ClientConnection, error: unknown): void {
    this.fault(error)
    this.close(conn, packReason(By.PROXY, conn.phase, Code.INTERNAL))
  }
}

function isQueued({ phase, secure }: ClientConnection): boolean {
  return phase === Phase.QUEUE || secure?.ticket?.waiting === true
}
