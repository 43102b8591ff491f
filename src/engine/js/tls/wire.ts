/**
 * What a TLSSocket reads its records from and writes them to: a stream over a
 * raw socket that somebody else listens to.
 *
 * Node could wrap the raw socket itself, which is cheaper by a tenth to a third
 * of the CPU of TLS. But then a FIN without close_notify looks like a
 * close_notify, bytes that were read before cannot be given back reliably, and
 * what becomes of the raw socket is no longer ours to decide.
 */

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

const HIGH_WATER = 65536

export class TlsWire extends Duplex {
  readonly #raw: Socket
  #muted = false
  #wrote: (() => void) | undefined

  /** @param wrote called once, when the first records are written. */
  constructor(raw: Socket, wrote: () => void) {
    // Its end is not the end of the TLSSocket, which may hold payload that nobody has read yet.
    super({ allowHalfOpen: true, autoDestroy: false, readableHighWaterMark: HIGH_WATER })
    this.#raw = raw
    this.#wrote = wrote
  }

  /** Records from the peer. */
  receive(chunk: Buffer): void {
    if (!this.destroyed && !this.readableEnded && !this.push(chunk)) this.#raw.pause()
  }

  /** The peer's FIN. */
  receiveEnd(): void {
    if (!this.destroyed) this.push(null)
  }

  /** What is written from here on goes nowhere. */
  mute(): void {
    this.#muted = true
  }

  override _read(): void {
    this.#raw.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#muted) done()
    else this.#raw.write(chunk, finish(done))
    this.#hasWritten()
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: () => void): void {
    if (this.#muted) {
      done()
      return
    }
    const last = chunks.length - 1
    this.#raw.cork()
    for (const [i, { chunk }] of chunks.entries()) {
      this.#raw.write(chunk, i === last ? finish(done) : undefined)
    }
    this.#raw.uncork()
    this.#hasWritten()
  }

  #hasWritten(): void {
    const wrote = this.#wrote
    this.#wrote = undefined
    wrote?.()
  }

  /**
   * Everything that was written is with the kernel by then, close_notify included.
   * Not waiting for the FIN itself leaves no time in which OpenSSL could write an
   * alert behind it, which Node asserts against.
   */
  override _final(done: () => void): void {
    this.#raw.end()
    done()
  }

  /** Leaves the raw socket alone. */
  override _destroy(_error: Error | null, done: (error?: Error | null) => void): void {
    done(null)
  }
}

/** A raw socket that failed says so by itself, and everything is destroyed then. */
function finish(done: () => void): (error?: Error | null) => void {
  return (error) => {
    if (!error) done()
  }
}
