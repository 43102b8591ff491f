/**
 * What a verdict is made of: its fields with their checks, the constructor that writes it, and the
 * stage that it is for. Each is declared once, in verdicts.ts.
 */

import { suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import type { NamesStage } from './names.js'
import type { RuleList } from './rule-lists.js'

/** What is wrong with a value. */
export interface Wrong {
  /** Fields from the verdict on. */
  readonly path: readonly string[]
  readonly message: string
  readonly suggestion?: string | undefined
}

/** A field whose value is `T`. */
export interface Field<T = unknown> {
  readonly expected: string
  /** For the compiler alone: `T`. */
  readonly value?: readonly [T]
  /** It may be missing. */
  readonly optional?: boolean
  fits(value: unknown): boolean
  /** More of what is wrong than `expected` says, of a value that does not fit. */
  tell?(value: unknown): Partial<Wrong> | undefined
}

type Fields = Readonly<Record<string, Field>>
type ValueOf<F> = F extends { readonly value?: readonly [infer T] } ? T : never
type OptionalIn<F> = { [N in keyof F]: F[N] extends { optional: true } ? N : never }[keyof F]
/** As an editor shows it best. */
type Plain<T> = T extends infer U ? { [N in keyof U]: U[N] } : never

/** A verdict of kind `K` with fields `F`. */
export type Shape<K, F> = Plain<
  { readonly kind: K } & { readonly [N in Exclude<keyof F, OptionalIn<F>>]: ValueOf<F[N]> } & {
    readonly [N in OptionalIn<F>]?: ValueOf<F[N]>
  }
>

/** A verdict as its constructor gives it: the compiler knows the stage that it is for. */
export type Answer<K, F, O extends string> = [O] extends [never]
  ? Shape<K, F>
  : Shape<K, F> & NamesStage<O>

/** A kind of verdict. */
export interface Kind {
  /** The name of its constructor. */
  readonly kind: string
  /** As its constructor is called, for messages. */
  readonly call: string
  /** The only stage that it is for. */
  readonly only?: RuleList
  /** No rule of its list runs behind it; 'connection': and nothing is served. */
  readonly ends?: 'list' | 'connection'
  readonly fields: Readonly<Record<string, Field>>
  /** Fields of which exactly one is there. */
  readonly either?: readonly [string, string]
  /** The fields once more, in order, and 'kind' before them. */
  readonly names: readonly string[]
  readonly list: readonly (Field | undefined)[]
  /** It may be without fields: its constructor gives the same object each time. */
  readonly isShared: boolean
}

const kinds = new WeakMap<object, Kind>()

/** Functions, as rules, whose answers need no check: their fields are right. */
export const answersRight = new WeakSet<object>()

/** Declares a kind of verdict. Gives its constructor, `make`. */
export function declare<
  const K extends string,
  F extends Fields,
  A extends unknown[],
  O extends RuleList = never,
>(
  kind: Pick<Kind, 'call' | 'ends' | 'either'> & {
    kind: K
    only?: O
    fields: F
    make: (...args: A) => Shape<NoInfer<K>, NoInfer<F>>
  },
): (...args: A) => Answer<K, F, O> {
  const { make, ...rest } = kind
  // Standing in a list of rules uncalled, it is a rule with this name.
  Object.defineProperty(make, 'name', { value: kind.kind })
  const { fields } = rest
  const all: Field[] = Object.values(fields)
  kinds.set(make, {
    ...rest,
    names: ['kind', ...Object.keys(fields)],
    list: [undefined, ...all],
    isShared: all.every(({ optional }) => optional),
  })
  return make as (...args: A) => Answer<K, F, O>
}

/** What `maker` makes; undefined where it is no constructor of verdicts. */
export function madeBy(maker: object): Kind | undefined {
  return kinds.get(maker)
}

/**
 * Whether its fields are right. Runs for each verdict that a rule answers: nothing is looked up by
 * name where the fields stand in the order of their declaration, as constructors write them.
 */
export function fits(kind: Kind, verdict: object): boolean {
  const { names, list, either } = kind
  const values = verdict as Readonly<Record<string, unknown>>
  let at = 0
  let there = 0
  for (const name in values) {
    while (names[at] !== name) {
      if (at === names.length || list[at]?.optional !== true) return isRight(kind, verdict)
      at++
    }
    if (list[at]?.fits(values[name]) === false) return isRight(kind, verdict)
    at++
    there++
  }
  while (at < names.length && list[at]?.optional) at++
  if (at === names.length && (either === undefined || there === names.length - 1)) return true
  return isRight(kind, verdict)
}

function isRight(kind: Kind, verdict: object): boolean {
  return wrongIn(kind, verdict).length === 0
}

/** What is wrong with its fields. */
export function wrongIn({ call, fields, either }: Kind, verdict: object): Wrong[] {
  const values = verdict as Readonly<Record<string, unknown>>
  const known = Object.keys(fields)
  const wrong: Wrong[] = []
  for (const name of Object.keys(values)) {
    if (name === 'kind' || known.includes(name)) continue
    const suggestion = suggest(name, known)
    const has = known.length === 0 ? 'nothing' : known.map(show).join(', ')
    const message = suggestion ? 'is unknown.' : `is unknown: what ${call} makes has ${has}.`
    wrong.push({ path: [name], message, suggestion })
  }
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name]
    if (value === undefined && (field.optional || (name in values && field.fits(value)))) continue
    if (value !== undefined && field.fits(value)) continue
    const got = value === undefined ? 'nothing' : show(value)
    const message = `expected ${field.expected}, as ${call} makes it, got ${got}.`
    const { path = [], ...told } = field.tell?.(value) ?? {}
    wrong.push({ message, ...told, path: [name, ...path] })
  }
  if (either !== undefined && !isOne(either, values)) {
    const said = `expected one of ${either.map(show).join(' and ')}, as ${call} makes it`
    const got = either.some((name) => name in values) ? 'both' : 'none'
    wrong.push({ path: [], message: `${said}, got ${got}.` })
  }
  return wrong
}

function isOne([a, b]: readonly [string, string], values: object): boolean {
  return a in values !== b in values
}
