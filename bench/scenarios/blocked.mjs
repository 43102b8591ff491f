/** A policy that blocks its thread, and connections that were there before. */

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startPinned } from '../lib/processes.mjs'

const CLIENT = fileURLToPath(new URL('../clients/steady.mjs', import.meta.url))

/** Requests a second: a small part of what any of the peers can do. */
const RATE = 4000
const CONNECTIONS = 32

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'blocked',
  title: 'Policy blocked',
  note: `${RATE} requests a second, issued each millisecond, over ${CONNECTIONS} established connections; halfway a rule blocks the policy's thread (--block seconds). Latency counts from the time at which a request was issued, whether or not its connection was free, so that waiting is not left out. HAProxy has nothing to block: it shows what the second window looks like by itself.`,
  peers: ['native', 'js', 'haproxy'],
  metrics: [
    { key: 'before.p50', title: 'p50 before', unit: 'us', better: 'lower', digits: 0 },
    { key: 'before.p99', title: 'p99 before', unit: 'us', better: 'lower', digits: 0 },
    { key: 'during.p50', title: 'p50 blocked', unit: 'us', better: 'lower', digits: 0 },
    {
      key: 'during.p99',
      title: 'p99 blocked',
      unit: 'us',
      better: 'lower',
      digits: 0,
      chart: true,
    },
    { key: 'during.p99.9', title: 'p99.9 blocked', unit: 'us', better: 'lower', digits: 0 },
    { key: 'change', title: 'p99 blocked / before', unit: 'x', better: 'lower', digits: 2 },
  ],
  async sample({ peer, options }) {
    const ms = options.block * 1000
    const client = startPinned(options.loadCore, process.execPath, [
      CLIENT,
      String(peer.port),
      String(CONNECTIONS),
      String(RATE),
      String(ms),
    ])
    const waiting = client.output(ms * 4 + 20_000)
    // The client says when it starts its second window; the block starts with it.
    const trigger = blockWhenReady(client, peer)
    const [output] = await Promise.all([waiting, trigger])
    const line = output.split('\n').find((text) => text.startsWith('{'))
    if (line === undefined) throw new Error(`no result: ${client.lastWords}`)
    const { before, during, errors } = JSON.parse(line)
    return {
      values: {
        'before.p50': before.p50,
        'before.p99': before.p99,
        'during.p50': during.p50,
        'during.p99': during.p99,
        'during.p99.9': during['p99.9'],
        change: during.p99 / before.p99,
      },
      errors,
      raw: { before, during },
    }
  },
}

/**
 * @param {import('../lib/processes.mjs').Started} client
 * @param {import('../peers/peer.mjs').RunningPeer} peer
 */
async function blockWhenReady(client, peer) {
  while (client.ended === undefined) {
    if (client.stdout.includes('now\n')) {
      await peer.block?.()
      return
    }
    await sleep(5)
  }
}
