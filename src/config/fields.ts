/**
 * Building blocks of the schema: fields that carry their documentation, and
 * leaves whose messages say what was expected and what was found.
 */

import { z } from 'zod'
import { suggest } from '../base/suggest.js'
import {
  formatDuration,
  formatSize,
  type Parsed,
  readDuration,
  readSize,
  show,
} from '../base/units.js'

/** What a missing field is told. */
export const REQUIRED = 'is required.'

/** What the reference documentation knows about a field. */
export interface FieldMeta {
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

type JsType = 'string' | 'number' | 'boolean' | 'function' | 'object'

/**
 * An object without unknown keys. The type parameter ties the shape to the
 * public type: a key that one has and the other has not does not compile.
 */
export function object<T>(shape: { [K in keyof Required<T>]: z.ZodType }): z.ZodObject {
  return z.strictObject(shape as Record<string, z.ZodType>)
}

/** An optional field. `standard`: its default as text. */
export function optional(
  schema: z.ZodType,
  description: string,
  standard?: string | number | boolean,
  example?: string,
): z.ZodType {
  return schema.optional().meta({
    description,
    ...(standard === undefined ? {} : { default: String(standard) }),
    ...(example === undefined ? {} : { example }),
  })
}

export function required(schema: z.ZodType, description: string, example?: string): z.ZodType {
  // Piped through a fresh instance, so that two fields of one type keep two descriptions.
  return schema.meta({
    ...schema.meta(),
    description,
    ...(example === undefined ? {} : { example }),
  })
}

/** Nothing where the value is right. `mismatch`: something else was meant altogether. */
export type LeafResult = Parsed<unknown> | { message: string; mismatch: true } | undefined

/** A leaf: `read` is called for values of the given types only. */
export function leaf(
  accepts: readonly JsType[],
  meta: { type: string; expected: string },
  read: (value: never) => LeafResult,
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

export function text(expected = 'a string', pattern?: RegExp): z.ZodType {
  return leaf(['string'], { type: 'string', expected }, (value: string) =>
    value === '' || (pattern && !pattern.test(value))
      ? { message: `expected ${expected}, got ${show(value)}.` }
      : undefined,
  )
}

export const flag: z.ZodType = leaf(
  ['boolean'],
  { type: 'boolean', expected: 'true or false' },
  () => undefined,
)

export function integer(least: number, most: number): z.ZodType {
  const expected = `a whole number from ${least} to ${most}`
  return leaf(['number'], { type: 'number', expected }, (value: number) =>
    Number.isInteger(value) && value >= least && value <= most
      ? undefined
      : { message: `expected ${expected}, got ${show(value)}.` },
  )
}

/** One of some values; a misspelt one gets a suggestion. */
export function oneOf(...values: (string | number)[]): z.ZodType {
  const type = values.map((value) => (typeof value === 'string' ? `'${value}'` : value)).join(' | ')
  const expected = anyOf(values.map(show))
  const types = [...new Set(values.map((value) => typeof value as JsType))]
  return leaf(types, { type, expected }, (value: string | number) => {
    if (values.includes(value)) return undefined
    const near = suggest(String(value), values.map(String))
    return {
      message: `expected ${expected}, got ${show(value)}.`,
      ...(near === undefined ? {} : { suggestion: near }),
    }
  })
}

/** A duration from `least` to `most` ms. */
export function duration(least = 0, most = Number.POSITIVE_INFINITY): z.ZodType {
  // A number is a duration that lacks its unit: the reader's message says so.
  return leaf(
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
  )
}

/** A size from `least` to `most` bytes. */
export function size(least: number, most: number): z.ZodType {
  return leaf(
    ['string', 'number'],
    { type: 'Size', expected: "a size such as '64kB'" },
    (value: unknown) => {
      const parsed = readSize(value)
      if (!('value' in parsed) || (parsed.value >= least && parsed.value <= most)) return parsed
      return {
        message: `expected '${formatSize(least)}' to '${formatSize(most)}', got ${show(value)}.`,
      }
    },
  )
}

export function fn(signature: string): z.ZodType {
  return leaf(['function'], { type: signature, expected: 'a function' }, () => undefined)
}

/** One of several shapes. `expected` names them for the message where none fits. */
export function either(expected: string, ...schemas: [z.ZodType, ...z.ZodType[]]): z.ZodType {
  return z.union(schemas).meta({ expected })
}

export function list(item: z.ZodType): z.ZodType {
  return z.array(item)
}

/** A section of things by name. */
export function named(item: z.ZodType): z.ZodType {
  return z.record(z.string(), item)
}

/** 'a, b or c'. */
export function anyOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
