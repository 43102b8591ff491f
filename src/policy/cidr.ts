/**
 * Lists of CIDR blocks that a rule asks for every connection: from the code, or
 * from a file that may change while the proxy runs.
 */

import { readFileSync, type Stats, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { AddressSet, type Cidr, CidrBlocks } from '../address/set.js'
import { type Clock, systemClock } from '../base/clock.js'
import { SluiceError } from '../base/errors.js'
import { type Duration, parseDuration, show } from '../base/units.js'

/** Lines parsed in one turn of the event loop when a file is loaded again: one or two milliseconds. */
const LINES_PER_TURN = 4096

/**
 * A set of CIDR blocks and single addresses, IPv4 and IPv6. Blocks may overlap. 100 000 of them
 * match in well under a microsecond.
 */
export class CidrList {
  readonly #set: AddressSet

  /** @throws SluiceError ERR_SLUICE_ARGUMENT for what is no block. */
  constructor(cidrs: Iterable<Cidr>) {
    const blocks = new CidrBlocks()
    for (const cidr of cidrs) {
      if (typeof cidr !== 'string') {
        const list = Array.isArray(cidr) ? '; blocks of a list are spread: cidrList(...blocks)' : ''
        const message = `expected CIDR blocks as text, got ${show(cidr)}${list}.`
        throw new SluiceError('ERR_SLUICE_ARGUMENT', message)
      }
      const wrong = blocks.add(cidr)
      if (wrong !== undefined) throw new SluiceError('ERR_SLUICE_ARGUMENT', wrong)
    }
    this.#set = new AddressSet(blocks)
  }

  /** Blocks as given. */
  get size(): number {
    return this.#set.size
  }

  /**
   * Whether an address, such as `conn.src`, is in the list. An IPv4-mapped IPv6 address is
   * looked for among the IPv4 blocks only. False for what is no address, such as '' of a unix
   * socket.
   */
  has(address: string): boolean {
    return this.#set.has(address)
  }
}

/** `cidrList('10.0.0.0/8', '2001:db8::/32')` */
export function cidrList(...cidrs: Cidr[]): CidrList {
  return new CidrList(cidrs)
}

export interface CidrFileOptions {
  /** Between two looks at the file; '0s' never looks, `reload` is up to the caller. Default '1s'. */
  interval?: Duration
  /** The file could not be read or has a bad line; the list stays as it was. */
  onBadFile?: (error: SluiceError) => void
  /** The list has been replaced. */
  onReload?: (list: CidrFile) => void
  /** Default: the system's. */
  clock?: Clock
}

/**
 * A list from a file: one block a line, '#' starts a comment. The file is loaded again when
 * it has changed and then been left alone for one `interval`, so that a file being written is not
 * read half; replacing it by a rename is safest. Looking at it does not keep the process alive.
 */
export class CidrFile {
  /** Absolute. */
  readonly path: string
  readonly #clock: Clock
  readonly #interval: number
  readonly #options: CidrFileOptions
  #set: AddressSet
  #lastError: SluiceError | undefined
  /** Of the file that the list or `lastError` is from. */
  #loaded: string
  /** At the last look. */
  #seen: string
  #cancel: (() => void) | undefined
  #closed = false
  /** Ends when the last load that was asked for has. */
  #loads: Promise<boolean> = Promise.resolve(true)

  /** @throws SluiceError ERR_SLUICE_ARGUMENT for a file that cannot be read, or a line that is no block. */
  constructor(path: string, options: CidrFileOptions = {}) {
    this.path = resolve(path)
    this.#clock = options.clock ?? systemClock
    this.#interval = parseDuration(options.interval ?? '1s', 'interval')
    this.#options = options
    const blocks = new CidrBlocks()
    try {
      this.#loaded = fingerprint(statSync(this.path))
      parseLines(this.path, splitLines(readFileSync(this.path, 'utf8')), 0, blocks)
    } catch (error) {
      throw readError(this.path, error)
    }
    this.#seen = this.#loaded
    this.#set = new AddressSet(blocks)
    this.#schedule()
  }

  /** Blocks in the list. */
  get size(): number {
    return this.#set.size
  }

  /** Why the file as it is now was not taken; undefined where the list is up to date. */
  get lastError(): SluiceError | undefined {
    return this.#lastError
  }

  /** As `CidrList.has`. */
  has(address: string): boolean {
    return this.#set.has(address)
  }

  /** Loads the file now. @returns False where it was not taken: see `lastError`. Never rejects. */
  reload(): Promise<boolean> {
    this.#loads = this.#loads.then(() => this.#load())
    return this.#loads
  }

  /** Stops looking at the file; the list stays as it is. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #schedule(): void {
    if (this.#closed || this.#interval <= 0) return
    this.#cancel = this.#clock.after(this.#interval, () => void this.#look())
  }

  async #look(): Promise<void> {
    const now = await stat(this.path).then(fingerprint, fingerprintOfError)
    if (now !== this.#loaded && now === this.#seen && !this.#closed) await this.reload()
    this.#seen = now
    this.#schedule()
  }

  async #load(): Promise<boolean> {
    const blocks = new CidrBlocks()
    try {
      const lines = splitLines(await this.#read())
      for (let from = 0; from < lines.length; from += LINES_PER_TURN) {
        parseLines(this.path, lines.slice(from, from + LINES_PER_TURN), from, blocks)
        await nextTurn()
      }
    } catch (error) {
      return this.#fail(readError(this.path, error))
    }
    if (this.#closed) return false
    this.#set = new AddressSet(blocks)
    this.#lastError = undefined
    this.#tell(() => this.#options.onReload?.(this))
    return true
  }

  /** The whole file as it was at one time. A writer that never pauses gets what was read last. */
  async #read(): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      this.#loaded = await stat(this.path).then(fingerprint, fingerprintOfError)
      const text = await readFile(this.path, 'utf8')
      if (attempt === 3 || fingerprint(await stat(this.path)) === this.#loaded) return text
    }
  }

  #fail(error: SluiceError): boolean {
    if (this.#closed) return false
    this.#lastError = error
    this.#tell(() => this.#options.onBadFile?.(error))
    return false
  }

  /** A callback that throws must not end the process. */
  #tell(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}

/** `cidrFile('/etc/sluice/blocked.txt')`: see `CidrFile`. A relative path is one from the current folder. */
export function cidrFile(path: string, options?: CidrFileOptions): CidrFile {
  return new CidrFile(path, options)
}

function splitLines(text: string): string[] {
  return text.replace(/^\uFEFF/, '').split('\n')
}

/** @param before Lines of the file before these. */
function parseLines(path: string, lines: string[], before: number, blocks: CidrBlocks): void {
  for (const [i, line] of lines.entries()) {
    const comment = line.indexOf('#')
    const cidr = (comment < 0 ? line : line.slice(0, comment)).trim()
    const wrong = cidr === '' ? undefined : blocks.add(cidr)
    if (wrong === undefined) continue
    throw new SluiceError('ERR_SLUICE_ARGUMENT', `${path}:${before + i + 1}: ${wrong}`)
  }
}

function fingerprint({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

function fingerprintOfError(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message
}

function readError(path: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error
  const { code, message } = error as NodeJS.ErrnoException
  const why = code === 'ENOENT' ? 'no such file' : message
  return new SluiceError(
    'ERR_SLUICE_ARGUMENT',
    `${path}: expected a readable file with one CIDR block a line: ${why}`,
    { cause: error },
  )
}
