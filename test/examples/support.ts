/** Loads an example as `sluice run` does, and runs it on real sockets in front of scripted servers. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as sluice from 'sluice'
import { modules } from '#sluice/cli/modules.js'
import { loadConfig } from '#sluice/config/load.js'
import type { Config } from '#sluice/config/types.js'
import type { EngineKind } from '#sluice/engine/engine.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import { type LogLine, memoryLogger } from '../support/harness.js'
import { PATIENCE, Peer } from '../support/peer.js'

/** The repository's folder: this file runs as build/test/examples/support.js. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

/** The real loader, with the modules that the command line gives it. */
export async function loadExample(file: string): Promise<Config> {
  return (await loadConfig(file, { cwd: root, modules })).config
}

export interface RunOptions {
  /** Port of each server, as 'backend/server'. */
  servers?: Record<string, number>
  /** Default: examples/NAME/sluice.config.ts. */
  file?: string
  /** A last change before the start. */
  adapt?: (config: Config) => Config
}

export interface RunningExample {
  proxy: sluice.SluiceProxy
  lines: LogLine[]
  /** A client of a frontend; it is destroyed when the test ends. */
  connect(frontend: string, options?: { from?: string }): Promise<Peer>
  /** The record of session `n` in the order of their ends, once it is there. */
  record(n: number): Promise<SessionRecord>
}

/**
 * Runs an example with free ports and the test's servers. When the test ends,
 * nothing may be open any more once its clients are gone.
 */
export async function runExample(
  t: TestContext,
  kind: EngineKind,
  name: string,
  options: RunOptions = {},
): Promise<RunningExample> {
  const config = await loadExample(options.file ?? `examples/${name}/sluice.config.ts`)
  const onFreePorts = redirect(config, options.servers ?? {})
  const { logger, lines } = memoryLogger('debug')
  const proxy = sluice.createProxy(options.adapt?.(onFreePorts) ?? onFreePorts, {
    engine: kind,
    logger,
  })
  const records: SessionRecord[] = []
  proxy.on('session', (record) => records.push(record))
  await proxy.start()
  const clients: Peer[] = []
  t.after(async () => {
    for (const client of clients) client.destroy()
    assert.deepEqual(await proxy.stop({ deadline: `${PATIENCE}ms` }), { drained: true, closed: 0 })
  })
  return {
    proxy,
    lines,
    async connect(frontend, { from = '127.0.0.1' } = {}) {
      const port = proxy.addresses[frontend]?.[0]?.port
      assert.ok(port, `no frontend ${frontend}`)
      const socket = connect({
        host: '127.0.0.1',
        port,
        localAddress: from,
        allowHalfOpen: true,
      })
      const client = new Peer(socket)
      clients.push(client)
      // A connection that a rule resets may end before it is seen to begin.
      await new Promise<unknown>((resolve) =>
        socket.once('connect', resolve).once('close', resolve),
      )
      return client
    },
    async record(n) {
      const signal = AbortSignal.timeout(PATIENCE)
      while (records.length <= n) await once(proxy, 'session', { signal })
      return records[n] as SessionRecord
    },
  }
}

/** Every bind on a free port of 127.0.0.1, every server where the test has it. */
function redirect(config: Config, servers: Record<string, number>): Config {
  const frontends = Object.entries(config.frontends).map(([name, frontend]) => {
    const binds = [frontend.bind].flat().map((bind) => {
      const options = typeof bind === 'string' ? { address: bind } : bind
      return { ...options, address: '127.0.0.1:0' }
    })
    return [name, { ...frontend, bind: binds }] as const
  })
  const backends = Object.entries(config.backends).map(([backend, options]) => {
    const moved = Object.entries(options.servers).map(([name, server]) => {
      const port = servers[`${backend}/${name}`]
      if (port === undefined) return [name, server] as const
      const address = `127.0.0.1:${port}`
      assert.ok(typeof server === 'string' || !('kind' in server), `${name} is an applet`)
      return [name, typeof server === 'string' ? address : { ...server, address }] as const
    })
    return [backend, { ...options, servers: Object.fromEntries(moved) }] as const
  })
  return {
    ...config,
    frontends: Object.fromEntries(frontends),
    backends: Object.fromEntries(backends),
  }
}

/** Asks until the answer is yes. Turns of the event loop go by in between. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>) {
  const deadline = performance.now() + PATIENCE
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** All cuts of `bytes` in two, as the one position each. */
export function everyCut(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length - 1 }, (_, i) => i + 1)
}
