/** Sluice between a real client and a real server, on each engine. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import type { Connection } from '#sluice/policy/types.js'
import { createProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { createEngine, engineKinds } from '../../support/engines.js'
import { type LogLine, memoryLogger } from '../../support/harness.js'

/** How long ended sessions may take to be told, in ms. */
const PATIENCE = 15_000

export class Running {
  readonly proxy: SluiceProxy
  readonly kind: EngineKind
  /** Ended sessions, in order. */
  readonly records: SessionRecord[] = []
  readonly lines: LogLine[]

  private constructor(proxy: SluiceProxy, kind: EngineKind, lines: LogLine[]) {
    this.proxy = proxy
    this.kind = kind
    this.lines = lines
    proxy.on('session', (record) => this.records.push(record))
  }

  static async start(kind: EngineKind, config: Config): Promise<Running> {
    const { logger, lines } = memoryLogger('info')
    const running = new Running(createProxy(config, { engine: kind, logger }), kind, lines)
    await running.proxy.start()
    assert.equal(running.proxy.engineKind, kind)
    return running
  }

  /** Port of a frontend's first bind. */
  port(frontend = 'web'): number {
    const address = this.proxy.addresses[frontend]?.[0]
    assert.ok(address, `frontend ${frontend} does not listen`)
    return address.port
  }

  /** Waits until `count` sessions have ended; returns all that have. */
  async ended(count: number): Promise<readonly SessionRecord[]> {
    await until(
      () => this.records.length >= count,
      () => `${this.records.length} of ${count} sessions ended`,
    )
    return this.records
  }

  /** Nobody is connected any more, and nothing is left over. */
  async settle(): Promise<void> {
    const left = () => {
      const { connections, engine } = this.proxy.stats()
      return { connections, engine: engine?.connections, pipes: engine?.pipesBorrowed }
    }
    const none = { connections: 0, engine: 0, pipes: 0 }
    await until(
      () => JSON.stringify(left()) === JSON.stringify(none),
      () => `left over: ${JSON.stringify(left())}`,
    )
    for (const frontend of Object.values(this.proxy.stats().frontends)) {
      assert.equal(frontend.policyErrors, 0, 'a policy failed')
    }
  }

  async stop(): Promise<void> {
    await this.proxy.stop({ deadline: '0s' })
  }
}

/** Waits for `condition`; fails with what `state` says. */
export async function until(condition: () => boolean, state: () => string): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!condition()) {
    assert.ok(performance.now() < end, `still after ${PATIENCE} ms: ${state()}`)
    await delay(5)
  }
}

/** Starts proxies that are stopped when the test ends. */
export type Start = (config: Config) => Promise<Running>

/**
 * A test on each engine. At its end every proxy has no connection left, and the
 * process as many file descriptors as before, or the test fails.
 */
export function interopTest(name: string, run: (start: Start) => Promise<void>): void {
  for (const kind of engineKinds) {
    test(`${name} (${kind})`, { timeout: 120_000 }, async () => {
      const started: Running[] = []
      const fds = await openFds(kind)
      const start: Start = async (config) => {
        const running = await Running.start(kind, config)
        started.push(running)
        return running
      }
      try {
        await run(start)
        for (const running of started) await running.settle()
      } finally {
        for (const running of started) await running.stop()
      }
      await until(
        () => countFds() <= fds,
        () => `${countFds()} file descriptors, ${fds} before`,
      )
    })
  }
}

/** File descriptors now, with what an engine opens once for all loaded. */
async function openFds(kind: EngineKind): Promise<number> {
  const engine = await createEngine(kind)
  await engine.stop()
  return countFds()
}

function countFds(): number {
  return readdirSync('/proc/self/fd').length
}

/** A connection rule that lets everybody in, and what it saw. */
export function watcher(): { rule: (conn: Connection) => undefined; seen: Seen[] } {
  const seen: Seen[] = []
  function watch(conn: Connection): undefined {
    const { id, src, srcPort, dst, dstPort, peer } = conn
    const tlvs = new Map([...conn.proxyTlvs].map(([type, value]) => [type, Buffer.from(value)]))
    seen.push({ id, src, srcPort, dst, dstPort, peer, tlvs })
  }
  return { rule: watch, seen }
}

/** Copied from the connection while the rule ran. */
export interface Seen {
  id: string
  src: string
  srcPort: number
  dst: string
  dstPort: number
  peer: string
  tlvs: ReadonlyMap<number, Buffer>
}
