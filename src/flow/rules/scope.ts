/** What rules run on: a connection, later a request. Rules know no more of it than this. */

import type { Backend, Server } from '../../backend/backend.js'
import type { FailureFields } from '../../log/failures.js'
import type { Connection, CounterName } from '../../policy/types.js'
import type { Variables } from '../../policy/vars.js'
import type { StickTable } from '../../tables/stick-table.js'
import type { Wait } from './wait.js'

/** How an evaluation went on. */
export const Outcome = {
  /** Nothing decided: go on with the next rule. */
  NEXT: 0,
  /** The rules are done: go on behind them. */
  PASS: 1,
  /** A rule waits for bytes, or wants more of them. */
  MORE: 2,
  /** Nothing to do now: an answer is awaited, or the end is decided. */
  HELD: 3,
} as const

/** What goes wrong with policies, counted. */
export interface PolicyCounts {
  policyErrors: number
  lateVerdicts: number
}

/** `S`: what a rule is given of it. */
export interface Scope<S> {
  readonly subject: S
  /** The connection that it is, or is of, as policies hold it. */
  readonly conn: Connection
  /** `Phase`. */
  readonly phase: number
  /** The end is decided, or there: nobody has a say any more. */
  readonly over: boolean
  readonly counts: PolicyCounts
  /** Somebody may look at it behind its end. */
  kept: boolean
  /** What is awaited of a policy. */
  wait: Wait | undefined
  /** Name of the rule that decided last. */
  rule: string | undefined
  /** Chosen by a rule. */
  backend: Backend | undefined
  /** A server of that backend, where one was chosen. */
  readonly wanted: Server | undefined
  /** Chooses a server; `strict`: it or none. */
  want(server: Server | undefined, strict: boolean): void
  /** Place in queues: lower goes first. */
  priority: number
  readonly vars: Variables
  track(counter: CounterName, table: StickTable, key: string | number | Uint8Array): void
  /** Ends it with a reason word. `mode`: CloseMode. `hold`: ms, for TARPIT. */
  close(reason: number, mode?: number, hold?: number): void
  /** Sends a last chunk, and ends it. */
  reply(bytes: Uint8Array, reason: number): void
  /** Ends it because rules failed. `late`: because of a deadline. */
  failClosed(late: boolean): void
  /** Something of the policy failed: logged, not without bound. */
  failed(level: 'warn' | 'error', fields: FailureFields, message: string): void
  /** Runs `fn`; whatever it throws is logged and ends this one scope. */
  guard(fn: () => void): void
}
