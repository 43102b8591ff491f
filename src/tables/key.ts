/**
 * Keys of stick tables as words: every key type becomes a few 32-bit words in
 * the row, so that a table of any type holds no JavaScript object per entry.
 */

import { parseAddress } from '../address/parse.js'
import { formatIpv4, formatIpv6 } from '../address/text.js'
import type { TableKeyType } from '../options/table.js'
import type { TableKey } from '../policy/live.js'

export type { TableKey }

/** Whether it may be a key at all; whether it fits a type is the codec's question. */
export function isTableKey(key: unknown): key is TableKey {
  return typeof key === 'string' || typeof key === 'number' || key instanceof Uint8Array
}

export interface KeyCodec {
  /** Most words that a key takes. */
  readonly width: number
  /** Writes the key to `out`; returns how many words it took, 0 where it does not fit the type. */
  encode(key: TableKey, out: Uint32Array): number
  /** How many words the key at `words[at]` takes. */
  lengthAt(words: Uint32Array, at: number): number
  /** The key at `words[at]`, for people and for `track`. */
  decode(words: Uint32Array, at: number): string | number
}

/**
 * How a type keeps its keys.
 *
 * - `ip`: address as text, as 4 bytes or as a number (0x7f000001); IPv4-mapped IPv6, text or
 *   16 bytes, is its IPv4 address. Other IPv6 does not fit.
 * - `ipv6`: address as text, 4 or 16 bytes; IPv4 is taken as IPv4-mapped.
 * - `integer`: a whole number from 0 to 4294967295, or its decimal text.
 * - `string`: text (or a number's decimal text, or UTF-8 bytes), cut to `keyLength` bytes at a
 *   character's boundary.
 * - `binary`: bytes (or the UTF-8 bytes of text), cut to `keyLength`.
 *
 * An empty text or byte string is no key and fits nowhere: a source address of a unix socket
 * or a missing server name must not become one entry for everybody.
 */
export function keyCodec(type: TableKeyType, keyLength: number): KeyCodec {
  switch (type) {
    case 'ip':
      return fixedCodec(1, encodeIp, (words, at) => ipv4Text(words[at] as number))
    case 'ipv6':
      return fixedCodec(4, encodeIpv6, decodeIpv6)
    case 'integer':
      return fixedCodec(1, encodeInteger, (words, at) => words[at] as number)
    case 'string':
      return new BytesCodec(keyLength, 'utf8')
    case 'binary':
      return new BytesCodec(keyLength, 'hex')
  }
}

function fixedCodec(
  width: number,
  encode: KeyCodec['encode'],
  decode: KeyCodec['decode'],
): KeyCodec {
  return { width, encode, lengthAt: () => width, decode }
}

const address = new Uint32Array(4)

/** Reads any form of an address into `address`; returns its family or 0. */
function readAddress(key: TableKey): 0 | 4 | 6 {
  if (typeof key === 'string') return parseAddress(key, address)
  if (typeof key === 'number') {
    if (key >>> 0 !== key) return 0
    address[0] = key
    return 4
  }
  if (key.length !== 4 && key.length !== 16) return 0
  for (let i = 0; i < key.length / 4; i++) address[i] = bigEndian(key, i * 4)
  if (key.length === 4) return 4
  if (address[0] !== 0 || address[1] !== 0 || address[2] !== 0xffff) return 6
  address[0] = address[3] as number
  return 4
}

function encodeIp(key: TableKey, out: Uint32Array): number {
  if (readAddress(key) !== 4) return 0
  out[0] = address[0] as number
  return 1
}

function encodeIpv6(key: TableKey, out: Uint32Array): number {
  if (typeof key === 'number') return 0
  const family = readAddress(key)
  if (family === 0) return 0
  if (family === 6) {
    for (let i = 0; i < 4; i++) out[i] = address[i] as number
  } else {
    out[0] = 0
    out[1] = 0
    out[2] = 0xffff
    out[3] = address[0] as number
  }
  return 4
}

function decodeIpv6(words: Uint32Array, at: number): string {
  if (words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff) {
    return ipv4Text(words[at + 3] as number)
  }
  return formatIpv6(
    Int32Array.from({ length: 4 }, (_, i) => swap(words[at + i] as number)),
    0,
  )
}

function encodeInteger(key: TableKey, out: Uint32Array): number {
  const value = typeof key === 'string' && /^(0|[1-9]\d{0,9})$/.test(key) ? Number(key) : key
  if (typeof value !== 'number' || value >>> 0 !== value) return 0
  out[0] = value
  return 1
}

/** Length in bytes, then the bytes; the rest of the last word is zero. */
class BytesCodec implements KeyCodec {
  readonly width: number
  readonly #limit: number
  readonly #text: 'utf8' | 'hex'
  readonly #scratch: Uint32Array
  readonly #bytes: Uint8Array
  readonly #encoder = new TextEncoder()

  constructor(limit: number, text: 'utf8' | 'hex') {
    const words = Math.ceil(limit / 4)
    this.width = words + 1
    this.#limit = limit
    this.#text = text
    this.#scratch = new Uint32Array(words)
    this.#bytes = new Uint8Array(this.#scratch.buffer)
  }

  encode(key: TableKey, out: Uint32Array): number {
    let length = 0
    if (typeof key === 'string') length = this.#copyText(key)
    else if (typeof key !== 'number') length = this.#copyBytes(key)
    else if (this.#text === 'utf8') length = this.#copyText(String(key))
    if (length === 0) return 0
    const words = (length + 3) >> 2
    this.#bytes.fill(0, length, words * 4)
    out[0] = length
    for (let i = 0; i < words; i++) out[i + 1] = this.#scratch[i] as number
    return words + 1
  }

  lengthAt(words: Uint32Array, at: number): number {
    return (((words[at] as number) + 3) >> 2) + 1
  }

  decode(words: Uint32Array, at: number): string {
    const length = words[at] as number
    const bytes = Buffer.from(words.buffer, words.byteOffset + (at + 1) * 4, length)
    return bytes.toString(this.#text)
  }

  #copyText(text: string): number {
    const bytes = this.#bytes
    const length = Math.min(text.length, this.#limit)
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      // The encoder cuts at a character's boundary, but costs a call into native code.
      if (code > 127) return this.#encoder.encodeInto(text, bytes.subarray(0, this.#limit)).written
      bytes[i] = code
    }
    return length
  }

  #copyBytes(source: Uint8Array): number {
    const length = Math.min(source.length, this.#limit)
    for (let i = 0; i < length; i++) this.#bytes[i] = source[i] as number
    return length
  }
}

function bigEndian(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

/** Formatting takes words as the connection table holds them: first octet in the low byte. */
function swap(word: number): number {
  return (word << 24) | ((word << 8) & 0xff0000) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

function ipv4Text(word: number): string {
  return formatIpv4(swap(word))
}
