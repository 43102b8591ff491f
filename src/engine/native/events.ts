/**
 * Reader of a worker's event ring: turns records into calls. A handler that
 * throws is reported and does not stop the others.
 */

import { Control, Event, Layout, Region } from '../../wire/wire.js'
import type { EngineEvents } from '../engine.js'

const RECORD = Layout.RECORD_WORDS
const MASK = Layout.POSITION_MASK
const decoder = new TextDecoder()
const NO_BYTES = new Uint8Array(0)

/** What only the engine itself handles. */
export interface InternalEvents {
  listenerClosed(listener: number): void
}

export class EventReader {
  readonly #words: Int32Array
  readonly #slab: Uint8Array
  readonly #firstConn: number
  readonly #epochs: Uint8Array
  #tail = 0
  /** Records that a stop found no room for. */
  #behind: Int32Array | undefined

  /** `firstConn`: table index of the worker's slot 0. `epochs`: of the last answer, by connection. */
  constructor(words: Int32Array, firstConn: number, epochs: Uint8Array) {
    this.#words = words
    this.#epochs = epochs
    this.#firstConn = firstConn
    this.#slab = new Uint8Array(
      words.buffer,
      words.byteOffset + Region.EVENT_SLAB * 4,
      Layout.EVENT_SLAB_BYTES,
    )
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
      this.#dispatch(words, at, events, internal)
    } catch (error) {
      events.fault(error)
    }
  }

  #dispatch(words: Int32Array, at: number, events: EngineEvents, internal: InternalEvents): void {
    const conn = (words[at + 1] as number) + this.#firstConn
    const generation = words[at + 2] as number
    const a = words[at + 3] as number
    const b = words[at + 4] as number
    const c = words[at + 5] as number
    switch (words[at]) {
      case Event.HANDSHAKE: {
        const length = words[at + 6] as number
        const bytes = length > 0 ? this.#slab.slice(c, c + length) : NO_BYTES
        events.handshake(conn, generation, a, b, bytes, words[at + 7] as number)
        break
      }
      case Event.HANDSHAKE_WAITS:
        events.handshakeWaits(conn, generation)
        break
      case Event.SECURED: {
        const offset = words[at + 6] as number
        const bytes = this.#slab.slice(offset, offset + (words[at + 7] as number))
        const certificate = 1 + (bytes[0] ?? 0)
        const alpn = certificate > 1 ? decoder.decode(bytes.subarray(1, certificate)) : ''
        const version = b >> 16
        events.secured(
          conn,
          generation,
          a,
          version,
          b & 0xffff,
          c,
          alpn,
          bytes.subarray(certificate),
        )
        break
      }
      case Event.CLOSED:
        events.closed(conn, generation, a, b, c, words[at + 6] as number)
        break
      case Event.BYTES:
        // Policy has answered while this was on its way: what it shows is outdated.
        if (words[at + 6] !== this.#epochs[conn]) break
        // Copied: most consumers of bytes refuse shared memory.
        events.bytes(conn, generation, this.#slab.slice(a, a + b), c)
        break
      case Event.DATA:
        events.data(conn, generation, this.#slab.slice(a, a + b), c)
        break
      case Event.SENT:
        events.sent(conn, generation, a)
        break
      case Event.CONNECTED:
        events.connected(conn, generation, a + this.#firstConn, b)
        break
      case Event.CONNECT_FAILED:
        events.connectFailed(conn, generation, a, b, c)
        break
      case Event.VERDICT_TIMEOUT:
        events.verdictTimeout(conn, generation, a, b === 1)
        break
      case Event.LISTENER_PAUSED:
        events.listenerPaused(words[at + 1] as number, a)
        break
      case Event.LISTENER_CLOSED:
        internal.listenerClosed(words[at + 1] as number)
        break
    }
  }
}
