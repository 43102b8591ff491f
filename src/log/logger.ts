/**
 * The logger: pino on a sink that never makes policy wait for the disk or a slow
 * reader. What a reader does not take within the bound is dropped and counted.
 */

import { writeSync } from 'node:fs'
import { resolve } from 'node:path'
import pino, { type Logger } from 'pino'
import { escapeJsonLine, escapeText } from './escape.js'
import { makeLogFile } from './file.js'
import { formatRecord, type LogFields, wantsColours } from './format.js'
import { LineSink } from './sink.js'

export interface LogOptions {
  level: string
  /** Path; stdout where undefined. */
  file: string | undefined
  /** Default 'json'. */
  format?: 'json' | 'pretty' | undefined
  /** Escape sequences in 'pretty'. Default: on stdout, where it is a terminal or FORCE_COLOR says so. */
  colours?: boolean
  /** Hears of the log's own trouble. Default: a line on stderr, now and then. */
  onTrouble?: (text: string) => void
}

export interface ProxyLog {
  readonly logger: Logger
  /** Path; undefined for stdout. */
  readonly file: string | undefined
  /** Opens the file now, so that it can be moved away. Throws what the system says. */
  open(): void
  /** Lines that were given up: nobody read them, or they could not be written. */
  dropped(): number
  /**
   * Opens the file's name again, for rotation. Rejects with a ConfigError, and goes on as before,
   * where it cannot be written.
   */
  reopen(): Promise<void>
  /** Writes what waits. The logger still works afterwards. */
  close(): Promise<void>
}

/** ms between two lines on stderr about a log that fails. */
const TROUBLE_INTERVAL = 10_000

/** Throws a ConfigError where the file cannot be written; it is made, and opened by `open` or the first line. */
export function createLog(options: LogOptions): ProxyLog {
  const { level, format = 'json' } = options
  // The working directory may change.
  const file = options.file === undefined ? undefined : resolve(options.file)
  if (file !== undefined) makeLogFile(file)
  const name = file ?? 'stdout'
  const say = options.onTrouble ?? toStderr
  let toldAt = Number.NEGATIVE_INFINITY
  let lostBefore = 0
  const sink = new LineSink(file, {
    failing(error) {
      const now = performance.now()
      if (now - toldAt < TROUBLE_INTERVAL) return
      toldAt = now
      say(
        `the log (${name}) cannot be written: ${error.message}; lines wait (16 MB at most), then they are dropped and counted`,
      )
    },
    recovered(lost) {
      lostBefore += lost
      logger.warn({ lost, lostInAll: lostBefore }, 'log lines were lost')
    },
  })
  const { colours = file === undefined && wantsColours(process.stdout, process.env) } = options
  const text = { colours, date: true }
  const stream =
    format === 'json'
      ? { write: (line: string) => sink.write(escapeJsonLine(line)) }
      : {
          write: (line: string) =>
            sink.write(`${formatRecord(JSON.parse(line) as LogFields, text)}\n`),
        }
  const logger = pino({ level, base: { name: 'sluice' } }, stream)
  return {
    logger,
    file,
    open: () => sink.open(),
    dropped: () => sink.dropped,
    async reopen() {
      if (file !== undefined) makeLogFile(file)
      await sink.reopen()
    },
    async close() {
      await sink.close()
      const lost = sink.dropped - lostBefore
      if (lost === 0) return
      lostBefore = sink.dropped
      say(`the log (${name}) has lost ${lost} lines`)
    },
  }
}

/** Whoever reads stderr, if anybody does. */
function toStderr(text: string): void {
  try {
    // At once: the process may be about to end.
    writeSync(2, `sluice: ${escapeText(text)}\n`)
  } catch {
    // Then nobody reads it.
  }
}
