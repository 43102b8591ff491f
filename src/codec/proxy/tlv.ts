/**
 * Type-length-value vectors behind the addresses of a PROXY v2 header (proxy-protocol.txt,
 * section 2.2): a type byte, a length of two bytes in network order, the value.
 */

/** PP2_TYPE_*. */
export const TlvType = {
  ALPN: 0x01,
  AUTHORITY: 0x02,
  CRC32C: 0x03,
  NOOP: 0x04,
  UNIQUE_ID: 0x05,
  SSL: 0x20,
  NETNS: 0x30,
} as const

/** Type and length. */
const HEADER = 3

const NONE: ReadonlyMap<number, Uint8Array> = new Map()

/** Offset behind the TLV at `at`, or -1 where it does not fit. */
export function tlvEnd(bytes: Uint8Array, at: number): number {
  if (at + HEADER > bytes.length) return -1
  const end = at + HEADER + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number))
  return end > bytes.length ? -1 : end
}

/** TLVs by type; the last of a type wins, a truncated one ends the list. */
export function parseTlvs(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  if (bytes.length < HEADER) return NONE
  const tlvs = new Map<number, Uint8Array>()
  let at = 0
  for (let end = tlvEnd(bytes, at); end >= 0; end = tlvEnd(bytes, at)) {
    tlvs.set(bytes[at] as number, bytes.subarray(at + HEADER, end))
    at = end
  }
  return tlvs
}

/** Encodes one TLV. `value`: at most 65535 bytes. */
export function encodeTlv(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + value.length)
  bytes[0] = type
  bytes[1] = value.length >> 8
  bytes[2] = value.length & 0xff
  bytes.set(value, HEADER)
  return bytes
}
