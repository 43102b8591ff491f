/** Log lines on a terminal, above its live line. */

import { type Logger, pino } from 'pino'
import { escapeJsonLine } from '../log/escape.js'
import { formatRecord, isSession, type LogFields } from '../log/format.js'
import type { Terminal } from './terminal.js'

/** Lines of one kind in a second; a busy proxy would fill the terminal otherwise. */
const LINES_PER_SECOND = 10
/** And of everything that is no session: messages may have a client's text in them. */
const OTHERS_PER_SECOND = 50

export interface TerminalLogOptions {
  level: string
  format: 'json' | 'pretty'
  colours: boolean
}

/**
 * A logger that writes to `terminal`. As text, lines beyond a few a second are counted and
 * not shown: of sessions, and of each other message at its level. JSON is whole.
 */
export function createTerminalLog(options: TerminalLogOptions, terminal: Terminal): Logger {
  const { level, format, colours } = options
  const burst = new Burst(terminal)
  const write = (line: string) => {
    if (format === 'json') {
      terminal.logLine(escapeJsonLine(line).trimEnd())
      return
    }
    const fields = JSON.parse(line) as LogFields
    if (burst.takes(fields)) terminal.logLine(formatRecord(fields, { colours, date: false }))
  }
  return pino({ level, base: null }, { write })
}

/** Which lines of the second at hand are shown. */
class Burst {
  readonly #terminal: Terminal
  readonly #kinds = new Map<string, number>()
  #second = 0
  #shown = 0
  #sessions = 0
  #others = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  takes(fields: LogFields): boolean {
    const second = Math.floor(Number(fields.time) / 1000)
    if (second !== this.#second) this.#next(second)
    const session = isSession(fields)
    // What somebody should look at is not hidden among what nobody has to.
    const kind = `${fields.level} ${session || String(fields.msg)}`
    const seen = (this.#kinds.get(kind) ?? 0) + 1
    if (seen > LINES_PER_SECOND || (!session && this.#shown >= OTHERS_PER_SECOND)) {
      if (session) this.#sessions++
      else this.#others++
      return false
    }
    this.#kinds.set(kind, seen)
    if (!session) this.#shown++
    return true
  }

  #next(second: number): void {
    const hidden = [
      ...(this.#sessions > 0 ? [`${this.#sessions} more sessions`] : []),
      ...(this.#others > 0 ? [`${this.#others} more lines`] : []),
    ]
    if (hidden.length > 0) this.#terminal.logLine(`         ... and ${hidden.join(', ')}`)
    this.#second = second
    this.#kinds.clear()
    this.#shown = 0
    this.#sessions = 0
    this.#others = 0
  }
}
