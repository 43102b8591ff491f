/**
 * A worker's event ring, as the side that reads it. A handler that throws is reported and does
 * not stop the others.
 */

import { Control, Layout, Region } from '../../wire/wire.js'
import type { EngineEvents } from '../engine.js'
import { EventDecoder, type InternalEvents } from '../record/events.js'

const RECORD = Layout.RECORD_WORDS
const MASK = Layout.POSITION_MASK

export class EventRing {
  readonly #words: Int32Array
  readonly #decoder: EventDecoder
  #tail = 0
  /** Records that a stop found no room for. */
  #behind: Int32Array | undefined

  /** `words`: the worker's memory. The rest: EventDecoder. */
  constructor(words: Int32Array, firstConn: number, epochs: Uint8Array) {
    this.#words = words
    const at = words.byteOffset + Region.EVENT_SLAB * 4
    const slab = new Uint8Array(words.buffer, at, Layout.EVENT_SLAB_BYTES)
    this.#decoder = new EventDecoder(slab, firstConn, epochs)
  }

  /** Clears the wake word; before draining, so that an event behind it rings again. */
  arm(): void {
    Atomics.store(this.#words, Control.EVENT_WAKE, 0)
  }

  /** True where events wait. */
  get pending(): boolean {
    return this.#tail !== Atomics.load(this.#words, Control.EVENT_HEAD)
  }

  /** True once the worker has died, whatever the ring says. */
  get dead(): boolean {
    return Atomics.load(this.#words, Control.FATAL) !== 0
  }

  /** Takes the records that come behind those in the ring, once the worker has stopped. */
  append(records: Int32Array): void {
    this.#behind = records
  }

  /** Dispatches up to `budget` events; true where more wait. */
  drain(budget: number, events: EngineEvents, internal: InternalEvents): boolean {
    const words = this.#words
    let head = Atomics.load(words, Control.EVENT_HEAD)
    let left = budget
    while (this.#tail !== head && left-- > 0) {
      const at = Region.EVENT_RING + (this.#tail & (Layout.EVENT_CAPACITY - 1)) * RECORD
      // Before the call: an event is told once, also where `fault` throws.
      this.#tail = (this.#tail + 1) & MASK
      this.#tell(words, at, events, internal)
      if (this.#tail === head) head = Atomics.load(words, Control.EVENT_HEAD)
    }
    Atomics.store(words, Control.EVENT_TAIL, this.#tail)
    if (this.#tail !== head) return true
    const behind = this.#behind
    this.#behind = undefined
    for (let at = 0; behind && at < behind.length; at += RECORD) {
      this.#tell(behind, at, events, internal)
    }
    return false
  }

  #tell(words: Int32Array, at: number, events: EngineEvents, internal: InternalEvents): void {
    try {
      this.#decoder.tell(words, at, events, internal)
    } catch (error) {
      events.fault(error)
    }
  }
}
