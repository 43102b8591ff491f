/**
 * Verdicts that stand in a list of rules as they are. What a rule would be told
 * on every connection is told here, before there is one.
 */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { type RuleList, ruleLists } from '../options/rules.js'
import { table as tableOptions } from '../options/table.js'
import { counter, type Field, kinds, text, uncalled } from '../options/verdicts.js'
import type { Verdict } from '../policy/types.js'
import { keyCodec, type TableKey } from '../tables/key.js'
import type { Context } from './context.js'
import type { Issues, Path } from './issues.js'

/** A rule that is a constructor of verdicts instead of what it makes. True where it was told. */
export function checkCalled(path: Path, run: unknown, issues: Issues): boolean {
  const call = uncalled(run)
  if (call === undefined) return false
  const name = call.slice(0, call.indexOf('('))
  issues.add(path, `expected a rule, got the function ${name} itself, which makes one.`, call)
  return true
}

/** Precondition: the shape check has passed `verdict`, so that its kind is one of `verdictKinds`. */
export function checkVerdict(
  path: Path,
  verdict: { readonly kind: Verdict['kind'] },
  list: RuleList,
  context: Context,
): void {
  const { issues } = context
  const { call, only, fields }: { call: string; only?: RuleList; fields: Record<string, Field> } =
    kinds[verdict.kind]
  if (only !== undefined && only !== list) {
    issues.add(
      path,
      `${call} is for ${ruleLists[only].title} only, and these are ${ruleLists[list].title}.`,
    )
  }
  const values = verdict as Readonly<Record<string, unknown>>
  for (const key of Object.keys(values)) {
    if (key === 'kind' || Object.hasOwn(fields, key)) continue
    issues.add([...path, key], 'is unknown.', suggest(key, Object.keys(fields)))
  }
  for (const [key, { expected, fits }] of Object.entries(fields)) {
    const value = values[key]
    // 'how' is the one field that has a default: a plain { kind: 'reject' } closes.
    if (fits(value) || (key === 'how' && value === undefined)) continue
    const got = value === undefined ? 'nothing' : show(value)
    issues.add([...path, key], `expected ${expected}, as ${call} makes it, got ${got}.`)
  }
  checkTarget(path, verdict as Verdict, context)
}

/** Names of other sections. */
function checkTarget(path: Path, verdict: Verdict, context: Context): void {
  const { issues, names } = context
  if (verdict.kind === 'backend' && text.fits(verdict.backend)) {
    const known = names.backends
    if (known && !known.includes(verdict.backend))
      issues.unknownName(path, 'backend', verdict.backend, known)
  }
  if (verdict.kind !== 'track' || !text.fits(verdict.table)) return
  checkTable(path, verdict.table, context)
  checkKey(path, verdict.key, verdict.table, context)
}

/** The table that a rule tracks in. */
export function checkTable(path: Path, table: string, { issues, names }: Context): void {
  if (names.tables && !names.tables.includes(table)) {
    issues.unknownName(path, 'table', table, names.tables)
  }
}

/** The counter of a function made by `track`. */
export function checkCounter(path: Path, name: string, issues: Issues): void {
  if (!counter.fits(name)) issues.add(path, `expected ${counter.expected}, got ${show(name)}.`)
}

/** A constant key that does not fit its table would be tracked nowhere, without a word. */
function checkKey(path: Path, key: unknown, name: string, { issues, config }: Context): void {
  const { tables } = config
  const table = tables && Object.hasOwn(tables, name) ? tables[name] : undefined
  if (!table?.key || !isTableKey(key)) return
  const codec = keyCodec(table.key, table.keyLength ?? tableOptions.options.keyLength.default)
  if (codec.encode(key, new Uint32Array(codec.width)) > 0) return
  issues.add(
    [...path, 'key'],
    `expected a key for the table '${name}', whose keys are of type '${table.key}', got ${show(key)}.`,
  )
}

function isTableKey(key: unknown): key is TableKey {
  return typeof key === 'string' || typeof key === 'number' || key instanceof Uint8Array
}
