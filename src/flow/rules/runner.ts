/**
 * Runs one ruleset on a connection to its end, through any number of promises,
 * and reports how it ended.
 */

import type { Clock } from '../../base/clock.js'
import { BytesFlag } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { CompiledRule, Ruleset } from './compile.js'
import { Outcome, type RuleTargets, ruleFailed, runRules, settleRule } from './run.js'
import { type Guard, type Waiter, waitFor } from './wait.js'

/** Where a ruleset ends: PASS, STOP, FAILED or, for content rules, MORE. */
export interface RulesHost {
  /** `late`: FAILED because of a deadline. */
  rulesEnded(conn: ClientConnection, phase: number, outcome: number, late: boolean): void
}

const FINAL = BytesFlag.EOF | BytesFlag.FULL | BytesFlag.EXPIRED

/** Whether no more payload will come after bytes with these flags. */
export function isFinal(flags: number): boolean {
  return (flags & FINAL) !== 0
}

export class RuleRunner implements Waiter {
  readonly #set: Ruleset<ClientConnection>
  readonly #targets: RuleTargets
  readonly #clock: Clock
  readonly #guard: Guard
  readonly #host: RulesHost

  constructor(
    set: Ruleset<ClientConnection>,
    targets: RuleTargets,
    clock: Clock,
    guard: Guard,
    host: RulesHost,
  ) {
    this.#set = set
    this.#targets = targets
    this.#clock = clock
    this.#guard = guard
    this.#host = host
  }

  get empty(): boolean {
    return this.#set.rules.length === 0
  }

  /** Runs from the first rule. */
  run(conn: ClientConnection): void {
    conn.phase = this.#set.phase
    conn.waitUntil = 0
    this.#ended(
      conn,
      runRules(conn, this.#set, 0, isFinal(conn.payloadFlags), this.#targets),
      false,
    )
  }

  answered(conn: ClientConnection, answer: unknown): void {
    const final = isFinal(conn.payloadFlags)
    this.#ended(conn, settleRule(conn, this.#set, answer, final, this.#targets), false)
  }

  rejected(conn: ClientConnection, error: unknown): void {
    this.#ended(conn, ruleFailed(conn, this.#rule(conn), error), false)
  }

  late(conn: ClientConnection): void {
    const rule = this.#rule(conn)
    const { frontend } = conn.listener
    conn.rule = rule.name
    frontend.lateVerdicts++
    conn.failed('warn', { rule: rule.name }, `rule ${rule.name} did not answer in time`)
    this.#ended(conn, rule.opens ? Outcome.PASS : Outcome.FAILED, true)
  }

  #rule(conn: ClientConnection): CompiledRule<ClientConnection> {
    return this.#set.rules[conn.index] as CompiledRule<ClientConnection>
  }

  #ended(conn: ClientConnection, outcome: number, late: boolean): void {
    // A policy may have closed the connection itself (an applet's reset, an abort listener).
    if (conn.decided !== 0 || conn.ended) return
    if (outcome === Outcome.WAIT) this.#wait(conn)
    else this.#host.rulesEnded(conn, this.#set.phase, outcome, late)
  }

  /** Implicit deadlines share the verdict time-out; an explicit one comes on top. */
  #wait(conn: ClientConnection): void {
    const promise = conn.promise as PromiseLike<unknown>
    const { deadline } = this.#rule(conn)
    const budget = conn.listener.frontend.verdictTimeout
    const now = this.#clock.now()
    if (conn.waitUntil === 0) conn.waitUntil = now + budget
    let ms = 0
    if (deadline !== undefined) {
      ms = deadline
      conn.waitUntil += deadline
    } else if (budget > 0) {
      // Late at once is still late in the next turn: a settled promise may win.
      ms = Math.max(conn.waitUntil - now, 1)
    }
    waitFor(conn, promise, ms, this.#clock, this.#guard, this)
  }
}
