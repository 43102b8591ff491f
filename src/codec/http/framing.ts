/** Where a message ends, and what becomes of its connection (RFC 9112 6 and 9). */

import { HttpBad, HttpName } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { type Field, fieldsOf } from './fields.js'
import { decimal, elements, isToken, spelt, trim } from './grammar.js'
import { isHopByHop, nameNumber } from './names.js'

export type Version = '1.0' | '1.1'

/** How a body is framed: none, so many bytes, in chunks, until the FIN, or bytes of another protocol. */
export type Body =
  | { readonly kind: 'none' | 'chunked' | 'until-close' | 'tunnel' }
  | { readonly kind: 'length'; readonly length: bigint }

export interface Framing {
  readonly length: bigint | undefined
  readonly chunked: boolean
}

/** Reads Content-Length and Transfer-Encoding. Strict: one spelling that everybody reads alike, or none. */
export function framing(fields: readonly Field[], version: Version, fromServer: boolean): Framing {
  let length: bigint | undefined
  let lengthAt = 0
  let chunked = false
  let codingAt = 0
  for (const { id, value, line } of fields) {
    if (id === HttpName.CONTENT_LENGTH) {
      const number = decimal(value)
      if (length !== undefined || number === undefined) throw new Bad(HttpBad.CONTENT_LENGTH, line)
      length = number
      lengthAt = line
    } else if (id === HttpName.TRANSFER_ENCODING) {
      if (chunked) throw new Bad(HttpBad.TRANSFER_ENCODING, line)
      mustBeChunked(value, line)
      chunked = true
      codingAt = line
    }
  }
  if (chunked && version === '1.0') {
    if (!fromServer) throw new Bad(HttpBad.TRANSFER_ENCODING, codingAt)
    // RFC 9112 6.1: faulty, so that the connection is not used again; its length is not believed.
    length = undefined
  }
  if (chunked && length !== undefined) throw new Bad(HttpBad.TRANSFER_ENCODING, lengthAt)
  return { length, chunked }
}

const REAL = new Set(['chunked', 'gzip', 'x-gzip', 'deflate', 'compress', 'x-compress', 'br'])

/** Exactly `chunked` is ours. */
function mustBeChunked(value: string, line: number): void {
  if (value.toLowerCase() === 'chunked') return
  const codings = value.split(',').map((coding) => trim(coding).toLowerCase())
  const real = codings.every((coding) => REAL.has(coding)) && codings.at(-1) === 'chunked'
  throw new Bad(real ? HttpBad.CODING : HttpBad.TRANSFER_ENCODING, line)
}

/** What the Connection fields ask for. */
export interface Wishes {
  close: boolean
  keepAlive: boolean
  upgrade: boolean
}

const NOBODYS = new Set<number>([
  HttpName.HOST,
  HttpName.CONTENT_LENGTH,
  HttpName.TRANSFER_ENCODING,
])

/**
 * Reads the Connection fields, and marks what goes no further: what they name, and what is always
 * of one connection (RFC 9110 7.6.1). Host and what frames a body is nobody's to remove.
 */
export function markHops(fields: readonly Field[]): Wishes {
  const wishes: Wishes = { close: false, keepAlive: false, upgrade: false }
  for (const field of fields) {
    if (isHopByHop(field.id)) field.hop = true
    if (field.id !== HttpName.CONNECTION) continue
    for (const element of elements(field.value)) {
      if (element === 'close') wishes.close = true
      else if (element === 'keep-alive') wishes.keepAlive = true
      else if (element === 'upgrade') wishes.upgrade = true
      else if (isWord(element) && !NOBODYS.has(nameNumber(element))) {
        for (const named of fields) if (named.name === element) named.hop = true
      }
    }
  }
  return wishes
}

/** The protocols of the Upgrade fields that may go further: h2c never does. */
export function protocols(fields: readonly Field[]): string[] {
  return fieldsOf(fields, HttpName.UPGRADE)
    .flatMap(({ value }) => spelt(value))
    .filter((protocol) => !/^h2c?$/i.test(protocol) && protocol.split('/').every(isWord))
}

/** Whether a field of this name lists `token`, which is in lower case. */
export function lists(fields: readonly Field[], id: number, token: string): boolean {
  return fieldsOf(fields, id).some(({ value }) => elements(value).includes(token))
}

function isWord(text: string): boolean {
  return isToken(Buffer.from(text, 'latin1'))
}
