/**
 * Rules as configured become rules as run: with a name, a deadline and what
 * their failure means.
 */

import { SluiceError } from '../../base/errors.js'
import { parseDuration } from '../../base/units.js'
import { formatPath } from '../../config/issues.js'
import type { PlacedRule } from '../../config/resolved.js'
import type { RuleList } from '../../options/rules.js'
import type { HandshakeHandler } from '../../policy/handler.js'
import type { Rule, RuleAnswer, Verdict } from '../../policy/rule.js'
import { answersRight } from '../../policy/verdict.js'

export interface CompiledRule<C> {
  /** As logged: the function's name or, without one, the path in the configuration. */
  readonly name: string
  readonly run: ((conn: C) => RuleAnswer | Promise<RuleAnswer>) | undefined
  /** For a rule that is a constant. */
  readonly verdict: Verdict | undefined
  /** Its verdicts are right: constants were checked with the configuration. */
  readonly checked: boolean
  /** ms for an answer by promise, or undefined for what is left of the verdict time-out. */
  readonly deadline: number | undefined
  /** Whether its failure accepts. */
  readonly opens: boolean
}

/** Lists of rules, in the order in which they run. */
export type RuleStage = RuleList

export interface Ruleset<C> {
  readonly rules: readonly CompiledRule<C>[]
  readonly stage: RuleStage
  /** What implicit deadlines share, ms; 0: no limit. */
  readonly budget: number
  /** Sum of the rules' own deadlines in ms, which come on top of the verdict time-out. */
  readonly extraTime: number
}

/** A handshake handler with its limits in numbers. */
export interface CompiledHandler {
  readonly handler: HandshakeHandler
  readonly name: string
  /** Bytes. */
  readonly limit: number
  /** ms. */
  readonly deadline: number
  readonly opens: boolean
}

const DEFAULT_HANDLER_LIMIT = 16_384
const DEFAULT_HANDLER_DEADLINE = 5_000

/** Checks and names rules. Throws ERR_SLUICE_ARGUMENT. */
export function compileRules<C>(
  rules: readonly PlacedRule<Rule<C>>[],
  options: { stage: RuleStage; budget: number; opens: boolean },
): Ruleset<C> {
  const compiled = rules.map((placed) => compileRule(placed, options.opens))
  return {
    rules: compiled,
    stage: options.stage,
    budget: options.budget,
    extraTime: compiled.reduce((sum, rule) => sum + (rule.deadline ?? 0), 0),
  }
}

function compileRule<C>(
  { rule, path, plugin }: PlacedRule<Rule<C>>,
  opens: boolean,
): CompiledRule<C> {
  const nameOf = (own: string) =>
    plugin === undefined
      ? own || formatPath(path)
      : `${plugin}/${own || formatPath(path.slice(-2))}`
  const plain = { verdict: undefined, deadline: undefined, opens }
  if (typeof rule === 'function') {
    return { ...plain, name: nameOf(rule.name), run: rule, checked: answersRight.has(rule) }
  }
  if ('kind' in rule) {
    return { ...plain, name: nameOf(rule.kind), run: undefined, verdict: rule, checked: true }
  }
  if (typeof rule.run !== 'function') {
    throw new SluiceError(
      'ERR_SLUICE_ARGUMENT',
      `${formatPath(path)}: a rule needs a function 'run'.`,
    )
  }
  const { deadline } = rule
  return {
    name: nameOf(rule.name),
    // Called as a method, so that a rule may be an object with state.
    run: (conn) => rule.run(conn),
    verdict: undefined,
    checked: answersRight.has(rule.run),
    deadline: deadline === undefined ? undefined : parseDuration(deadline),
    opens: rule.onError === undefined ? opens : rule.onError === 'open',
  }
}

export function compileHandler(handler: HandshakeHandler): CompiledHandler {
  const { deadline = DEFAULT_HANDLER_DEADLINE } = handler
  return {
    handler,
    name: handler.name,
    limit: handler.limit ?? DEFAULT_HANDLER_LIMIT,
    deadline: typeof deadline === 'string' ? parseDuration(deadline) : deadline,
    opens: handler.onTimeout === 'open',
  }
}
