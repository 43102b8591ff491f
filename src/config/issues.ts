/**
 * From zod's issues to ours: one for each thing that is wrong, with its path
 * and a suggestion.
 */

import { z } from 'zod'
import type { ConfigIssue } from '../base/errors.js'
import { editDistance, suggest } from '../base/suggest.js'
import { show } from '../base/units.js'
import { foreignWord } from '../options/foreign.js'
import { BROKEN_APPLET } from '../options/policy.js'
import { placesOf, unwrap } from '../options/tree.js'
import { anyOf, type LeafParams, type Meta, REQUIRED } from '../options/type.js'

export type Path = readonly (string | number)[]

/** Collects what is wrong, in order. */
export class Issues {
  readonly list: ConfigIssue[]
  readonly #base: Path

  constructor(list: ConfigIssue[] = [], base: Path = []) {
    this.list = list
    this.#base = base
  }

  /** The same list, for something whose paths begin at `base`. */
  below(base: Path): Issues {
    return new Issues(this.list, [...this.#base, ...base])
  }

  add(path: Path, message: string, suggestion?: string): void {
    const whole = formatPath([...this.#base, ...path])
    this.list.push({ path: whole, message, ...(suggestion ? { suggestion } : {}) })
  }

  has(path: Path): boolean {
    const whole = formatPath([...this.#base, ...path])
    return this.list.some((issue) => issue.path === whole)
  }

  /** Whether anything below `path` was told: what follows from it need not be. */
  hasBelow(path: Path): boolean {
    const whole = `${formatPath([...this.#base, ...path])}.`
    return this.list.some((issue) => issue.path.startsWith(whole))
  }

  /** A name that should be one of `names` and is not. */
  unknownName(path: Path, kind: string, name: string, names: readonly string[]): void {
    const near = suggest(name, names)
    const few = names.length > 0 && names.length <= 5
    const known = names.length === 0 ? 'none is defined' : `there is ${names.map(show).join(', ')}`
    const rest = near || !(few || names.length === 0) ? '' : ` (${known})`
    this.add(path, `there is no ${kind} named ${show(name)}${rest}.`, near)
  }
}

/** `frontends.web.bind[0].address`; keys that are no plain words stand in brackets. */
export function formatPath(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w-]+$/.test(key)) text += text === '' ? key : `.${key}`
    else text += `[${JSON.stringify(key)}]`
  }
  return text
}

/**
 * Checks `input` against the schema. Answers with the input less everything
 * that is wrong, so that references can still be checked: a wrong value is
 * undefined, an unknown key is gone.
 */
export function checkShape(schema: z.ZodType, input: unknown, issues: Issues): unknown {
  const result = schema.safeParse(input)
  if (result.success) return input
  let rest = input
  const all = flatten(result.error.issues, schema, input, [], homesIn(schema))
  const meant = new Set(
    all.flatMap(({ path, suggestion, unknownKey }) =>
      unknownKey && suggestion ? formatPath([...path.slice(0, -1), suggestion]) : [],
    ),
  )
  for (const found of all) {
    // A key that is missing because it is misspelt is told once.
    if (found.message === REQUIRED && meant.has(formatPath(found.path))) continue
    issues.add(found.path, found.message, found.suggestion)
    rest = without(rest, found.path, found.unknownKey)
  }
  return rest
}

interface Found {
  path: Path
  message: string
  suggestion?: string | undefined
  unknownKey: boolean
}

function flatten(
  zodIssues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
  input: unknown,
  base: Path,
  homes: Homes,
): Found[] {
  return zodIssues.flatMap((issue): Found[] => {
    const local = issue.path.filter((key) => typeof key !== 'symbol')
    const path = [...base, ...local]
    const value = valueAt(input, local)
    switch (issue.code) {
      case 'unrecognized_keys': {
        // A broken applet looks like a server with unknown keys.
        if ((value as { kind?: unknown }).kind === 'applet') {
          return [{ path, message: BROKEN_APPLET, unknownKey: false }]
        }
        const known = schemasAt(schema, local).flatMap(keysOf)
        return issue.keys.map((key) => ({ path: [...path, key], ...unknownKey(key, known, homes) }))
      }
      case 'invalid_union': {
        const branch = chooseBranch(issue.errors)
        const branchSchema = schemasAt(schema, local)
        if (branch) {
          return branchSchema.length === 0
            ? []
            : flatten(branch, z.union(branchSchema as [z.ZodType]), value, path, homes)
        }
        const expected =
          schemasAt(schema, local, false).map(expectedOf).find(Boolean) ?? 'something else'
        return [{ path, message: mismatch(expected, value, path), unknownKey: false }]
      }
      case 'invalid_type':
        return [
          {
            path,
            message: mismatch(typeExpected(issue.expected, schemasAt(schema, local)), value, path),
            unknownKey: false,
          },
        ]
      case 'custom': {
        const { suggestion } = (issue.params ?? {}) as Partial<LeafParams>
        return [{ path, message: issue.message, suggestion, unknownKey: false }]
      }
      default:
        return [{ path, message: `${issue.message}.`, unknownKey: false }]
    }
  })
}

/** Where a key belongs. */
type Homes = (key: string) => string[]

/** Sections that have a key, for one that stands somewhere else. */
function homesIn(schema: z.ZodType): Homes {
  return (key) =>
    placesOf(schema).flatMap(({ path, object }) =>
      key in object.shape ? [path === '' ? 'the top level' : show(path)] : [],
    )
}

/** Places that are told of a key which stands in none of them. */
const MOST_HOMES = 4

/** A misspelt key, one that belongs elsewhere, or a word of another proxy. */
function unknownKey(key: string, known: readonly string[], homesOf: Homes): Omit<Found, 'path'> {
  const suggestion = suggest(key, known)
  const word = foreignWord(key)
  const homes = homesOf(key)
  // 'timeout' is 'timeouts' misspelt, 'stick-table' is no 'stick', and 'tls' no 'tlsReload'.
  const misspelt =
    (word === undefined && homes.length === 0) || editDistance(key, suggestion ?? '') <= 1
  if (suggestion !== undefined && misspelt)
    return { message: 'is unknown.', suggestion, unknownKey: true }
  const foreign = word && /^(is|are) /.test(word) ? `${show(key)} ${word}` : word
  const fits = homes.length > 0 && homes.length <= MOST_HOMES
  // A word that both know was brought along: 'ssl' beside an address is not that of 'sendProxy'.
  const meant = foreign ?? (fits ? `it is for ${anyOf(homes)}` : undefined)
  const message = meant === undefined ? 'is unknown.' : `is unknown here: ${meant}.`
  return { message, unknownKey: true }
}

/** `expected`: as zod says it; schemas of others have leaves of zod's own. */
function typeExpected(expected: string, schemas: readonly z.ZodType[]): string {
  if (expected === 'object' || expected === 'record') return shapeOf(schemas)
  if (expected === 'array') return 'a list'
  return `${/^[aeiou]/.test(expected) ? 'an' : 'a'} ${expected}`
}

/** 'an object', with what must stand in it, or the first that may. */
function shapeOf([schema]: readonly z.ZodType[]): string {
  if (schema instanceof z.ZodRecord) return 'an object { NAME: ... }'
  if (!(schema instanceof z.ZodObject)) return 'an object'
  const keys = keysOf(schema)
  const must = keys.filter((key) => !mayBeMissing(schema.shape[key] as z.ZodType))
  const shown = must.length > 0 ? must : keys.slice(0, 3)
  return `an object { ${shown.join(', ')}${keys.length > shown.length ? ', ...' : ''} }`
}

function mayBeMissing(schema: z.ZodType): boolean {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault
}

function mismatch(expected: string, value: unknown, path: Path): string {
  return value === undefined && path.length > 0
    ? REQUIRED
    : `expected ${expected}, got ${show(value)}.`
}

/** The branch of a union that was meant: of the right type, with the fewest issues. */
function chooseBranch(branches: z.core.$ZodIssue[][]): z.core.$ZodIssue[] | undefined {
  const weight = (issues: z.core.$ZodIssue[]) =>
    issues.reduce(
      (sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1),
      0,
    )
  return branches
    .filter((issues) => !issues.some(isMismatch))
    .sort((a, b) => weight(a) - weight(b))[0]
}

function isMismatch(issue: z.core.$ZodIssue): boolean {
  if (issue.path.length > 0) return false
  if (issue.code === 'invalid_type') return true
  if (issue.code === 'invalid_union') return issue.errors.every((branch) => branch.some(isMismatch))
  return issue.code === 'custom' && (issue.params as LeafParams | undefined)?.mismatch === true
}

/** Every schema that may apply at a path; with `open`, unions stand for their branches. */
function schemasAt(schema: z.ZodType, path: Path, open = true): z.ZodType[] {
  let at = [schema]
  for (const key of path) {
    at = at.flatMap(openUnion).flatMap((one) => {
      if (one instanceof z.ZodObject) return (one.shape[key] as z.ZodType | undefined) ?? []
      if (one instanceof z.ZodRecord) return one.valueType as z.ZodType
      if (one instanceof z.ZodArray) return one.element as z.ZodType
      return []
    })
  }
  return open ? at.flatMap(openUnion) : at.map(unwrap)
}

function openUnion(schema: z.ZodType): z.ZodType[] {
  const inner = unwrap(schema)
  return inner instanceof z.ZodUnion ? (inner.options as z.ZodType[]).flatMap(openUnion) : [inner]
}

function expectedOf(schema: z.ZodType): string | undefined {
  return (schema.meta() as Meta | undefined)?.expected
}

function keysOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}

function valueAt(input: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null
        ? (value as Record<string, unknown>)[key]
        : undefined,
    input,
  )
}

/** A copy of `input` where the value at `path` is undefined, or the key is gone. Copies only along the path. */
function without(input: unknown, path: Path, remove: boolean): unknown {
  const [key, ...rest] = path
  if (key === undefined) return undefined
  if (typeof input !== 'object' || input === null) return input
  const copy = (Array.isArray(input) ? [...input] : { ...input }) as Record<string, unknown>
  if (rest.length > 0) copy[key] = without(copy[key], rest, remove)
  else if (remove) delete copy[key]
  else if (key in copy) copy[key] = undefined
  return copy
}
