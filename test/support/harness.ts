/** A proxy on the test engine, under a virtual clock, with its log lines at hand. */

import { type Logger, pino } from 'pino'
import type { Config } from '#sluice/config/types.js'
import { assembleProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'

export interface LogLine {
  level: number
  msg: string
  [key: string]: unknown
}

/** A logger that keeps its lines. */
export function memoryLogger(level = 'info'): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const logger = pino(
    { level, base: null },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  return { logger, lines }
}

export interface Harness {
  proxy: SluiceProxy
  engine: TestEngine
  clock: VirtualClock
  lines: LogLine[]
  /** Lines of ended sessions. */
  sessions(): LogLine[]
}

export async function harness(
  config: Partial<Config>,
  options: { level?: string; onConnect?: TestEngine['onConnect'] } = {},
): Promise<Harness> {
  const clock = new VirtualClock()
  const engine = new TestEngine(clock)
  if (options.onConnect) engine.onConnect = options.onConnect
  const { logger, lines } = memoryLogger(options.level)
  const proxy = assembleProxy(
    {
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
      ...config,
    },
    { engine, clock, logger },
  )
  await proxy.start()
  return {
    proxy,
    engine,
    clock,
    lines,
    sessions: () => lines.filter(({ event }) => event === 'session'),
  }
}

/** Frontend 'web' with these options, in front of backend 'app'. */
export function web(options: Partial<Config['frontends'][string]>): Config['frontends'] {
  return { web: { bind: '127.0.0.1:0', backend: 'app', ...options } }
}
