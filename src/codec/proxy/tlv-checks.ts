/** Type-length-value records behind the addresses of a PROXY v2 header (proxy-protocol.txt 2.2.1). */

export { encodeTlv } from './tlv.js'

export const TlvType = {
  ALPN: 0x01,
  AUTHORITY: 0x02,
  CRC32C: 0x03,
  NOOP: 0x04,
  UNIQUE_ID: 0x05,
  SSL: 0x20,
  NETNS: 0x30,
} as const

/** Offset behind the record at `at`, or -1 where it does not fit. */
export function tlvEnd(bytes: Uint8Array, at: number): number {
  if (at + 3 > bytes.length) return -1
  const end = at + 3 + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number))
  return end > bytes.length ? -1 : end
}
