/** Waits for the answer of a policy, which may be late, may fail, and may come after the end. */

import type { Clock } from '../../base/clock.js'

export interface Waiter<C> {
  /** The promise was fulfilled in time. */
  answered(scope: C, answer: unknown): void
  /** The promise was rejected in time. */
  rejected(scope: C, error: unknown): void
  /** The deadline passed. */
  late(scope: C): void
}

/** What waits: of a `Scope`. */
interface Waiting {
  kept: boolean
  wait: Wait | undefined
  guard(fn: () => void): void
}

/** Made when a policy first answers by promise; used again by the same run of rules. */
export class Wait {
  /** What is awaited; undefined while nothing is. */
  promise: PromiseLike<unknown> | undefined = undefined
  #cancelTimer: (() => void) | undefined = undefined
  /** Changes whenever an outstanding promise or timer loses its say. */
  #turn = 0

  /**
   * Calls exactly one method of `waiter`, unless the wait is forgotten first. `ms`: 0 waits
   * without a deadline.
   */
  begin<C extends Waiting>(
    scope: C,
    promise: PromiseLike<unknown>,
    ms: number,
    clock: Clock,
    waiter: Waiter<C>,
  ): void {
    this.forget()
    scope.kept = true
    scope.wait = this
    this.promise = promise
    const turn = this.#turn
    const settle = (fn: () => void) => {
      // Late, or answered before: a thenable may call back twice.
      if (this.#turn !== turn) return
      this.forget()
      scope.guard(fn)
    }
    if (ms > 0) this.#cancelTimer = clock.after(ms, () => settle(() => waiter.late(scope)))
    Promise.resolve(promise).then(
      (answer) => settle(() => waiter.answered(scope, answer)),
      (error: unknown) => settle(() => waiter.rejected(scope, error)),
    )
  }

  /** Whatever was awaited has no say any more. */
  forget(): void {
    this.#turn++
    this.promise = undefined
    if (this.#cancelTimer === undefined) return
    this.#cancelTimer()
    this.#cancelTimer = undefined
  }
}
