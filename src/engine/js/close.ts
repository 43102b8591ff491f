/**
 * Ending a connection, in one of three ways.
 *
 * `flush`: what is buffered for it is sent, then the FIN; where bytes were on their way the
 * descriptor stays open for a moment and reads on, because closing it over unread input makes
 * the kernel send a RST that destroys the bytes on their way (lingering close).
 *
 * `cut`: the other side of its session broke off. What is buffered is sent, and behind it what
 * cannot be taken for a complete end: a RST, or over TLS a FIN without close_notify.
 *
 * `tarpit`: nothing is sent, for a while.
 */

import { Inactivity } from '../model/inactivity.js'
import type { Shared } from './shared.js'
import type { Side, SideHandler } from './side.js'
import { timer } from './timer.js'
import { WatchedSide } from './watch.js'

/** Longest wait for the peer's FIN after the last byte has left, in ms. */
export const LINGER = 2000
/** Longest wait for the next of the last bytes to leave, where no time-out is configured, in ms. */
export const FLUSH = 30_000
/**
 * Time for bytes that are with the kernel before a RST takes away what was not sent yet, in ms.
 * Node cannot ask the kernel how much that is.
 */
const IN_FLIGHT = 250

/**
 * Calls `fn` when what had come by now is read: once the loop has polled. Unread, it would make
 * a RST of the close.
 */
function afterReading(fn: () => void): void {
  setImmediate(() => setImmediate(fn))
}

export class Closing implements SideHandler {
  readonly #side: Side
  readonly #shared: Shared
  readonly #done: () => void
  #timer: NodeJS.Timeout | undefined
  #inactivity: Inactivity<WatchedSide> | undefined
  /** The end is a RST, and is due. */
  #cutting = false

  /** @param done called for each side that hands its end to this handler. */
  constructor(shared: Shared, side: Side, done: () => void) {
    this.#shared = shared
    this.#side = side
    this.#done = done
    side.handler = this
  }

  /**
   * Sends `bytes` behind what is buffered, then the FIN, then closes. `patience`: longest wait for
   * a byte to leave, ms; 0 takes a default. `complete`: payload is not missing (Side.shutdown).
   */
  flush(bytes: Uint8Array | undefined, patience: number, complete = true): void {
    const side = this.#side
    if (side.closed) {
      this.#done()
      return
    }
    if (bytes && bytes.length > 0 && !side.shut) side.write(Buffer.from(bytes))
    // Also bytes that Node has handed over may still be on their way.
    const lingers = side.raw.bytesWritten > 0
    side.resume()
    this.#watch(patience, () => side.destroy())
    side.shutdown(complete)
    side.whenFlushed(() => {
      if (side.closed) return
      this.#inactivity?.stop()
      if (side.eof) side.destroy()
      else if (lingers) this.#after(LINGER)
      else afterReading(() => side.destroy())
    })
  }

  /** `patience` as for `flush`. Bytes that the kernel holds get a moment to leave. */
  cut(patience: number): void {
    const side = this.#side
    if (side.secured) {
      this.flush(undefined, patience, false)
      return
    }
    if (side.closed) {
      this.#done()
      return
    }
    side.resume()
    const waited = side.waiting > 0
    const written = side.activity
    this.#watch(patience, () => side.reset())
    side.whenFlushed(() => {
      if (side.closed) return
      this.#inactivity?.stop()
      this.#cutting = true
      const now = this.#shared.now()
      const wait = (waited ? now : written) + IN_FLIGHT - now
      if (wait > 0 && !side.eof) this.#timer = timer(wait, () => side.reset())
      else side.reset()
    })
  }

  /** Closes at once, with RST. */
  reset(): void {
    if (this.#side.closed) this.#done()
    else this.#side.reset()
  }

  /** Holds the connection silently, then closes it. A client that leaves ends the wait. */
  tarpit(hold: number): void {
    if (this.#side.closed) {
      this.#done()
      return
    }
    this.#side.resume()
    if (hold <= 0 || this.#side.eof) this.#side.destroy()
    else this.#after(hold)
  }

  data(_side: Side, _chunk: Buffer): void {}

  end(side: Side): void {
    if (side !== this.#side) return
    if (this.#cutting) side.reset()
    // While bytes are still to be sent, the end of writing closes the socket.
    else if (side.waiting === 0 && (!side.shut || side.finished)) side.destroy()
  }

  drain(_side: Side): void {}

  gone(side: Side): void {
    if (side === this.#side) {
      clearTimeout(this.#timer)
      this.#inactivity?.stop()
    }
    this.#done()
  }

  /** Calls `expired` once no byte has left for `patience` ms. */
  #watch(patience: number, expired: () => void): void {
    const side = this.#side
    const limit = patience || FLUSH
    side.activity = this.#shared.now()
    this.#inactivity = new Inactivity(this.#shared, [new WatchedSide(side, () => limit)], expired)
    this.#inactivity.check()
  }

  #after(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = timer(ms, () => this.#side.destroy())
  }
}
