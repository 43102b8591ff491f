/**
 * A connection as policies hold it: the members of `Connection`, the first bytes for handshake rules,
 * and no others, also at run time. Made when a policy first looks.
 */

import type { Logger } from 'pino'
import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
import type { ClientHello } from '../codec/tls.js'
import type { BackendView } from '../policy/live.js'
import type {
  ConnectionTimeouts,
  FieldValue,
  FirstBytes,
  TlsInfo,
  TrackedCounter,
} from '../policy/types.js'
import type { Variables } from '../policy/vars.js'
import { TABLE, TRACK, type TrackScope } from '../tables/handle.js'
import type { StickTable, TableKey } from '../tables/stick-table.js'

/** What rules of some stages see beside the connection. */
export type Seen = FirstBytes

/** What it is a view of. */
interface Viewed extends Omit<Seen, 'backend'> {
  backendView(name: string): BackendView
  tableOf(handle: object): StickTable | undefined
  trackTable(table: StickTable, key: TableKey | undefined): TrackedCounter
}

export class ConnectionView implements Seen, TrackScope {
  readonly #conn: Viewed

  constructor(conn: Viewed) {
    this.#conn = conn
  }

  get id(): string {
    return this.#conn.id
  }

  get frontend(): string {
    return this.#conn.frontend
  }

  get src(): string {
    return this.#conn.src
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

  get peer(): string {
    return this.#conn.peer
  }

  get proxyTlvs(): ReadonlyMap<number, Uint8Array> {
    return this.#conn.proxyTlvs
  }

  get tls(): TlsInfo | undefined {
    return this.#conn.tls
  }

  get hello(): ClientHello | undefined {
    return this.#conn.hello
  }

  get bytesIn(): number {
    return this.#conn.bytesIn
  }

  get bytesOut(): number {
    return this.#conn.bytesOut
  }

  get sc0(): TrackedCounter {
    return this.#conn.sc0
  }

  get sc1(): TrackedCounter {
    return this.#conn.sc1
  }

  get sc2(): TrackedCounter {
    return this.#conn.sc2
  }

  get vars(): Variables {
    return this.#conn.vars
  }

  get fields(): Record<string, FieldValue | undefined> {
    return this.#conn.fields
  }

  get priority(): number {
    return this.#conn.priority
  }

  set priority(value: number) {
    if (!Number.isFinite(value)) {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        `priority: expected a finite number, got ${show(value)}.`,
      )
    }
    this.#conn.priority = value
  }

  get timeouts(): ConnectionTimeouts {
    return this.#conn.timeouts
  }

  get now(): number {
    return this.#conn.now
  }

  backend(name: string): BackendView {
    return this.#conn.backendView(name)
  }

  get log(): Logger {
    return this.#conn.log
  }

  get signal(): AbortSignal {
    return this.#conn.signal
  }

  get bytes(): Uint8Array {
    return this.#conn.bytes
  }

  get last(): boolean {
    return this.#conn.last
  }

  [TABLE](handle: object): StickTable | undefined {
    return this.#conn.tableOf(handle)
  }

  [TRACK](table: StickTable, key: TableKey | undefined): TrackedCounter {
    return this.#conn.trackTable(table, key)
  }
}
