/** Kinds of fields that verdicts have. Each says what it expects, and whether a value is that. */

import { suggest } from '../base/suggest.js'
import { type Duration, readDuration, show } from '../base/units.js'
import { MOST_REPLY } from '../engine/reply.js'
import type { Key } from './types.js'
import { isVariable, VARIABLE, type Variable } from './vars.js'
import type { Field } from './verdict.js'

const encoder = new TextEncoder()

/** Bytes as JSON writes them. */
export interface Base64 {
  readonly base64: string
}

export function optional<T>(field: Field<T>): Field<T> & { readonly optional: true } {
  return { ...field, optional: true }
}

export const name: Field<string> = {
  expected: 'a string',
  fits: (value) => typeof value === 'string' && value !== '',
}

export const flag: Field<boolean> = {
  expected: 'true or false',
  fits: (value) => typeof value === 'boolean',
}

export const finite: Field<number> = { expected: 'a finite number', fits: Number.isFinite }

export function oneOf<const W extends string>(...words: readonly W[]): Field<W> {
  const shown = words.map(show)
  return {
    expected: `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`,
    fits: (value) => words.includes(value as W),
    tell: (value) =>
      typeof value === 'string' ? { suggestion: suggest(value, words) } : undefined,
  }
}

export const duration: Field<Duration> = {
  expected: "a duration such as '5s'",
  fits: (value) => 'value' in readDuration(value),
  tell(value) {
    const read = readDuration(value)
    return 'message' in read && value !== undefined ? read : undefined
  },
}

export const count: Field<number> = {
  expected: 'a whole number from 0 on',
  fits: (value) => Number.isInteger(value) && (value as number) >= 0,
}

/** Most bytes of a handshake at once: an empty socket takes as many without waiting. */
export const MOST_SHORT = 16_384

/** What is sent last: text or bytes. */
export const content = contentUpTo(MOST_REPLY)
/** What is sent in a handshake. */
export const shortContent = contentUpTo(MOST_SHORT)

function contentUpTo(most: number): Field<string | Uint8Array | Base64> {
  return {
    expected: `text or bytes, at most ${most} (a string, a Uint8Array or { base64 })`,
    fits: (value) =>
      typeof value === 'string'
        ? Buffer.byteLength(value) <= most
        : isBytes(value) && bytesOf(value).length <= most,
    tell: (value) =>
      wrongBase64(value) ??
      (typeof value === 'string' || isBytes(value)
        ? { message: `expected at most ${most} bytes, got ${bytesOf(value).length}.` }
        : undefined),
  }
}

/** Undefined where nothing is tracked. */
export const key: Field<Key | Base64> = {
  expected: 'a string, a number, a Uint8Array or { base64 }',
  fits: (value) => typeof value === 'string' || typeof value === 'number' || isBytes(value),
  tell: wrongBase64,
}

export const variable: Field<Variable | Base64> = {
  expected: `${VARIABLE} or { base64 }`,
  fits: (value) => isVariable(value) || isBytes(value),
  tell: wrongBase64,
}

/** The bytes of a text, or of bytes in any form. */
export function bytesOf(value: string | Uint8Array | Base64): Uint8Array {
  if (typeof value === 'string') return encoder.encode(value)
  return value instanceof Uint8Array ? value : Buffer.from(value.base64, 'base64')
}

/** A value less the notation of JSON. */
export function plain<T extends Variable>(value: T | Base64): T | Uint8Array {
  const isWritten = typeof value === 'object' && !(value instanceof Uint8Array)
  return isWritten ? bytesOf(value) : (value as T)
}

/** RFC 4648, with or without its padding. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

function isBytes(value: unknown): value is Uint8Array | Base64 {
  if (value instanceof Uint8Array) return true
  return isWritten(value) && typeof value.base64 === 'string' && BASE64.test(value.base64)
}

function isWritten(value: unknown): value is { base64: unknown } {
  if (typeof value !== 'object' || value === null || !('base64' in value)) return false
  return Object.keys(value).length === 1
}

function wrongBase64(value: unknown) {
  if (!isWritten(value) || isBytes(value)) return undefined
  return { path: ['base64'], message: `expected bytes in Base64, got ${show(value.base64)}.` }
}
