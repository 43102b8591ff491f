/** The tracked counters as a policy sees them: live views of stick-table entries. */

import { counterRows, type DataType } from '../../policy/counters.js'
import type { TrackedCounter } from '../../policy/types.js'
import type { StickTable, TableEntry, TableKey } from '../../tables/stick-table.js'

export interface Counter extends TrackedCounter {}

/**
 * One of `sc0 sc1 sc2`. While the connection is open its entry is pinned. Behind its end the
 * entry may be gone and its place another key's: then it is looked up again, and a write makes
 * it where it is gone, as tracking does.
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

  #table: StickTable | undefined
  /** While the connection is open. */
  #entry: TableEntry | undefined
  #key: TableKey | undefined

  get tracked(): boolean {
    return this.#table !== undefined
  }

  get key(): string | number | undefined {
    const table = this.#table
    if (table === undefined) return undefined
    const entry = this.#found()
    return entry === undefined ? undefined : table.keyOf(entry)
  }

  /** Counts the connection. Preconditions: not tracked; `entry` is that of `key`. */
  attach(table: StickTable, entry: TableEntry, key: TableKey): void {
    this.#table = table
    this.#entry = entry
    this.#key = typeof key === 'object' ? key.slice() : key
    table.retain(entry)
    table.count(entry, 'connCur', 1)
    // A counter feeds its rate.
    table.count(entry, 'connCnt', 1)
  }

  /** A session was made of the connection. */
  sessionMade(): void {
    if (this.#table === undefined || this.#entry === undefined) return
    this.#table.count(this.#entry, 'sessCnt', 1)
  }

  /** The connection ended. Idempotent. */
  detach(bytesIn: number, bytesOut: number): void {
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
    const entry = this.#entry ?? table.track(this.#key as TableKey)
    if (entry !== undefined) table.set(entry, name, value)
  }

  #found(): TableEntry | undefined {
    return this.#entry ?? this.#table?.lookup(this.#key as TableKey)
  }
}
