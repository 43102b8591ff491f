/** The tracked counters as a policy sees them: live views of stick-table entries. */

import type { TrackedCounter } from '../../policy/types.js'
import type { DataType, StickTable, TableEntry, TableKey } from '../../tables/stick-table.js'

/**
 * One of `sc0 sc1 sc2`. While the connection is open its entry is pinned. Behind its end the
 * entry may be gone and its place another key's: then it is looked up again, and a write makes
 * it where it is gone, as tracking does.
 */
export class Counter implements TrackedCounter {
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

  get connCur(): number {
    return this.#get('connCur')
  }

  get connCnt(): number {
    return this.#get('connCnt')
  }

  get connRate(): number {
    return this.#get('connRate')
  }

  get sessCnt(): number {
    return this.#get('sessCnt')
  }

  get sessRate(): number {
    return this.#get('sessRate')
  }

  get bytesInCnt(): number {
    return this.#get('bytesInCnt')
  }

  get bytesOutCnt(): number {
    return this.#get('bytesOutCnt')
  }

  get bytesInRate(): number {
    return this.#get('bytesInRate')
  }

  get bytesOutRate(): number {
    return this.#get('bytesOutRate')
  }

  get gpc0(): number {
    return this.#get('gpc0')
  }

  /** Counting up also counts in `gpc0Rate`. */
  set gpc0(value: number) {
    this.#set('gpc0', value)
  }

  get gpc1(): number {
    return this.#get('gpc1')
  }

  set gpc1(value: number) {
    this.#set('gpc1', value)
  }

  get gpc0Rate(): number {
    return this.#get('gpc0Rate')
  }

  get gpt0(): number {
    return this.#get('gpt0')
  }

  set gpt0(value: number) {
    this.#set('gpt0', value)
  }

  get serverId(): number {
    return this.#get('serverId')
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
