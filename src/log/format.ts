/** Log lines as text for people. What others sent is escaped: one record is one line, but for a stack. */

import { pino } from 'pino'
import { escapeText } from './escape.js'

/** The fields of a record, as pino writes them. */
export type LogFields = Record<string, unknown>

export interface TextFormat {
  /** With escape sequences. */
  colours: boolean
  /** Date and ms too: for files, which are read on another day. */
  date: boolean
}

/** Fields that say nothing to a reader, or stand in the line already. */
const HIDDEN = new Set(['level', 'time', 'msg', 'name', 'pid', 'hostname', 'err', 'id'])
const ERROR = 50
/** A word that cannot be taken for anything else. */
const PLAIN = /^[\w.:/@%+,*<>()[\]{}|~^-]+$/
const COLOURS: Readonly<Record<string, string>> = {
  fatal: '\x1b[1;31m',
  error: '\x1b[31m',
  warn: '\x1b[33m',
}
const DIM = '\x1b[2m'
const RESET = '\x1b[0m'

/** Whether the record is the one of an ended session. */
export function isSession(fields: LogFields): boolean {
  return fields.event === 'session'
}

/** One record as text, without a line feed at the end. */
export function formatRecord(fields: LogFields, { colours, date }: TextFormat): string {
  const at = new Date(Number(fields.time))
  const time = date ? at.toISOString() : at.toTimeString().slice(0, 8)
  const label = pino.levels.labels[Number(fields.level)] ?? escapeText(String(fields.level))
  const level = label === 'info' ? '' : `${paint(label.toUpperCase(), COLOURS[label], colours)} `
  const text = isSession(fields) ? formatSession(fields) : formatOther(fields)
  return `${paint(time, DIM, colours)} ${level}${text}`
}

function paint(text: string, colour: string | undefined, colours: boolean): string {
  return colours && colour !== undefined ? `${colour}${text}${RESET}` : text
}

interface Attempt {
  server: string
  code: string
}

function formatSession(fields: LogFields): string {
  const { frontend, src, srcPort, backend, server, by, phase, code, rule, error } = fields
  const timers = (fields.timers ?? {}) as { total?: number }
  const attempts = (fields.attempts ?? []) as Attempt[]
  const from = src === '' ? 'unix' : `${src}:${srcPort}`
  const to = [backend, server].filter((name) => name !== undefined).join('/')
  const tls = fields.tls as { serverName?: string } | undefined
  const parts = [
    `${from} ${[frontend, to].filter((name) => name !== '').join(' > ')}`,
    `${Math.round(timers.total ?? 0)} ms`,
    `in ${formatBytes(Number(fields.bytesIn))} out ${formatBytes(Number(fields.bytesOut))}`,
    `${by}/${phase}/${code}${error === undefined ? '' : ` (${error})`}`,
    ...(rule === undefined ? [] : [`rule ${rule}`]),
    ...(tls?.serverName ? [`name ${tls.serverName}`] : []),
    ...(attempts.length === 0
      ? []
      : [`failed ${attempts.map((one) => `${one.server}:${one.code}`).join(' ')}`]),
  ]
  return parts.map(escapeText).join('  ')
}

function formatOther(fields: LogFields): string {
  const rest = Object.entries(fields)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => `${word(key)}=${word(value)}`)
  const text = [escapeText(String(fields.msg ?? '')), ...rest].join(' ').trimEnd()
  const error = fields.err as LoggedError | undefined
  if (!error || typeof error !== 'object') return text
  if (Number(fields.level) >= ERROR) return `${text}\n${formatError(error)}`
  const [cause = ''] = String(error.message ?? '').split('\n', 1)
  // Many a message begins with it already; pino puts the causes behind it.
  return text.includes(escapeText(cause.slice(0, 60))) ? text : `${text}: ${escapeText(cause)}`
}

/** A value that cannot be mistaken for another field: quoted where it has more than plain characters. */
function word(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  if (PLAIN.test(text)) return text
  return escapeText(typeof value === 'string' ? JSON.stringify(value) : text)
}

interface LoggedError {
  type?: unknown
  name?: unknown
  message?: unknown
  stack?: unknown
}

/** Message in one line, then the frames of the stack. */
function formatError({ type, name, message, stack }: LoggedError): string {
  const what = `${String(type ?? name ?? 'Error')}: ${String(message ?? '')}`
  const lines = [`  ${escapeText(what)}`]
  if (typeof stack !== 'string') return lines.join('\n')
  const [, ...frames] = behindMessage(stack, String(message ?? '')).split('\n')
  for (const line of frames) {
    if (line.trim() !== '') lines.push(`    ${escapeText(line.trim())}`)
  }
  return lines.join('\n')
}

/** The part of a stack behind its message, which may have lines that look like frames. */
export function behindMessage(stack: string, message: string): string {
  const at = message === '' ? -1 : stack.indexOf(message)
  return at < 0 ? stack : stack.slice(at + message.length)
}

/**
 * Whether to write escape sequences for colours to `stream`. FORCE_COLOR (not 0 or false) wins
 * over NO_COLOR (not empty), as in Node; then a terminal that is not dumb has them.
 */
export function wantsColours(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = env
  if (force !== undefined) return force !== '0' && force.toLowerCase() !== 'false'
  if (no !== undefined && no !== '') return false
  return stream.isTTY === true && term !== 'dumb'
}

/** '0 B', '1.5 kB', '12 MB'; 1 kB is 1024 bytes. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number(value.toPrecision(3))} ${units[unit]}`
}
