/**
 * The core: hears the engine's events, finds the connection and hands it on: a question to the
 * stage that answers it (`stages.ts`), what comes later to its session. Connections live in one
 * array by slot; the synchronous path makes a ClientConnection and a Session, what rules are
 * given, and nothing else.
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
import type { SessionFilter, SessionView } from '../policy/live.js'
import type { StickTable } from '../tables/stick-table.js'
import { packReason, reasonCode, reasonPhase, withPhase } from '../wire/reason.js'
import { By, CloseMode, Code, Field, Handshake, Phase } from '../wire/wire.js'
import { ClientConnection } from './connection.js'
import type { FlowContext } from './context.js'
import type { Frontend, Listener } from './frontend.js'
import { Limits } from './limits.js'
import type { Observer } from './observer.js'
import { Reporter, type ReporterEvents } from './record/reporter.js'
import type { Sides } from './session/sides.js'
import { holdsSlot, SiState } from './session/state.js'
import { passed, phaseOf, viewSessions } from './session-view.js'
import { secured } from './stage/secured.js'
import { makeSession } from './stage/session.js'
import { stagesOf } from './stages.js'
import { type AdmissionLimits, TlsAdmission } from './tls/admission.js'

/** What a proxy hears of its core. */
interface CoreEvents extends ReporterEvents {
  fatal(error: Error): void
}

interface CoreOptions {
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
  observer: Observer
  events: CoreEvents
}

const NO_LIMITS: AdmissionLimits = { concurrent: 0, total: 0, queue: 0, queueTimeout: 0 }

export class Core implements EngineEvents {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #events: CoreEvents
  readonly #context: FlowContext
  readonly #reporter: Reporter
  readonly #connections: BySlot<ClientConnection>
  readonly #listeners: (Listener<ClientConnection> | undefined)[] = []
  readonly #limits: Limits
  #sequence = 0
  #current = 0
  #stopping = false

  constructor(options: CoreOptions) {
    const { engine, clock, logger, events } = options
    this.#engine = engine
    this.#clock = clock
    this.#logger = logger
    this.#events = events
    this.#reporter = new Reporter(logger, engine.table, events)
    this.#context = {
      engine,
      clock,
      logger,
      table: engine.table,
      idPrefix: options.idPrefix,
      targets: { tables: options.tables, backends: options.backends },
      handles: handlesOf(options.tables.values()),
      failures: new FailureLog(() => clock.now()),
      observer: options.observer,
      records: this.#reporter,
      admission: new TlsAdmission(options.tlsHandshakes ?? NO_LIMITS, engine.workers, clock),
      leaving: false,
    }
    this.#limits = new Limits(engine, options.maxconn)
    this.#connections = new BySlot(engine.table.slots)
  }

  /** Connections that policy heard of and that are open. */
  get current(): number {
    return this.#current
  }

  /** TLS handshakes with clients that are under way, and those that wait for their turn. */
  get tlsHandshakes(): { running: number; waiting: number } {
    const { running, waiting } = this.#context.admission
    return { running, waiting }
  }

  /** Writes the trace of a transition into the log. */
  traceTransition(session: Sides, side: 0 | 1, from: number, to: number): void {
    this.#reporter.transitioned(session, side, from, to)
  }

  /** Precondition: the frontend has its listeners. */
  addFrontend(frontend: Frontend): void {
    this.#limits.addFrontend(frontend)
    for (const listener of frontend.listeners) {
      listener.context = this.#context
      listener.stages = stagesOf(frontend, listener, this.#context, this.#reporter)
    }
  }

  /** Precondition: the listener's frontend was added, and its id is the engine's. */
  addListener(listener: Listener): void {
    this.#listeners[listener.id] = listener
    this.#limits.addListener()
  }

  /** The proxy is about to stop: the monitor says no. */
  leave(): void {
    this.#context.leaving = true
  }

  /** Tells what was held back of failing policies; at the end. */
  tellFailures(): void {
    this.#context.failures.tellRest(this.#logger)
  }

  /** Closes every connection as `by proxy`, with `code`, and takes no more; returns how many. */
  closeAll(code: number): number {
    this.#stopping = true
    const open = [...this.#connections].filter(({ ended }) => !ended)
    // The queues first: a slot that another one gives back must not start a session now.
    open.sort((a, b) => Number(isQueued(b)) - Number(isQueued(a)))
    for (const conn of open) this.#close(conn, code)
    return open.length
  }

  /** Open connections, in no order. */
  sessions(filter: SessionFilter): IterableIterator<SessionView> {
    return viewSessions(this.#connections, filter, (conn) => this.#kill(conn))
  }

  /** Kills the connection of this id; false where it has ended, or is none. */
  kill(id: string): boolean {
    for (const conn of this.#connections) if (conn.is(id)) return this.#kill(conn)
    return false
  }

  /** Kills the sessions that hold a slot of a server; returns how many. */
  shutdown(server: Server): number {
    const held = [...this.#connections].filter(
      ({ course }) => course?.server === server && holdsSlot(course.serverState),
    )
    return held.filter((conn) => this.#kill(conn)).length
  }

  // --- questions ---

  handshake({ conn: slot, generation, listener, bit, bytes, hello }: HandshakeEvent): void {
    let conn = this.#connections.get(slot)
    if (conn === undefined || conn.generation !== generation) {
      conn = this.#open(slot, generation, listener)
      if (conn === undefined) return
    }
    if (conn.decided !== 0) return
    try {
      if (bit !== Handshake.TLS && bytes.length > 0) conn.setTlvs(bytes)
      const at = conn.listener.entryOf(bit)
      if (at >= 0) conn.enter(at, bytes, hello)
      // A handshake of the engine's own that policy has nothing to say about.
      else this.#engine.proceed(slot, generation, 0, 0, 0)
    } catch (error) {
      conn.defect(error)
    }
  }

  bytes({ conn: slot, generation, bytes, flags }: BytesEvent): void {
    const conn = this.#find(slot, generation)
    if (conn === undefined || conn.decided !== 0) return
    const stage = conn.listener.stages[conn.stage]
    // Those of a stage that was left are nobody's.
    if (stage?.bytes === undefined || stage.phase !== conn.phase) return
    try {
      stage.bytes(conn, bytes, flags)
    } catch (error) {
      conn.defect(error)
    }
  }

  handshakeWaits({ conn: slot, generation }: HandshakeWaitsEvent): void {
    this.#find(slot, generation)?.leaveAdmission()
  }

  secured(event: SecuredEvent): void {
    const conn = this.#find(event.conn, event.generation)
    if (conn === undefined || conn.decided !== 0) return
    try {
      secured(conn, event)
    } catch (error) {
      conn.defect(error)
    }
  }

  verdictTimeout({ conn: slot, generation, opened }: VerdictTimeoutEvent): void {
    const conn = this.#find(slot, generation)
    if (conn === undefined || conn.decided !== 0) return
    conn.forget()
    conn.counts.lateVerdicts++
    if (!opened) {
      // The engine closes; its `closed` follows.
      conn.decide(packReason(By.TIMEOUT, conn.phase, Code.VERDICT_TIMEOUT))
      return
    }
    conn.failed('warn', {}, 'policy was late: opened to the default backend')
    makeSession(conn, this.#reporter).openedByEngine()
  }

  // --- sessions ---

  connected({ conn: slot, generation }: ConnectedEvent): void {
    const conn = this.#find(slot, generation)
    if (conn?.decided === 0) conn.session?.connected()
  }

  connectFailed(event: ConnectFailedEvent): void {
    const { conn: slot, generation, reason, errno, elapsed } = event
    const conn = this.#find(slot, generation)
    if (conn?.session === undefined || conn.decided !== 0) return
    try {
      conn.session.connectFailed(reason, errno, elapsed)
    } catch (error) {
      conn.defect(error)
    }
  }

  data({ conn: slot, generation, bytes, flags }: DataEvent): void {
    this.#find(slot, generation)?.applet?.data(bytes, flags)
  }

  sent({ conn: slot, generation, sent }: SentEvent): void {
    this.#find(slot, generation)?.applet?.sent(sent)
  }

  // --- the engine itself ---

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

  // --- beginning and end ---

  closed(event: ClosedEvent): void {
    const { conn: slot, generation, reason } = event
    const conn = this.#find(slot, generation) ?? this.#unheard(slot, generation, reason)
    if (conn === undefined) return
    this.#connections.delete(slot)
    this.#current--
    try {
      this.#ended(conn, reasonOf(conn, reason), event)
    } catch (error) {
      this.fault(error)
    }
    this.#limits.changed(conn.listener.frontend, this.#current)
  }

  #open(slot: number, generation: number, listenerId: number): ClientConnection | undefined {
    const listener = this.#listeners[listenerId]
    if (listener === undefined || this.#stopping) {
      const reason = packReason(By.PROXY, Phase.ACCEPT, Code.SHUTDOWN)
      this.#engine.close(slot, generation, reason, CloseMode.CLOSE, 0)
      return undefined
    }
    const conn = new ClientConnection(slot, generation, listener, ++this.#sequence)
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

  #ended(conn: ClientConnection, reason: number, event: ClosedEvent): void {
    const { frontend } = conn.listener
    const openedAt = this.#engine.table.get(conn.slot, Field.OPENED_AT)
    conn.endSession(event.connectTime)
    conn.leaveAdmission()
    frontend.current--
    frontend.countEnd(reason)
    try {
      this.#reporter.ended(conn, reason, event, passed(openedAt, event.clock))
    } catch (error) {
      // Somebody else's code; the connection must be given up all the same.
      this.fault(error)
    }
    conn.end()
    frontend.bytesIn += conn.bytesIn
    frontend.bytesOut += conn.bytesOut
    conn.applet?.closed()
  }

  #kill(conn: ClientConnection): boolean {
    if (conn.ended || reasonCode(conn.decided) === Code.KILLED) return false
    this.#close(conn, Code.KILLED)
    return true
  }

  /** Closes a connection as `by proxy`; also one that is closing in its own time: a tarpit, a last chunk. */
  #close(conn: ClientConnection, code: number): void {
    conn.decided = 0
    conn.close(packReason(By.PROXY, phaseOf(conn), code))
  }

  #find(slot: number, generation: number): ClientConnection | undefined {
    const conn = this.#connections.get(slot)
    return conn !== undefined && conn.generation === generation ? conn : undefined
  }
}

function handlesOf(tables: Iterable<StickTable>): Map<object, StickTable> {
  const handles = new Map<object, StickTable>()
  for (const table of tables) {
    if (table.config.handle) handles.set(table.config.handle, table)
  }
  return handles
}

/** The engine does not know of queues, turn-arounds, and stages that go on without asking it. */
function reasonOf(conn: ClientConnection, reason: number): number {
  if (conn.decided !== 0) return reason
  const { phase, course } = conn
  if (POLICYS_OWN.has(phase)) return withPhase(reason, phase)
  return course?.serverState === SiState.TAR ? withPhase(reason, Phase.CONNECT) : reason
}

/** While they last the engine waits for policy, and does nothing of its own. */
const POLICYS_OWN: ReadonlySet<number> = new Set([
  Phase.HANDSHAKE,
  Phase.ACCEPT_SESSION,
  Phase.QUEUE,
])

function isQueued({ phase, secure }: ClientConnection): boolean {
  return phase === Phase.QUEUE || secure?.ticket?.waiting === true
}
