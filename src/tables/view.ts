/** A stick table as programs hold it: read and changed by key. */

import { SluiceError } from '../base/errors.js'
import { show } from '../base/units.js'
import { counterRows, type DataType } from '../policy/counters.js'
import type { TableChanges, TableData, TableRow, TableView } from '../policy/live.js'
import { isTableKey, type TableKey } from './key.js'
import type { StickTable } from './stick-table.js'

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

  get bytes(): number {
    return this.#table.bytes
  }

  get evicted(): number {
    return this.#table.evicted
  }

  get expired(): number {
    return this.#table.expired
  }

  get refused(): number {
    return this.#table.refused
  }

  get(key: TableKey): TableData | undefined {
    const entry = this.#table.lookup(this.#checked(key))
    return entry === undefined ? undefined : this.#table.row(entry)
  }

  set(key: TableKey, data: TableChanges): void {
    const table = this.#table
    this.#checked(key)
    // Before an entry is made that nobody wanted like this.
    for (const [name, value] of Object.entries(data)) {
      if (value !== undefined) table.mustTake(name as DataType, value)
    }
    if (!table.fits(key)) {
      const message = `table '${table.name}' has no place for ${show(key)}: its keys are of type '${table.config.key}'.`
      throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
    }
    const entry = table.track(key)
    if (entry === undefined) {
      const message = `table '${table.name}' has no place for ${show(key)}: connections track all of its ${this.capacity} entries.`
      throw new SluiceError('ERR_SLUICE_STATE', message)
    }
    // In this order a rate comes behind the counter that feeds it.
    for (const [name] of counterRows) {
      const value = data[name]
      if (value !== undefined) table.set(entry, name, value)
    }
  }

  delete(key: TableKey): boolean {
    return this.#table.remove(this.#checked(key))
  }

  clear(): number {
    return this.#table.clear()
  }

  entries(limit?: number): IterableIterator<TableRow> {
    return this.#table.dump(limit)
  }

  #checked(key: unknown): TableKey {
    if (isTableKey(key)) return key
    throw keyError(this.name, key)
  }
}

const views = new WeakMap<StickTable, TableView>()

/** The view of a table, the same each time. */
export function viewTable(table: StickTable): TableView {
  let view = views.get(table)
  if (view === undefined) {
    view = Object.freeze(new View(table))
    views.set(table, view)
  }
  return view
}

export function keyError(table: string, key: unknown): SluiceError {
  const message = `table '${table}': a key is a string, a number or a Uint8Array, got ${show(key)}.`
  return new SluiceError('ERR_SLUICE_ARGUMENT', message)
}
