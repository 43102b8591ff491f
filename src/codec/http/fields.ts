/** The index of a head: its fields, where they are and what they are. */

import { HttpBad } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { COLON, CR, dropBlanks, isToken, latin1, notValue, skipBlanks } from './grammar.js'
import { type HeadLimits, MOST_FIELDS } from './limits.js'
import { nameNumber } from './names.js'

export interface Field {
  /** Offset of its line in the head. */
  readonly line: number
  /** In lower case. */
  readonly name: string
  /** HttpName, or 0. */
  readonly id: number
  /** Without blanks at its ends, one character a byte. */
  readonly value: string
  /** Of this connection only: it goes no further, and no rule sees it (RFC 9110 7.6.1). */
  hop: boolean
}

const MOST_NAME = 255

/** The fields of `head` from `base` on. Precondition: a HeadScan found the head complete. Throws Bad. */
export function parseFields(head: Uint8Array, base: number, limits: HeadLimits): Field[] {
  const fields: Field[] = []
  const end = head.length - 2
  const most = Math.min(limits.fields, MOST_FIELDS)
  let long = -1
  for (let at = base; at < end; ) {
    const lineEnd = head.indexOf(CR, at)
    const colon = head.indexOf(COLON, at)
    // Empty names and their like would pass for the end of the list somewhere.
    if (colon < 0 || colon > lineEnd || !isToken(head, at, colon)) {
      throw new Bad(HttpBad.FIELD_LINE, at)
    }
    if (notValue(head, colon + 1, lineEnd) >= 0) throw new Bad(HttpBad.FIELD_LINE, at)
    if (colon - at > MOST_NAME && long < 0) long = at
    const start = skipBlanks(head, colon + 1, lineEnd)
    const name = latin1(head, at, colon).toLowerCase()
    const value = latin1(head, start, dropBlanks(head, start, lineEnd))
    fields.push({ line: at, name, id: nameNumber(name), value, hop: false })
    at = lineEnd + 2
  }
  const surplus = fields[most]
  if (surplus !== undefined) throw new Bad(HttpBad.FIELDS, surplus.line)
  if (long >= 0) throw new Bad(HttpBad.FIELD_NAME, long)
  return fields
}

/** The fields of a well-known name. */
export function fieldsOf(fields: readonly Field[], id: number): Field[] {
  return fields.filter((field) => field.id === id)
}
