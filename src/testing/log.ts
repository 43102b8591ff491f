/** A log in memory, with the virtual clock's time. */

import { type Logger, pino } from 'pino'
import type { Clock } from '../base/clock.js'

/** One log line. */
export interface LogRecord {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  /** ms on the virtual clock. */
  time: number
  msg: string
  /** The connection's, on lines about one. */
  id?: string
  /** Bindings: `frontend`, `src`, `rule`, `err`, and what a policy adds. */
  [key: string]: unknown
}

/** A logger whose lines come to `written`, parsed. */
export function memoryLog(
  level: string,
  clock: Clock,
  written: (record: LogRecord) => void,
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":${clock.now()}`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => written(JSON.parse(line) as LogRecord) },
  )
}
