/**
 * The client's side of SOCKS5 (RFC 1928, user and password by RFC 1929) and
 * SOCKS4a, without I/O: bytes go in as they come, split anywhere, and the
 * answer says what to send next.
 */

import { parseIp } from '../address/parse.js'
import { Code } from '../wire/wire.js'

/** What is asked of the SOCKS proxy. Same shape as `SocksSpec` of the engine. */
export interface SocksRequest {
  version: 4 | 5
  user?: string
  password?: string
  /** Destination: an address, or a name that the proxy resolves. */
  host: string
  port: number
}

/**
 * `used`: bytes consumed of those given; the rest is payload. `send`: bytes to
 * send now, also where the proxy answered what it was not asked yet. `code`:
 * one of `Code.SOCKS_*`.
 */
export type SocksStep =
  | { status: 'more'; used: number; send?: Uint8Array }
  | { status: 'done'; used: number; send?: Uint8Array }
  | { status: 'error'; used: number; send?: Uint8Array; code: number }

const METHOD_NONE = 0
const METHOD_PASSWORD = 2
const COMMAND_CONNECT = 1
const ADDRESS_IPV4 = 1
const ADDRESS_NAME = 3
const ADDRESS_IPV6 = 4
const SOCKS4_GRANTED = 0x5a
const SOCKS4_REFUSED = 0x5b
const SOCKS4_REPLY = 8

/** 0, or the code that says why the protocol cannot carry the request: BAD_ADDRESS or SOCKS_AUTH. */
export function checkSocksRequest(request: SocksRequest): number {
  const { version, host, user = '', password = '' } = request
  if (Buffer.byteLength(user) > 255) return Code.SOCKS_AUTH
  if (version === 5 && Buffer.byteLength(password) > 255) return Code.SOCKS_AUTH
  if (version === 4 && user.includes('\0')) return Code.SOCKS_AUTH
  const length = Buffer.byteLength(host)
  if (length === 0 || length > 255) return Code.BAD_ADDRESS
  if (version === 5) return 0
  if (host.includes('\0')) return Code.BAD_ADDRESS
  const ip = parseIp(host)
  // 0.0.0.x announces a name (SOCKS4a) and cannot be asked for itself.
  const marker = ip?.length === 4 && ip[0] === 0 && ip[1] === 0 && ip[2] === 0 && ip[3] !== 0
  return marker ? Code.BAD_ADDRESS : 0
}

/** One negotiation. Send `start()`, then feed what arrives to `push` until it is done or failed. */
export class SocksClient {
  readonly #request: SocksRequest
  #state: 'method' | 'password' | 'reply'
  #buffer = Buffer.alloc(0)

  /** Precondition: `checkSocksRequest` found nothing wrong. */
  constructor(request: SocksRequest) {
    this.#request = request
    this.#state = request.version === 5 ? 'method' : 'reply'
  }

  /** The first bytes to send. */
  start(): Uint8Array {
    const { version, user } = this.#request
    if (version === 4) return encodeSocks4(this.#request)
    return user
      ? Uint8Array.of(5, 2, METHOD_NONE, METHOD_PASSWORD)
      : Uint8Array.of(5, 1, METHOD_NONE)
  }

  /** Takes bytes of the proxy. After 'done' and 'error' it must not be called again. */
  push(bytes: Uint8Array): SocksStep {
    const held = this.#buffer.length
    this.#buffer = held === 0 ? Buffer.from(bytes) : Buffer.concat([this.#buffer, bytes])
    const before = this.#buffer.length
    const replies: Uint8Array[] = []
    for (;;) {
      const step = this.#step()
      if (step.send) replies.push(step.send)
      this.#buffer = this.#buffer.subarray(step.used)
      if (step.status === 'more' && step.used > 0) continue
      // What is held back for the next call counts as consumed: it belongs to the negotiation.
      const used = step.status === 'more' ? bytes.length : before - this.#buffer.length - held
      return replies.length === 0
        ? { ...step, used }
        : { ...step, used, send: Buffer.concat(replies) }
    }
  }

  /** One message of the negotiation from the front of the buffer; `used` 0 where it is incomplete. */
  #step(): SocksStep {
    if (this.#state === 'method') return this.#method()
    if (this.#state === 'password') return this.#password()
    return this.#request.version === 5 ? reply5(this.#buffer) : reply4(this.#buffer)
  }

  /** Method selection, RFC 1928 section 3. */
  #method(): SocksStep {
    const [version, method] = this.#buffer
    if (version !== undefined && version !== 5) return failure(Code.SOCKS_MALFORMED)
    if (method === undefined) return { status: 'more', used: 0 }
    if (method === METHOD_NONE) {
      this.#state = 'reply'
      return { status: 'more', used: 2, send: encodeSocks5(this.#request) }
    }
    const { user, password } = this.#request
    // 0xff, or a method that was not offered.
    if (method !== METHOD_PASSWORD || !user) return failure(Code.SOCKS_NO_METHOD)
    this.#state = 'password'
    const name = Buffer.from(user)
    const secret = Buffer.from(password ?? '')
    const send = Buffer.concat([
      Uint8Array.of(1, name.length),
      name,
      Uint8Array.of(secret.length),
      secret,
    ])
    return { status: 'more', used: 2, send }
  }

  /** RFC 1929 section 2. */
  #password(): SocksStep {
    const [version, status] = this.#buffer
    if (version !== undefined && version !== 1) return failure(Code.SOCKS_MALFORMED)
    if (status === undefined) return { status: 'more', used: 0 }
    if (status !== 0) return failure(Code.SOCKS_AUTH)
    this.#state = 'reply'
    return { status: 'more', used: 2, send: encodeSocks5(this.#request) }
  }
}

/** The reply to CONNECT, RFC 1928 section 6. */
function reply5(buffer: Uint8Array): SocksStep {
  const [version, status, , type, first] = buffer
  if (version !== undefined && version !== 5) return failure(Code.SOCKS_MALFORMED)
  if (status !== undefined && status !== 0) return failure(Code.SOCKS_REFUSED)
  if (type === undefined) return { status: 'more', used: 0 }
  let size = 0
  if (type === ADDRESS_IPV4) size = 4
  else if (type === ADDRESS_IPV6) size = 16
  else if (type !== ADDRESS_NAME) return failure(Code.SOCKS_MALFORMED)
  else if (first === undefined) return { status: 'more', used: 0 }
  else size = 1 + first
  const length = 4 + size + 2
  return buffer.length < length ? { status: 'more', used: 0 } : { status: 'done', used: length }
}

/** The reply of SOCKS4: a zero byte, the status, and six bytes to ignore. */
function reply4(buffer: Uint8Array): SocksStep {
  const [version, status] = buffer
  if (version !== undefined && version !== 0) return failure(Code.SOCKS_MALFORMED)
  if (status === undefined) return { status: 'more', used: 0 }
  if (status < SOCKS4_GRANTED || status > SOCKS4_GRANTED + 3) return failure(Code.SOCKS_MALFORMED)
  if (status === SOCKS4_REFUSED) return failure(Code.SOCKS_REFUSED)
  // 0x5c and 0x5d: the proxy asked identd about the user and did not like the answer.
  if (status !== SOCKS4_GRANTED) return failure(Code.SOCKS_AUTH)
  return buffer.length < SOCKS4_REPLY
    ? { status: 'more', used: 0 }
    : { status: 'done', used: SOCKS4_REPLY }
}

function failure(code: number): SocksStep {
  return { status: 'error', used: 0, code }
}

function encodeSocks5({ host, port }: SocksRequest): Uint8Array {
  const ip = parseIp(host)
  const name = ip ?? Buffer.from(host)
  const type = !ip ? ADDRESS_NAME : ip.length === 4 ? ADDRESS_IPV4 : ADDRESS_IPV6
  return Buffer.concat([
    Uint8Array.of(5, COMMAND_CONNECT, 0, type),
    ip ? new Uint8Array(0) : Uint8Array.of(name.length),
    name,
    Uint8Array.of(port >>> 8, port & 255),
  ])
}

/** Where the destination is no IPv4 address, 0.0.0.1 stands for the name behind the user (SOCKS4a). */
function encodeSocks4({ host, port, user }: SocksRequest): Uint8Array {
  const ip = parseIp(host)
  const literal = ip?.length === 4 ? ip : undefined
  return Buffer.concat([
    Uint8Array.of(4, COMMAND_CONNECT, port >>> 8, port & 255),
    literal ?? Uint8Array.of(0, 0, 0, 1),
    Buffer.from(`${user ?? ''}\0`),
    Buffer.from(literal ? '' : `${host}\0`),
  ])
}
