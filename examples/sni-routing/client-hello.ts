/**
 * Reads the server name out of a TLS ClientHello, without taking part in the
 * handshake: TLS 1.0 to 1.3, the message split over any number of records,
 * GREASE (RFC 8701) and unknown extensions skipped.
 */

export type ServerName =
  /** The message is not complete yet. */
  | { kind: 'more' }
  /** Lower case, as a host name is compared (RFC 6066 section 3). */
  | { kind: 'name'; name: string }
  /** A ClientHello without a server name. */
  | { kind: 'none' }
  /** Not TLS, or not well-formed. */
  | { kind: 'invalid'; why: string }

const RECORD_HEADER = 5
const MESSAGE_HEADER = 4
const RECORD_HANDSHAKE = 22
const CLIENT_HELLO = 1
const EXTENSION_SERVER_NAME = 0
const HOST_NAME = 0
/** Most payload of a plaintext record (RFC 8446 section 5.1). */
const MAX_RECORD = 16_384
/** With post-quantum key shares and tickets a ClientHello has 2 kB; more than this is no client's. */
export const MAX_HELLO = 16_384
/** Letters, digits, hyphens, underscores and dots; one trailing dot is tolerated. */
const HOST = /^(?!.{254})[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/

const MORE: ServerName = { kind: 'more' }
const NONE: ServerName = { kind: 'none' }

/** Reads the server name from everything that a client has sent so far. */
export function readServerName(bytes: Uint8Array): ServerName {
  const message = readMessage(bytes)
  if (!(message instanceof Uint8Array)) return message
  try {
    return readHello(new Reader(message))
  } catch (error) {
    if (error instanceof RangeError) return invalid(error.message)
    throw error
  }
}

/** The body of the first handshake message, put together from its records. */
function readMessage(bytes: Uint8Array): Uint8Array | ServerName {
  const parts: Uint8Array[] = []
  let collected = 0
  let wanted = MESSAGE_HEADER
  let at = 0
  while (collected < wanted) {
    const wrong = checkRecordHeader(bytes, at)
    if (wrong !== undefined) return invalid(wrong)
    if (bytes.length < at + RECORD_HEADER) return MORE
    const length = uint16(bytes, at + 3)
    const part = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length)
    parts.push(part)
    collected += part.length
    at += RECORD_HEADER + length
    if (collected >= MESSAGE_HEADER && wanted === MESSAGE_HEADER) {
      const header = join(parts, MESSAGE_HEADER)
      wanted = MESSAGE_HEADER + uint24(header, 1)
      if (wanted > MAX_HELLO) return invalid(`handshake message of ${wanted} bytes`)
    }
    const type = parts[0]?.[0]
    if (type !== undefined && type !== CLIENT_HELLO) return invalid(`handshake message ${type}`)
  }
  return join(parts, wanted).subarray(MESSAGE_HEADER)
}

/** What is wrong with as much of a record header as is there. */
function checkRecordHeader(bytes: Uint8Array, at: number): string | undefined {
  const type = bytes[at]
  if (type !== undefined && type !== RECORD_HANDSHAKE) return `record of type ${type}`
  const major = bytes[at + 1]
  if (major !== undefined && major !== 3) return `record of version ${major}`
  if (bytes.length < at + RECORD_HEADER) return undefined
  const length = uint16(bytes, at + 3)
  // Empty handshake fragments are forbidden (RFC 8446 section 5.1).
  return length === 0 || length > MAX_RECORD ? `record of ${length} bytes` : undefined
}

/** RFC 8446 section 4.1.2. Throws a RangeError where a length is wrong. */
function readHello(hello: Reader): ServerName {
  hello.skip(2 + 32, 'version and random')
  hello.vector8('session id')
  if (hello.vector16('cipher suites').left === 0) throw new RangeError('no cipher suites')
  if (hello.vector8('compression methods').left === 0) throw new RangeError('no compression')
  // Up to TLS 1.2 a client may send no extensions at all.
  if (hello.left === 0) return NONE
  const extensions = hello.vector16('extensions')
  hello.end('ClientHello')
  let found: ServerName | undefined
  while (extensions.left > 0) {
    const type = extensions.uint16('extension type')
    const body = extensions.vector16('extension')
    if (type !== EXTENSION_SERVER_NAME) continue
    if (found !== undefined) throw new RangeError('two server name extensions')
    found = readExtension(body)
  }
  return found ?? NONE
}

/** RFC 6066 section 3. */
function readExtension(body: Reader): ServerName {
  const list = body.vector16('server name list')
  body.end('server name extension')
  if (list.left === 0) throw new RangeError('empty server name list')
  let found: ServerName | undefined
  while (list.left > 0) {
    const type = list.uint8('name type')
    const name = list.vector16('server name')
    if (type !== HOST_NAME) continue
    if (found !== undefined) throw new RangeError('two host names')
    const text = name.latin1().toLowerCase()
    if (!HOST.test(text)) throw new RangeError('not a host name')
    found = { kind: 'name', name: text.endsWith('.') ? text.slice(0, -1) : text }
  }
  return found ?? NONE
}

/** Reads length-prefixed fields. Every method throws a RangeError past the end. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  skip(length: number, what: string): Uint8Array {
    if (length > this.left) throw new RangeError(`${what} past the end`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  uint8(what: string): number {
    return this.skip(1, what)[0] as number
  }

  uint16(what: string): number {
    return uint16(this.skip(2, what), 0)
  }

  vector8(what: string): Reader {
    return new Reader(this.skip(this.uint8(what), what))
  }

  vector16(what: string): Reader {
    return new Reader(this.skip(this.uint16(what), what))
  }

  end(what: string): void {
    if (this.left > 0) throw new RangeError(`${this.left} bytes behind the ${what}`)
  }

  latin1(): string {
    return String.fromCharCode(...this.#bytes)
  }
}

function invalid(why: string): ServerName {
  return { kind: 'invalid', why }
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function uint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | uint16(bytes, at + 1)
}

/** The first `length` bytes of `parts` together. Precondition: there are as many. */
function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts
  if (first !== undefined && first.length >= length) return first.subarray(0, length)
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    const fitting = part.subarray(0, length - at)
    joined.set(fitting, at)
    at += fitting.length
  }
  return joined
}
