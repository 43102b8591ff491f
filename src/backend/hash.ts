/** Hashing of keys to 32 bits, the same in every process and on every machine. */

/** The finalizer of MurmurHash3 (Appleby, public domain): every input bit moves half of the output bits. */
export function mix32(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** FNV-1a over the UTF-16 code units, then mixed. Returns an unsigned 32-bit integer. */
export function hashString(text: string, seed = 0): number {
  let h = (0x811c9dc5 ^ seed) | 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    h = Math.imul(h ^ (unit & 0xff), 0x01000193)
    if (unit > 0xff) h = Math.imul(h ^ (unit >>> 8), 0x01000193)
  }
  return mix32(h)
}

/** Integers of 32 bits are mixed as they are, every other number goes by its decimal text. */
export function hashKey(key: string | number): number {
  if (typeof key === 'string') return hashString(key)
  return (key | 0) === key ? mix32(key ^ 0x9e3779b9) : hashString(String(key))
}
