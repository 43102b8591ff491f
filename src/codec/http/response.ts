/** Heads of responses. */

import { HttpBad, HttpName } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { type Field, parseFields } from './fields.js'
import { type Body, framing, lists, markHops, type Version } from './framing.js'
import { CR, latin1, notValue } from './grammar.js'
import type { HeadLimits } from './limits.js'

/** What was asked, as far as the framing of its answer depends on it. */
export type Asked = 'plain' | 'head' | 'connect' | 'upgrade'

/** What a response's head says. */
export interface ResponseHead {
  /** 100 to 999. */
  readonly status: number
  readonly version: Version
  /** The words behind the status. */
  readonly reason: string
  readonly body: Body
  /** Content-Length as it was sent: of HEAD and 304 it frames nothing, and still says something. */
  readonly length: bigint | undefined
  /** The connection may be used again behind it. */
  readonly keepAlive: boolean
  /** Another head follows: 1xx, but for 101. */
  readonly interim: boolean
  readonly fields: readonly Field[]
}

/** Reads a response's head, as `parseRequest` does a request's. Throws Bad. */
export function parseResponse(head: Uint8Array, asked: Asked, limits: HeadLimits): ResponseHead {
  const lineEnd = head.indexOf(CR)
  const line = latin1(head, 0, lineEnd)
  const version = versionOf(line)
  const digits = line.slice(9, 12)
  if (!/^[1-9][0-9]{2}$/.test(digits)) throw new Bad(HttpBad.STATUS, 9)
  const status = Number(digits)
  // The space behind the status is often missing where no reason follows.
  if (line.length > 12 && line[12] !== ' ') throw new Bad(HttpBad.STATUS, 12)
  const wrong = notValue(head, Math.min(13, lineEnd), lineEnd)
  if (wrong >= 0) throw new Bad(HttpBad.BYTE, wrong)
  const fields = parseFields(head, lineEnd + 2, limits)
  const wishes = markHops(fields)
  const { body, length } = bodyOf(fields, version, status, asked)
  const reusable = body.kind !== 'until-close' && body.kind !== 'tunnel'
  // RFC 9112 6.1: a 1.0 server that sends chunks is faulty.
  const faulty = version === '1.0' && body.kind === 'chunked'
  const wanted = !wishes.close && (version === '1.1' || wishes.keepAlive)
  return {
    status,
    version,
    reason: line.slice(13),
    body,
    length,
    keepAlive: reusable && wanted && !faulty,
    interim: status < 200 && status !== 101,
    fields,
  }
}

function versionOf(line: string): Version {
  if (line.startsWith('HTTP/1.1 ')) return '1.1'
  if (line.startsWith('HTTP/1.0 ')) return '1.0'
  throw new Bad(/^HTTP\/[0-9]\.[0-9] /.test(line) ? HttpBad.VERSION : HttpBad.START_LINE, 0)
}

const NONE = { body: { kind: 'none' }, length: undefined } as const
const TUNNEL = { body: { kind: 'tunnel' }, length: undefined } as const

/** RFC 9112 6.3, in its order. */
function bodyOf(
  fields: readonly Field[],
  version: Version,
  status: number,
  asked: Asked,
): { body: Body; length: bigint | undefined } {
  if (status === 101) {
    if (asked === 'upgrade' && lists(fields, HttpName.CONNECTION, 'upgrade')) return TUNNEL
    throw new Bad(HttpBad.STATUS, 9)
  }
  if (asked === 'connect' && status >= 200 && status < 300) return TUNNEL
  // Neither may have them; what is there is not forwarded, and frames nothing.
  if (status < 200 || status === 204) return NONE
  const { length, chunked } = framing(fields, version, true)
  if (asked === 'head' || status === 304) return { body: { kind: 'none' }, length }
  if (chunked) return { body: { kind: 'chunked' }, length: undefined }
  if (length === undefined) return { body: { kind: 'until-close' }, length }
  return { body: { kind: 'length', length }, length }
}
