/** Stickiness: which server a key went to, kept in a stick table. */

import { inspect } from 'node:util'
import type { ResolvedBackend } from '../config/resolved.js'
import { FailureLog } from '../log/failures.js'
import type { Connection } from '../policy/types.js'
import type { StickTable } from '../tables/stick-table.js'

type StickConfig = NonNullable<ResolvedBackend['stick']>

export class Stickiness {
  readonly #config: StickConfig
  readonly #table: StickTable
  readonly #failures = new FailureLog()
  /** The key of the connection that was matched last, so that its key function runs once. */
  #conn: Connection | undefined
  #key: string | number | undefined

  /** Precondition: the table stores `serverId`. */
  constructor(config: StickConfig, table: StickTable) {
    this.#config = config
    this.#table = table
  }

  /** The id of the server this connection went to before; 0 where there is none. */
  match(conn: Connection): number {
    this.#conn = undefined
    if (!this.#config.match) return 0
    const key = this.#keyOf(conn)
    if (key === undefined || this.#table.lookup(key) === undefined) return 0
    // A match is a use: the entry expires only when its key stays away.
    const entry = this.#table.track(key)
    return entry === undefined ? 0 : this.#table.get(entry, 'serverId')
  }

  /** Remembers the server that the connection was given. */
  store(conn: Connection, serverId: number): void {
    if (!this.#config.store) return
    const key = this.#keyOf(conn)
    this.#conn = undefined
    if (key === undefined) return
    const entry = this.#table.track(key)
    if (entry !== undefined) this.#table.set(entry, 'serverId', serverId)
  }

  /** The key function is the user's: where it throws or gives what is no key, the connection is not sticky. */
  #keyOf(conn: Connection): string | number | undefined {
    if (this.#conn === conn) return this.#key
    this.#conn = conn
    try {
      const key: unknown = this.#config.key(conn)
      if (key !== undefined && typeof key !== 'string' && typeof key !== 'number')
        throw new TypeError(`expected a string or a number, got ${inspect(key, { depth: 0 })}`)
      this.#key = key
    } catch (err) {
      this.#key = undefined
      const message = 'the key function of stickiness failed; the connection is not sticky'
      this.#failures.report(conn.log, () => conn.log, 'error', { err }, message)
    }
    return this.#key
  }
}
