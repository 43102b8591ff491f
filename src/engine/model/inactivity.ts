/**
 * Inactivity of a connection pair or of one connection. A side is held responsible only while it
 * is expected to act: while something is to come from it, or while bytes wait for it to take them.
 *
 * The path of the payload writes one number (`activity`); one lazy timer compares it with the
 * time-out and arms itself again for what is left.
 */

import type { Clock } from '../../base/clock.js'

/** One side under watch. Its methods are asked anew at each look. */
export interface Watched {
  readonly side: {
    /** ms on the clock of the last byte or FIN. */
    activity: number
  }
  /** Longest silence, ms; 0: no limit. */
  limit(): number
  /** It is expected to act. */
  isAwaited(): boolean
}

/** A timer that fires later than this, in ms: the loop was blocked, or the process stopped. */
const ASLEEP = 500

export class Inactivity<W extends Watched> {
  readonly #clock: Clock
  readonly #watched: readonly W[]
  readonly #expired: (silent: W) => void
  readonly #shared: (() => boolean) | undefined
  #cancel: (() => void) | undefined
  #stopped = false

  /**
   * `clock`: what it calls late must come after what happened before. `expired`: called once,
   * with the side that was silent. `shared`: activity of one side counts for all.
   */
  constructor(
    clock: Clock,
    watched: readonly W[],
    expired: (silent: W) => void,
    shared?: () => boolean,
  ) {
    this.#clock = clock
    this.#watched = watched
    this.#expired = expired
    this.#shared = shared
  }

  /** Starts, or checks anew after something changed that may shorten a time-out. */
  check(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#stopped) return
    const now = this.#clock.now()
    if (this.#shared?.()) this.#share()
    let wait = Number.POSITIVE_INFINITY
    for (const watched of this.#watched) {
      const limit = watched.limit()
      if (limit <= 0) continue
      const { side } = watched
      if (!watched.isAwaited()) side.activity = now
      const left = side.activity + limit - now
      if (left <= 0) {
        this.#expired(watched)
        return
      }
      wait = Math.min(wait, left)
    }
    if (wait === Number.POSITIVE_INFINITY) return
    const ms = Math.max(1, Math.ceil(wait))
    this.#cancel = this.#clock.after(ms, () => this.#due(now + ms))
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  /** A loop that was asleep itself does not know who else was: all time starts again. */
  #due(at: number): void {
    const now = this.#clock.now()
    if (now - at > ASLEEP) for (const { side } of this.#watched) side.activity = now
    this.check()
  }

  #share(): void {
    let last = 0
    for (const { side } of this.#watched) last = Math.max(last, side.activity)
    for (const { side } of this.#watched) side.activity = last
  }
}
