/** `conn.fields`: what policies add to the line of a session, bounded, and fit for JSON. */

import { show } from '../../base/units.js'
import type { FieldValue } from '../../policy/types.js'

/** Fields of a line, characters of a name, and of a text. */
const MOST_FIELDS = 32
const LONGEST_NAME = 64
const LONGEST_TEXT = 1024

/** As they are told; undefined where there are none. */
export function toldFields(fields: object | undefined): Record<string, FieldValue> | undefined {
  if (fields === undefined) return undefined
  // What stands there, and nothing that would have to be called.
  const own = Object.entries(Object.getOwnPropertyDescriptors(fields))
  const there = own.filter(([, { value }]) => value !== undefined).slice(0, MOST_FIELDS)
  if (there.length === 0) return undefined
  const told = there.map(([name, { value }]) => [name.slice(0, LONGEST_NAME), fit(value)])
  return Object.fromEntries(told) as Record<string, FieldValue>
}

function fit(value: unknown): FieldValue {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'string':
      return cut(value)
    case 'bigint':
      return cut(String(value))
    default:
      return value === null ? null : show(value)
  }
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text
}
