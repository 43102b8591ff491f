/**
 * Checks a ClientHello message in one pass and packs what policy may ask for
 * into a short string of bytes, so that neither key shares and padding nor an
 * ArrayBuffer of its own live as long as the connection.
 */

import { isIP } from 'node:net'
import { isHostName } from '../../address/host-name.js'
import { Layout } from '../../wire/wire.js'

/** A ClientHello that is well-formed. */
export interface PackedFields {
  readonly serverName: string
  /**
   * One character a byte, numbers of 16 bits. Each behind its length in bytes: cipher
   * suites, extension types, versions, groups, signature schemes (all without GREASE);
   * then the ALPN names, each behind its length of 8 bits.
   */
  readonly fields: string
}

const EXTENSION_SERVER_NAME = 0
const EXTENSION_GROUPS = 10
const EXTENSION_SIGNATURE_SCHEMES = 13
const EXTENSION_ALPN = 16
const EXTENSION_VERSIONS = 43

/** Message type and length, version, random. */
const SESSION_ID = 4 + 2 + 32
/** Bytes of a server name that are kept; a host name has 253 at most. */
const MAX_NAME = 255

/** Each byte of a server name as policies and logs see it: lower case, and `\xNN` for what is not printable. */
const NAME_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const printable = byte > 32 && byte < 127 && byte !== 92
  if (printable) return String.fromCharCode(byte).toLowerCase()
  return `\\x${byte.toString(16).padStart(2, '0')}`
})

/** Undefined for more than MAX_HELLO bytes, or a wrong length. */
export function packHello(message: Uint8Array): PackedFields | undefined {
  const end = message.length
  if (end > Layout.MAX_HELLO || end < SESSION_ID + 1) return undefined
  if (message[0] !== 1 || 4 + uint24(message, 1) !== end) return undefined
  const ciphers = SESSION_ID + 1 + (message[SESSION_ID] as number)
  if ((message[SESSION_ID] as number) > 32 || ciphers + 2 > end) return undefined
  const cipherBytes = uint16(message, ciphers)
  const compression = ciphers + 2 + cipherBytes
  if (cipherBytes === 0 || cipherBytes % 2 === 1 || compression + 1 > end) return undefined
  const compressions = message[compression] as number
  const extensions = compression + 1 + compressions
  if (compressions === 0 || extensions > end) return undefined
  const packer = new Packer(message)
  packer.numbers(ciphers + 2, compression)
  // Up to TLS 1.2 a client may send no extensions at all.
  if (extensions === end) return packer.finish(undefined, -1, -1, -1, -1)
  if (extensions + 2 + uint16At(message, extensions) !== end) return undefined
  return packExtensions(message, extensions + 2, packer)
}

/** RFC 8446 section 4.2. The list begins at `from` and ends with the message. */
function packExtensions(
  message: Uint8Array,
  from: number,
  packer: Packer,
): PackedFields | undefined {
  const end = message.length
  let name: string | undefined
  let groups = -1
  let schemes = -1
  let alpn = -1
  let versions = -1
  packer.begin()
  for (let at = from; at < end; ) {
    if (at + 4 > end) return undefined
    const type = uint16(message, at)
    const body = at + 4
    const next = body + uint16(message, at + 2)
    if (next > end) return undefined
    at = next
    packer.number(type)
    switch (type) {
      case EXTENSION_SERVER_NAME:
        if (name !== undefined) return undefined
        name = readServerName(message, body, next)
        if (name === undefined) return undefined
        break
      case EXTENSION_GROUPS:
        if (groups >= 0 || !isNumbers(message, body, next)) return undefined
        groups = body
        break
      case EXTENSION_SIGNATURE_SCHEMES:
        if (schemes >= 0 || !isNumbers(message, body, next)) return undefined
        schemes = body
        break
      case EXTENSION_ALPN:
        if (alpn >= 0 || !isNames(message, body, next)) return undefined
        alpn = body
        break
      case EXTENSION_VERSIONS:
        if (versions >= 0 || next === body || body + 1 + (message[body] as number) !== next) {
          return undefined
        }
        if ((message[body] as number) % 2 === 1) return undefined
        versions = body
    }
  }
  packer.end()
  return packer.finish(name, versions, groups, schemes, alpn)
}

/** RFC 6066 section 3. '' where the list has no host name; undefined where it is malformed. */
function readServerName(message: Uint8Array, from: number, end: number): string | undefined {
  if (end - from < 3 || from + 2 + uint16(message, from) !== end) return undefined
  let found: string | undefined
  for (let at = from + 2; at < end; ) {
    if (at + 3 > end) return undefined
    const start = at + 3
    const next = start + uint16(message, at + 1)
    if (next > end) return undefined
    if (message[at] === 0) {
      if (found !== undefined) return undefined
      found = readHostName(message, start, next)
      if (found === undefined) return undefined
    }
    at = next
  }
  return found ?? ''
}

/** Whatever it is, it is only looked at: what is no host name is nobody's. A final dot is dropped. */
function readHostName(message: Uint8Array, from: number, end: number): string | undefined {
  if (end === from) return undefined
  const last = message[end - 1] === 46 && end - from > 1 ? end - 1 : end
  let name = ''
  for (let at = from; at < Math.min(last, from + MAX_NAME); at++) {
    name += NAME_CHARACTERS[message[at] as number]
  }
  return last - from > MAX_NAME ? `${name}...` : name
}

/** Whether a name of a client, as `packHello` has it, is what rustls takes: a DNS name or an IP address. */
export function isServerName(name: string): boolean {
  return (isHostName(name) && !ENDS_IN_NUMBER.test(name)) || isIP(name) !== 0
}

/** No DNS name, but an address gone wrong. */
const ENDS_IN_NUMBER = /(?:^|\.)\d+$/

/** A list of 16-bit numbers behind its length. */
function isNumbers(message: Uint8Array, from: number, end: number): boolean {
  if (end - from < 2) return false
  const length = uint16(message, from)
  return length % 2 === 0 && from + 2 + length === end
}

/** A list of byte strings, each behind its length, behind the length of all. */
function isNames(message: Uint8Array, from: number, end: number): boolean {
  if (end - from < 2 || from + 2 + uint16(message, from) !== end) return false
  let at = from + 2
  while (at < end) at += 1 + (message[at] as number)
  return at === end
}

/** Reserved for clients that keep servers tolerant (RFC 8701): 0x0a0a, 0x1a1a and so on. */
export function isGrease(value: number): boolean {
  return (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff)
}

/** What is packed is in the message, but for a length in front of each field and the version. */
const scratch = Buffer.allocUnsafeSlow(Layout.MAX_HELLO + 16)

class Packer {
  readonly #message: Uint8Array
  #at = 0
  #field = 0

  constructor(message: Uint8Array) {
    this.#message = message
  }

  begin(): void {
    this.#field = this.#at
    this.#at += 2
  }

  end(): void {
    const length = this.#at - this.#field - 2
    scratch[this.#field] = length >> 8
    scratch[this.#field + 1] = length & 0xff
  }

  number(value: number): void {
    if (isGrease(value)) return
    scratch[this.#at++] = value >> 8
    scratch[this.#at++] = value & 0xff
  }

  numbers(from: number, end: number): void {
    this.begin()
    for (let at = from; at < end; at += 2) this.number(uint16(this.#message, at))
    this.end()
  }

  /** Positions are those of the extensions' bodies, -1 for what did not come. */
  finish(
    name: string | undefined,
    versions: number,
    groups: number,
    schemes: number,
    alpn: number,
  ): PackedFields {
    const message = this.#message
    // No extensions: an empty list of types.
    if (this.#field === 0) this.numbers(0, 0)
    if (versions < 0) this.numbers(4, 6)
    else this.numbers(versions + 1, versions + 1 + (message[versions] as number))
    for (const list of [groups, schemes]) {
      if (list < 0) this.numbers(0, 0)
      else this.numbers(list + 2, list + 2 + uint16(message, list))
    }
    this.begin()
    if (alpn >= 0) {
      const names = message.subarray(alpn + 2, alpn + 2 + uint16(message, alpn))
      scratch.set(names, this.#at)
      this.#at += names.length
    }
    this.end()
    return { serverName: name ?? '', fields: scratch.toString('latin1', 0, this.#at) }
  }
}

/** 0xffff where there are no two bytes: a length that fits nowhere. */
function uint16At(bytes: Uint8Array, at: number): number {
  return at + 2 > bytes.length ? 0xffff : uint16(bytes, at)
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function uint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | uint16(bytes, at + 1)
}
