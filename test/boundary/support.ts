/** What the tests of the boundary share: child processes, client threads, a blocked thread. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestOptions, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { engineKinds } from '../support/engines.js'
import type { ClientTask } from './programs/clients.js'

/** Longest life of a program, in ms. */
const LIFETIME = 60_000

/** A test of the native engine; none where SLUICE_TEST_ENGINES leaves it out. */
export function boundaryTest(name: string, run: () => Promise<void>): void {
  const options: TestOptions = { timeout: 2 * LIFETIME }
  if (engineKinds.includes('native')) test(name, options, run)
}

/** How a program ended. */
export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/**
 * The ways in which workers call TypeScript: by the event loop, by a ThreadsafeFunction, by the
 * event loop whose thread looks for events itself before it sleeps (busyPoll), and by the event
 * loop whose thread takes the workers' turns (lead).
 */
export const doorbells = ['loop', 'queue', 'poll', 'lead'] as const
export type DoorbellKind = (typeof doorbells)[number]

/** The same test of every doorbell. `run` gets the name for runProgram. */
export function doorbellTest(name: string, run: (doorbell: DoorbellKind) => Promise<void>): void {
  for (const doorbell of doorbells) {
    boundaryTest(`${name} (doorbell: ${doorbell})`, () => run(doorbell))
  }
}

/** Runs `programs/<name>.ts` in a process of its own until it ends by itself. */
export async function runProgram(
  doorbell: DoorbellKind,
  name: string,
  ...args: string[]
): Promise<Outcome> {
  const path = fileURLToPath(new URL(`./programs/${name}.js`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SLUICE_DOORBELL: doorbell },
  })
  const outcome: Outcome = { code: null, signal: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    outcome.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    outcome.stderr += text
  })
  const tooLong = setTimeout(() => child.kill('SIGKILL'), LIFETIME)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  clearTimeout(tooLong)
  return { ...outcome, code, signal }
}

/** Runs a task of programs/clients.ts on a thread of its own, which goes on while this one is blocked. */
export class ClientThread {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  static async start(): Promise<ClientThread> {
    const worker = new Worker(new URL('./programs/clients.js', import.meta.url))
    await once(worker, 'message')
    return new ClientThread(worker)
  }

  /** Resolves with the task's result. */
  async run(task: ClientTask): Promise<number> {
    this.#worker.postMessage(task)
    const [result] = (await once(this.#worker, 'message')) as [number]
    return result
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}

/** Blocks this thread: no event is handled meanwhile. */
export function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** An echo server on a thread of its own. */
export class ClientThreadEcho {
  readonly port: number
  readonly #stop: () => Promise<void>

  private constructor(port: number, stop: () => Promise<void>) {
    this.port = port
    this.#stop = stop
  }

  static async start(): Promise<ClientThreadEcho> {
    const worker = new Worker(new URL('./programs/echo.js', import.meta.url))
    const port = await new Promise<number>((resolve) => worker.once('message', resolve))
    return new ClientThreadEcho(port, async () => void (await worker.terminate()))
  }

  stop(): Promise<void> {
    return this.#stop()
  }
}
