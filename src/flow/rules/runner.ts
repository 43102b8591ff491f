/**
 * Runs one list of rules on a scope to its end, through any number of promises. The synchronous
 * path makes no promise and allocates nothing.
 */

import type { Clock } from '../../base/clock.js'
import type { RuleList } from '../../policy/rule-lists.js'
import type { CompiledRule, Ruleset } from './compile.js'
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
    | ((scope: object, stage: RuleList, name: string, answer: unknown, error?: unknown) => void)
    | undefined
}

/** What rules need beside their scope. */
export interface RuleContext {
  readonly clock: Clock
  readonly targets: RuleTargets
  readonly observer: RuleObserver
}

/** Whose rules wait for something before they are called: for bytes. */
export interface RuleGate<C> {
  /** Whether the rule at `index` may be called now; else the outcome is MORE. */
  ready(scope: C, index: number): boolean
  /** ms for an answer by promise of the rule at `index`. */
  patience(scope: C, index: number): number
  /** No rule has decided: the `Outcome`. */
  undecided(scope: C): number
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
  readonly #gate: RuleGate<C> | undefined

  /** `resumed` is called with PASS or MORE where a rule waited; else `run` returns it. */
  constructor(
    set: Ruleset<S>,
    context: RuleContext,
    resumed: (scope: C, outcome: number) => void,
    gate?: RuleGate<C>,
  ) {
    this.#set = set
    this.#context = context
    this.#resumed = resumed
    this.#gate = gate
  }

  /** Runs from the first rule, or from that at `from`: PASS, MORE or HELD. */
  run(scope: C, from = 0): number {
    const outcome = this.#evaluate(scope, from)
    // A policy may have ended it by itself (an abort listener).
    return scope.over ? Outcome.HELD : outcome
  }

  answered(scope: C, answer: unknown): void {
    const at = (scope.wait as RuleRun).index
    const outcome = answer === undefined ? Outcome.NEXT : this.#apply(scope, this.#rule(at), answer)
    this.#resume(scope, at, outcome)
  }

  rejected(scope: C, error: unknown): void {
    const at = (scope.wait as RuleRun).index
    this.#resume(scope, at, this.#failed(scope, this.#rule(at), error))
  }

  late(scope: C): void {
    const at = (scope.wait as RuleRun).index
    const rule = this.#rule(at)
    scope.rule = rule.name
    scope.counts.lateVerdicts++
    scope.failed('warn', { rule: rule.name }, `rule ${rule.name} did not answer in time`)
    this.#resume(scope, at, this.#failure(scope, rule, true))
  }

  #evaluate(scope: C, from: number): number {
    const { rules } = this.#set
    const gate = this.#gate
    for (let i = from; i < rules.length; i++) {
      if (gate !== undefined && !gate.ready(scope, i)) return Outcome.MORE
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
          const outcome = this.#failed(scope, rule, error)
          if (outcome !== Outcome.NEXT) return outcome
          continue
        }
      }
      if (this.#context.observer.onRule !== undefined) this.#observe(scope, rule, answer)
      if (answer === undefined) continue
      if (waits) return this.#wait(scope, i, answer as PromiseLike<unknown>)
      const outcome = this.#apply(scope, rule, answer)
      if (outcome !== Outcome.NEXT) return outcome
    }
    return gate === undefined ? Outcome.PASS : gate.undecided(scope)
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
    return this.#failure(scope, rule, false)
  }

  /** What the failure of a rule means. Rules that look at bytes stand for themselves: the next may know them. */
  #failure(scope: C, rule: CompiledRule<S>, late: boolean): number {
    if (rule.opens) return this.#gate === undefined ? Outcome.PASS : Outcome.NEXT
    scope.failClosed(late)
    return Outcome.HELD
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
    if (this.#gate !== undefined) {
      ms = this.#gate.patience(scope, index)
    } else if (deadline !== undefined) {
      ms = deadline
      run.until += deadline
    } else if (budget > 0) {
      // Late at once is still late in the next turn: a settled promise may win.
      ms = Math.max(run.until - now, 1)
    }
    run.begin(scope, promise, ms, clock, this)
    return Outcome.HELD
  }

  /** `outcome`: of the rule at `index`. */
  #resume(scope: C, index: number, outcome: number): void {
    const all = outcome === Outcome.NEXT ? this.#evaluate(scope, index + 1) : outcome
    if (all === Outcome.HELD || scope.over) return
    scope.wait = undefined
    this.#resumed(scope, all)
  }

  #rule(index: number): CompiledRule<S> {
    return this.#set.rules[index] as CompiledRule<S>
  }

  #observe(scope: C, rule: CompiledRule<S>, answer: unknown, error?: unknown): void {
    this.#context.observer.onRule?.(scope, this.#set.stage, rule.name, answer, error)
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
