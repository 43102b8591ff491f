/** Tells of sessions: the log line of each end, the trace of each transition, and whoever listens. */

import type { Logger } from 'pino'
import type { ClosedEvent } from '../../engine/event.js'
import { decodeReason, decodeSession } from '../../wire/decode.js'
import type { ConnectionTable } from '../../wire/table.js'
import { Field } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { Frontend, Listener } from '../frontend.js'
import { transitionNames } from '../session/session.js'
import type { Sides } from '../session/sides.js'
import { SiStateNames } from '../session/state.js'
import { toldFields } from './fields.js'
import { buildRecord, isTrouble, type SessionRecord, writeRecord } from './record.js'

export interface ReporterEvents {
  /** Whether anybody wants `sessionEnded`: the record costs something. */
  wantsSessions(): boolean
  sessionEnded(record: SessionRecord): void
}

/** A paused listener is logged at most this often, ms. */
const PAUSE_LOG_INTERVAL = 10_000

export class Reporter {
  readonly #logger: Logger
  /** What tells lines of sessions from others, made once. */
  readonly #sessions: Logger
  readonly #table: ConnectionTable
  readonly #events: ReporterEvents
  readonly #pauseLogged = new Map<number, number>()

  constructor(logger: Logger, table: ConnectionTable, events: ReporterEvents) {
    this.#logger = logger
    // Whether a line is written is asked of the other one, whose level may change.
    this.#sessions = logger.child({ event: 'session' }, { level: 'trace' })
    this.#table = table
    this.#events = events
  }

  /** Whether an ordinary session of which one in `sample` is logged may be written, or is told of. */
  wants(sample: number): boolean {
    return this.#events.wantsSessions() || this.#mayLog(sample)
  }

  /** A connection ended after `total` ms. Precondition: its table record is still there. */
  ended(conn: ClientConnection, reason: number, event: ClosedEvent, total: number): void {
    const wanted = this.#events.wantsSessions()
    const logged = this.#isLogged(conn.listener.frontend, reason)
    if (!wanted && !logged) return
    const record = buildRecord(conn, reason, event, total)
    if (logged) writeRecord(this.#sessions, record, reason)
    if (wanted) this.#events.sessionEnded(record)
  }

  /** A session is open for so many ms, and goes on. */
  stillOpen(conn: ClientConnection, openFor: number): void {
    const { course, id, frontend, src, srcPort, dst, dstPort, bytesIn, bytesOut, rule } = conn
    this.#logger.info(
      {
        event: 'open',
        ...{ id, frontend, bind: conn.listener.name, src, srcPort, dst, dstPort },
        backend: course?.backend?.name,
        server: course?.server?.name,
        serverAddress: course?.endpoint,
        localPort: this.#localPort(conn),
        ...{ openFor, bytesIn, bytesOut, rule, fields: toldFields(conn.knownFields) },
      },
      'session goes on',
    )
  }

  /** In the spirit of the debugging line in notes-connection-commits.txt. */
  transitioned(session: Sides, side: 0 | 1, from: number, to: number): void {
    const { client, clientState, serverState } = session
    const reason = decodeReason(session.lastFailure || client.decided)
    // Behind the end the slot is another one's.
    const present = this.#table.generation(client.slot) === client.generation
    const decoded = present ? decodeSession(this.#table, client.slot) : ''
    this.#logger.trace(
      {
        id: client.id,
        ...transitionNames(side, from, to),
        backend: session.backend?.name,
        server: session.server?.name,
      },
      `cs=${SiStateNames[clientState]} ss=${SiStateNames[serverState]}(${reason}) ${decoded}`,
    )
  }

  /** accept() failed; told now and then. `now`: the clock in ms. */
  listenerPaused(listener: Listener | undefined, id: number, errno: number, now: number): void {
    const last = this.#pauseLogged.get(id)
    if (last !== undefined && now - last < PAUSE_LOG_INTERVAL) return
    this.#pauseLogged.set(id, now)
    this.#logger.warn(
      { frontend: listener?.frontend.name, bind: listener?.name, errno },
      'accept failed; accepting resumes by itself',
    )
  }

  /** Trouble is always logged, the rest as the frontend's sampling says. */
  #isLogged(frontend: Frontend, reason: number): boolean {
    if (isTrouble(reason)) return this.#logger.isLevelEnabled('warn')
    const { sample } = frontend.config.log
    if (!this.#mayLog(sample)) return false
    frontend.logTurn++
    if (frontend.logTurn < sample) return false
    frontend.logTurn = 0
    return true
  }

  #mayLog(sample: number): boolean {
    return sample > 0 && this.#logger.isLevelEnabled('info')
  }

  /** Of a session that goes on, where it was asked for. */
  #localPort({ slot }: ClientConnection): number | undefined {
    const server = this.#table.get(slot, Field.PEER)
    return server < 0 ? undefined : this.#table.srcPort(server) || undefined
  }
}
