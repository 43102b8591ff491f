/** Waits for the answer of a policy, which may be late, may fail, and may come after the end. */

import type { Clock } from '../../base/clock.js'
import type { ClientConnection } from '../connection.js'

export interface Waiter {
  /** The promise was fulfilled in time. */
  answered(conn: ClientConnection, answer: unknown): void
  /** The promise was rejected in time. */
  rejected(conn: ClientConnection, error: unknown): void
  /** The deadline passed. */
  late(conn: ClientConnection): void
}

/** Runs `fn`; whatever it throws is logged and closes that one connection. */
export type Guard = (conn: ClientConnection, fn: () => void) => void

/**
 * Calls exactly one method of `waiter`, unless the connection ends or forgets
 * its promise first. `ms`: 0 waits without a deadline.
 */
export function waitFor(
  conn: ClientConnection,
  promise: PromiseLike<unknown>,
  ms: number,
  clock: Clock,
  guard: Guard,
  waiter: Waiter,
): void {
  conn.forget()
  conn.kept = true
  conn.promise = promise
  const { ticket } = conn
  const settle = (fn: () => void) => {
    // Late, or answered before: a thenable may call back twice.
    if (conn.ended || conn.ticket !== ticket) return
    conn.ticket++
    conn.promise = undefined
    conn.cancelTimer?.()
    conn.cancelTimer = undefined
    guard(conn, fn)
  }
  if (ms > 0) conn.cancelTimer = clock.after(ms, () => settle(() => waiter.late(conn)))
  Promise.resolve(promise).then(
    (answer) => settle(() => waiter.answered(conn, answer)),
    (error: unknown) => settle(() => waiter.rejected(conn, error)),
  )
}
