/**
 * The first bytes of a connection as policies see them. An engine shows them from the beginning
 * with each arrival; copied that way, a peer that sends byte by byte would cost the square of
 * what it sends. So each byte is copied once, and what is shown is a view of one growing buffer.
 */

const EMPTY = new Uint8Array(0)

export class Prefix {
  #buffer = EMPTY
  #length = 0

  /**
   * `bytes`: all there is so far; what was shown before is its beginning. Views that were given
   * before stay as they are.
   */
  grow(bytes: Uint8Array): Uint8Array {
    const before = this.#length
    if (bytes.length < before) return this.#buffer.subarray(0, bytes.length)
    if (bytes.length > this.#buffer.length) {
      // The first time is often the last one: only then exactly as much as it takes.
      const size = before === 0 ? bytes.length : Math.max(bytes.length, 2 * before)
      const larger = new Uint8Array(size)
      larger.set(this.#buffer.subarray(0, before))
      this.#buffer = larger
    }
    this.#buffer.set(bytes.subarray(before), before)
    this.#length = bytes.length
    return this.#buffer.subarray(0, bytes.length)
  }
}
