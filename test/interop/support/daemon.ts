/** A server of the system, started for one test file and stopped after it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram, type Program } from './programs.js'

/** How long a server may take to answer, and to go, in ms. */
const PATIENCE = 20_000
const ATTEMPTS = 5

export type Place = { port: number; host?: string } | { path: string }

/** Where a daemon keeps its files, and the ports it was given. */
export interface Grounds {
  directory: string
  ports: readonly number[]
}

export interface DaemonPlan {
  program: Program
  /** Ports it wants. */
  ports?: number
  /** Writes its files and says how it is called, and where it answers once it runs. */
  prepare(grounds: Grounds): { args: readonly string[]; ready: readonly Place[] }
}

export class Daemon {
  readonly directory: string
  readonly ports: readonly number[]
  readonly #child: ChildProcess
  #output = ''

  private constructor(child: ChildProcess, grounds: Grounds) {
    this.#child = child
    this.directory = grounds.directory
    this.ports = grounds.ports
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
  }

  /** A server on free ports of its own; tries others where somebody was faster. */
  static async start(plan: DaemonPlan): Promise<Daemon> {
    const path = findProgram(plan.program)
    for (let attempt = 1; ; attempt++) {
      const directory = mkdtempSync(join(tmpdir(), `sluice-${plan.program}-`))
      const ports = await freePorts(plan.ports ?? 1)
      const { args, ready } = plan.prepare({ directory, ports })
      const child = spawn(path, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
      const daemon = new Daemon(child, { directory, ports })
      try {
        await Promise.all(ready.map((place) => daemon.#answers(place)))
        return daemon
      } catch (error) {
        await daemon.stop()
        if (attempt === ATTEMPTS) throw error
      }
    }
  }

  /** The first port. */
  get port(): number {
    return this.ports[0] as number
  }

  /** What it wrote to stdout and stderr. */
  get output(): string {
    return this.#output
  }

  async stop(): Promise<void> {
    if (this.#running) {
      this.#child.kill('SIGTERM')
      const gone = once(this.#child, 'exit')
      const late = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE)
      await gone
      clearTimeout(late)
    }
    rmSync(this.directory, { recursive: true, force: true })
  }

  get #running(): boolean {
    const { pid, exitCode, signalCode } = this.#child
    return pid !== undefined && exitCode === null && signalCode === null
  }

  async #answers(place: Place): Promise<void> {
    const end = performance.now() + PATIENCE
    while (!(await connects(place))) {
      if (!this.#running) throw new Error(`it ended at once:\n${this.#output}`)
      if (performance.now() > end) throw new Error(`it does not answer:\n${this.#output}`)
      await delay(20)
    }
  }
}

function connects(place: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect('port' in place ? { host: '127.0.0.1', ...place } : place)
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/**
 * Ports of 127.0.0.1 and ::1 that nobody uses. Servers of the system cannot
 * tell which port 0 became. Below the range from which the kernel takes ports
 * for outgoing connections (ip_local_port_range), so that none of those takes
 * one of them before the server does.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = 12_000 + Math.floor(Math.random() * 18_000)
    if (!ports.includes(port) && (await isFree(port))) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)))
  })
}
