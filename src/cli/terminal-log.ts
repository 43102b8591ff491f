/** Log lines as text, for a terminal. Everything else gets pino's JSON. */

import { type Logger, pino } from 'pino'
import { formatBytes } from './live.js'
import type { Terminal } from './terminal.js'

/** Lines of ended sessions in a second; a busy proxy would fill the terminal otherwise. */
const SESSIONS_PER_SECOND = 10
const INFO = 30
const ERROR = 50

/** pino's fields that say nothing to a reader at a terminal. */
const HIDDEN = new Set(['level', 'time', 'msg', 'name', 'pid', 'hostname', 'err', 'id'])

type Fields = Record<string, unknown>

/** A logger that writes to `terminal`. Sessions beyond a few a second are counted, not shown. */
export function createTerminalLog(level: string, terminal: Terminal): Logger {
  let second = 0
  let shown = 0
  let hidden = 0
  const write = (line: string) => {
    const fields = JSON.parse(line) as Fields
    if (fields.msg === 'session' && Number(fields.level) <= INFO) {
      const now = Math.floor(Number(fields.time) / 1000)
      if (now !== second) {
        if (hidden > 0) terminal.logLine(`         ... and ${hidden} more sessions`)
        second = now
        shown = 0
        hidden = 0
      }
      if (++shown > SESSIONS_PER_SECOND) {
        hidden++
        return
      }
    }
    terminal.logLine(formatLogLine(fields))
  }
  return pino({ level, base: null }, { write })
}

/** One record of the log as text. */
export function formatLogLine(fields: Fields): string {
  const time = new Date(Number(fields.time)).toTimeString().slice(0, 8)
  const label = pino.levels.labels[Number(fields.level)] ?? String(fields.level)
  const level = label === 'info' ? '' : `${label.toUpperCase()} `
  const text = fields.msg === 'session' ? formatSession(fields) : formatOther(fields)
  return `${time} ${level}${text}`
}

function formatSession(fields: Fields): string {
  const { frontend, src, srcPort, backend, server, by, phase, code, rule } = fields
  const timers = (fields.timers ?? {}) as { total?: number }
  const from = src === '' ? 'unix' : `${src}:${srcPort}`
  const to = [backend, server].filter((name) => name !== undefined).join('/')
  return [
    `${from} ${[frontend, to].filter((name) => name !== '').join(' > ')}`,
    `${Math.round(timers.total ?? 0)} ms`,
    `in ${formatBytes(Number(fields.bytesIn))} out ${formatBytes(Number(fields.bytesOut))}`,
    `${by}/${phase}/${code}`,
    ...(rule === undefined ? [] : [`rule ${rule}`]),
  ].join('  ')
}

function formatOther(fields: Fields): string {
  const rest = Object.entries(fields)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
  const error = fields.err as { message?: string; stack?: string } | undefined
  const cause =
    error && Number(fields.level) >= ERROR ? [`\n  ${error.stack ?? error.message}`] : []
  return [String(fields.msg ?? ''), ...rest, ...cause].join(' ').trimEnd()
}
