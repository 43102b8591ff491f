/**
 * Inactivity of a connection pair or of one connection. A side is held
 * responsible only while it is expected to act: while we read from it and it
 * has not sent its FIN, or while bytes wait for it to take them.
 *
 * The path of the payload writes one number (`side.activity`); one lazy timer
 * compares it with the time-out and arms itself again for what is left.
 */

import type { Core } from './core.js'
import { timer } from './core.js'
import type { Side } from './side.js'

/** One side under watch. Both functions are asked anew at each check. */
export interface Watched {
  side: Side
  /** ms; 0: never. */
  limit(): number
  /** What it sent now would be taken; not given: always, while it is read from. */
  isHeard?(): boolean
}

/** A timer that fires later than this, in ms: the loop was blocked, or the process stopped. */
const ASLEEP = 500

/** Node counts a chunk as written once all of it is; libuv knows how much of it has left. */
interface WithQueue {
  _handle?: { writeQueueSize?: number } | null
}

export class Inactivity {
  readonly #core: Core
  readonly #watched: readonly Watched[]
  readonly #expired: (side: Side) => void
  readonly #queued: number[]
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /** @param expired called once, with the side that was silent. */
  constructor(core: Core, watched: readonly Watched[], expired: (side: Side) => void) {
    this.#core = core
    this.#watched = watched
    this.#expired = expired
    this.#queued = watched.map(() => 0)
  }

  /** Starts, or checks anew after something changed that may shorten a time-out. */
  check(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#stopped) return
    const now = this.#core.now()
    let wait = Number.POSITIVE_INFINITY
    for (const [i, { side, limit, isHeard }] of this.#watched.entries()) {
      const longest = limit()
      if (longest <= 0 || side.closed) continue
      if (this.#progressed(i, side) || !isExpected(side, isHeard?.() ?? true)) side.activity = now
      const left = side.activity + longest - now
      if (left <= 0) {
        this.#expired(side)
        return
      }
      wait = Math.min(wait, left)
    }
    if (wait !== Number.POSITIVE_INFINITY) {
      const ms = Math.max(1, Math.ceil(wait))
      this.#timer = timer(ms, () => this.#due(now + ms))
    }
  }

  /**
   * Timers run before the sockets are looked at: what came meanwhile is read first. A loop that
   * was asleep itself does not know who else was, so that all time starts again.
   */
  #due(at: number): void {
    const now = this.#core.now()
    if (now - at > ASLEEP) for (const { side } of this.#watched) side.activity = now
    setImmediate(() => this.check())
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** True where part of a pending write left since the last check. */
  #progressed(i: number, side: Side): boolean {
    if (side.waiting === 0) return false
    const queued = (side.raw as unknown as WithQueue)._handle?.writeQueueSize ?? 0
    const before = this.#queued[i] as number
    this.#queued[i] = queued
    return queued !== before
  }
}

function isExpected(side: Side, heard: boolean): boolean {
  return (heard && side.reading && !side.eof) || side.waiting > 0
}
