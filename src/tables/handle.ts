/**
 * Handles of stick tables: the configuration of a table, and what rules use it by, typed by what
 * the table stores. A handle belongs to no proxy: it finds the table of the proxy whose connection
 * is at hand, so that several proxies may have one configuration.
 */

import { SluiceError } from '../base/errors.js'
import type { TableKeyType } from '../options/table.js'
import type { TableConfig } from '../options/written.js'
import type { DataType, TableStore } from '../policy/counters.js'
import type { KeyOf, TableChanges, TableView } from '../policy/live.js'
import type { Connection, TrackedEntry } from '../policy/types.js'
import { isTableKey } from './key.js'
import type { StickTable } from './stick-table.js'
import { keyError, viewTable } from './view.js'

/** A table as `defineTable` takes it. `K`: type of the keys; `S`: what is stored. */
export interface TableDefinition<K extends TableKeyType = TableKeyType, S = TableStore>
  extends Omit<TableConfig, 'key' | 'store'> {
  /** Type of the key. */
  readonly key: K
  /** What is kept for each key. Rates name their window. Default: nothing but the key. */
  readonly store?: S
}

/** A table by its handle: put it into `tables` of the configuration, under the table's name. */
export interface TableHandle<K extends TableKeyType = TableKeyType, S = TableStore>
  extends TableDefinition<K, S>,
    Pick<TableView<K, S>, 'get' | 'set' | 'delete' | 'entries'> {
  /**
   * Counts the connection under `key` for as long as it is open, as `track('sc0', ...)` does, and
   * gives the entry. The first track of a handle by a connection wins. What does not fit the table
   * is not tracked, nor is undefined: the entry reads 0 then, and ignores writes. Behind the end
   * of the connection nothing is counted; the entry can be read and written.
   *
   * @throws SluiceError (ERR_SLUICE_STATE) where the connection's proxy has no such table.
   */
  track(
    conn: Connection,
    // Addresses go by the connection's source, where nothing else is said.
    ...key: K extends 'ip' | 'ipv6' ? [key?: KeyOf<K> | undefined] : [key: KeyOf<K> | undefined]
  ): TrackedEntry<S>
  /**
   * The table of the proxy that this connection belongs to. Needed where several proxies with this
   * handle run; `get`, `set`, `delete` and `entries` of the handle are those of the one that does.
   *
   * @throws SluiceError (ERR_SLUICE_STATE) where the connection's proxy has no such table.
   */
  of(conn: Connection): TableView<K, S>
}

/** Of what is tracked on: the table of a handle in its proxy. */
export const TABLE = Symbol('sluice.table')
/** Of what is tracked on: tracks a key in that table. */
export const TRACK = Symbol('sluice.track')

/** What connections, as policies hold them, have for handles. */
export interface TrackScope {
  /** Undefined where its proxy has no such table. */
  [TABLE](handle: object): StickTable | undefined
  [TRACK](table: StickTable, key: KeyOf | undefined): TrackedEntry
}

class Handle {
  declare readonly key: TableKeyType
  declare readonly size: number
  /** Those of proxies that run. */
  readonly #tables: StickTable[] = []

  constructor(definition: TableDefinition) {
    // All of it: what is unknown is told with the configuration.
    Object.assign(this, definition)
  }

  static is(value: unknown): value is Handle {
    return typeof value === 'object' && value !== null && #tables in value
  }

  static attach(handle: Handle, table: StickTable): void {
    handle.#tables.push(table)
  }

  static detach(handle: Handle, table: StickTable): void {
    const at = handle.#tables.indexOf(table)
    if (at >= 0) handle.#tables.splice(at, 1)
  }

  track(conn: Connection, key?: KeyOf): TrackedEntry {
    const table = this.#tableOf(conn)
    // biome-ignore lint/complexity/noArguments: a key of undefined is not a missing one, and this allocates nothing
    const tracked = arguments.length < 2 ? conn.src : key
    if (tracked !== undefined && !isTableKey(tracked)) throw keyError(table.name, tracked)
    return (conn as unknown as TrackScope)[TRACK](table, tracked)
  }

  of(conn: Connection): TableView {
    return viewTable(this.#tableOf(conn))
  }

  get(key: KeyOf): ReturnType<TableView['get']> {
    return viewTable(this.#only()).get(key)
  }

  set(key: KeyOf, data: TableChanges): void {
    viewTable(this.#only()).set(key, data)
  }

  delete(key: KeyOf): boolean {
    return viewTable(this.#only()).delete(key)
  }

  entries(limit?: number): ReturnType<TableView['entries']> {
    return viewTable(this.#only()).entries(limit)
  }

  #tableOf(conn: Connection): StickTable {
    const scope = conn as Partial<TrackScope> | null | undefined
    if (typeof scope?.[TABLE] !== 'function') {
      throw new SluiceError(
        'ERR_SLUICE_ARGUMENT',
        'a table handle tracks on a connection, as rules are given it.',
      )
    }
    const table = scope[TABLE](this)
    if (table !== undefined) return table
    throw new SluiceError(
      'ERR_SLUICE_STATE',
      `the proxy of this connection has no table with this handle (${describe(this)}): name the handle in 'tables' of its configuration.`,
    )
  }

  /** The table of the one proxy that has it. */
  #only(): StickTable {
    const table = this.#tables[0]
    if (table !== undefined && this.#tables.length === 1) return table
    const message =
      table === undefined
        ? `no proxy that runs has a table with this handle (${describe(this)}): name the handle in 'tables' of a configuration, and start its proxy.`
        : `${this.#tables.length} proxies that run have the table '${table.name}': say which by of(conn), or by proxy.tables.`
    throw new SluiceError('ERR_SLUICE_STATE', message)
  }
}

function describe({ key, size }: { key: unknown; size: unknown }): string {
  return `key '${String(key)}', size ${String(size)}`
}

/**
 * Defines a stick table: what it gives is the table's configuration, and tracks, reads and changes
 * its entries, typed by what it stores.
 *
 *     const sources = defineTable({ key: 'ip', size: 100_000, store: { connRate: '10s', gpc0: true } })
 *     // in a rule:            const seen = sources.track(conn)
 *     // in the configuration: tables: { sources }
 */
export function defineTable<
  const K extends TableKeyType,
  const S extends TableStore = Record<never, never>,
>(
  definition: TableDefinition<K, S & { [N in Exclude<keyof S, DataType>]: never }>,
): TableHandle<K, S> {
  return new Handle(definition as TableDefinition) as unknown as TableHandle<K, S>
}

/** The handle that a table's configuration is, if it is one. */
export function handleOf(config: unknown): object | undefined {
  return Handle.is(config) ? config : undefined
}

/** The table is that of a proxy that runs: its handle reaches it. Nothing where it has none. */
export function attachHandle(table: StickTable): void {
  const { handle } = table.config
  if (Handle.is(handle)) Handle.attach(handle, table)
}

/** Undoes `attachHandle`. Idempotent. */
export function detachHandle(table: StickTable): void {
  const { handle } = table.config
  if (Handle.is(handle)) Handle.detach(handle, table)
}
