/**
 * Verdicts that stand in a list of rules as they are. What a rule would be told
 * on every connection is told here, before there is one.
 */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { MOST_REPLY } from '../engine/reply.js'
import { table as tableOptions } from '../options/table.js'
import type { Verdict } from '../policy/types.js'
import {
  clientCert,
  priority,
  reply,
  setVar,
  tarpit,
  track,
  useBackend,
  useCertificate,
} from '../policy/verdicts.js'
import { keyCodec, type TableKey } from '../tables/key.js'
import type { Context } from './context.js'
import { anyOf } from './fields.js'
import type { Issues, Path } from './issues.js'

/** A list of rules by its key in the configuration. */
export type RuleList = 'connection' | 'session' | 'content' | 'clientHello' | 'established'

interface Field {
  readonly expected: string
  fits(value: unknown): boolean
}

interface Kind<K extends Verdict['kind']> {
  /** As its constructor is written. */
  readonly call: string
  /** The only list that it is for. */
  readonly only?: RuleList
  readonly fields: Record<Exclude<keyof Extract<Verdict, { kind: K }>, 'kind'>, Field>
}

const text: Field = {
  expected: 'a string',
  fits: (value) => typeof value === 'string' && value !== '',
}

function oneOf(...words: readonly string[]): Field {
  return {
    expected: anyOf(words.map(show)),
    fits: (value) => typeof value === 'string' && words.includes(value),
  }
}

const counter = oneOf('sc0', 'sc1', 'sc2')
const scalars = ['string', 'number', 'boolean', 'bigint', 'undefined']

const kinds: { readonly [K in Verdict['kind']]: Kind<K> } = {
  accept: { call: 'accept()', fields: {} },
  reject: {
    call: 'reject()',
    fields: { how: oneOf('close', 'reset') },
  },
  tarpit: {
    call: "tarpit('5s')",
    fields: {
      ms: {
        expected: `milliseconds from 0 to ${2 ** 31 - 1}`,
        fits: (value) => typeof value === 'number' && value >= 0 && value < 2 ** 31,
      },
    },
  },
  reply: {
    call: "reply('text')",
    fields: {
      bytes: {
        expected: `bytes (a Uint8Array of at most ${MOST_REPLY})`,
        fits: (value) => value instanceof Uint8Array && value.length <= MOST_REPLY,
      },
    },
  },
  track: {
    call: "track('sc0', key, 'table')",
    fields: {
      counter,
      key: {
        expected: 'a string, a number or a Uint8Array',
        fits: (value) =>
          ['string', 'number', 'undefined'].includes(typeof value) || value instanceof Uint8Array,
      },
      table: text,
    },
  },
  setVar: {
    call: "setVar('name', value)",
    fields: {
      name: text,
      value: {
        expected: 'a string, a number, true, false, a bigint or a Uint8Array',
        fits: (value) => scalars.includes(typeof value) || value instanceof Uint8Array,
      },
    },
  },
  backend: { call: "useBackend('name')", fields: { backend: text } },
  expectProxy: { call: 'expectProxy()', only: 'connection', fields: {} },
  priority: {
    call: 'priority(number)',
    fields: { value: { expected: 'a finite number', fits: Number.isFinite } },
  },
  certificate: {
    call: "useCertificate('name')",
    only: 'clientHello',
    fields: { name: text },
  },
  clientCert: {
    call: "clientCert('required')",
    only: 'clientHello',
    fields: { demand: oneOf('none', 'optional', 'required') },
  },
  passthrough: { call: 'passthrough()', only: 'clientHello', fields: {} },
  more: { call: 'more()', only: 'content', fields: {} },
}

export const verdictKinds: readonly string[] = Object.keys(kinds)

const listNames: Record<RuleList, string> = {
  connection: 'connection rules',
  session: 'session rules',
  content: 'content rules',
  clientHello: 'ClientHello rules',
  established: 'rules on established TLS',
}

/**
 * Constructors that need an argument: without their call they are a rule that fails, or answers
 * nonsense. Those without one answer the same as when they are called.
 */
const uncalled = new Map<unknown, Verdict['kind']>([
  [tarpit, 'tarpit'],
  [reply, 'reply'],
  [track, 'track'],
  [setVar, 'setVar'],
  [useBackend, 'backend'],
  [priority, 'priority'],
  [useCertificate, 'certificate'],
  [clientCert, 'clientCert'],
])

/** A rule that is a constructor of verdicts instead of what it makes. True where it was told. */
export function checkCalled(path: Path, run: unknown, issues: Issues): boolean {
  const kind = uncalled.get(run)
  if (kind === undefined) return false
  const { call } = kinds[kind]
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
    issues.add(path, `${call} is for ${listNames[only]} only, and these are ${listNames[list]}.`)
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
