/**
 * Verdicts that stand in a list of rules as they are. What a rule would be told
 * on every connection is told here, before there is one.
 */

import { show } from '../base/units.js'
import { table as tableOptions } from '../options/table.js'
import { anyOf } from '../options/type.js'
import { bytesOf } from '../policy/fields.js'
import type { Verdict, VerdictOf } from '../policy/rule.js'
import { verdictKinds } from '../policy/rule.js'
import { type RuleList, ruleLists } from '../policy/rule-lists.js'
import { type TrackedBy, trackedBy } from '../policy/tracked.js'
import { type Kind, madeBy, wrongIn } from '../policy/verdict.js'
import { keyCodec, type TableKey } from '../tables/key.js'
import type { Context } from './context.js'
import type { Issues, Path } from './issues.js'

/** A rule that is a constructor of verdicts instead of what it makes. True where it was told. */
export function checkCalled(path: Path, run: unknown, issues: Issues): boolean {
  const kind = typeof run === 'function' ? madeBy(run) : undefined
  // Without arguments it answers the same as when it is called.
  if (kind === undefined || kind.isShared) return false
  const message = `expected a rule, got the function ${kind.kind} itself, which makes one.`
  issues.add(path, message, kind.call)
  return true
}

/** Precondition: the shape check has passed `verdict`, so that its kind is one of `verdictKinds`. */
export function checkVerdict(path: Path, verdict: Verdict, list: RuleList, context: Context): void {
  const { issues } = context
  const kind = verdictKinds.get(verdict.kind) as Kind
  const { call, only } = kind
  if (only !== undefined && only !== list) {
    issues.add(
      path,
      `${call} is for ${ruleLists[only].title} only, and these are ${ruleLists[list].title}.`,
    )
  }
  const wrong = wrongIn(kind, verdict)
  for (const { path: at, message, suggestion } of wrong) {
    issues.add([...path, ...at], message, suggestion)
  }
  const isWrong = (name: string) => wrong.some(({ path: [first = name] }) => first === name)
  if ((verdict.kind === 'useBackend' || verdict.kind === 'useServer') && !isWrong('backend')) {
    checkName(path, 'backend', verdict.backend, context.names.backends, issues)
  }
  if (verdict.kind === 'useServer' && !isWrong('server')) {
    const servers = context.config.backends?.[verdict.backend]?.servers
    const known = servers && Object.keys(servers)
    checkName(path, 'server', verdict.server, known, issues)
  }
  if (verdict.kind === 'track' && !isWrong('table')) {
    checkTable(path, verdict.table, context)
    if (!isWrong('key') && !isWrong('by')) checkKey(path, verdict, context)
  }
}

function checkName(
  path: Path,
  what: string,
  name: string,
  known: readonly string[] | undefined,
  issues: Issues,
): void {
  if (known && !known.includes(name)) issues.unknownName(path, what, name, known)
}

/** The table that a rule tracks in. */
export function checkTable(path: Path, table: string, { issues, names }: Context): void {
  checkName(path, 'table', table, names.tables, issues)
}

/** The counter of a function made by `track`. */
export function checkCounter(path: Path, name: string, issues: Issues): void {
  const counter = verdictKinds.get('track')?.fields.counter
  if (counter && !counter.fits(name)) {
    issues.add(path, `expected ${counter.expected}, got ${show(name)}.`)
  }
}

/** A key that does not fit its table would be tracked nowhere, without a word. */
function checkKey(
  path: Path,
  { key, by, table: name }: VerdictOf<'track'>,
  { issues, config }: Context,
): void {
  const { tables } = config
  const table = tables && Object.hasOwn(tables, name) ? tables[name] : undefined
  if (!table?.key) return
  const codec = keyCodec(table.key, table.keyLength ?? tableOptions.options.keyLength.default)
  const room = new Uint32Array(codec.width)
  const fits = (key: TableKey) => codec.encode(key, room) > 0
  const keys = `the table ${show(name)}, whose keys are of type '${table.key}'`
  if (by !== undefined) {
    if (fits(trackedBy[by].sample)) return
    const fitting = Object.keys(trackedBy).filter((by) => fits(trackedBy[by as TrackedBy].sample))
    issues.add(
      [...path, 'by'],
      `expected what is a key for ${keys}: ${anyOf(fitting.map(show))}, got ${show(by)}.`,
    )
    return
  }
  const plain = typeof key === 'object' ? bytesOf(key) : key
  if (plain === undefined || fits(plain)) return
  issues.add([...path, 'key'], `expected a key for ${keys}, got ${show(key)}.`)
}
