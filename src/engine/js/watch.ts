/** A side under watch for inactivity. */

import type { Watched } from '../model/inactivity.js'
import type { Side } from './side.js'

/** Node counts a chunk as written once all of it is; libuv knows how much of it has left. */
interface WithQueue {
  _handle?: { writeQueueSize?: number } | null
}

export class WatchedSide implements Watched {
  readonly side: Side
  readonly #limit: () => number
  readonly #isHeard: () => boolean
  /** Bytes that were with libuv at the last look. */
  #queued = 0

  /** `limit`: ms, 0 for never. `isHeard`: what it sent now would be taken; default: always. */
  constructor(side: Side, limit: () => number, isHeard = () => true) {
    this.side = side
    this.#limit = limit
    this.#isHeard = isHeard
  }

  limit(): number {
    return this.side.closed ? 0 : this.#limit()
  }

  isAwaited(): boolean {
    const { side } = this
    if (this.#progressed()) return false
    return (this.#isHeard() && side.reading && !side.eof) || side.waiting > 0
  }

  /** True where part of a pending write left since the last look. */
  #progressed(): boolean {
    if (this.side.waiting === 0) return false
    const before = this.#queued
    this.#queued = (this.side.raw as unknown as WithQueue)._handle?.writeQueueSize ?? 0
    return this.#queued !== before
  }
}
