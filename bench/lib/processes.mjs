/**
 * Starting, pinning and ending child processes. Every child leads a process
 * group of its own, and whatever still lives when the run ends, fails or is
 * interrupted is killed with its group.
 */

import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** @type {Set<ChildProcess>} */
const alive = new Set()
/** @type {Set<string>} */
const directories = new Set()

process.on('exit', () => {
  for (const child of alive) signalGroup(child, 'SIGKILL')
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
/** Makes a signal end this process with everything it started. */
export function endOnSignals() {
  for (const [signal, code] of /** @type {[NodeJS.Signals, number][]} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.on(signal, () => process.exit(code))
  }
  // In a namespace of its own this process has an outer one; without it nobody waits for us.
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) process.exit(1)
  }, 1000).unref()
}

/**
 * @param {string} program a name, or a path where it holds a slash
 * @returns {string | undefined} its path
 */
export function findProgram(program) {
  // Daemons live in sbin, which the PATH of an ordinary user may lack.
  const places = program.includes('/')
    ? ['']
    : [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const place of places) {
    const path = place === '' ? program : join(place, program)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

/** @returns {string} a directory that is removed when the run ends */
export function temporaryDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  directories.add(directory)
  return directory
}

/**
 * Runs a program on one core.
 * @param {number} core
 * @param {string} program
 * @param {string[]} args
 * @param {{env?: Record<string, string>, ipc?: boolean}} [options]
 * @returns {Started}
 */
export function startPinned(core, program, args, options = {}) {
  const child = spawn('taskset', ['-c', String(core), program, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  return new Started(child, program)
}

/** A child process with what it printed. */
export class Started {
  /** Kept of each stream: enough to explain a failure, and bounded. */
  static LIMIT = 1 << 20

  stdout = ''
  stderr = ''
  /** @type {number | string | undefined} exit code or signal once it ended */
  ended
  /** @type {Promise<void>} */
  end

  /**
   * @param {ChildProcess} child
   * @param {string} name for messages
   */
  constructor(child, name) {
    this.child = child
    this.name = name
    alive.add(child)
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      if (this.stdout.length < Started.LIMIT) this.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      if (this.stderr.length < Started.LIMIT) this.stderr += text
    })
    this.end = new Promise((resolve) => {
      child.on('error', (error) => {
        this.stderr += error.message
        this.ended = error.message
        alive.delete(child)
        resolve()
      })
      child.on('close', (code, signal) => {
        this.ended = code ?? signal ?? 'ended'
        alive.delete(child)
        resolve()
      })
    })
  }

  /** @returns {number} 0 where it never started */
  get pid() {
    return this.child.pid ?? 0
  }

  /** @returns {string} the last of what it printed, for a message */
  get lastWords() {
    return `${this.stderr}\n${this.stdout}`.trim().split('\n').slice(-12).join('\n')
  }

  /**
   * Ends the whole group: SIGTERM, then SIGKILL after a second.
   */
  async stop() {
    if (this.ended !== undefined) return
    signalGroup(this.child, 'SIGTERM')
    const timer = setTimeout(() => signalGroup(this.child, 'SIGKILL'), 1000)
    await this.end
    clearTimeout(timer)
  }

  /**
   * Waits for the end of a program that ends by itself.
   * @param {number} limit ms, after which it is killed
   * @returns {Promise<string>} what it printed on stdout
   * @throws {Error} with its last words where it failed or was killed
   */
  async output(limit) {
    let late = false
    const timer = setTimeout(() => {
      late = true
      signalGroup(this.child, 'SIGKILL')
    }, limit)
    await this.end
    clearTimeout(timer)
    if (late) throw new Error(`${this.name} did not end within ${limit / 1000} s`)
    if (this.ended !== 0)
      throw new Error(`${this.name} ended with ${this.ended}: ${this.lastWords}`)
    return this.stdout
  }
}

/**
 * @param {ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function signalGroup(child, signal) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Gone already.
  }
}

/**
 * The first line that a program prints about its version, on either stream.
 * @param {string} program
 * @param {string} flag
 * @returns {string}
 */
export function versionLine(program, flag) {
  const { stdout, stderr } = spawnSync(program, [flag], { encoding: 'utf8', timeout: 5000 })
  return (`${stdout ?? ''}${stderr ?? ''}`.trim().split('\n')[0] ?? '').trim()
}
