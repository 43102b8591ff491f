/** Open connections as an operator sees them: listed, looked at, killed. */

import { CidrList } from '../policy/cidr.js'
import type { SessionFilter, SessionView, SideState } from '../policy/live.js'
import { decodeSession } from '../wire/decode.js'
import { Field, Layout, Phase, type PhaseLabel, PhaseLabels } from '../wire/wire.js'
import type { ClientConnection } from './connection.js'
import { SiState, SiStateNames } from './session/state.js'

/** Live: it reads the connection and its record in the table, and copies nothing. */
class View implements SessionView {
  readonly #conn: ClientConnection
  readonly #kill: (conn: ClientConnection) => boolean

  constructor(conn: ClientConnection, kill: (conn: ClientConnection) => boolean) {
    // Somebody may look at it behind its end.
    conn.kept = true
    this.#conn = conn
    this.#kill = kill
  }

  get id(): string {
    return this.#conn.id
  }

  get frontend(): string {
    return this.#conn.frontend
  }

  get bind(): string {
    return this.#conn.listener.name
  }

  get src(): string {
    return sourceOf(this.#conn)
  }

  get srcPort(): number {
    return this.#conn.srcPort
  }

  get dst(): string {
    return this.#conn.dst
  }

  get dstPort(): number {
    return this.#conn.dstPort
  }

  get serverName(): string | undefined {
    return this.#conn.hello?.serverName
  }

  get backend(): string | undefined {
    return backendOf(this.#conn)
  }

  get server(): string | undefined {
    return serverOf(this.#conn)
  }

  get serverAddress(): string | undefined {
    return this.#conn.course?.endpoint
  }

  get phase(): PhaseLabel {
    return PhaseLabels[phaseOf(this.#conn)] as PhaseLabel
  }

  get clientState(): SideState {
    return SiStateNames[this.#conn.course?.clientState ?? SiState.INI] as SideState
  }

  get serverState(): SideState {
    const state = this.#conn.course?.serverState ?? SiState.INI
    // Nobody tells policy when a connect succeeds, unless the outcome is wanted.
    return state === SiState.CON && isEstablished(this.#conn)
      ? 'EST'
      : (SiStateNames[state] as SideState)
  }

  get age(): number {
    const { ended, context, slot } = this.#conn
    if (ended) return 0
    const openedAt = context.table.get(slot, Field.OPENED_AT)
    return passed(openedAt, context.engine.now())
  }

  get bytesIn(): number {
    return this.#conn.bytesIn
  }

  get bytesOut(): number {
    return this.#conn.bytesOut
  }

  get rule(): string | undefined {
    return this.#conn.rule
  }

  get ended(): boolean {
    return this.#conn.ended
  }

  kill(): boolean {
    return this.#kill(this.#conn)
  }

  toString(): string {
    const { ended, context, slot } = this.#conn
    const { id, phase, clientState, serverState } = this
    const records = ended ? 'ended' : decodeSession(context.table, slot)
    return `${id} ${phase} cs=${clientState} ss=${serverState} ${records}`
  }
}

/**
 * Those that are open and fit, in no order. What comes or goes meanwhile may be missed.
 *
 * @throws SluiceError (ERR_SLUICE_ARGUMENT) for a source that is no address or block.
 */
export function viewSessions(
  connections: Iterable<ClientConnection>,
  filter: SessionFilter,
  kill: (conn: ClientConnection) => boolean,
): IterableIterator<SessionView> {
  const sources = filter.src === undefined ? undefined : new CidrList([filter.src])
  return walk(connections, filter, sources, kill)
}

function* walk(
  connections: Iterable<ClientConnection>,
  { frontend, backend, server }: SessionFilter,
  sources: CidrList | undefined,
  kill: (conn: ClientConnection) => boolean,
): Generator<SessionView, void, undefined> {
  for (const conn of connections) {
    if (conn.ended) continue
    if (frontend !== undefined && conn.frontend !== frontend) continue
    if (backend !== undefined && backendOf(conn) !== backend) continue
    if (server !== undefined && serverOf(conn) !== server) continue
    if (sources !== undefined && !sources.has(sourceOf(conn))) continue
    yield Object.freeze(new View(conn, kill))
  }
}

/** ms between two readings of the engine's clock; those of records have 31 bits. */
export function passed(since: number, now: number): number {
  const ms = (now - since) & Layout.POSITION_MASK
  // Half of what there is and more is a rounding below 0.
  return ms > Layout.POSITION_MASK / 2 ? 0 : ms
}

/** What a connection is at: a value of `Phase`. */
export function phaseOf(conn: ClientConnection): number {
  return conn.phase === Phase.CONNECT && isEstablished(conn) ? Phase.DATA : conn.phase
}

function isEstablished({ ended, context, slot }: ClientConnection): boolean {
  return !ended && context.table.get(slot, Field.ESTABLISHED_AT) !== 0
}

function backendOf({ course, backend }: ClientConnection): string | undefined {
  return (course?.backend ?? backend)?.name
}

function serverOf({ course }: ClientConnection): string | undefined {
  return course?.server?.name
}

/** Not by the connection's own field, which would keep the text from then on. */
function sourceOf(conn: ClientConnection): string {
  return conn.ended ? conn.src : conn.context.table.src(conn.slot)
}
