/**
 * The TLS ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), as
 * clients send it in clear: read without terminating TLS.
 */

import { HelloStatus, Layout } from '../../wire/wire.js'
import { packHello } from './client-hello-pack.js'
import { ja4 } from './ja4.js'

/** What a client offers. Fields are decoded on first use. */
export interface ClientHello {
  /**
   * The name asked for (SNI, RFC 6066) in lower case without a final dot; '' for none. Clients
   * may send anything: what is not printable is `\xNN`, and behind 255 bytes comes '...'.
   */
  readonly serverName: string
  /** Protocols offered (ALPN, RFC 7301), in the client's order; one character a byte. */
  readonly alpn: readonly string[]
  /** Versions offered, without GREASE, as on the wire: 0x0304 is TLS 1.3. */
  readonly versions: readonly number[]
  /** Cipher suites offered, without GREASE, as on the wire. */
  readonly ciphers: readonly number[]
  /** Extension types, without GREASE, in the client's order. */
  readonly extensions: readonly number[]
  /** Signature schemes, without GREASE, in the client's order. */
  readonly signatureSchemes: readonly number[]
  /** Key exchange groups, without GREASE, in the client's order. */
  readonly groups: readonly number[]
  /** JA4 fingerprint, such as 't13d1516h2_8daaf6152771_e5627efa2ab1'. */
  readonly ja4: string
}

/** The first flight of a client, taken out of its records. */
export interface Framed {
  /** HelloStatus, or undefined while more bytes are needed. */
  readonly status: number | undefined
  /** For COMPLETE the handshake message, with its four bytes of type and length: a view where it is in one record. */
  readonly message: Uint8Array
}

const RECORD_HEADER = 5
const MESSAGE_HEADER = 4
/** Most payload of a record that is not encrypted (RFC 8446 section 5.1). */
const MAX_RECORD = 1 << 14
const TYPE_HANDSHAKE = 22
const MAJOR_VERSION = 3
const CLIENT_HELLO = 1

const NO_BYTES = new Uint8Array(0)
const framed = (status: number | undefined): Framed => ({ status, message: NO_BYTES })
const PARTIAL = framed(undefined)
const NOT_TLS = framed(HelloStatus.NOT_TLS)
const MALFORMED = framed(HelloStatus.MALFORMED)
const TOO_LARGE = framed(HelloStatus.TOO_LARGE)
const OVERFLOW = framed(HelloStatus.OVERFLOW)
const DRIPPED = framed(HelloStatus.DRIPPED)

/** Finds the ClientHello message in the first bytes of a connection. Sans-I/O. */
export function frameClientHello(bytes: Uint8Array): Framed {
  return new HelloReader().goOn(bytes)
}

/**
 * The same where the bytes come in pieces: goes on where it stopped, so that they cost
 * what they are and not their square. The native engine's twin is
 * crates/engine/src/handshake/client_hello.rs.
 */
export class HelloReader {
  /** Where the record begins that is not complete, and bytes of the message before it. */
  #at = 0
  #got = 0
  /** Type and length of the message, as far as they are there. */
  #header = 0
  #records = 0
  #arrivals = 0
  #seen = 0

  /** `bytes`: all from the start of the connection. */
  goOn(bytes: Uint8Array): Framed {
    const found = this.#walk(bytes)
    if (found !== PARTIAL || bytes.length <= this.#seen) return found
    this.#seen = bytes.length
    return ++this.#arrivals >= Layout.MAX_HELLO_PIECES ? DRIPPED : PARTIAL
  }

  #walk(bytes: Uint8Array): Framed {
    for (;;) {
      const at = this.#at
      if ((bytes[at] ?? TYPE_HANDSHAKE) !== TYPE_HANDSHAKE) return at === 0 ? NOT_TLS : MALFORMED
      if ((bytes[at + 1] ?? MAJOR_VERSION) !== MAJOR_VERSION) return at === 0 ? NOT_TLS : MALFORMED
      if (bytes.length < at + RECORD_HEADER) return PARTIAL
      const length = uint16(bytes, at + 3)
      if (length === 0) return MALFORMED
      if (length > MAX_RECORD) return OVERFLOW
      const start = at + RECORD_HEADER
      const here = Math.min(length, bytes.length - start)
      const got = this.#got + here
      for (let i = this.#got; i < Math.min(got, MESSAGE_HEADER); i++) {
        // The same byte again where the record was not complete.
        this.#header |= (bytes[start + i - this.#got] as number) << (24 - 8 * i)
      }
      if (got > 0 && this.#header >>> 24 !== CLIENT_HELLO) return MALFORMED
      if (got >= MESSAGE_HEADER) {
        const message = MESSAGE_HEADER + (this.#header & 0xff_ff_ff)
        if (message > Layout.MAX_HELLO) return TOO_LARGE
        if (got >= message) {
          return { status: HelloStatus.COMPLETE, message: payload(bytes, message) }
        }
      }
      if (here < length) return PARTIAL
      if (this.#records + 1 === Layout.MAX_HELLO_PIECES) return DRIPPED
      this.#records++
      this.#got = got
      this.#at = start + length
    }
  }
}

/** The first `length` payload bytes of records that are known to hold them. */
function payload(bytes: Uint8Array, length: number): Uint8Array {
  const first = uint16(bytes, 3)
  if (first >= length) return bytes.subarray(RECORD_HEADER, RECORD_HEADER + length)
  const message = new Uint8Array(length)
  let at = 0
  for (let from = 0; at < length; ) {
    const record = uint16(bytes, from + 3)
    const wanted = Math.min(record, length - at)
    message.set(bytes.subarray(from + RECORD_HEADER, from + RECORD_HEADER + wanted), at)
    at += wanted
    from += RECORD_HEADER + record
  }
  return message
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/**
 * Reads a ClientHello message; undefined where it is malformed. Never throws.
 * What is kept is copied: `message` may change afterwards.
 */
export function parseClientHello(message: Uint8Array): ClientHello | undefined {
  const packed = packHello(message)
  return packed === undefined ? undefined : new PackedHello(packed.serverName, packed.fields)
}

/** The fingerprint, where somebody asked for it before: nothing is computed. */
export function knownJa4(hello: ClientHello): string | undefined {
  return hello instanceof PackedHello ? hello.knownJa4 : undefined
}

/** Positions in `fields`: lists of 16-bit numbers or ALPN names, each behind its length in characters. */
const Field = { CIPHERS: 0, EXTENSIONS: 1, VERSIONS: 2, GROUPS: 3, SCHEMES: 4, ALPN: 5 } as const

const MAX_FINGERPRINTS = 1024
/** Characters; those of clients that are known have fewer than 250. */
const MAX_KEPT = 512
/** By `fields`: most clients say the same every time. Emptied when it is full. */
const fingerprints = new Map<string, string>()

class PackedHello implements ClientHello {
  readonly serverName: string
  /** A string of bytes takes a fraction of the memory of an ArrayBuffer, and a session keeps it. */
  readonly #fields: string
  #ja4: string | undefined = undefined

  constructor(serverName: string, fields: string) {
    this.serverName = serverName
    this.#fields = fields
  }

  get ciphers(): readonly number[] {
    return this.#numbers(Field.CIPHERS)
  }

  get extensions(): readonly number[] {
    return this.#numbers(Field.EXTENSIONS)
  }

  get versions(): readonly number[] {
    return this.#numbers(Field.VERSIONS)
  }

  get groups(): readonly number[] {
    return this.#numbers(Field.GROUPS)
  }

  get signatureSchemes(): readonly number[] {
    return this.#numbers(Field.SCHEMES)
  }

  get alpn(): readonly string[] {
    const fields = this.#fields
    const names: string[] = []
    for (let at = this.#start(Field.ALPN); at < fields.length; ) {
      const end = at + 1 + fields.charCodeAt(at)
      names.push(fields.slice(at + 1, end))
      at = end
    }
    return names
  }

  get knownJa4(): string | undefined {
    return this.#ja4
  }

  get ja4(): string {
    this.#ja4 ??= this.#fingerprint()
    return this.#ja4
  }

  #fingerprint(): string {
    const fields = this.#fields
    let found = fingerprints.get(fields)
    if (found === undefined) {
      found = ja4(this)
      if (fields.length <= MAX_KEPT) {
        if (fingerprints.size >= MAX_FINGERPRINTS) fingerprints.clear()
        fingerprints.set(fields, found)
      }
    }
    return found
  }

  #numbers(field: number): number[] {
    const fields = this.#fields
    const start = this.#start(field)
    const end = start + number(fields, start - 2)
    const numbers: number[] = []
    for (let at = start; at < end; at += 2) numbers.push(number(fields, at))
    return numbers
  }

  /** Where the content of a field begins, behind its length. */
  #start(field: number): number {
    let at = 2
    for (let i = 0; i < field; i++) at += number(this.#fields, at - 2) + 2
    return at
  }
}

function number(text: string, at: number): number {
  return (text.charCodeAt(at) << 8) | text.charCodeAt(at + 1)
}
