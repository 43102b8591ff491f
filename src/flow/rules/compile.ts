/**
 * Rules as configured become rules as run: with a name, a deadline and what
 * their failure means.
 */

import { SluiceError } from '../../base/errors.js'
import { parseDuration, parseSize } from '../../base/units.js'
import { formatPath } from '../../config/issues.js'
import type { PlacedRule } from '../../config/resolved.js'
import type { HandshakeRuleOptions, Rule, RuleAnswer, Verdict } from '../../policy/rule.js'
import type { RuleList } from '../../policy/rule-lists.js'
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
  /** Whether its failure accepts; of a rule on bytes: goes on with the next one. */
  readonly opens: boolean
  /** Most bytes that it sees, where it sees any. */
  readonly limit: number
  /** Bytes that must be there before it is called. */
  readonly needs: number
}

export interface Ruleset<C> {
  readonly rules: readonly CompiledRule<C>[]
  readonly stage: RuleList
  /** What implicit deadlines share, ms; 0: no limit. */
  readonly budget: number
  /**
   * ms that all of them together may take: the budget, and the deadlines of their own on top. Those
   * on bytes have deadlines only.
   */
  readonly time: number
}

const DEFAULT_LIMIT = 16_384
const DEFAULT_DEADLINE = 5_000

/** Checks and names rules. Throws ERR_SLUICE_ARGUMENT. */
export function compileRules<C>(
  rules: readonly PlacedRule<Rule<C>>[],
  options: { stage: RuleList; budget: number; opens: boolean },
): Ruleset<C> {
  const { stage, budget } = options
  const compiled = rules.map((placed) => compileRule(placed, options))
  const shared = compiled.length > 0 && stage !== 'handshake' ? budget : 0
  const time = compiled.reduce((sum, rule) => sum + (rule.deadline ?? 0), shared)
  return { rules: compiled, stage, budget, time }
}

function compileRule<C>(
  { rule, path, plugin }: PlacedRule<Rule<C>>,
  { stage, opens }: { stage: RuleList; opens: boolean },
): CompiledRule<C> {
  const nameOf = (own: string) =>
    plugin === undefined
      ? own || formatPath(path)
      : `${plugin}/${own || formatPath(path.slice(-2))}`
  const looks = stage === 'handshake'
  const common = {
    verdict: undefined,
    deadline: looks ? DEFAULT_DEADLINE : undefined,
    opens,
    limit: DEFAULT_LIMIT,
    needs: looks ? 1 : 0,
  }
  if (typeof rule === 'function') {
    return { ...common, name: nameOf(rule.name), run: rule, checked: answersRight.has(rule) }
  }
  if ('kind' in rule) {
    const rest = { run: undefined, verdict: rule, checked: true, needs: taken(rule) }
    return { ...common, ...rest, name: nameOf(rule.kind) }
  }
  if (typeof rule.run !== 'function') {
    throw new SluiceError(
      'ERR_SLUICE_ARGUMENT',
      `${formatPath(path)}: a rule needs a function 'run'.`,
    )
  }
  const { deadline, onError } = rule
  const { limit, speaksFirst } = rule as Pick<HandshakeRuleOptions, 'limit' | 'speaksFirst'>
  return {
    name: nameOf(rule.name),
    // Called as a method, so that a rule may be an object with state.
    run: (conn) => rule.run(conn),
    verdict: undefined,
    checked: answersRight.has(rule.run),
    deadline: deadline === undefined ? common.deadline : parseDuration(deadline),
    opens: onError === undefined ? opens : onError === 'open',
    limit: typeof limit === 'string' ? parseSize(limit) : (limit ?? DEFAULT_LIMIT),
    needs: speaksFirst ? 0 : common.needs,
  }
}

/** Bytes that a constant takes of what the client sends. */
function taken(verdict: Verdict): number {
  if (verdict.kind === 'consume') return verdict.bytes
  return verdict.kind === 'send' ? (verdict.consume ?? 0) : 0
}
