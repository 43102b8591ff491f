/** What verdicts do to the scope that a rule ran on. */

import type { Backend } from '../../backend/backend.js'
import { show } from '../../base/units.js'
import { checkReply } from '../../engine/reply.js'
import type { Verdict } from '../../policy/types.js'
import type { StickTable } from '../../tables/stick-table.js'
import type { RuleStage } from './compile.js'
import { Outcome, type Scope } from './scope.js'

/** What verdicts refer to by name. */
export interface RuleTargets {
  readonly tables: ReadonlyMap<string, StickTable>
  readonly backends: ReadonlyMap<string, Backend>
}

/** Applies what a rule answered: a verdict, or several. Throws where one makes no sense. */
export function applyAnswer(
  scope: Scope<unknown>,
  stage: RuleStage,
  rule: string,
  answer: unknown,
  targets: RuleTargets,
): number {
  if (!Array.isArray(answer)) return applyVerdict(scope, stage, rule, answer, targets)
  for (const verdict of answer) {
    const outcome = applyVerdict(scope, stage, rule, verdict, targets)
    if (outcome !== Outcome.NEXT) return outcome
  }
  return Outcome.NEXT
}

function applyVerdict(
  scope: Scope<unknown>,
  stage: RuleStage,
  rule: string,
  answer: unknown,
  targets: RuleTargets,
): number {
  if (typeof answer !== 'object' || answer === null) {
    throw new TypeError(`${show(answer)} is no verdict`)
  }
  const verdict = answer as Verdict
  switch (verdict.kind) {
    case 'accept':
      scope.rule = rule
      return Outcome.PASS
    case 'reject':
    case 'tarpit':
    case 'reply':
      checkEnding(verdict)
      scope.rule = rule
      scope.enforce(verdict)
      return Outcome.HELD
    case 'track':
      track(scope, verdict, targets)
      return Outcome.NEXT
    case 'setVar':
      scope.vars[verdict.name] = verdict.value
      return Outcome.NEXT
    case 'backend': {
      const backend = targets.backends.get(verdict.backend)
      if (backend === undefined) throw new TypeError(`there is no backend '${verdict.backend}'`)
      scope.rule = rule
      scope.backend = backend
      return Outcome.NEXT
    }
    case 'priority':
      if (!Number.isFinite(verdict.value)) throw new TypeError(`priority ${verdict.value}`)
      scope.priority = verdict.value
      return Outcome.NEXT
    case 'more':
      if (stage !== 'content') throw new TypeError('more() is for content rules only')
      return scope.final ? Outcome.NEXT : Outcome.MORE
    default:
      return scope.apply(verdict, stage, rule)
  }
}

function track(
  scope: Scope<unknown>,
  { key, table: name, counter }: Extract<Verdict, { kind: 'track' }>,
  targets: RuleTargets,
): void {
  if (key === undefined) return
  if (!isKey(key)) throw new TypeError(`a key of ${show(key)}`)
  const table = targets.tables.get(name)
  if (table === undefined) throw new TypeError(`there is no table '${name}'`)
  if (counter !== 'sc0' && counter !== 'sc1' && counter !== 'sc2') {
    throw new TypeError(`there is no counter '${String(counter)}'`)
  }
  scope.track(counter, table, key)
}

/** Whether it fits the table is another question: one that does not is not tracked. */
function isKey(key: unknown): boolean {
  return typeof key === 'string' || typeof key === 'number' || key instanceof Uint8Array
}

function checkEnding(verdict: Verdict): void {
  if (verdict.kind === 'tarpit' && !(verdict.ms >= 0 && verdict.ms < 2 ** 31)) {
    throw new TypeError(`tarpit for ${verdict.ms} ms`)
  }
  if (verdict.kind !== 'reply') return
  if (!(verdict.bytes instanceof Uint8Array)) {
    throw new TypeError('the bytes of a reply must be a Uint8Array')
  }
  checkReply(verdict.bytes)
}
