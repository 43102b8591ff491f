/**
 * Evaluates rulesets. The synchronous path makes no promise and allocates
 * nothing; a rule that answers with a promise suspends the ruleset, and the
 * core goes on with `settle` once the answer is there.
 */

import type { Backend } from '../../backend/backend.js'
import { show } from '../../base/units.js'
import { checkReply } from '../../engine/reply.js'
import type { ClientCertDemand, Verdict } from '../../policy/types.js'
import type { StickTable } from '../../tables/stick-table.js'
import { Phase } from '../../wire/wire.js'
import type { ClientConnection } from '../connection.js'
import type { CompiledRule, Ruleset } from './compile.js'

/** How an evaluation ended. */
export const Outcome = {
  /** Nothing decided: go on with the next rule. */
  NEXT: 0,
  /** The ruleset is done: go on with the connection. */
  PASS: 1,
  /** Reject, tarpit or reply: `conn.verdict`. */
  STOP: 2,
  /** A content rule wants more payload. */
  MORE: 3,
  /** `conn.promise` is awaited, of rule `conn.index`. */
  WAIT: 4,
  /** The rule failed, and that means to close. */
  FAILED: 5,
} as const

export interface RuleTargets {
  readonly tables: ReadonlyMap<string, StickTable>
  readonly backends: ReadonlyMap<string, Backend>
}

const DEMANDS: readonly ClientCertDemand[] = ['none', 'optional', 'required']

/** The connection as rules of any ruleset take it. */
export type RuleConnection = ClientConnection

/** Runs the rules of `set` from position `from`. `final`: no more payload will come. */
export function runRules(
  conn: RuleConnection,
  set: Ruleset<RuleConnection>,
  from: number,
  final: boolean,
  targets: RuleTargets,
): number {
  const { rules } = set
  for (let i = from; i < rules.length; i++) {
    const rule = rules[i] as CompiledRule<RuleConnection>
    let answer: unknown = rule.verdict
    if (rule.run !== undefined) {
      try {
        answer = rule.run(conn)
      } catch (error) {
        return ruleFailed(conn, rule, error)
      }
      if (answer === undefined) continue
      if (isThenable(answer)) {
        conn.index = i
        conn.promise = answer
        return Outcome.WAIT
      }
    }
    const outcome = applyAnswer(conn, set, rule, answer, final, targets)
    if (outcome !== Outcome.NEXT) return outcome
  }
  return Outcome.PASS
}

/** Goes on after the promise of rule `conn.index` gave `answer`. */
export function settleRule(
  conn: RuleConnection,
  set: Ruleset<RuleConnection>,
  answer: unknown,
  final: boolean,
  targets: RuleTargets,
): number {
  const rule = set.rules[conn.index] as CompiledRule<RuleConnection>
  const outcome =
    answer === undefined ? Outcome.NEXT : applyAnswer(conn, set, rule, answer, final, targets)
  return outcome === Outcome.NEXT ? runRules(conn, set, conn.index + 1, final, targets) : outcome
}

/** A rule threw, rejected or answered nonsense: logged with its name, then its default. */
export function ruleFailed(
  conn: RuleConnection,
  rule: CompiledRule<RuleConnection>,
  error: unknown,
): number {
  conn.rule = rule.name
  conn.listener.frontend.policyErrors++
  conn.failed('error', { err: error, rule: rule.name }, `rule ${rule.name} failed`)
  return rule.opens ? Outcome.PASS : Outcome.FAILED
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

function applyAnswer(
  conn: RuleConnection,
  set: Ruleset<RuleConnection>,
  rule: CompiledRule<RuleConnection>,
  answer: unknown,
  final: boolean,
  targets: RuleTargets,
): number {
  try {
    if (!Array.isArray(answer)) return applyVerdict(conn, set, rule, answer, final, targets)
    for (const verdict of answer) {
      const outcome = applyVerdict(conn, set, rule, verdict, final, targets)
      if (outcome !== Outcome.NEXT) return outcome
    }
    return Outcome.NEXT
  } catch (error) {
    return ruleFailed(conn, rule, error)
  }
}

/** Throws where the verdict makes no sense. */
function applyVerdict(
  conn: RuleConnection,
  set: Ruleset<RuleConnection>,
  rule: CompiledRule<RuleConnection>,
  answer: unknown,
  final: boolean,
  targets: RuleTargets,
): number {
  if (typeof answer !== 'object' || answer === null) {
    throw new TypeError(`${show(answer)} is no verdict`)
  }
  const verdict = answer as Verdict
  switch (verdict.kind) {
    case 'accept':
      conn.rule = rule.name
      return Outcome.PASS
    case 'reject':
    case 'tarpit':
    case 'reply':
      checkEnding(verdict)
      conn.rule = rule.name
      conn.verdict = verdict
      return Outcome.STOP
    case 'track': {
      if (verdict.key === undefined) return Outcome.NEXT
      if (!isKey(verdict.key)) throw new TypeError(`a key of ${show(verdict.key)}`)
      const table = targets.tables.get(verdict.table)
      if (table === undefined) throw new TypeError(`there is no table '${verdict.table}'`)
      const { counter } = verdict
      if (counter !== 'sc0' && counter !== 'sc1' && counter !== 'sc2') {
        throw new TypeError(`there is no counter '${String(counter)}'`)
      }
      conn.track(counter, table, verdict.key)
      return Outcome.NEXT
    }
    case 'setVar':
      conn.vars[verdict.name] = verdict.value
      return Outcome.NEXT
    case 'backend': {
      const backend = targets.backends.get(verdict.backend)
      if (backend === undefined) throw new TypeError(`there is no backend '${verdict.backend}'`)
      conn.rule = rule.name
      conn.backend = backend
      return Outcome.NEXT
    }
    case 'expectProxy':
      if (set.phase !== Phase.TCP_RULES) {
        throw new TypeError('expectProxy() is for connection rules only')
      }
      conn.expectsProxy = true
      return Outcome.NEXT
    case 'priority':
      if (!Number.isFinite(verdict.value)) throw new TypeError(`priority ${verdict.value}`)
      conn.priority = verdict.value
      return Outcome.NEXT
    case 'certificate':
      checkHelloRule(conn, set, 'useCertificate')
      if (typeof verdict.name !== 'string') throw new TypeError(`certificate ${verdict.name}`)
      conn.rule = rule.name
      conn.certificateName = verdict.name
      return Outcome.NEXT
    case 'clientCert':
      checkHelloRule(conn, set, 'clientCert')
      if (!DEMANDS.includes(verdict.demand)) {
        throw new TypeError(`'${String(verdict.demand)}' is no demand for a client certificate`)
      }
      conn.rule = rule.name
      conn.clientCertDemand = verdict.demand
      return Outcome.NEXT
    case 'passthrough':
      checkHelloRule(conn, set, 'passthrough')
      conn.rule = rule.name
      conn.passes = true
      return Outcome.PASS
    case 'more':
      if (set.phase !== Phase.CONTENT) throw new TypeError('more() is for content rules only')
      return final ? Outcome.NEXT : Outcome.MORE
    default:
      throw new TypeError(`'${String((verdict as { kind: unknown }).kind)}' is no verdict`)
  }
}

/** The rules on established TLS have the same phase, and come too late. */
function checkHelloRule(conn: RuleConnection, set: Ruleset<RuleConnection>, what: string): void {
  if (set.phase !== Phase.TLS || conn.tls !== undefined) {
    throw new TypeError(`${what}() is for ClientHello rules only`)
  }
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
