/** The one deadline of a client whose payload does not flow yet. */

import type { Clock } from '../../../base/clock.js'
import { timer } from '../timer.js'

export class IncomingDeadline {
  readonly #clock: Clock
  readonly #openedAt: number
  #timer: NodeJS.Timeout | undefined
  /** The handshake that time was given for last; -1: none yet. */
  #awaited = -1
  /** When that time is over. */
  #end = 0

  /** `openedAt`: clock of the accept. */
  constructor(clock: Clock, openedAt: number) {
    this.#clock = clock
    this.#openedAt = openedAt
  }

  /** Calls `fn` after `ms`, in place of what was set before; 0 never. */
  set(ms: number, fn: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = timer(ms, fn)
  }

  /**
   * The same for a handshake: `limit` ms from the accept for all of them, and a moment at least
   * for each, since a rule may have taken its time. `bit`: the handshake that is awaited; 0 for
   * the ClientHello.
   */
  setFor(bit: number, limit: number, fn: () => void): void {
    if (limit <= 0) return
    const now = this.#clock.now()
    // Once: who sends byte by byte gets no more of it.
    if (this.#awaited !== bit) {
      this.#awaited = bit
      this.#end = Math.max(now + limit / 4, this.#openedAt + limit)
    }
    this.set(Math.max(this.#end - now, 1), fn)
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
