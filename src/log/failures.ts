/**
 * Failures of a policy's code in the log. A rule that throws does so for every connection:
 * a few lines tell as much as all of them, and each connection has its session line anyway.
 */

import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import type { Logger } from 'pino'
import { SluiceError } from '../base/errors.js'
import { behindMessage } from './format.js'

/** Lines about one source in a window of ms; the rest is counted. */
const LINES = 5
const WINDOW = 10_000
/** Sources that are remembered; they are names of the configuration. */
const MOST_SOURCES = 1_000
const MOST_FRAMES = 4
/** Characters of a message: it may hold what a client sent. */
const MOST_MESSAGE = 1_000

/** Undefined where a bundler has made CommonJS of this module: frames cannot be told apart then. */
const here: string | undefined = import.meta.url
const OUR_FOLDER = here && fileURLToPath(new URL('../', here))

interface Source {
  since: number
  lines: number
  suppressed: number
}

/** What is logged beside the message; `err` is shortened. */
export interface FailureFields {
  err?: unknown
  [field: string]: unknown
}

export class FailureLog {
  readonly #now: () => number
  readonly #sources = new Map<string, Source>()
  readonly #told = new WeakSet<SluiceError>()

  /** `now`: ms of any clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * Logs `message`, which names the source, or counts it: the next line has `suppressed`. At
   * level 'debug' and below everything is logged, with whole stacks. `log` is made on demand.
   */
  report(
    root: Logger,
    log: () => Logger,
    level: 'warn' | 'error',
    fields: FailureFields,
    message: string,
  ): void {
    try {
      this.#report(root, log, level, fields, message)
    } catch {
      // A Proxy, or an error whose getters throw: that something failed is told all the same.
      log()[level]({ ...fields, err: 'what was thrown cannot be read' }, message)
    }
  }

  #report(
    root: Logger,
    log: () => Logger,
    level: 'warn' | 'error',
    fields: FailureFields,
    message: string,
  ): void {
    const { err } = fields
    if (root.isLevelEnabled('debug')) {
      const odd = 'err' in fields && !(err instanceof Error)
      log()[level](odd ? { ...fields, err: shortError(err) } : fields, message)
      return
    }
    if (err instanceof SluiceError) {
      // The same object again: a mistake in the configuration that is told once.
      if (this.#told.has(err)) return
      this.#told.add(err)
    }
    const suppressed = this.#take(message)
    if (suppressed < 0) return
    const short = 'err' in fields ? { ...fields, err: shortError(fields.err) } : fields
    log()[level](suppressed > 0 ? { ...short, suppressed } : short, message)
  }

  /** A line for each source about which there is something left to tell: at the end. */
  tellRest(log: Logger): void {
    for (const [message, source] of this.#sources) {
      if (source.suppressed > 0) log.error({ suppressed: source.suppressed }, message)
      source.suppressed = 0
    }
  }

  /** Lines of this source that were not logged since the last one that was; -1 where this one is not. */
  #take(name: string): number {
    const now = this.#now()
    let source = this.#sources.get(name)
    if (source === undefined) {
      if (this.#sources.size >= MOST_SOURCES) this.#sources.clear()
      source = { since: now, lines: 0, suppressed: 0 }
      this.#sources.set(name, source)
    }
    if (now - source.since >= WINDOW) {
      source.since = now
      source.lines = 0
    }
    if (source.lines >= LINES) {
      source.suppressed++
      return -1
    }
    source.lines++
    const { suppressed } = source
    source.suppressed = 0
    return suppressed
  }
}

/** An error with the beginning of its message and the frames of the policy's own code. */
export function shortError(error: unknown): unknown {
  if (typeof error === 'string') return cut(error)
  if (!(error instanceof Error)) return thrown(error)
  const { name, message, stack, cause } = error
  // pino takes the type from the constructor where there is one, and shows what is enumerable.
  const short = Object.create(null, { name: { value: name } }) as Record<string, unknown>
  return Object.assign(short, {
    message: cut(String(message)),
    stack: shortStack(name, String(message), stack),
    ...('code' in error && { code: error.code }),
    ...(cause !== undefined && { cause: cause instanceof Error ? cut(cause.message) : cause }),
  })
}

/** What is no error and was thrown all the same. A line without it would not say what happened. */
function thrown(value: unknown): unknown {
  const said = inspect(value, { depth: 1, getters: false })
  return typeof value === 'object' && value !== null ? cut(said) : `${cut(said)} was thrown`
}

function shortStack(name: string, message: string, stack: string | undefined): string {
  const head = `${name}: ${cut(message)}`
  if (typeof stack !== 'string') return head
  const frames = behindMessage(stack, message)
    .split('\n')
    .filter((line) => line.startsWith('    at '))
  const own = frames.filter((line) => !line.includes('node:') && !isOurs(line))
  return [head, ...(own.length > 0 ? own : frames).slice(0, MOST_FRAMES)].join('\n')
}

function isOurs(frame: string): boolean {
  return OUR_FOLDER !== undefined && frame.includes(OUR_FOLDER)
}

function cut(text: string): string {
  return text.length > MOST_MESSAGE ? `${text.slice(0, MOST_MESSAGE)}...` : text
}
