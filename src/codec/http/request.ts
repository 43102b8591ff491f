/** Heads of requests. */

import { isIPv6 } from 'node:net'
import { HttpBad, HttpName } from '../../wire/wire.js'
import { Bad } from './bad.js'
import { type Field, fieldsOf, parseFields } from './fields.js'
import { type Body, framing, lists, markHops, protocols, type Version } from './framing.js'
import { CR, isHost, isToken, latin1, notTarget, SPACE } from './grammar.js'
import type { HeadLimits } from './limits.js'

/** The form of a target (RFC 9112 3.2). */
export type Form = 'origin' | 'absolute' | 'authority' | 'asterisk'

/** What a request's head says. */
export interface RequestHead {
  /** As it was sent: methods have a case. */
  readonly method: string
  readonly version: Version
  readonly form: Form
  /** As it was sent. */
  readonly target: string
  /** Without the query; '' where the target has none, which means '/'. */
  readonly path: string
  /** Behind the '?'; undefined where there is no '?'. */
  readonly query: string | undefined
  /** Of the target or else of the Host field, without its port; an IPv6 address in its brackets. */
  readonly host: string
  /** 0 where none was named. */
  readonly port: number
  /** The target's scheme says TLS; where it has none, nothing does. */
  readonly secure: boolean
  readonly body: Body
  /** The connection may be used again behind it. */
  readonly keepAlive: boolean
  /** It asks for another protocol, and one that may go further. */
  readonly upgrade: boolean
  /** The client waits for 100 (Continue) before it sends the body. */
  readonly expects: boolean
  /** The client reads trailers. */
  readonly trailers: boolean
  readonly fields: readonly Field[]
}

/** Reads a request's head: the bytes that a HeadScan found complete. Throws Bad. */
export function parseRequest(head: Uint8Array, limits: HeadLimits): RequestHead {
  const lineEnd = head.indexOf(CR)
  const space = head.indexOf(SPACE)
  if (space < 0 || space > lineEnd || !isToken(head, 0, space)) {
    throw new Bad(HttpBad.START_LINE, 0)
  }
  const method = latin1(head, 0, space)
  const at = space + 1
  const targetEnd = head.indexOf(SPACE, at)
  if (targetEnd < 0 || targetEnd > lineEnd) throw new Bad(HttpBad.START_LINE, at)
  const version = versionOf(latin1(head, targetEnd + 1, lineEnd), targetEnd + 1)
  if (targetEnd === at) throw new Bad(HttpBad.TARGET, at)
  const wrong = notTarget(head, at, targetEnd)
  if (wrong >= 0) throw new Bad(HttpBad.TARGET, wrong)
  const fields = parseFields(head, lineEnd + 2, limits)
  const target = splitTarget(latin1(head, at, targetEnd), at, method)
  const { length, chunked } = framing(fields, version, false)
  const wishes = markHops(fields)
  const { host, port } = hostOf(fields, version, target)
  if (method === 'CONNECT' && (chunked || length !== undefined)) {
    throw new Bad(HttpBad.UNEXPECTED_BODY, 0)
  }
  const newer = version === '1.1'
  return {
    method,
    version,
    form: target.form,
    target: target.text,
    path: target.path,
    query: target.query,
    host,
    port,
    secure: target.secure,
    body: bodyOf(length, chunked),
    keepAlive: !wishes.close && (newer || wishes.keepAlive),
    upgrade: newer && wishes.upgrade && protocols(fields).length > 0,
    expects: newer && expects(fields),
    trailers: newer && lists(fields, HttpName.TE, 'trailers'),
    fields,
  }
}

function bodyOf(length: bigint | undefined, chunked: boolean): Body {
  if (chunked) return { kind: 'chunked' }
  return length === undefined ? { kind: 'none' } : { kind: 'length', length }
}

/** 'HTTP/2.0' is a version, 'HTTP/1.1x' and 'HTP/1.1' are none. */
function versionOf(text: string, at: number): Version {
  if (text === 'HTTP/1.1') return '1.1'
  if (text === 'HTTP/1.0') return '1.0'
  throw new Bad(/^HTTP\/[0-9]\.[0-9]$/.test(text) ? HttpBad.VERSION : HttpBad.START_LINE, at)
}

/** A target in parts. */
interface Target {
  readonly form: Form
  readonly text: string
  readonly path: string
  readonly query: string | undefined
  readonly secure: boolean
  readonly authority: Authority | undefined
}

interface Authority {
  readonly host: string
  readonly port: number
}

function splitTarget(text: string, at: number, method: string): Target {
  const bad = () => new Bad(HttpBad.TARGET, at)
  const target = { text, path: '', query: undefined, secure: false, authority: undefined }
  if (method === 'CONNECT') {
    const found = authority(text)
    if (found === undefined || found.port === 0) throw bad()
    return { ...target, form: 'authority', authority: found }
  }
  if (text === '*') {
    if (method !== 'OPTIONS') throw bad()
    return { ...target, form: 'asterisk', path: '*' }
  }
  if (text.startsWith('/')) return { ...target, form: 'origin', ...pathAndQuery(text) }
  const match = /^(https?):\/\/([^/?]*)(.*)$/is.exec(text)
  if (match === null) throw bad()
  const [, scheme = '', named = '', rest = ''] = match
  const found = authority(named)
  if (found === undefined || found.host === '') throw bad()
  const secure = scheme.length === 5
  return { ...target, form: 'absolute', secure, authority: found, ...pathAndQuery(rest) }
}

function pathAndQuery(text: string): { path: string; query: string | undefined } {
  const mark = text.indexOf('?')
  if (mark < 0) return { path: text, query: undefined }
  return { path: text.slice(0, mark), query: text.slice(mark + 1) }
}

/** Of 'host', 'host:port', '[address]:port'; without user and password. */
function authority(text: string): Authority | undefined {
  const match = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{0,5}))?$/s.exec(text)
  if (match === null) return undefined
  const [, host = '', digits = ''] = match
  const fits = host.startsWith('[')
    ? isIPv6(host.slice(1, -1)) && !host.includes('%')
    : isName(host)
  const port = digits === '' ? 0 : Number(digits)
  // 'host:' is allowed, and says nothing (RFC 3986 3.2.3); ':0' is no port.
  if (!fits || port > 65_535 || (digits !== '' && port === 0)) return undefined
  return { host, port }
}

function isName(host: string): boolean {
  return isHost(Buffer.from(host, 'latin1'), 0, host.length)
}

/** Of the target where it has one, else of the Host field, which must say the same. */
function hostOf(fields: readonly Field[], version: Version, target: Target): Authority {
  const [field, second] = fieldsOf(fields, HttpName.HOST)
  if (second !== undefined) throw new Bad(HttpBad.HOST, second.line)
  if (field === undefined) {
    if (version === '1.1') throw new Bad(HttpBad.HOST, 0)
    return target.authority ?? { host: '', port: 0 }
  }
  const said = authority(field.value)
  if (said === undefined || (said.host === '' && said.port !== 0)) {
    throw new Bad(HttpBad.HOST, field.line)
  }
  const named = target.authority
  if (named === undefined) return said
  const standard = target.form === 'absolute' ? (target.secure ? 443 : 80) : 0
  const same =
    said.host.toLowerCase() === named.host.toLowerCase() &&
    (said.port || standard) === (named.port || standard)
  if (!same) throw new Bad(HttpBad.HOST, field.line)
  return named
}

function expects(fields: readonly Field[]): boolean {
  const [field, second] = fieldsOf(fields, HttpName.EXPECT)
  if (field === undefined) return false
  const wrong = field.value.toLowerCase() === '100-continue' ? second : field
  if (wrong !== undefined) throw new Bad(HttpBad.EXPECT, wrong.line)
  return true
}
