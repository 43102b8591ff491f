/**
 * Runs one list of rules on a scope to its end, through any number of promises. The synchronous
 * path makes no promise and allocates nothing.
 */

import type { Clock } from '../../base/clock.js'
import type { CompiledRule, RuleStage, Ruleset } from './compile.js'
import { Outcome, type Scope } from './scope.js'
import { applyAnswer, type RuleTargets } from './verdicts.js'
import { Wait, type Waiter } from './wait.js'

/** Who watches rules at work. */
export interface RuleObserver {
  /**
   * A rule was called: what it answered, a promise as it is, or what it threw. `scope`: what it
   * ran on, as the flow has it.
   */
  onRule:
    | ((
        scope: object,
        stage: RuleStage | 'handshake',
        name: string,
        answer: unknown,
        error?: unknown,
      ) => void)
    | undefined
}

/** What rules need beside their scope. */
export interface RuleContext {
  readonly clock: Clock
  readonly targets: RuleTargets
  readonly observer: RuleObserver
}

/** A list of rules under way on one scope. Made only when a rule waits. */
class RuleRun extends Wait {
  /** Position of the rule that waits. */
  index = 0
  /** Clock at which implicit deadlines end, 0 before the first wait. */
  until = 0
}

export class RuleRunner<S, C extends Scope<S>> implements Waiter<C> {
  readonly #set: Ruleset<S>
  readonly #context: RuleContext
  readonly #resumed: (scope: C, outcome: number) => void

  /** `resumed` is called with PASS or MORE where a rule waited; else `run` returns it. */
  constructor(set: Ruleset<S>, context: RuleContext, resumed: (scope: C, outcome: number) => void) {
    this.#set = set
    this.#context = context
    this.#resumed = resumed
  }

  /** Runs from the first rule: PASS, MORE or HELD. */
  run(scope: C): number {
    const outcome = this.#evaluate(scope, 0)
    // A policy may have ended it by itself (an abort listener).
    return scope.over ? Outcome.HELD : outcome
  }

  answered(scope: C, answer: unknown): void {
    const at = (scope.wait as RuleRun).index
    const outcome = answer === undefined ? Outcome.NEXT : this.#apply(scope, this.#rule(at), answer)
    this.#resume(scope, outcome === Outcome.NEXT ? this.#evaluate(scope, at + 1) : outcome)
  }

  rejected(scope: C, error: unknown): void {
    this.#resume(scope, this.#failed(scope, this.#rule((scope.wait as RuleRun).index), error))
  }

  late(scope: C): void {
    const rule = this.#rule((scope.wait as RuleRun).index)
    scope.rule = rule.name
    scope.counts.lateVerdicts++
    scope.failed('warn', { rule: rule.name }, `rule ${rule.name} did not answer in time`)
    this.#resume(scope, failure(scope, rule, true))
  }

  #evaluate(scope: C, from: number): number {
    const { rules } = this.#set
    for (let i = from; i < rules.length; i++) {
      const rule = rules[i] as CompiledRule<S>
      let answer: unknown = rule.verdict
      let waits = false
      if (rule.run !== undefined) {
        try {
          answer = rule.run(scope.subject)
          // Here: looking at `then` may run code of the policy.
          waits = isThenable(answer)
        } catch (error) {
          this.#observe(scope, rule, undefined, error)
          return this.#failed(scope, rule, error)
        }
      }
      if (this.#context.observer.onRule !== undefined) this.#observe(scope, rule, answer)
      if (answer === undefined) continue
      if (waits) return this.#wait(scope, i, answer as PromiseLike<unknown>)
      const outcome = this.#apply(scope, rule, answer)
      if (outcome !== Outcome.NEXT) return outcome
    }
    return Outcome.PASS
  }

  #apply(scope: C, rule: CompiledRule<S>, answer: unknown): number {
    try {
      return applyAnswer(scope, this.#set.stage, rule, answer, this.#context.targets)
    } catch (error) {
      return this.#failed(scope, rule, error)
    }
  }

  /** A rule threw, rejected or answered nonsense: logged with its name, then its default. */
  #failed(scope: C, rule: CompiledRule<S>, error: unknown): number {
    scope.rule = rule.name
    scope.counts.policyErrors++
    scope.failed('error', { err: error, rule: rule.name }, `rule ${rule.name} failed`)
    return failure(scope, rule, false)
  }

  /** Implicit deadlines share the verdict time-out; an explicit one comes on top. */
  #wait(scope: C, index: number, promise: PromiseLike<unknown>): number {
    if (scope.over) return Outcome.HELD
    const { clock } = this.#context
    const { budget } = this.#set
    const run = scope.wait instanceof RuleRun ? scope.wait : new RuleRun()
    run.index = index
    const { deadline } = this.#rule(index)
    const now = clock.now()
    if (run.until === 0) run.until = now + budget
    let ms = 0
    if (deadline !== undefined) {
      ms = deadline
      run.until += deadline
    } else if (budget > 0) {
      // Late at once is still late in the next turn: a settled promise may win.
      ms = Math.max(run.until - now, 1)
    }
    run.begin(scope, promise, ms, clock, this)
    return Outcome.HELD
  }

  #resume(scope: C, outcome: number): void {
    if (outcome === Outcome.HELD || scope.over) return
    scope.wait = undefined
    this.#resumed(scope, outcome)
  }

  #rule(index: number): CompiledRule<S> {
    return this.#set.rules[index] as CompiledRule<S>
  }

  #observe(scope: C, rule: CompiledRule<S>, answer: unknown, error?: unknown): void {
    this.#context.observer.onRule?.(scope, this.#set.stage, rule.name, answer, error)
  }
}

/** What the failure of a rule means. */
function failure(scope: Scope<unknown>, rule: { readonly opens: boolean }, late: boolean): number {
  if (rule.opens) return Outcome.PASS
  scope.failClosed(late)
  return Outcome.HELD
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
