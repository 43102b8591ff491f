/**
 * Sections and their options. An option is declared once: its type, what it is
 * for, its default. What users may write, what becomes of it, the check and
 * the reference follow from that.
 */

import { z } from 'zod'
import { nameOrCode, type Type, type WrittenAs } from './type.js'

/** Written as `W`, becomes `R`. */
export interface Option<W = unknown, R = unknown, Required extends boolean = boolean> {
  readonly type: Type<W, unknown>
  readonly doc: string
  readonly required: Required
  /** As it would be written. */
  readonly default?: W
  /** Default in words, or as it would be written. */
  readonly standard: string | undefined
  readonly schema: z.ZodType
  /** For TCP sockets only. */
  readonly tcpOnly: boolean
  /** The js engine has it not. */
  readonly nativeOnly: boolean
  /** Undefined: not written, or wrong, which was told. */
  resolve(value: W | undefined): R
}

export type Options = Readonly<Record<string, Option>>

/** What users write for `O`. */
export type Written<O extends Options> = Flat<
  {
    -readonly [K in keyof O as O[K]['required'] extends true ? K : never]: WrittenFor<O[K]>
  } & {
    -readonly [K in keyof O as O[K]['required'] extends true ? never : K]?: WrittenFor<O[K]>
  }
>

/** What becomes of it: defaults applied, durations in ms, sizes in bytes. */
export type Resolved<O extends Options> = { -readonly [K in keyof O]: ResolvedFor<O[K]> }

type WrittenFor<O> = O extends { readonly type: infer T } ? WrittenAs<T> : never
type ResolvedFor<O> = O extends { resolve(value: never): infer R } ? R : never
type Flat<T> = { [K in keyof T]: T[K] }

/** A value after the check: what was wrong in it is undefined now, even where the type requires it. */
export type Checked<T> = { [K in keyof T]?: T[K] | undefined }

/** An object without unknown keys. */
export interface Section<O extends Options> extends Type<Written<O>, Resolved<O>> {
  readonly options: O
  resolve(value: Checked<Written<O>>): Resolved<O>
}

/** What becomes of the values of a section. */
export type ResolvedBy<S> = S extends Section<infer O> ? Resolved<O> : never

interface Notes {
  /** The default in words, where they say more than the value. */
  means?: string
  /** A value as it is written in TypeScript. */
  example?: string
  /** For TCP sockets only. */
  tcpOnly?: true
  /** The js engine has it not. */
  nativeOnly?: true
}

/** An option that must be written. Where it is wrong, it becomes undefined, and the error stops everything. */
export function required<W, R>(
  type: Type<W, R>,
  doc: string,
  { example }: Pick<Notes, 'example'> = {},
): Option<W, R, true> {
  return {
    type,
    doc,
    tcpOnly: false,
    nativeOnly: false,
    required: true,
    standard: undefined,
    // A fresh instance, so that two options of one type keep two descriptions.
    schema: type.schema.meta({ ...type.schema.meta(), ...meta(doc, undefined, example) }),
    resolve: (value) => (value === undefined ? undefined : type.resolve(value)) as R,
  }
}

/** An option with a default, as it would be written. */
export function optional<W, R>(
  type: Type<W, R>,
  doc: string,
  notes: Notes & { default: NoInfer<W> },
): Option<W, R, false> & { readonly default: W }
/** An option that becomes `absent` where it is not written. */
export function optional<W, R, A>(
  type: Type<W, R>,
  doc: string,
  notes: Notes & { absent: A },
): Option<W, R | A, false>
/** An option that is undefined where it is not written. */
export function optional<W, R>(
  type: Type<W, R>,
  doc: string,
  notes?: Notes,
): Option<W, R | undefined, false>
export function optional<W, R>(
  type: Type<W, R>,
  doc: string,
  notes: Notes & { default?: W; absent?: R } = {},
): Option<W, R, false> {
  const { means, example, absent, tcpOnly, nativeOnly } = notes
  const standard = means ?? literal(notes.default)
  return {
    type,
    doc,
    tcpOnly: tcpOnly ?? false,
    nativeOnly: nativeOnly ?? false,
    required: false,
    standard,
    schema: type.schema.optional().meta(meta(doc, standard, example)),
    resolve: (value) => {
      const taken = value ?? notes.default
      return taken === undefined ? (absent as R) : type.resolve(taken)
    },
    ...(notes.default === undefined ? {} : { default: notes.default }),
  }
}

/** The reference shows what can be shown in a word. */
function literal(value: unknown): string | undefined {
  if (typeof value === 'string') return `'${value}'`
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function meta(doc: string, standard?: string, example?: string): Record<string, string> {
  return {
    description: doc,
    ...(standard === undefined ? {} : { default: standard }),
    ...(example === undefined ? {} : { example }),
  }
}

/** A section; with a name where the public API has one for it. */
export function section<O extends Options>(
  options: O,
  name?: string,
  doc?: string,
  parameters: readonly string[] = [],
): Section<O> {
  const each = Object.entries<Option>(options)
  return {
    options,
    ...(name === undefined ? {} : { name }),
    ...(doc === undefined ? {} : { doc }),
    parameters,
    schema: z.strictObject(Object.fromEntries(each.map(([key, { schema }]) => [key, schema]))),
    code: (indent) => {
      const lines = each.map(([key, option]) => member(key, option, `${indent}  `))
      return `{\n${lines.join('')}${indent}}`
    },
    parts: each.map(([, { type }]) => type),
    resolve: (written) => {
      const values = written as Readonly<Record<string, unknown>>
      return Object.fromEntries(
        each.map(([key, option]) => [key, option.resolve(values[key])]),
      ) as Resolved<O>
    },
  }
}

/** An option in an interface, with what an editor shows. */
function member(key: string, option: Option, indent: string): string {
  const { doc, standard, required, type } = option
  const isValue = standard !== undefined && /^(['\d]|true|false)/.test(standard)
  const suffix = standard === undefined ? '' : ` Default${isValue ? '' : ':'} ${standard}.`
  const code = nameOrCode(type, indent)
  return `${comment(doc + suffix, indent)}${indent}${key}${required ? '' : '?'}: ${code}\n`
}

const WIDTH = 100

/** A documentation comment, in lines of at most `WIDTH`. */
export function comment(text: string, indent: string): string {
  const short = `${indent}/** ${text} */`
  if (short.length <= WIDTH) return `${short}\n`
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string
    const longer = line === '' ? word : `${line} ${word}`
    if (line !== '' && indent.length + 3 + longer.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = longer
  }
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`
}

/** Names of the options of a section that are so. */
export function namesOf<O extends Options>(
  { options }: Section<O>,
  which: 'tcpOnly' | 'nativeOnly',
): (keyof O & string)[] {
  return Object.keys(options).filter((name) => options[name]?.[which])
}
