/**
 * What policy wants changed of a head. Fields are named by their index and by name; what frames a
 * body and what steers the connection cannot be named at all.
 */

import { HttpName } from '../../wire/wire.js'
import { isToken, notTarget, notValue } from './grammar.js'
import { isReserved, nameNumber } from './names.js'

/** One change. Text is one character a byte. */
export type Edit =
  /** The field at this index goes. */
  | { readonly kind: 'remove'; readonly index: number }
  /** Every field of this name goes. */
  | { readonly kind: 'remove-all'; readonly name: string }
  /** The field at this index has this value. */
  | { readonly kind: 'replace'; readonly index: number; readonly value: string }
  /** A field is added behind the others. */
  | { readonly kind: 'add'; readonly name: string; readonly value: string }
  /** Requests. A path has no query, a query no '?'; a query of undefined is none. */
  | { readonly kind: 'method' | 'path' | 'host'; readonly text: string }
  | { readonly kind: 'query'; readonly text: string | undefined }
  /** Responses. */
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'reason'; readonly text: string }

/** Why an edit is refused: the words of crates/http. */
export type EditError =
  | 'reserved'
  | 'name'
  | 'value'
  | 'method'
  | 'path'
  | 'query'
  | 'host'
  | 'status'
  | 'index'

const MOST_NAME = 255

/** What is wrong with an edit by itself; an index is looked at when it is applied. */
export function checkEdit(edit: Edit): EditError | undefined {
  switch (edit.kind) {
    case 'remove':
      return undefined
    case 'remove-all':
      return checkName(edit.name)
    case 'replace':
      return isValue(edit.value) ? undefined : 'value'
    case 'add':
      return checkName(edit.name) ?? (isValue(edit.value) ? undefined : 'value')
    case 'method':
      return isToken(bytesOf(edit.text)) && edit.text !== 'CONNECT' ? undefined : 'method'
    case 'path':
      return edit.text.startsWith('/') && isTarget(edit.text) && !edit.text.includes('?')
        ? undefined
        : 'path'
    case 'query':
      return edit.text === undefined || isTarget(edit.text) ? undefined : 'query'
    case 'host':
      return /^[\x21-\x7e]+$/.test(edit.text) ? undefined : 'host'
    case 'status':
      return isStatus(edit.status) ? undefined : 'status'
    case 'reason':
      return isValue(edit.text) ? undefined : 'value'
  }
}

/** Host has an edit of its own, so that there is one at most. */
function checkName(name: string): EditError | undefined {
  if (name.length > MOST_NAME || !isToken(bytesOf(name))) return 'name'
  const id = nameNumber(name.toLowerCase())
  return isReserved(id) || id === HttpName.HOST ? 'reserved' : undefined
}

/** A final status that has a body of its own. */
function isStatus(status: number): boolean {
  return (
    Number.isInteger(status) && status >= 200 && status < 1000 && status !== 204 && status !== 304
  )
}

function isValue(text: string): boolean {
  return isLatin1(text) && notValue(bytesOf(text)) < 0
}

function isTarget(text: string): boolean {
  return isLatin1(text) && notTarget(bytesOf(text)) < 0
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false
  return true
}

function bytesOf(text: string): Buffer {
  // What is no byte becomes one that is none of a token.
  return isLatin1(text) ? Buffer.from(text, 'latin1') : Buffer.alloc(1)
}
