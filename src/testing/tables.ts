/** Stick tables in tests: seeing what connections change. */

import type { TableData } from '../policy/live.js'
import type { StickTable } from '../tables/stick-table.js'

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

/** Calls `changed` after every write to `table`. */
export function observeTable(table: StickTable, changed: (change: TableChange) => void): void {
  let before: TableData = {}
  table.onWrite = (entry, written) => {
    if (!written) before = table.row(entry)
    else {
      const after = table.row(entry)
      changed({ table: table.name, key: table.keyOf(entry), before, after })
    }
  }
}
