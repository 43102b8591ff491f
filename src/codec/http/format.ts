/** A head and its edits become the head that is sent, as crates/http writes it. */

import { HttpName } from '../../wire/wire.js'
import type { Edit, EditError } from './edits.js'
import { type Field, fieldsOf } from './fields.js'
import { type Body, protocols, type Version } from './framing.js'
import { latin1 } from './grammar.js'
import { isReserved, nameText } from './names.js'
import type { RequestHead } from './request.js'
import type { ResponseHead } from './response.js'

/** An edit names a field that is not there, or one that is the engine's. */
export class EditRefused extends Error {
  override readonly name = 'EditRefused'
  readonly error: EditError

  constructor(error: EditError) {
    super(`an edit is refused: ${error}`)
    this.error = error
  }
}

/** The head would be longer than allowed. */
export class HeadTooLong extends Error {
  override readonly name = 'HeadTooLong'
  /** Bytes. */
  readonly length: number

  constructor(length: number) {
    super(`a head of ${length} bytes is longer than allowed`)
    this.length = length
  }
}

/** A field that the engine itself writes: a client's address, a request's id. */
export interface Stamp {
  /** HttpName; none that is reserved. */
  readonly name: number
  /**
   * `append`: behind the last one's value, or alone. `replace`: the only one. `keep`: only where
   * there is none. `remove`: there is none.
   */
  readonly mode: 'append' | 'replace' | 'keep' | 'remove'
  readonly value: string
}

/** What is changed, and how the message is framed towards whoever gets it. */
export interface Outgoing {
  /** 'until-close' says nothing, and needs `close`. */
  readonly body: Body
  /** The connection ends behind it. */
  readonly close?: boolean
  /** Upgrade goes with it. */
  readonly upgrade?: boolean
  /** Requests: trailers are read. */
  readonly trailers?: boolean
  /** Requests: Expect goes with it. */
  readonly expects?: boolean
  /** Requests: the Host where none came (HTTP/1.0). */
  readonly host?: string
  /** Responses: the client's version. */
  readonly version?: Version
  /** Responses without a body: the length that a body would have had. */
  readonly length?: bigint | undefined
  /** What policy wants; each passed `checkEdit`. */
  readonly edits?: readonly Edit[]
  readonly stamps?: readonly Stamp[]
  /** Most bytes. */
  readonly most?: number
}

const MOST = 65_536

/** Throws EditRefused and HeadTooLong. */
export function formatRequest(head: Uint8Array, request: RequestHead, to: Outgoing): Buffer {
  let { method, query } = request
  let path: string | undefined
  let host: string | undefined
  for (const edit of to.edits ?? []) {
    if (edit.kind === 'method') method = edit.text
    else if (edit.kind === 'path') path = edit.text
    else if (edit.kind === 'query') query = edit.text
    else if (edit.kind === 'host') host = edit.text
  }
  let out = `${method} ${targetOf(request, path, query)} HTTP/1.1\r\n`
  out += `Host: ${host ?? hostOf(request, to.host ?? '')}\r\n`
  out += fieldLines(head, request.fields, to)
  if (to.expects) out += 'Expect: 100-continue\r\n'
  if (to.body.kind === 'length') out += `Content-Length: ${to.body.length}\r\n`
  else if (to.body.kind === 'chunked') out += 'Transfer-Encoding: chunked\r\n'
  if (to.trailers) out += 'TE: trailers\r\n'
  return finish(out + connectionLines(request.fields, to, false), to)
}

/** Throws EditRefused and HeadTooLong. */
export function formatResponse(head: Uint8Array, response: ResponseHead, to: Outgoing): Buffer {
  let { status, reason } = response
  for (const edit of to.edits ?? []) {
    if (edit.kind === 'status') {
      status = edit.status
      reason = ''
    } else if (edit.kind === 'reason') reason = edit.text
  }
  const old = to.version === '1.0'
  let out = `HTTP/${old ? '1.0' : '1.1'} ${status} ${reason}\r\n`
  out += fieldLines(head, response.fields, to)
  const length = to.body.kind === 'length' ? to.body.length : undefined
  const said = length ?? (to.body.kind === 'none' ? to.length : undefined)
  if (said !== undefined) out += `Content-Length: ${said}\r\n`
  else if (to.body.kind === 'chunked') out += 'Transfer-Encoding: chunked\r\n'
  return finish(out + connectionLines(response.fields, to, old), to)
}

function finish(lines: string, to: Outgoing): Buffer {
  const bytes = Buffer.from(`${lines}\r\n`, 'latin1')
  if (bytes.length > (to.most ?? MOST)) throw new HeadTooLong(bytes.length)
  return bytes
}

/** RFC 9112 3.2: in origin form, but for CONNECT and for OPTIONS of a whole server. */
function targetOf(
  request: RequestHead,
  path: string | undefined,
  query: string | undefined,
): string {
  if (request.form === 'authority') return request.target
  if (path === undefined) {
    if (request.form === 'asterisk') return '*'
    const whole = request.form === 'absolute' && request.path === '' && query === undefined
    if (whole && request.method === 'OPTIONS') return '*'
  }
  const shown = path ?? (request.path || '/')
  return query === undefined ? shown : `${shown}?${query}`
}

/** Of an absolute target its authority, less a port that goes without saying. */
function hostOf(request: RequestHead, otherwise: string): string {
  const { form, host, port, secure, fields } = request
  if (form !== 'absolute') return fieldsOf(fields, HttpName.HOST)[0]?.value ?? otherwise
  return port === 0 || port === (secure ? 443 : 80) ? host : `${host}:${port}`
}

/** What becomes of a field: it stays, it goes, policy sets its value, or a stamp adds to it. */
type Fate = 'keep' | 'drop' | { readonly value: string; readonly stamped: boolean }

/** The fields that stay as they came, and those that come. */
function fieldLines(head: Uint8Array, fields: readonly Field[], to: Outgoing): string {
  const { edits = [], stamps = [] } = to
  const fates = fatesOf(fields, edits)
  for (const stamp of stamps) applyStamp(fields, fates, stamp)
  let out = ''
  for (const [i, field] of fields.entries()) {
    const fate = fates[i] as Fate
    if (fate === 'drop') continue
    const end = fields[i + 1]?.line ?? head.length - 2
    if (fate === 'keep') out += latin1(head, field.line, end)
    else out += `${latin1(head, field.line, field.line + field.name.length)}: ${fate.value}\r\n`
  }
  for (const edit of edits) {
    if (edit.kind === 'add') out += `${edit.name}: ${edit.value}\r\n`
  }
  for (const { mode, name, value } of stamps) {
    const adds = mode === 'replace' || (mode !== 'remove' && lastOf(fields, fates, name) < 0)
    if (adds) out += `${nameText(name)}: ${value}\r\n`
  }
  return out
}

const OURS = new Set<number>([HttpName.CONTENT_LENGTH, HttpName.EXPECT, HttpName.HOST])

function fatesOf(fields: readonly Field[], edits: readonly Edit[]): Fate[] {
  const fates = fields.map(({ hop, id }): Fate => (hop || OURS.has(id) ? 'drop' : 'keep'))
  for (const edit of edits) {
    if (edit.kind === 'remove') fates[own(fields, edit.index)] = 'drop'
    else if (edit.kind === 'replace')
      fates[own(fields, edit.index)] = { value: edit.value, stamped: false }
    else if (edit.kind === 'remove-all') {
      const name = edit.name.toLowerCase()
      for (const [i, field] of fields.entries()) if (field.name === name) fates[i] = 'drop'
    }
  }
  return fates
}

/** The field at an index, where it is policy's to change. */
function own(fields: readonly Field[], index: number): number {
  const field = fields[index]
  if (field === undefined) throw new EditRefused('index')
  if (field.hop || isReserved(field.id) || field.id === HttpName.HOST) {
    throw new EditRefused('reserved')
  }
  return index
}

/** `keep` changes nothing here: it adds a line where there is none. */
function applyStamp(fields: readonly Field[], fates: Fate[], { mode, name, value }: Stamp): void {
  if (mode === 'append') {
    const last = lastOf(fields, fates, name)
    const before = fields[last]?.value
    if (before === undefined) return
    fates[last] = { value: before === '' ? value : `${before}, ${value}`, stamped: true }
  } else if (mode !== 'keep') {
    for (const [i, field] of fields.entries()) if (field.id === name) fates[i] = 'drop'
  }
}

/** The last field of a name that goes out with the sender's value; -1 where none does. */
function lastOf(fields: readonly Field[], fates: readonly Fate[], name: number): number {
  return fields.findLastIndex((field, i) => {
    const fate = fates[i] as Fate
    return field.id === name && (typeof fate === 'object' ? fate.stamped : fate === 'keep')
  })
}

/** `saysKeep`: keep-alive has to be said. */
function connectionLines(fields: readonly Field[], to: Outgoing, saysKeep: boolean): string {
  if (to.upgrade) return `Connection: Upgrade\r\nUpgrade: ${protocols(fields).join(', ')}\r\n`
  if (to.close) return 'Connection: close\r\n'
  if (to.trailers) return 'Connection: TE\r\n'
  return saysKeep ? 'Connection: keep-alive\r\n' : ''
}
