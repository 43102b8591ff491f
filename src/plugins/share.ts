/** Choosing a fixed part of all clients, the same ones every time. */

/** A number from 0 to 1 that depends on the text only (FNV-1a, finished as in MurmurHash3). */
export function share(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** Whether `key` is among `percent` of all keys. Who is in at 5 percent is in at 10. */
export function isAmong(key: string, percent: number): boolean {
  return share(key) * 100 < percent
}
