import type { Clock } from '#sluice/base/clock.js'

/** Time that moves only when told to. */
export class ManualClock implements Clock {
  #now: number
  readonly #timers = new Set<{ at: number; fn: () => void }>()

  constructor(now = 0) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + ms, fn }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that have neither run nor been cancelled. */
  get pending(): number {
    return this.#timers.size
  }

  advance(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers]) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.fn()
    }
  }
}
