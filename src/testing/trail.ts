/** What the core left behind of one connection under test. */

import type { ClientConnection } from '../flow/connection.js'
import type { SessionRecord } from '../flow/flow.js'
import type { SideState } from '../policy/live.js'
import type { TestClient } from './engine/client.js'
import type { LogRecord } from './log.js'
import type { Servers } from './servers.js'
import type { PolicyStep } from './steps.js'
import type { TableChange } from './tables.js'

/** A side of a session changed its state. */
export interface TestTransition {
  side: 'client' | 'server'
  from: SideState
  to: SideState
  /** ms on the virtual clock. */
  at: number
}

export class Trail {
  /** What servers do with this connection, where that was said. */
  readonly servers: Servers
  /** Undefined while the connection waits to be accepted. */
  client: TestClient | undefined = undefined
  /** The core's connection, once policy or a backend has seen it. */
  conn: ClientConnection | undefined = undefined
  id: string | undefined = undefined
  /** Of the end. */
  record: SessionRecord | undefined = undefined
  readonly steps: PolicyStep[] = []
  readonly transitions: TestTransition[] = []
  readonly logs: LogRecord[] = []
  /** Servers that were connected to, as 'backend/server'. */
  readonly attempts: string[] = []
  /** By table and key. */
  readonly #changes = new Map<string, TableChange>()

  constructor(servers: Servers) {
    this.servers = servers
  }

  get changes(): TableChange[] {
    return [...this.#changes.values()]
  }

  /** Adds a write to what the connection changed before. */
  changed(change: TableChange): void {
    const { table, key, after } = change
    const name = `${table} ${typeof key} ${key}`
    const earlier = this.#changes.get(name)
    this.#changes.set(name, earlier ? { ...earlier, after } : change)
  }
}
