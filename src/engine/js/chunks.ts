/** A queue of received chunks. Bytes are copied only where a contiguous view of several is asked for. */

const EMPTY = Buffer.alloc(0)

export class Chunks {
  #chunks: Buffer[] = []
  #length = 0

  /** Bytes that are queued. */
  get length(): number {
    return this.#length
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#length += chunk.length
  }

  /** Puts a chunk in front. */
  unshift(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.unshift(chunk)
    this.#length += chunk.length
  }

  /** Everything as one view, valid until bytes are consumed. */
  view(): Buffer {
    if (this.#chunks.length === 0) return EMPTY
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#length)]
    return this.#chunks[0] as Buffer
  }

  /** Drops up to `count` bytes from the front. */
  consume(count: number): void {
    let left = Math.min(count, this.#length)
    this.#length -= left
    while (left > 0) {
      const first = this.#chunks[0] as Buffer
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left)
        return
      }
      left -= first.length
      this.#chunks.shift()
    }
  }

  /** Takes at most `limit` bytes of the first chunk; undefined where there are none. */
  shift(limit: number): Buffer | undefined {
    const first = this.#chunks[0]
    if (!first || limit <= 0) return undefined
    const taken = first.length > limit ? first.subarray(0, limit) : first
    this.consume(taken.length)
    return taken
  }

  clear(): void {
    this.#chunks = []
    this.#length = 0
  }
}
