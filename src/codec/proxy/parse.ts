/**
 * The PROXY protocol, versions 1 and 2, without I/O. Source: proxy-protocol.txt
 * of HAProxy (2020/03/05). A header that is not complete yet is no error.
 */

import { parseIp } from '../../address/parse.js'
import { Code, Family } from '../../wire/wire.js'
import { crc32cWithHole } from './crc32c.js'
import { TlvType, tlvEnd } from './tlv.js'

/** Longest v1 header with its CRLF (section 2.1). */
export const PROXY_V1_MAX = 107
/** Fixed part of a v2 header (section 2.2). */
export const PROXY_V2_FIXED = 16
/** Longest variable part of a v2 header, as its length field can say: addresses and TLVs. */
export const PROXY_V2_MAX = 65_535
/** Length of each of the two paths in a v2 header of unix sockets. */
export const PROXY_UNIX_PATH = 108

const SIGNATURE_V1 = Buffer.from('PROXY ')
const SIGNATURE_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const NONE = new Uint8Array(0)
const CR = 13
const LF = 10

/** Addresses as a header carries them, in network order: 4, 16 or 108 (path, zero-filled) bytes each. */
export interface ProxyAddresses {
  /** One of `Family`. NONE: the header names no addresses, the socket's own are to be kept. */
  family: number
  src: Uint8Array
  dst: Uint8Array
  srcPort: number
  dstPort: number
}

export interface ProxyHeader extends ProxyAddresses {
  version: 1 | 2
  /** LOCAL: made by the proxy itself (a health check); the socket's addresses are to be kept. */
  command: 'LOCAL' | 'PROXY'
  /** Encoded TLVs of a v2 header: a view into the bytes that were parsed. */
  tlvs: Uint8Array
  /** Bytes of the whole header; payload follows. */
  length: number
}

/** `code` is one of `Code.PROXY_*`. */
export type ProxyResult =
  | { status: 'partial' }
  | { status: 'error'; code: number }
  | { status: 'header'; header: ProxyHeader }

const PARTIAL: ProxyResult = { status: 'partial' }

/**
 * Parses the header that `bytes` start with, whichever version it is. `limit`: most bytes of
 * addresses and TLVs in a v2 header.
 */
export function parseProxyHeader(bytes: Uint8Array, limit: number = PROXY_V2_MAX): ProxyResult {
  if (bytes.length === 0) return PARTIAL
  const v2 = bytes[0] === SIGNATURE_V2[0]
  const signature = v2 ? SIGNATURE_V2 : SIGNATURE_V1
  const known = Math.min(bytes.length, signature.length)
  for (let i = 0; i < known; i++) {
    if (bytes[i] !== signature[i]) return failure(Code.PROXY_SIGNATURE)
  }
  if (bytes.length < signature.length) return PARTIAL
  return v2 ? parseV2(bytes, limit) : parseV1(bytes)
}

function parseV1(bytes: Uint8Array): ProxyResult {
  const limit = Math.min(bytes.length, PROXY_V1_MAX)
  let end = SIGNATURE_V1.length
  while (end < limit && bytes[end] !== CR && bytes[end] !== LF) end++
  if (end < limit && bytes[end] === LF) return failure(Code.PROXY_MALFORMED)
  if (end + 1 >= limit) return failureOrPartial(bytes.length >= PROXY_V1_MAX, Code.PROXY_TOO_LONG)
  if (bytes[end + 1] !== LF) return failure(Code.PROXY_MALFORMED)
  const length = end + 2
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1')
  const [, protocol, src, dst, srcPort, dstPort, extra] = line.split(' ')
  if (protocol === 'UNKNOWN') return header(1, 'PROXY', noAddresses, NONE, length)
  if (extra !== undefined || (protocol !== 'TCP4' && protocol !== 'TCP6')) {
    return failure(Code.PROXY_MALFORMED)
  }
  const size = protocol === 'TCP4' ? 4 : 16
  const from = parseV1Address(src, size)
  const to = parseV1Address(dst, size)
  const fromPort = parsePort(srcPort)
  const toPort = parsePort(dstPort)
  if (!from || !to || fromPort < 0 || toPort < 0) return failure(Code.PROXY_MALFORMED)
  return header(1, 'PROXY', inet(from, to, fromPort, toPort), NONE, length)
}

function parseV1Address(text: string | undefined, size: 4 | 16): Uint8Array | undefined {
  if (text === undefined || text.includes(':') !== (size === 16) || text.includes('%')) {
    return undefined
  }
  const bytes = parseIp(text)
  if (!bytes || bytes.length === size) return bytes
  const mapped = new Uint8Array(16)
  mapped.set([255, 255], 10)
  mapped.set(bytes, 12)
  return mapped
}

function parsePort(text: string | undefined): number {
  if (text === undefined || !/^(0|[1-9]\d{0,4})$/.test(text)) return -1
  const port = Number(text)
  return port > 65535 ? -1 : port
}

function parseV2(bytes: Uint8Array, limit: number): ProxyResult {
  // Errors are told as soon as the byte that holds them is there.
  const version = bytes[12]
  if (version !== undefined && version !== 0x20 && version !== 0x21) {
    return failure(Code.PROXY_MALFORMED)
  }
  const local = version === 0x20
  const transport = bytes[13]
  // LOCAL goes with any family (section 2.2).
  if (transport !== undefined && !local && !transports.has(transport)) {
    return failure(Code.PROXY_MALFORMED)
  }
  if (bytes.length < PROXY_V2_FIXED) return PARTIAL
  const variable = word(bytes, 14)
  if (variable > limit) return failure(Code.PROXY_TOO_LONG)
  const size = transports.get(transport as number) ?? 0
  if (variable < size && !local) return failure(Code.PROXY_MALFORMED)
  const length = PROXY_V2_FIXED + variable
  if (bytes.length < length) return PARTIAL

  const tlvsAt = PROXY_V2_FIXED + Math.min(size, variable)
  const code = checkTlvs(bytes.subarray(0, length), tlvsAt)
  // Behind LOCAL and UNSPEC anything may stand, and is skipped where it makes no sense.
  const lenient = local || size === 0
  if (code === Code.PROXY_CHECKSUM || (code !== 0 && !lenient)) return failure(code)
  const tlvs = code === 0 ? bytes.subarray(tlvsAt, length) : NONE
  if (local || size === 0) return header(2, local ? 'LOCAL' : 'PROXY', noAddresses, tlvs, length)
  // Addresses of datagrams are of no connection: as UNSPEC.
  const isStream = ((transport as number) & 15) === 1
  const addresses = isStream ? parseV2Addresses(bytes, size) : noAddresses
  return header(2, 'PROXY', addresses, tlvs, length)
}

/** Family-and-protocol bytes of streams and datagrams, and the size of both addresses with their ports. */
const transports = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 2 * PROXY_UNIX_PATH],
  [0x32, 2 * PROXY_UNIX_PATH],
])

function parseV2Addresses(bytes: Uint8Array, size: number): ProxyAddresses {
  const at = PROXY_V2_FIXED
  if (size === 2 * PROXY_UNIX_PATH) {
    const middle = at + PROXY_UNIX_PATH
    const src = bytes.slice(at, middle)
    const dst = bytes.slice(middle, at + size)
    return { family: Family.UNIX, src, dst, srcPort: 0, dstPort: 0 }
  }
  const each = (size - 4) / 2
  const ports = at + 2 * each
  const src = bytes.slice(at, at + each)
  const dst = bytes.slice(at + each, ports)
  return inet(src, dst, word(bytes, ports), word(bytes, ports + 2))
}

/** Walks the TLVs from `start`; 0 where they are well formed and a checksum among them matches. */
function checkTlvs(header: Uint8Array, start: number): number {
  let checksum = -1
  for (let at = start; at < header.length; ) {
    const next = tlvEnd(header, at)
    if (next < 0) return Code.PROXY_MALFORMED
    if (header[at] === TlvType.CRC32C) {
      if (next !== at + 7 || checksum >= 0) return Code.PROXY_MALFORMED
      checksum = at + 3
    }
    at = next
  }
  if (checksum < 0) return 0
  const sent = word(header, checksum) * 0x10000 + word(header, checksum + 2)
  return crc32cWithHole(header, checksum) === sent ? 0 : Code.PROXY_CHECKSUM
}

/** Addresses of an internet connection; where both are IPv4-mapped, as the IPv4 they stand for. */
function inet(src: Uint8Array, dst: Uint8Array, srcPort: number, dstPort: number): ProxyAddresses {
  if (src.length === 4) return { family: Family.INET, src, dst, srcPort, dstPort }
  if (isMapped(src) && isMapped(dst)) {
    return { family: Family.INET, src: src.slice(12), dst: dst.slice(12), srcPort, dstPort }
  }
  return { family: Family.INET6, src, dst, srcPort, dstPort }
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 255 && bytes[11] === 255
}

const noAddresses: ProxyAddresses = {
  family: Family.NONE,
  src: NONE,
  dst: NONE,
  srcPort: 0,
  dstPort: 0,
}

function header(
  version: 1 | 2,
  command: 'LOCAL' | 'PROXY',
  addresses: ProxyAddresses,
  tlvs: Uint8Array,
  length: number,
): ProxyResult {
  return { status: 'header', header: { version, command, ...addresses, tlvs, length } }
}

function failure(code: number): ProxyResult {
  return { status: 'error', code }
}

function failureOrPartial(failed: boolean, code: number): ProxyResult {
  return failed ? failure(code) : PARTIAL
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
