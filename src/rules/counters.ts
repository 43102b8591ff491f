/** The tracked counters as a policy sees them: live views of stick-table entries. */

import type { StickTable, TableEntry } from '../tables/stick-table.js'
import type { TrackedCounter } from './types.js'

/** One of `sc0 sc1 sc2`. A view: what it reads is current, 0 once the connection has ended. */
export class Counter implements TrackedCounter {
  #table: StickTable | undefined
  #entry: TableEntry | undefined

  get tracked(): boolean {
    return this.#entry !== undefined
  }

  get key(): string | number | undefined {
    return this.#table !== undefined && this.#entry !== undefined
      ? this.#table.keyOf(this.#entry)
      : undefined
  }

  get table(): StickTable | undefined {
    return this.#table
  }

  get entry(): TableEntry | undefined {
    return this.#entry
  }

  /** Counts the connection. Precondition: not tracked. */
  attach(table: StickTable, entry: TableEntry): void {
    this.#table = table
    this.#entry = entry
    table.retain(entry)
    table.add(entry, 'connCur', 1)
    // A counter feeds its rate.
    table.add(entry, 'connCnt', 1)
  }

  /** A session was made of the connection. */
  sessionMade(): void {
    if (this.#table === undefined || this.#entry === undefined) return
    this.#table.add(this.#entry, 'sessCnt', 1)
  }

  /** The connection ended. Idempotent. */
  detach(bytesIn: number, bytesOut: number): void {
    const table = this.#table
    const entry = this.#entry
    if (table === undefined || entry === undefined) return
    this.#entry = undefined
    if (bytesIn > 0) table.add(entry, 'bytesInCnt', bytesIn)
    if (bytesOut > 0) table.add(entry, 'bytesOutCnt', bytesOut)
    table.add(entry, 'connCur', -1)
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

  /** Counting up also counts in `gpc0Rate`. Ignored while not tracked. */
  set gpc0(value: number) {
    if (this.#table !== undefined && this.#entry !== undefined) {
      this.#table.set(this.#entry, 'gpc0', value)
    }
  }

  get gpc1(): number {
    return this.#get('gpc1')
  }

  set gpc1(value: number) {
    if (this.#table !== undefined && this.#entry !== undefined) {
      this.#table.set(this.#entry, 'gpc1', value)
    }
  }

  get gpc0Rate(): number {
    return this.#get('gpc0Rate')
  }

  get gpt0(): number {
    return this.#get('gpt0')
  }

  set gpt0(value: number) {
    if (this.#table !== undefined && this.#entry !== undefined) {
      this.#table.set(this.#entry, 'gpt0', value)
    }
  }

  get serverId(): number {
    return this.#get('serverId')
  }

  #get(name: Parameters<StickTable['get']>[1]): number {
    return this.#table !== undefined && this.#entry !== undefined
      ? this.#table.get(this.#entry, name)
      : 0
  }
}
