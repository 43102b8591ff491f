/**
 * Ending a client's connection. What is buffered for it is sent, then the FIN;
 * where bytes were on their way the descriptor stays open for a moment and
 * reads on, because closing it over unread input makes the kernel send a RST
 * that destroys the bytes on their way (lingering close).
 */

import type { ListenSpec } from '../engine.js'
import { timer } from './core.js'
import type { Side, SideHandler } from './side.js'

/** Longest wait for the client's FIN after the last byte has left, in ms. */
export const LINGER = 2000
/** Longest wait for the last bytes to leave, where the listener has no client time-out, in ms. */
export const FLUSH = 30_000

export class Closing implements SideHandler {
  readonly #side: Side
  readonly #done: () => void
  #timer: NodeJS.Timeout | undefined

  /** @param done called for each side that hands its end to this handler. */
  constructor(side: Side, done: () => void) {
    this.#side = side
    this.#done = done
    side.handler = this
  }

  /** Sends `bytes` behind what is buffered, then the FIN, then closes. */
  flush(bytes: Uint8Array | undefined, listen: ListenSpec): void {
    const side = this.#side
    if (side.closed) {
      this.#done()
      return
    }
    if (bytes && bytes.length > 0 && !side.shut) side.write(Buffer.from(bytes))
    // Also bytes that Node has handed over may still be on their way.
    const lingers = side.raw.bytesWritten > 0
    side.resume()
    this.#after(listen.clientFinTimeout || listen.clientTimeout || FLUSH)
    const finished = () => {
      if (side.closed) return
      if (lingers && !side.eof) this.#after(LINGER)
      else side.destroy()
    }
    if (side.socket.writableFinished) {
      finished()
      return
    }
    side.socket.once('finish', finished)
    side.shutdown()
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
    // While bytes are still to be sent, the end of writing closes the socket.
    if (side === this.#side && (!side.shut || side.socket.writableFinished)) side.destroy()
  }

  drain(_side: Side): void {}

  gone(side: Side): void {
    if (side === this.#side) clearTimeout(this.#timer)
    this.#done()
  }

  #after(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = timer(ms, () => this.#side.destroy())
  }
}
