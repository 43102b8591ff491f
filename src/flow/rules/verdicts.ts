/** What verdicts do to the scope that a rule ran on. */

import type { Backend } from '../../backend/backend.js'
import { parseDuration, show } from '../../base/units.js'
import { bytesOf, plain } from '../../policy/fields.js'
import { type VerdictKind, type VerdictOf, verdictKinds } from '../../policy/rule.js'
import { type RuleList, ruleLists } from '../../policy/rule-lists.js'
import { trackedBy } from '../../policy/tracked.js'
import { fits, type Kind, wrongIn } from '../../policy/verdict.js'
import type { StickTable } from '../../tables/stick-table.js'
import { packReason } from '../../wire/reason.js'
import { By, CloseMode, Code } from '../../wire/wire.js'
import type { Inspection } from '../stage/inspection.js'
import type { DownstreamTls } from '../tls/downstream.js'
import { Outcome, type Scope } from './scope.js'

/** What verdicts refer to by name. */
export interface RuleTargets {
  readonly tables: ReadonlyMap<string, StickTable>
  readonly backends: ReadonlyMap<string, Backend>
}

/** A connection, for verdicts of those stages that only connections have. */
interface ConnectionScope extends Scope<unknown> {
  expectsProxy: boolean
  makeSecure(): DownstreamTls
  inspect(): Inspection
  send(bytes: Uint8Array): void
  startTls(): void
}

type Effect<K extends VerdictKind, S> = (
  scope: S,
  verdict: VerdictOf<K>,
  rule: string,
  targets: RuleTargets,
) => number

/** What each kind does: an `Outcome`. The fields and the stage have been checked. */
const effects: { readonly [K in VerdictKind]: Effect<K, Scope<unknown>> } = {
  accept(scope, _, rule) {
    scope.rule = rule
    return Outcome.PASS
  },
  reject(scope, { reset }, rule) {
    scope.rule = rule
    const mode = reset ? CloseMode.RESET : CloseMode.CLOSE
    scope.close(packReason(By.POLICY, scope.phase, Code.REJECTED), mode)
    return Outcome.HELD
  },
  tarpit(scope, { duration }, rule) {
    scope.rule = rule
    const hold = parseDuration(duration)
    scope.close(packReason(By.POLICY, scope.phase, Code.TARPIT), CloseMode.TARPIT, hold)
    return Outcome.HELD
  },
  reply(scope, { content }, rule) {
    scope.rule = rule
    scope.reply(bytesOf(content), packReason(By.POLICY, scope.phase, Code.REPLIED))
    return Outcome.HELD
  },
  track(scope, { counter, key: written, by, table: name }, _, targets) {
    const key = by === undefined ? plain(written) : trackedBy[by].key(scope.conn)
    if (key === undefined) return Outcome.NEXT
    scope.track(counter, named('table', targets.tables, name), key)
    return Outcome.NEXT
  },
  setVar(scope, { name, value }) {
    scope.vars[name] = plain(value)
    return Outcome.NEXT
  },
  useBackend(scope, { backend }, rule, targets) {
    scope.backend = named('backend', targets.backends, backend)
    if (scope.wanted !== undefined) scope.want(undefined, false)
    scope.rule = rule
    return Outcome.NEXT
  },
  useServer(scope, { backend: name, server, strict }, rule, targets) {
    const backend = named('backend', targets.backends, name)
    const wanted = backend.byName.get(server)
    if (wanted === undefined) throw new TypeError(`there is no server '${name}/${server}'`)
    scope.want(wanted, strict === true)
    scope.backend = backend
    scope.rule = rule
    return Outcome.NEXT
  },
  priority(scope, { value }) {
    scope.priority = value
    return Outcome.NEXT
  },
  // Whether there will be more is seen by who shows the bytes.
  more: () => Outcome.MORE,
  consume: ofConnection((conn, { bytes }) => {
    conn.inspect().consume(bytes)
    return Outcome.NEXT
  }),
  send: ofConnection((conn, { content, consume = 0 }) => {
    conn.inspect().consume(consume)
    conn.send(bytesOf(content))
    return Outcome.NEXT
  }),
  prepend: ofConnection((conn, { content }) => {
    conn.inspect().insert(bytesOf(content))
    return Outcome.NEXT
  }),
  startTls: ofConnection((conn, _, rule) => {
    conn.rule = rule
    conn.startTls()
    return Outcome.HELD
  }),
  expectProxy: ofConnection((conn) => {
    conn.expectsProxy = true
    return Outcome.NEXT
  }),
  useCertificate: ofConnection((conn, { name }, rule) => {
    conn.makeSecure().certificateName = name.toLowerCase()
    conn.rule = rule
    return Outcome.NEXT
  }),
  clientCert: ofConnection((conn, { demand }, rule) => {
    conn.makeSecure().clientCertDemand = demand
    conn.rule = rule
    return Outcome.NEXT
  }),
  passthrough: ofConnection((conn, _, rule) => {
    conn.makeSecure().passes = true
    conn.rule = rule
    return Outcome.PASS
  }),
}

/** Of a verdict whose stage only connections have: what it ran on is one. */
function ofConnection<K extends VerdictKind>(
  effect: Effect<K, ConnectionScope>,
): Effect<K, Scope<unknown>> {
  return effect as Effect<K, Scope<unknown>>
}

function named<T>(what: string, all: ReadonlyMap<string, T>, name: string): T {
  const found = all.get(name)
  if (found === undefined) throw new TypeError(`there is no ${what} '${name}'`)
  return found
}

interface Row {
  readonly kind: Kind
  readonly effect: Effect<VerdictKind, Scope<unknown>>
  /** The last that was right and cannot have changed: rules answer `accept()` again and again. */
  right: object | undefined
}

const rows: ReadonlyMap<unknown, Row> = new Map(
  Object.entries(effects).map(([name, effect]) => {
    return [name, { kind: verdictKinds.get(name), effect, right: undefined } as Row]
  }),
)

/** Who answered. */
interface Author {
  readonly name: string
  readonly checked: boolean
}

/** Applies what a rule answered: a verdict, or several. Throws where one makes no sense. */
export function applyAnswer(
  scope: Scope<unknown>,
  stage: RuleList,
  rule: Author,
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
  stage: RuleList,
  rule: Author,
  answer: unknown,
  targets: RuleTargets,
): number {
  if (typeof answer !== 'object' || answer === null) {
    throw new TypeError(
      `${show(answer)} is no verdict: a rule answers with verdicts such as accept(), or nothing`,
    )
  }
  const verdict = answer as VerdictOf<VerdictKind>
  const row = rows.get(verdict.kind)
  if (row === undefined) throw new TypeError(`a kind of ${show(verdict.kind)} is no verdict`)
  if (!rule.checked) check(row, verdict, stage)
  return row.effect(scope, verdict, rule.name, targets)
}

function check(row: Row, verdict: object, stage: RuleList): void {
  const { kind } = row
  const { only } = kind
  if (only !== undefined && only !== stage) {
    throw new TypeError(`${kind.call} is for ${ruleLists[only].title} only`)
  }
  if (verdict === row.right) return
  if (fits(kind, verdict)) {
    if (kind.isShared && Object.isFrozen(verdict)) row.right = verdict
    return
  }
  const wrong = wrongIn(kind, verdict)
  const told = wrong.map(({ path, message, suggestion }) => {
    const hint = suggestion === undefined ? '' : ` Did you mean '${suggestion}'?`
    return `${[kind.kind, ...path].join(' ')}: ${message}${hint}`
  })
  throw new TypeError(told.join(' '))
}
