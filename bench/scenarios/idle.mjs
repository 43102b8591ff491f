/** Memory of connections on which nothing happens. */

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { memory } from '../lib/proc.mjs'
import { startPinned } from '../lib/processes.mjs'
import { wrk } from '../lib/wrk.mjs'

const CLIENT = fileURLToPath(new URL('../clients/idle.mjs', import.meta.url))

/** Until allocators and collectors of the proxy have come to rest, ms. */
const REST = 1000

/** Short connections before the first measurement. */
const CHURN = { path: '/', connections: 64, seconds: 1, close: true }

/** What is in the figures, for the note of a scenario. */
export const IDLE_NOTE =
  'Resident memory of a freshly started proxy, after a churn of short connections: with N connections open that have carried a request and a reply, less with none, per connection. Kernel memory is not in it. The half figure counts the second half of the connections only, after the first half has paid for what a growing heap costs once.'

/** @type {import('./scenario.mjs').Metric[]} */
export const IDLE_METRICS = [
  {
    key: 'rss',
    title: 'memory per connection',
    unit: 'B',
    better: 'lower',
    digits: 0,
    chart: true,
  },
  { key: 'half', title: 'second half only', unit: 'B', better: 'lower', digits: 0 },
  {
    key: 'before',
    title: 'process before',
    unit: 'MB',
    better: 'lower',
    digits: 1,
    compare: false,
  },
]

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'idle',
  title: 'Idle connections',
  note: IDLE_NOTE,
  fresh: true,
  warm: false,
  metrics: IDLE_METRICS,
  async sample({ peer, options }) {
    const core = options.loadCore
    const churn = await wrk({ ...CHURN, core, port: peer.port })
    return idleSample({ peer, options }, churn.errors, ([half, count, pause]) =>
      startPinned(core, process.execPath, [CLIENT, String(peer.port), half, count, pause]),
    )
  },
}

/**
 * @param {Pick<import('./scenario.mjs').SampleContext, 'peer' | 'options'>} context
 * @param {string[]} errors of the churn before
 * @param {(numbers: [half: string, count: string, pause: string]) => import('../lib/processes.mjs').Started} open
 *   starts a client that opens `half` connections, prints "half", waits `pause` ms, opens up to
 *   `count`, prints "all" and holds them
 * @returns {Promise<import('./scenario.mjs').Sample>}
 */
export async function idleSample({ peer, options }, errors, open) {
  const pids = peer.pids()
  await sleep(REST)
  const count = options.connections
  const half = Math.floor(count / 2)
  const none = memory(pids)
  const client = open([String(half), String(count), String(REST + 2000)])
  try {
    await printed(client, 'half')
    await sleep(REST)
    const some = memory(pids)
    await printed(client, 'all')
    await sleep(REST)
    const all = memory(pids)
    if (client.ended !== undefined) throw new Error(`idle client: ${client.lastWords}`)
    return {
      values: {
        rss: (all.rss - none.rss) / count,
        half: (all.rss - some.rss) / (count - half),
        before: none.rss / 1e6,
      },
      errors,
      raw: { connections: count, none, some, all },
    }
  } finally {
    await client.stop()
  }
}

/**
 * @param {import('../lib/processes.mjs').Started} client
 * @param {string} word on a line of its own
 */
export async function printed(client, word) {
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    if (client.stdout.split('\n').includes(word)) return
    if (client.ended !== undefined) throw new Error(`the client ended: ${client.lastWords}`)
    await sleep(20)
  }
  throw new Error(`the client did not print "${word}" within 60 s: ${client.lastWords}`)
}
