/** Bodies in chunks (RFC 9112 7.1), checked byte by byte and forwarded as they are where that is safe. */

import { HttpBad } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { COLON, CR, hexDigit, isToken, LF, notValue } from './grammar.js'
import type { ChunkLimits } from './limits.js'

/**
 * What the next bytes of a body in chunks are. `size`: the line of a chunk, of 0 bytes for the last
 * one; where it is not `plain` (it has an extension, or zeros in front), what goes further is a line
 * of our own. `trailers`: the section with the empty line that ends the body, 2 bytes where it is empty.
 */
export type Piece =
  | { readonly kind: 'size'; readonly len: number; readonly size: bigint; readonly plain: boolean }
  | { readonly kind: 'data' | 'data-end' | 'trailers'; readonly len: number }

const MOST_DIGITS = 16
const MOST_NAME = 255
const SEMICOLON = 0x3b
const ZERO = 0x30

type State = 'size' | 'data' | 'data-end' | 'trailers' | 'done'

/** A body in chunks, on its way. */
export class Chunks {
  #state: State = 'size'
  /** Bytes of the chunk under way that are still to come. */
  #left = 0n
  /** What of the line or trailer section under way was looked at. */
  #looked = 0
  readonly #limits: ChunkLimits

  constructor(limits: ChunkLimits) {
    this.#limits = limits
  }

  /** Everything was taken. */
  get done(): boolean {
    return this.#state === 'done'
  }

  /**
   * What `bytes` begins with; the next call begins behind it. Undefined where more bytes are needed
   * to tell: the next call has the same bytes and more. Throws Bad, with offsets from the piece's start.
   */
  next(bytes: Uint8Array): Piece | undefined {
    switch (this.#state) {
      case 'size':
        return this.#size(bytes)
      case 'data':
        return this.#data(bytes)
      case 'data-end':
        return this.#dataEnd(bytes)
      case 'trailers':
        return this.#trailers(bytes)
      default:
        return undefined
    }
  }

  #data(bytes: Uint8Array): Piece | undefined {
    if (bytes.length === 0) return undefined
    const len = this.#left < BigInt(bytes.length) ? Number(this.#left) : bytes.length
    this.#left -= BigInt(len)
    if (this.#left === 0n) this.#state = 'data-end'
    return { kind: 'data', len }
  }

  #dataEnd(bytes: Uint8Array): Piece | undefined {
    const [first, second] = bytes
    if (first === undefined) return undefined
    if (first !== CR) throw new Bad(HttpBad.CHUNK, 0)
    if (second === undefined) return undefined
    if (second !== LF) throw new Bad(HttpBad.CHUNK, 1)
    this.#state = 'size'
    return { kind: 'data-end', len: 2 }
  }

  #size(bytes: Uint8Array): Piece | undefined {
    // Digits first: who sends anything else hears it at once.
    let digits = 0
    while (digits < bytes.length && hexDigit(bytes[digits] as number) >= 0) digits++
    let zeros = 0
    while (zeros < digits && bytes[zeros] === ZERO) zeros++
    if (digits - zeros > MOST_DIGITS) throw new Bad(HttpBad.CHUNK, MOST_DIGITS)
    if (digits > this.#limits.line) throw new Bad(HttpBad.CHUNK_LONG, this.#limits.line)
    const behind = bytes[digits]
    if (behind === undefined) return undefined
    if (digits === 0) throw new Bad(HttpBad.CHUNK, 0)
    if (behind !== CR && behind !== SEMICOLON) throw new Bad(HttpBad.CHUNK, digits)
    const end = lineEnd(bytes, Math.max(digits, this.#looked), HttpBad.CHUNK, this.#limits.line)
    if (end === undefined) {
      this.#looked = bytes.length - 1
      return undefined
    }
    const wrong = notValue(bytes, digits, end)
    if (wrong >= 0) throw new Bad(HttpBad.CHUNK, wrong)
    let size = 0n
    for (let i = zeros; i < digits; i++) size = (size << 4n) | BigInt(hexDigit(bytes[i] as number))
    this.#looked = 0
    this.#left = size
    this.#state = size === 0n ? 'trailers' : 'data'
    const plain = end === digits && (zeros === 0 || digits === 1)
    return { kind: 'size', len: end + 2, size, plain }
  }

  #trailers(bytes: Uint8Array): Piece | undefined {
    let at = this.#looked
    for (;;) {
      const end = lineEnd(bytes, at, HttpBad.TRAILER, this.#limits.trailers)
      if (end === undefined) {
        // Lines that were whole are not looked at again.
        this.#looked = at
        return undefined
      }
      if (end === at) {
        this.#state = 'done'
        return { kind: 'trailers', len: end + 2 }
      }
      const colon = bytes.indexOf(COLON, at)
      const fits =
        colon >= at &&
        colon < end &&
        colon - at <= MOST_NAME &&
        isToken(bytes, at, colon) &&
        notValue(bytes, colon + 1, end) < 0
      if (!fits) throw new Bad(HttpBad.TRAILER, at)
      at = end + 2
    }
  }
}

/** Offset of the CR LF that ends the line in which `from` is; undefined where it did not come yet. */
function lineEnd(bytes: Uint8Array, from: number, code: number, most: number): number | undefined {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte !== CR && byte !== LF && byte !== 0) continue
    // First: in pieces nobody would have come as far as to the byte that is wrong.
    if (i > most) throw new Bad(HttpBad.CHUNK_LONG, most)
    if (byte !== CR) throw new Bad(code, i)
    const next = bytes[i + 1]
    if (next === undefined) return undefined
    if (next !== LF) throw new Bad(code, i)
    return i
  }
  if (bytes.length > most) throw new Bad(HttpBad.CHUNK_LONG, most)
  return undefined
}
