/** Stick tables in tests: reading and arranging entries, and seeing what connections change. */

import { SluiceError } from '../base/errors.js'
import type { DataType } from '../tables/layout.js'
import type { StickTable, TableEntry, TableKey } from '../tables/stick-table.js'

/** What a table stores for one key; rates are counts over their window as of now. */
export type TableData = Readonly<Partial<Record<DataType, number>>>

/** What one connection changed in one entry. */
export interface TableChange {
  table: string
  /** As kept: an address as text, a number, text, or binary as hexadecimal digits. */
  key: string | number
  /** Before the connection's first write. A new entry is all zeros. */
  before: TableData
  /** Right after its last write so far. */
  after: TableData
}

/** A stick table of the proxy under test. */
export class TestTable {
  readonly #table: StickTable

  /** Made by `createTestProxy`. */
  constructor(table: StickTable) {
    this.#table = table
  }

  get name(): string {
    return this.#table.name
  }

  /** Entries that have not expired. */
  get size(): number {
    return this.#table.entries
  }

  /** What is stored for a key now; undefined where there is no entry. Does not count as a use. */
  get(key: TableKey): TableData | undefined {
    const entry = this.#table.lookup(key)
    return entry === undefined ? undefined : rowOf(this.#table, entry)
  }

  /**
   * Arranges an entry: makes it where there is none, and sets the named data.
   *
   * @throws SluiceError (ERR_SLUICE_ARGUMENT) where the key does not fit, or the table does not store a name.
   */
  set(key: TableKey, data: TableData): void {
    const entry = this.#table.track(key)
    if (entry === undefined) {
      throw new SluiceError('ERR_SLUICE_ARGUMENT', `table '${this.name}' has no place for ${key}.`)
    }
    for (const [name, value] of Object.entries(data) as [DataType, number][]) {
      if (!this.#table.config.store[name]) {
        const message = `table '${this.name}' does not store ${name}.`
        throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
      }
      this.#table.set(entry, name, value)
    }
  }

  /** Forgets a key; false where there is none, or where a connection tracks it. */
  remove(key: TableKey): boolean {
    return this.#table.remove(key)
  }

  /** Every entry, in no order. */
  entries(): { key: string | number; data: TableData }[] {
    return [...this.#table.dump()].map(({ key, data }) => ({ key, data }))
  }
}

/** Calls `changed` after every write to `table`. */
export function observeTable(table: StickTable, changed: (change: TableChange) => void): void {
  let before: TableData = {}
  table.onWrite = (entry, written) => {
    if (!written) before = rowOf(table, entry)
    else {
      const after = rowOf(table, entry)
      changed({ table: table.name, key: table.keyOf(entry), before, after })
    }
  }
}

function rowOf(table: StickTable, entry: TableEntry): TableData {
  const { store } = table.config
  const names = (Object.keys(store) as DataType[]).filter((name) => store[name])
  return Object.fromEntries(names.map((name) => [name, table.get(entry, name)]))
}
