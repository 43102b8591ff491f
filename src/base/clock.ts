/** Time as policy code uses it, so that tests can run under a virtual clock. */

export interface Clock {
  /** Milliseconds since some fixed point, never going back. */
  now(): number
  /** Calls `fn` once after `ms`; the returned function cancels it. Does not keep the process alive. */
  after(ms: number, fn: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
