/**
 * Reader of a worker's event ring: turns records into calls. A handler that
 * throws is reported and does not stop the others.
 */

import { Control, Event, Layout, Region } from '../../wire/wire.js'
import type { EngineEvents } from '../engine.js'
import { EngineEvent } from '../event.js'

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
  readonly #event = new EngineEvent()
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
    const event = this.#event
    const conn = (words[at + 1] as number) + this.#firstConn
    const a = words[at + 3] as number
    const b = words[at + 4] as number
    const c = words[at + 5] as number
    const d = words[at + 6] as number
    event.conn = conn
    event.generation = words[at + 2] as number
    switch (words[at]) {
      case Event.HANDSHAKE:
        event.listener = a
        event.bit = b
        event.bytes = this.#bytes(c, d)
        event.hello = words[at + 7] as number
        events.handshake(event)
        break
      case Event.HANDSHAKE_WAITS:
        events.handshakeWaits(event)
        break
      case Event.SECURED: {
        const bytes = this.#bytes(d, words[at + 7] as number)
        const certificate = 1 + (bytes[0] ?? 0)
        event.bit = a
        event.version = b >> 16
        event.cipher = b & 0xffff
        event.flags = c
        event.alpn = certificate > 1 ? decoder.decode(bytes.subarray(1, certificate)) : ''
        event.bytes = bytes.subarray(certificate)
        events.secured(event)
        break
      }
      case Event.CLOSED:
        event.reason = a
        event.errno = b
        event.clock = c
        event.connectTime = d
        events.closed(event)
        break
      case Event.BYTES:
        // Policy has answered while this was on its way: what it shows is outdated.
        if (d !== this.#epochs[conn]) break
        event.bytes = this.#bytes(a, b)
        event.flags = c
        events.bytes(event)
        break
      case Event.DATA:
        event.bytes = this.#bytes(a, b)
        event.flags = c
        events.data(event)
        break
      case Event.SENT:
        event.sent = a
        events.sent(event)
        break
      case Event.CONNECTED:
        event.peer = a + this.#firstConn
        event.elapsed = b
        events.connected(event)
        break
      case Event.CONNECT_FAILED:
        event.reason = a
        event.errno = b
        event.elapsed = c
        events.connectFailed(event)
        break
      case Event.VERDICT_TIMEOUT:
        event.bit = a
        event.opened = b === 1
        events.verdictTimeout(event)
        break
      case Event.LISTENER_PAUSED:
        event.listener = words[at + 1] as number
        event.errno = a
        events.listenerPaused(event)
        break
      case Event.LISTENER_CLOSED:
        internal.listenerClosed(words[at + 1] as number)
        break
    }
  }

  /** A copy: most consumers of bytes refuse shared memory. */
  #bytes(offset: number, length: number): Uint8Array {
    return length > 0 ? this.#slab.slice(offset, offset + length) : NO_BYTES
  }
}
