/**
 * Types of values in a configuration: how each is checked, what it is in
 * TypeScript, and what becomes of it. Messages say what was expected and what
 * was found.
 */

import { z } from 'zod'
import { suggest } from '../base/suggest.js'
import {
  type Duration,
  formatDuration,
  formatSize,
  type Parsed,
  parseDuration,
  parseSize,
  readDuration,
  readSize,
  type Size,
  show,
} from '../base/units.js'

/** What a missing option is told. */
export const REQUIRED = 'is required.'

/** What the reference knows of a type or an option. */
export interface Meta {
  description?: string
  /** Default as text. */
  default?: string
  /** Example value as it is written in TypeScript. */
  example?: string
  /** Type as text; where it is missing the schema tells. */
  type?: string
  /** Used in 'expected ..., got ...'. */
  expected?: string
}

/** What a leaf puts into an issue for the one who flattens it. */
export interface LeafParams {
  suggestion?: string | undefined
  /** The value is of another type altogether, so that another branch of a union may be meant. */
  mismatch: boolean
}

/** Values written as `W`, which become `R`. */
export interface Type<W = unknown, R = W> {
  /** Checks a value as it is written. */
  readonly schema: z.ZodType
  /** Its name in the public API, where it has one there. */
  readonly name?: string
  /** What the API says of the name. */
  readonly doc?: string
  /** The written type in TypeScript. `indent`: that of the line in which it begins. */
  code(indent: string): string
  /** Types that it consists of. */
  readonly parts: readonly Type[]
  /** It refers to names of the configuration, `N` in its code. */
  readonly names?: true
  /** Type parameters of its declaration beside `N`, each with a default. */
  readonly parameters?: readonly string[]
  /** For the compiler alone. */
  readonly written?: W
  /** Precondition: the check has passed `value`, less what was wrong in it. */
  resolve(value: NoInfer<W>): R
}

export type WrittenAs<T> = T extends { readonly written?: infer W } ? NonNullable<W> : never

type JsType = 'string' | 'number' | 'boolean' | 'function' | 'object'

/** Nothing where the value is right. `mismatch`: something else was meant altogether. */
export type LeafResult = Parsed<unknown> | { message: string; mismatch: true } | undefined

/**
 * A leaf: `read` is called for values of the given types only. `type` stands in the reference;
 * `code` in TypeScript, where that is something else.
 */
export function leaf<W, R = W>(
  accepts: readonly JsType[],
  meta: { type: string; expected: string; code?: string },
  read: (value: never) => LeafResult,
  resolve: (value: W) => R = (value) => value as unknown as R,
): Type<W, R> {
  const { type, expected, code = type } = meta
  return { schema: check(accepts, read, { type, expected }), code: () => code, parts: [], resolve }
}

function check(
  accepts: readonly JsType[],
  read: (value: never) => LeafResult,
  meta: { type: string; expected: string },
): z.ZodType {
  return z
    .unknown()
    .superRefine((value, ctx) => {
      const otherType = value === null || !accepts.includes(typeof value as JsType)
      const result: LeafResult = otherType
        ? {
            message:
              value === undefined ? REQUIRED : `expected ${meta.expected}, got ${show(value)}.`,
          }
        : read(value as never)
      if (!result || 'value' in result) return
      const params: LeafParams = {
        suggestion: 'suggestion' in result ? result.suggestion : undefined,
        mismatch: otherType || 'mismatch' in result,
      }
      // Ends the check of this value: a union takes a branch that may continue for the one that fits.
      ctx.addIssue({
        code: 'custom',
        message: result.message,
        params: { ...params },
        continue: false,
      })
    })
    .meta(meta)
}

/** A type with a name of its own in the public API. */
export function alias<W, R>(name: string, type: Type<W, R>, doc?: string): Type<W, R> {
  return { ...type, name, ...(doc === undefined ? {} : { doc }) }
}

/** The same values, which become something else. */
export function becomes<W, R>(type: Type<W, unknown>, resolve: (value: W) => R): Type<W, R> {
  return { ...type, resolve }
}

export function text(expected = 'a string', pattern?: RegExp): Type<string> {
  return leaf(['string'], { type: 'string', expected }, (value: string) =>
    value === '' || (pattern && !pattern.test(value))
      ? { message: `expected ${expected}, got ${show(value)}.` }
      : undefined,
  )
}

export const flag: Type<boolean> = leaf(
  ['boolean'],
  { type: 'boolean', expected: 'true or false' },
  () => undefined,
)

export function integer(least: number, most: number): Type<number> {
  const expected = `a whole number from ${least} to ${most}`
  return leaf(['number'], { type: 'number', expected }, (value: number) =>
    Number.isInteger(value) && value >= least && value <= most
      ? undefined
      : { message: `expected ${expected}, got ${show(value)}.` },
  )
}

/** One of some values; a misspelt one gets a suggestion. */
export function oneOf<const V extends string | number>(...values: V[]): Type<V> {
  const type = values.map((value) => (typeof value === 'string' ? `'${value}'` : value)).join(' | ')
  const expected = anyOf(values.map(show))
  const types = [...new Set(values.map((value) => typeof value as JsType))]
  return leaf(types, { type, expected }, (value: V) => {
    if (values.includes(value)) return undefined
    const near = suggest(String(value), values.map(String))
    return {
      message: `expected ${expected}, got ${show(value)}.`,
      ...(near === undefined ? {} : { suggestion: near }),
    }
  })
}

/** A duration from `least` to `most` ms; becomes ms. */
export function duration(least = 0, most = Number.POSITIVE_INFINITY): Type<Duration, number> {
  // A number is a duration that lacks its unit: the reader's message says so.
  return leaf<Duration, number>(
    ['string', 'number'],
    { type: 'Duration', expected: "a duration such as '30s'" },
    (value: unknown) => {
      const parsed = readDuration(value)
      if (!('value' in parsed)) return parsed
      if (parsed.value > most) {
        return { message: `expected at most '${formatDuration(most)}', got ${show(value)}.` }
      }
      if (parsed.value >= least) return parsed
      return { message: `expected at least '${formatDuration(least)}', got ${show(value)}.` }
    },
    parseDuration,
  )
}

/** A size from `least` to `most` bytes; becomes bytes. */
export function size(least: number, most: number): Type<Size, number> {
  return leaf<Size, number>(
    ['string', 'number'],
    { type: 'Size', expected: "a size such as '64kB'" },
    (value: unknown) => {
      const parsed = readSize(value)
      if (!('value' in parsed) || (parsed.value >= least && parsed.value <= most)) return parsed
      return {
        message: `expected '${formatSize(least)}' to '${formatSize(most)}', got ${show(value)}.`,
      }
    },
    parseSize,
  )
}

/** A function. `code`: its type in TypeScript, where `signature` is a shorter one for the reference. */
export function fn<F>(signature: string, code = signature): Type<F> {
  return leaf(['function'], { type: signature, code, expected: 'a function' }, () => undefined)
}

/** One of several shapes. `expected` names them for the message where none fits. */
export function either<T extends Type[]>(
  expected: string,
  ...types: T
): Type<WrittenAs<T[number]>> {
  const schemas = types.map(({ schema }) => schema)
  return {
    schema: z.union(schemas as [z.ZodType]).meta({ expected }),
    code: (indent) => [...new Set(types.map((type) => memberCode(type, indent)))].join(' | '),
    parts: types as readonly Type[],
    resolve: (value) => value,
  }
}

export function list<W, R>(item: Type<W, R>): Type<W[], R[]> {
  return {
    schema: z.array(item.schema),
    code: (indent) => {
      const code = memberCode(item, indent)
      return /^[^{(]* \| /.test(code) ? `(${code})[]` : `${code}[]`
    },
    parts: [item],
    // What was wrong in it is undefined now.
    resolve: (values) => values.filter((value) => value !== undefined).map(item.resolve),
  }
}

/** The name of a backend or a table of the configuration. */
export function nameOf(which: 'backend' | 'table'): Type<string> {
  return { ...text(`the name of a ${which}`), code: () => `N['${which}']`, names: true }
}

/** Things by name. */
export function named<W, R>(item: Type<W, R>): Type<Record<string, W>> {
  return {
    schema: z.record(z.string(), item.schema),
    code: (indent) => `Record<string, ${nameOrCode(item, indent)}>`,
    parts: [item],
    resolve: (value) => value,
  }
}

/** Things by name, and the compiler keeps the names: `code` is their type. */
export function keyed<W, R>(
  item: Type<W, R>,
  code: (item: string) => string,
): Type<Record<string, W>> {
  return { ...named(item), code: (indent) => code(nameOrCode(item, indent)) }
}

/** As it stands where it is used. */
export function nameOrCode(type: Type, indent: string): string {
  if (type.name === undefined) return type.code(indent)
  return usesNames(type) ? `${type.name}<N>` : type.name
}

export function usesNames(type: Type): boolean {
  return type.names ?? type.parts.some(usesNames)
}

/** As it stands in a union or before '[]'. */
function memberCode(type: Type, indent: string): string {
  const code = nameOrCode(type, indent)
  return code.includes('=>') && !code.startsWith('{') ? `(${code})` : code
}

/** 'a, b or c'. */
export function anyOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
