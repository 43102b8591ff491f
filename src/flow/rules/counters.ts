/** The tracked counters as a policy sees them: live views of stick-table entries. */

import { counterRows, type DataType } from '../../policy/counters.js'
import type { CounterName, TrackedCounter } from '../../policy/types.js'
import type { StickTable, TableEntry, TableKey } from '../../tables/stick-table.js'

export interface Counter extends TrackedCounter {}

/**
 * One of `sc0 sc1 sc2`, or what a table's handle tracks. While the connection is open its entry is
 * pinned. Behind its end the entry may be gone and its place another key's: then it is looked up
 * again, and a write makes it where it is gone, as tracking does.
 *
 * Those of a connection are a list, so that it has as many as its rules like, and none costs it
 * nothing.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the accessors of every row are made below
export class Counter {
  static {
    for (const [name, { writable }] of counterRows) {
      Object.defineProperty(Counter.prototype, name, {
        get(this: Counter) {
          return this.#get(name)
        },
        ...(writable && {
          /** Counting up also counts in the rate that it feeds. */
          set(this: Counter, value: number) {
            this.#set(name, value)
          },
        }),
      })
    }
  }

  readonly #next: Counter | undefined
  /** Undefined: of the table's handle. */
  readonly #name: CounterName | undefined
  #table: StickTable | undefined
  /** While the connection is open. */
  #entry: TableEntry | undefined = undefined
  #key: TableKey | undefined = undefined

  /** `next`: the rest of the list that it is put into. `table`: of a handle, instead of `name`. */
  constructor(
    next: Counter | undefined,
    name: CounterName | undefined,
    table: StickTable | undefined,
  ) {
    this.#next = next
    this.#name = name
    this.#table = table
  }

  static named(list: Counter | undefined, name: CounterName): Counter | undefined {
    let at = list
    while (at !== undefined && at.#name !== name) at = at.#next
    return at
  }

  /** What the handle of `table` tracks. */
  static handled(list: Counter | undefined, table: StickTable): Counter | undefined {
    let at = list
    while (at !== undefined && (at.#name !== undefined || at.#table !== table)) at = at.#next
    return at
  }

  /** A session was made of the connection. */
  static sessionMade(list: Counter | undefined): void {
    for (let at = list; at !== undefined; at = at.#next) {
      if (at.#entry !== undefined) at.#table?.count(at.#entry, 'sessCnt', 1)
    }
  }

  /** The connection ended. Idempotent. */
  static detach(list: Counter | undefined, bytesIn: number, bytesOut: number): void {
    for (let at = list; at !== undefined; at = at.#next) at.#detach(bytesIn, bytesOut)
  }

  get tracked(): boolean {
    return this.#key !== undefined
  }

  get key(): string | number | undefined {
    const entry = this.#found()
    return entry === undefined ? undefined : this.#table?.keyOf(entry)
  }

  /** Counts the connection. Preconditions: not tracked; `entry` is that of `key`. */
  attach(table: StickTable, entry: TableEntry, key: TableKey): void {
    this.#table = table
    this.#entry = entry
    this.watch(key)
    table.retain(entry)
    table.count(entry, 'connCur', 1)
    // A counter feeds its rate.
    table.count(entry, 'connCnt', 1)
  }

  /** Reads and writes the entry of `key`, and counts nothing. Precondition: it has its table. */
  watch(key: TableKey): void {
    this.#key = typeof key === 'object' ? key.slice() : key
  }

  #detach(bytesIn: number, bytesOut: number): void {
    const table = this.#table
    const entry = this.#entry
    if (table === undefined || entry === undefined) return
    this.#entry = undefined
    if (bytesIn > 0) table.count(entry, 'bytesInCnt', bytesIn)
    if (bytesOut > 0) table.count(entry, 'bytesOutCnt', bytesOut)
    table.count(entry, 'connCur', -1)
    table.release(entry)
  }

  #get(name: DataType): number {
    const table = this.#table
    if (table === undefined) return 0
    table.mustRead(name)
    const entry = this.#found()
    return entry === undefined ? 0 : table.get(entry, name)
  }

  #set(name: DataType, value: number): void {
    const table = this.#table
    if (table === undefined) return
    table.mustWrite(name)
    if (this.#key === undefined) return
    const entry = this.#entry ?? table.track(this.#key)
    if (entry !== undefined) table.set(entry, name, value)
  }

  #found(): TableEntry | undefined {
    if (this.#key === undefined) return undefined
    return this.#entry ?? this.#table?.lookup(this.#key)
  }
}
