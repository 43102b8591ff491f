/** Building PROXY protocol headers (proxy-protocol.txt sections 2.1 and 2.2). */

import { formatIpv4, formatIpv6 } from '../../address/text.js'
import { crc32c } from './crc32c.js'
import type { ProxyAddresses } from './parse.js'
import { encodeTlv, TlvType, tlvEnd } from './tlv.js'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const MAX_VARIABLE = 65535

const NONE = new Uint8Array(0)

/** What a header is built from; the family follows from the length of the addresses. */
export type ProxyEndpoints = Omit<ProxyAddresses, 'family'>

/** The v1 line. Where either end is no internet address it becomes UNKNOWN. */
export function buildProxyV1(endpoints: ProxyEndpoints): Buffer {
  const pair = samePair(endpoints)
  if (!pair) return Buffer.from('PROXY UNKNOWN\r\n')
  const [src, dst] = pair
  const protocol = src.length === 4 ? 'TCP4' : 'TCP6'
  const { srcPort, dstPort } = endpoints
  return Buffer.from(`PROXY ${protocol} ${text(src)} ${text(dst)} ${srcPort} ${dstPort}\r\n`)
}

export interface ProxyV2Options extends ProxyEndpoints {
  /** Default PROXY. LOCAL carries no addresses. */
  command?: 'LOCAL' | 'PROXY'
  /** Encoded TLVs. A checksum among them and a record that is cut short are left out. */
  tlvs?: Uint8Array
  /** Append the CRC32C TLV over the whole header. */
  crc32c?: boolean
}

/**
 * The v2 header. Where either end is no internet address it becomes LOCAL.
 * @throws RangeError where addresses and TLVs exceed 65535 bytes.
 */
export function buildProxyV2(options: ProxyV2Options): Buffer {
  const pair = options.command === 'LOCAL' ? undefined : samePair(options)
  const { srcPort, dstPort } = options
  const ports = Uint8Array.of(srcPort >>> 8, srcPort & 255, dstPort >>> 8, dstPort & 255)
  const addresses = pair ? Buffer.concat([...pair, ports]) : NONE
  const tlvs = options.tlvs ? usableTlvs(options.tlvs) : NONE
  const checksum = options.crc32c ? encodeTlv(TlvType.CRC32C, new Uint8Array(4)) : NONE
  const variable = addresses.length + tlvs.length + checksum.length
  if (variable > MAX_VARIABLE) throw new RangeError('The TLVs do not fit into a PROXY v2 header.')
  const transport = pair ? (pair[0].length === 4 ? 0x11 : 0x21) : 0x00
  const bytes = Buffer.concat([
    SIGNATURE,
    Uint8Array.of(pair ? 0x21 : 0x20, transport, variable >>> 8, variable & 255),
    addresses,
    tlvs,
    checksum,
  ])
  if (options.crc32c) bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4)
  return bytes
}

/** Both addresses in one family: IPv4 where both are or stand for it, else IPv6. */
function samePair({ src, dst }: ProxyEndpoints): [Uint8Array, Uint8Array] | undefined {
  if (!isInternet(src) || !isInternet(dst)) return undefined
  const src4 = toIpv4(src)
  const dst4 = toIpv4(dst)
  return src4 && dst4 ? [src4, dst4] : [toIpv6(src), toIpv6(dst)]
}

function isInternet({ length }: Uint8Array): boolean {
  return length === 4 || length === 16
}

function toIpv4(address: Uint8Array): Uint8Array | undefined {
  if (address.length === 4) return address
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return undefined
  return address[10] === 255 && address[11] === 255 ? address.subarray(12) : undefined
}

function toIpv6(address: Uint8Array): Uint8Array {
  if (address.length === 16) return address
  const mapped = new Uint8Array(16)
  mapped.set([255, 255], 10)
  mapped.set(address, 12)
  return mapped
}

function usableTlvs(bytes: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = tlvEnd(bytes, at)
    if (next < 0) break
    if (bytes[at] !== TlvType.CRC32C) kept.push(bytes.subarray(at, next))
    at = next
  }
  return Buffer.concat(kept)
}

function text(address: Uint8Array): string {
  const view = Buffer.from(address.buffer, address.byteOffset, address.length)
  if (address.length === 4) return formatIpv4(view.readInt32LE(0))
  // RFC 5952 section 5: a mapped address keeps its dots.
  if (toIpv4(address)) return `::ffff:${formatIpv4(view.readInt32LE(12))}`
  const words = Int32Array.from({ length: 4 }, (_, i) => view.readInt32LE(4 * i))
  return formatIpv6(words, 0)
}
