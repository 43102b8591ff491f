/** CRC-32C (Castagnoli), RFC 3720 section 12.1: the checksum of the PROXY protocol's TLV 0x03. */

const POLYNOMIAL = 0x82f63b78

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  return value
})

/** Checksum of `bytes` as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array): number {
  return finish(update(START, bytes, 0, bytes.length))
}

/** Checksum of `bytes` as if the four bytes at `hole` were zero. */
export function crc32cWithHole(bytes: Uint8Array, hole: number): number {
  let crc = update(START, bytes, 0, hole)
  for (let i = 0; i < 4; i++) crc = (table[crc & 255] as number) ^ (crc >>> 8)
  return finish(update(crc, bytes, hole + 4, bytes.length))
}

const START = 0xffffffff

function update(crc: number, bytes: Uint8Array, from: number, to: number): number {
  let value = crc
  for (let i = from; i < to; i++) {
    value = (table[(value ^ (bytes[i] as number)) & 255] as number) ^ (value >>> 8)
  }
  return value
}

function finish(crc: number): number {
  return (crc ^ 0xffffffff) >>> 0
}
