/** A stick table as programs hold it. */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
import type { TableData, TableKey, TableRow, TableView } from '../policy/live.js'
import type { DataType } from './layout.js'
import type { StickTable, TableEntry } from './stick-table.js'

class View implements TableView {
  readonly #table: StickTable

  constructor(table: StickTable) {
    this.#table = table
  }

  get name(): string {
    return this.#table.name
  }

  get size(): number {
    return this.#table.entries
  }

  get capacity(): number {
    return this.#table.config.size
  }

  get(key: TableKey): TableData | undefined {
    const entry = this.#table.lookup(key)
    return entry === undefined ? undefined : dataOf(this.#table, entry)
  }

  set(key: TableKey, data: TableData): void {
    const table = this.#table
    const named = Object.entries(data) as [DataType, number][]
    // Before an entry is made that nobody wanted like this.
    for (const [name] of named) table.mustWrite(name)
    const entry = table.track(key)
    if (entry === undefined) {
      const message = `table '${table.name}' has no place for ${show(key)}.`
      throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
    }
    for (const [name, value] of named) table.set(entry, name, value)
  }

  delete(key: TableKey): boolean {
    return this.#table.remove(key)
  }

  clear(): number {
    return this.#table.clear()
  }

  entries(): IterableIterator<TableRow> {
    return this.#table.dump()
  }
}

export function viewTable(table: StickTable): TableView {
  return Object.freeze(new View(table))
}

/** What is stored in an entry, as of now. */
export function dataOf(table: StickTable, entry: TableEntry): TableData {
  const { store } = table.config
  const names = (Object.keys(store) as DataType[]).filter((name) => store[name])
  return Object.fromEntries(names.map((name) => [name, table.get(entry, name)]))
}
