/**
 * Rules as configured become rules as run: with a name, a deadline and what
 * their failure means.
 */

import { SluiceError } from '../../base/errors.js'
import { parseDuration } from '../../base/units.js'
import type { Rule, RuleAnswer, Verdict } from '../../policy/types.js'

export interface CompiledRule<C> {
  /** As logged: the function's name or, without one, the path in the configuration. */
  readonly name: string
  readonly run: ((conn: C) => RuleAnswer | Promise<RuleAnswer>) | undefined
  /** For a rule that is a constant. */
  readonly verdict: Verdict | undefined
  /** ms for an answer by promise, or undefined for what is left of the verdict time-out. */
  readonly deadline: number | undefined
  /** Whether its failure accepts. */
  readonly opens: boolean
}

export interface Ruleset<C> {
  readonly rules: readonly CompiledRule<C>[]
  /** Value of `Phase`. */
  readonly phase: number
  /** Sum of the rules' own deadlines in ms, which come on top of the verdict time-out. */
  readonly extraTime: number
}

/**
 * Checks and names rules. `path` is their place in the configuration, such as
 * 'frontends.web.tcpRequest.connection'. Throws ERR_SLUICE_ARGUMENT.
 */
export function compileRules<C>(
  rules: readonly Rule<C>[],
  options: { path: string; phase: number; opens: boolean },
): Ruleset<C> {
  const compiled = rules.map((rule, i) => compileRule(rule, `${options.path}[${i}]`, options.opens))
  return {
    rules: compiled,
    phase: options.phase,
    extraTime: compiled.reduce((sum, rule) => sum + (rule.deadline ?? 0), 0),
  }
}

function compileRule<C>(rule: Rule<C>, path: string, opens: boolean): CompiledRule<C> {
  if (typeof rule === 'function') {
    return { name: rule.name || path, run: rule, verdict: undefined, deadline: undefined, opens }
  }
  if ('kind' in rule) {
    return { name: rule.kind, run: undefined, verdict: rule, deadline: undefined, opens }
  }
  if (typeof rule.run !== 'function') {
    throw new SluiceError('ERR_SLUICE_ARGUMENT', `${path}: a rule needs a function 'run'.`)
  }
  const { deadline } = rule
  return {
    name: rule.name || path,
    // Called as a method, so that a rule may be an object with state.
    run: (conn) => rule.run(conn),
    verdict: undefined,
    deadline: typeof deadline === 'string' ? parseDuration(deadline) : deadline,
    opens: rule.onError === undefined ? opens : rule.onError === 'open',
  }
}
