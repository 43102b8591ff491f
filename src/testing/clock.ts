/** Time that stands still until it is told to go on. */

import type { Clock } from '../base/clock.js'
import { type Duration, parseDuration } from '../base/units.js'

interface Timer {
  at: number
  order: number
  fn: () => void
}

/** A clock for tests: timers fire in `advance`, in the order of their times. */
export class VirtualClock implements Clock {
  #now: number
  #order = 0
  readonly #timers = new Set<Timer>()

  constructor(start = 1_000) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), order: this.#order++, fn }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size
  }

  /** Lets time pass; each timer that falls due sees the time it was set for. */
  advance(duration: Duration): void {
    const end = this.#now + parseDuration(duration, 'advance')
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
    }
    this.#now = end
  }

  /** Like `advance`, but lets promises settle before and after each timer, by `between`. */
  async advanceAsync(duration: Duration, between: () => Promise<void> = settle): Promise<void> {
    const end = this.#now + parseDuration(duration, 'advance')
    await between()
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
      await between()
    }
    this.#now = end
  }

  #due(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.at > end) continue
      if (
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order)
      ) {
        first = timer
      }
    }
    return first
  }
}

/** Resolves once every promise that can settle without I/O has done so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
