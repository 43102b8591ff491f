/**
 * Events from records of eight integers: kind, slot, generation and five operands. Pure: what
 * carries them, and the bytes that they point at, is the caller's business.
 */

import { Event } from '../../wire/wire.js'
import type { EngineEvents } from '../engine.js'
import { EngineEvent } from '../event.js'

const text = new TextDecoder()
const NO_BYTES = new Uint8Array(0)

/** What only the engine itself handles. */
export interface InternalEvents {
  listenerClosed(listener: number): void
}

/** Turns the records of one worker into calls. */
export class EventDecoder {
  readonly #slab: Uint8Array
  readonly #firstConn: number
  readonly #epochs: Uint8Array
  readonly #event = new EngineEvent()

  /**
   * `slab`: what offsets are in; bytes are copied out of it. `firstConn`: table index of the
   * worker's slot 0. `epochs`: of the last command, by connection (CommandEncoder).
   */
  constructor(slab: Uint8Array, firstConn: number, epochs: Uint8Array) {
    this.#slab = slab
    this.#firstConn = firstConn
    this.#epochs = epochs
  }

  /** Tells the event whose record begins at `words[at]`. Throws what its handler throws. */
  tell(words: Int32Array, at: number, events: EngineEvents, internal: InternalEvents): void {
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
        event.alpn = certificate > 1 ? text.decode(bytes.subarray(1, certificate)) : ''
        event.bytes = bytes.subarray(certificate)
        events.secured(event)
        break
      }
      case Event.CLOSED:
        event.reason = a
        event.errno = b
        event.clock = c
        event.connectTime = d
        event.localPort = words[at + 7] as number
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
