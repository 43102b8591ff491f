/** The trails of all connections under test, and who is meant where the core tells of one. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../base/clock.js'
import type { ClientConnection } from '../flow/connection.js'
import type { Session } from '../flow/flow.js'
import { Observer } from '../flow/observer.js'
import type { SluiceProxy } from '../proxy/proxy.js'
import type { StickTable } from '../tables/stick-table.js'
import type { TestClient } from './engine/client.js'
import type { LogRecord } from './log.js'
import { noteAnswer, type PolicyStep } from './steps.js'
import { observeTable } from './tables.js'
import type { Trail } from './trail.js'

export class Trails {
  /** Of rules and choices; what the proxy is given. */
  readonly observer = new Observer()
  readonly #clock: Clock
  readonly #clients: ReadonlyMap<number, TestClient>
  readonly #byClient = new Map<TestClient, Trail>()
  readonly #byId = new Map<string, Trail>()
  /** The one that something is told about. */
  readonly #current = new AsyncLocalStorage<Trail>()

  /** `clients`: those that are open, by slot. */
  constructor(clock: Clock, clients: ReadonlyMap<number, TestClient>) {
    this.#clock = clock
    this.#clients = clients
    this.observer.onRule = (scope, phase, name, answer, error) => {
      const step: PolicyStep = { phase, name, answer: undefined, at: clock.now() }
      this.#seen(scope as ClientConnection)?.steps.push(step)
      noteAnswer(step, answer, error)
    }
    // Every session, also those that no rule has seen.
    this.observer.onPick = (client) => this.#seen((client as Session).client as ClientConnection)
  }

  /** The client was accepted. */
  begin(trail: Trail, client: TestClient): void {
    trail.client = client
    this.#byClient.set(client, trail)
  }

  of(client: TestClient): Trail | undefined {
    return this.#byClient.get(client)
  }

  /** What `tell` brings about is the client's. */
  around(client: TestClient, tell: () => void): void {
    const trail = this.#byClient.get(client)
    if (trail === undefined) tell()
    else this.#current.run(trail, tell)
  }

  /** Call before the start, so that the core tells of transitions from the first session on. */
  watch(proxy: SluiceProxy, tables: Iterable<StickTable>): void {
    for (const table of tables) {
      observeTable(table, (change) => this.#current.getStore()?.changed(change))
    }
    proxy.on('transition', ({ id, side, from, to }) => {
      this.#find(id)?.transitions.push({ side, from, to, at: this.#clock.now() })
    })
    proxy.on('session', (record) => {
      const trail = this.#find(record.id)
      if (trail !== undefined) trail.record = record
    })
  }

  logged(record: LogRecord): void {
    if (record.id !== undefined) this.#find(record.id)?.logs.push(record)
  }

  #seen(conn: ClientConnection): Trail | undefined {
    const client = this.#clients.get(conn.slot)
    const trail = client?.generation === conn.generation ? this.#byClient.get(client) : undefined
    if (trail === undefined) return undefined
    trail.conn = conn
    this.#name(trail, conn.id)
    return trail
  }

  /** The connection with this id: one that is known, or the one that something is told about. */
  #find(id: string): Trail | undefined {
    const known = this.#byId.get(id)
    if (known !== undefined) return known
    const current = this.#current.getStore()
    if (current === undefined || current.id !== undefined) return undefined
    this.#name(current, id)
    return current
  }

  #name(trail: Trail, id: string): void {
    trail.id = id
    this.#byId.set(id, trail)
  }
}
