/** Slots of the connection table: allocation, generations, and the record of each connection. */

import { ConnectionTable } from '../../wire/table.js'
import { Field, Layout } from '../../wire/wire.js'

const WORDS = Layout.CONNECTION_WORDS
const LAST_GENERATION = 0x7fffffff

export class Slots {
  readonly table: ConnectionTable
  /** Slots that were used before. */
  readonly #free: number[] = []
  /** Slots that were ever used: the others are not touched, so they take no memory. */
  #touched = 0

  /** @param slots connections at once; both sides of a session count. */
  constructor(slots: number) {
    this.table = new ConnectionTable(new Int32Array(slots * WORDS))
  }

  /** Connections that are open. */
  get used(): number {
    return this.#touched - this.#free.length
  }

  get free(): number {
    return this.table.slots - this.used
  }

  /** A slot with a cleared record that keeps its generation, or -1 where the table is full. */
  allocate(): number {
    const slot = this.#free.pop() ?? this.#fresh()
    if (slot < 0) return -1
    const { words } = this.table
    const at = slot * WORDS
    words.fill(0, at + 1, at + WORDS)
    words[at + Field.LISTENER] = -1
    words[at + Field.PEER] = -1
    return slot
  }

  /** Gives the slot back; handles that name its generation are stale from here on. */
  release(slot: number): void {
    const generation = this.table.generation(slot)
    this.table.set(slot, Field.GENERATION, generation === LAST_GENERATION ? 1 : generation + 1)
    this.#free.push(slot)
  }

  #fresh(): number {
    if (this.#touched === this.table.slots) return -1
    this.table.set(this.#touched, Field.GENERATION, 1)
    return this.#touched++
  }
}
