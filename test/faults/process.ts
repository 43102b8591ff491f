/** A proxy in a process of its own, as the test sees it. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { EngineKind } from '#sluice/engine/engine.js'
import { PATIENCE } from '../support/peer.js'
import type { Report } from './programs/proxy.js'

const program = fileURLToPath(new URL('./programs/proxy.js', import.meta.url))

export class ProxyProcess {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** `fileLimit`: most descriptors of the process; lowered once it runs, as it would stay below one it knew. */
  static async start(
    kind: EngineKind,
    upstream: number,
    { fileLimit }: { fileLimit?: number } = {},
  ): Promise<ProxyProcess> {
    const args = ['--expose-gc', program, kind, `${upstream}`]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const died = once(child, 'exit').then(() => {
      throw new Error('the program ended before it listened')
    })
    const [port] = (await Promise.race([once(child, 'message'), died])) as [number]
    died.catch(() => {})
    if (fileLimit) execFileSync('prlimit', ['--pid', `${child.pid}`, `--nofile=${fileLimit}`])
    return new ProxyProcess(child, port)
  }

  async report(): Promise<Report> {
    this.#child.send('report')
    const [report] = (await once(this.#child, 'message')) as [Report]
    return report
  }

  /** Asks until the report is as it should be. */
  async until(condition: (report: Report) => boolean, what: string): Promise<Report> {
    const deadline = performance.now() + PATIENCE
    for (;;) {
      const report = await this.report()
      if (condition(report)) return report
      if (performance.now() > deadline) {
        throw new Error(`did not happen: ${what}; ${JSON.stringify(report)}`)
      }
      await delay(20)
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.send('stop')
    await closed
  }
}
