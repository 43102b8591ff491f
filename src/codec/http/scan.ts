/** The end of a head, in bytes that come in pieces. */

import { HttpBad } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { CR, isTokenByte, LF } from './grammar.js'
import type { HeadLimits } from './limits.js'

/**
 * Looks for the end of a head, each byte once, and refuses at the first byte that is wrong: who
 * sends half a line must not wait for a time-out to hear it.
 */
export class HeadScan {
  /** Where the head begins: behind an empty line (RFC 9112 2.2). */
  start = 0
  /** What was looked at. */
  #at = 0
  /** Where the line under way begins. */
  #line = 0
  /** Lines that have ended. */
  #lines = 0
  readonly #limits: HeadLimits

  constructor(limits: HeadLimits) {
    this.#limits = limits
  }

  /** Nothing of a head came yet, but for an empty line before it. */
  get idle(): boolean {
    return this.#at === this.start
  }

  /**
   * Where the head ends, behind its empty line; undefined while its end did not come. `bytes`:
   * everything since the message began, more than in the call before. Throws Bad.
   */
  scan(bytes: Uint8Array): number | undefined {
    for (;;) {
      if (this.#lines === 0 && this.#at === this.#line) this.#firstByte(bytes[this.#at])
      const at = nextSpecial(bytes, this.#at)
      if (at < 0) {
        this.#at = bytes.length
        this.#bound(this.#at)
        return undefined
      }
      this.#bound(at)
      if (bytes[at] === LF) throw new Bad(HttpBad.LINE_END, at)
      if (bytes[at] === 0) throw new Bad(HttpBad.BYTE, at)
      if (at + 1 === bytes.length) {
        this.#at = at
        return undefined
      }
      if (bytes[at + 1] !== LF) throw new Bad(HttpBad.LINE_END, at)
      const end = this.#lineEnded(at)
      if (end !== undefined) return end
    }
  }

  /** The end of the head, where the line was the empty one behind it. */
  #lineEnded(at: number): number | undefined {
    const empty = at === this.#line
    this.#at = at + 2
    this.#line = this.#at
    if (!empty) {
      this.#lines++
      // The first line is none of the fields.
      if (this.#lines > this.#limits.fields + 1) throw new Bad(HttpBad.FIELDS, at)
      return undefined
    }
    if (this.#lines === 0) {
      this.start = this.#at
      return undefined
    }
    if (this.#at - this.start > this.#limits.head) throw new Bad(HttpBad.HEAD_LONG, at)
    return this.#at
  }

  /** A token begins each head, and an empty line may come before it. */
  #firstByte(first: number | undefined): void {
    if (first === undefined || isTokenByte(first)) return
    if (first === CR && this.start === 0) return
    if (first === CR || first === LF) throw new Bad(HttpBad.LINE_END, this.#at)
    throw new Bad(first === 0 ? HttpBad.BYTE : HttpBad.START_LINE, this.#at)
  }

  /** Neither the first line nor the head is too long, with everything before `at`. */
  #bound(at: number): void {
    const { line, head } = this.#limits
    if (this.#lines === 0 && at - this.#line > line) {
      throw new Bad(HttpBad.TARGET_LONG, this.#line + line)
    }
    if (at - this.start > head) throw new Bad(HttpBad.HEAD_LONG, this.start + head)
  }
}

/** The next CR, LF or NUL; -1 where there is none. */
function nextSpecial(bytes: Uint8Array, from: number): number {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i] as number
    if (byte <= CR && (byte === CR || byte === LF || byte === 0)) return i
  }
  return -1
}
