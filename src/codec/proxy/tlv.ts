/**
 * Type-length-value vectors of PROXY v2 headers (proxy-protocol.txt, section
 * 2.2): a type byte, a length of two bytes in network order, the value.
 */

/** PP2_TYPE_UNIQUE_ID. */
export const TLV_UNIQUE_ID = 0x05

const NONE: ReadonlyMap<number, Uint8Array> = new Map()

/** TLVs by type; the last of a type wins, a truncated one ends the list. */
export function parseTlvs(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  if (bytes.length < 3) return NONE
  const tlvs = new Map<number, Uint8Array>()
  let at = 0
  while (at + 3 <= bytes.length) {
    const end = at + 3 + (((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number))
    if (end > bytes.length) break
    tlvs.set(bytes[at] as number, bytes.subarray(at + 3, end))
    at = end
  }
  return tlvs
}

/** Encodes one TLV. `value`: at most 65535 bytes. */
export function encodeTlv(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(3 + value.length)
  bytes[0] = type
  bytes[1] = value.length >> 8
  bytes[2] = value.length & 0xff
  bytes.set(value, 3)
  return bytes
}
