/**
 * A proxy in a process of its own, for what concerns a whole process: its
 * limit of descriptors, its memory. Talks over the IPC channel.
 *
 * Arguments: engine, port of the upstream.
 */

import { getHeapStatistics } from 'node:v8'
import type { EngineKind } from '#sluice/engine/engine.js'
import { createProxy } from '#sluice/proxy/create.js'
import { openFds } from '../../support/engine-harness.js'
import { memoryLogger } from '../../support/harness.js'

/** What the process tells when it is asked for a report. */
export interface Report {
  /** -1 where none is left to count with. */
  fds: number
  /** Bytes of the heap and of what it refers to, after a garbage collection. */
  memory: number
  /** Lines of the log that say that accepting has paused. */
  pauses: number
  sessions: number
  connections: number
  engine: { connections: number; pipesBorrowed: number; buffersBorrowed: number }
}

const [kind, upstream] = process.argv.slice(2) as [EngineKind, string]
const { logger, lines } = memoryLogger('warn')
const proxy = createProxy(
  {
    global: { maxconn: 2000, engine: kind },
    frontends: {
      web: {
        bind: { address: '127.0.0.1:0', backlog: 4096 },
        backend: 'app',
        rules: { connection: [() => undefined] },
      },
    },
    backends: {
      app: { servers: { a: `127.0.0.1:${upstream}` }, retries: 0, passive: false },
    },
    timeouts: { client: '1m', server: '1m' },
  },
  { logger },
)
await proxy.start()

function report(): Report {
  globalThis.gc?.()
  globalThis.gc?.()
  const { engine, connections, frontends } = proxy.stats()
  const { connections: open, pipesBorrowed, buffersBorrowed } = engine as Report['engine']
  const heap = getHeapStatistics()
  return {
    fds: countFds(),
    memory: heap.used_heap_size + heap.external_memory,
    pauses: lines.filter(({ msg }) => msg.includes('accept failed')).length,
    sessions: frontends.web?.sessions ?? 0,
    connections,
    engine: { connections: open, pipesBorrowed, buffersBorrowed },
  }
}

function countFds(): number {
  try {
    return openFds()
  } catch {
    return -1
  }
}

process.on('message', (message) => {
  if (message === 'report') {
    process.send?.(report())
    // The log lines of what was counted are not a leak.
    if (lines.length > 1000) lines.splice(0)
  } else if (message === 'stop') {
    void proxy.stop({ deadline: '0s' }).then(() => process.exit(0))
  }
})
process.send?.(proxy.addresses.web?.[0]?.port)
