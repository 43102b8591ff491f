/** Time-outs that policy gave one connection. Those of its listener and its route hold for what it did not set. */
export class OwnTimeouts {
  readonly #own = new Map<number, number>()

  /** `which`: Timeout. `ms`: 0 for none; less takes it back. */
  set(which: number, ms: number): void {
    if (ms < 0) this.#own.delete(which)
    else this.#own.set(which, ms)
  }

  /** The one that holds: its own, or what is configured. */
  pick(which: number, configured: number): number {
    return this.#own.get(which) ?? configured
  }
}
