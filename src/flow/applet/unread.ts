/**
 * What has arrived for an applet that was not reading. In one piece: a client that sends byte by
 * byte must not cost an object for each of them.
 */

export class Unread {
  #buffer: Uint8Array | undefined
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Copies the bytes. */
  add(bytes: Uint8Array): void {
    const before = this.#buffer
    const length = this.#length + bytes.length
    if (before === undefined) {
      this.#buffer = bytes.slice()
    } else if (length <= before.length) {
      before.set(bytes, this.#length)
    } else {
      const larger = new Uint8Array(Math.max(length, 2 * before.length))
      larger.set(before.subarray(0, this.#length))
      larger.set(bytes, this.#length)
      this.#buffer = larger
    }
    this.#length = length
  }

  /** All of it, which is the caller's then; undefined for nothing. */
  take(): Uint8Array | undefined {
    const all = this.#buffer?.subarray(0, this.#length)
    this.#buffer = undefined
    this.#length = 0
    return all
  }
}
