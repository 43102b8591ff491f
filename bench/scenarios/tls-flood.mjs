/** Established connections while handshakes flood the same worker. */

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startPinned } from '../lib/processes.mjs'
import { loadErrors, startTlsLoad } from '../lib/tls-load.mjs'
import { printed } from './idle.mjs'

const CLIENT = fileURLToPath(new URL('../clients/steady.mjs', import.meta.url))

/** Requests a second: a small part of what any of the peers can do. */
const RATE = 1000
const ESTABLISHED = 32
/** Connections of the flood, each of them busy with one handshake after the other. */
const FLOOD = 128
/** Between the flood's first handshakes and its end, more than the second window, s. */
const MORE = 1

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-flood',
  title: 'Established TLS connections in a flood of handshakes',
  note: `${RATE} requests a second, issued each millisecond, over ${ESTABLISHED} established TLS connections; halfway ${FLOOD} connections begin to make full RSA-2048 handshakes on the same port, one after the other, as fast as the proxy can. Latency counts from the time at which a request was issued.`,
  tls: 'rsa',
  metrics: [
    { key: 'before.p50', title: 'p50 before', unit: 'us', better: 'lower', digits: 0 },
    { key: 'before.p99', title: 'p99 before', unit: 'us', better: 'lower', digits: 0 },
    { key: 'during.p50', title: 'p50 in the flood', unit: 'us', better: 'lower', digits: 0 },
    {
      key: 'during.p99',
      title: 'p99 in the flood',
      unit: 'us',
      better: 'lower',
      digits: 0,
      chart: true,
    },
    { key: 'during.p99.9', title: 'p99.9 in the flood', unit: 'us', better: 'lower', digits: 0 },
    { key: 'rate', title: 'handshakes/s meanwhile', unit: '/s', better: 'higher', digits: 0 },
  ],
  async sample({ peer, options, seconds }) {
    const core = options.loadCore
    const numbers = [peer.port, ESTABLISHED, RATE, seconds * 1000].map(String)
    const client = startPinned(core, process.execPath, [CLIENT, ...numbers, 'tls'])
    const waiting = client.output(seconds * 4000 + 20_000)
    const [output, result] = await Promise.all([
      waiting,
      // The client says when it starts its second window; the flood starts with it.
      printed(client, 'now').then(async () => {
        const args = ['--connections', String(FLOOD), '--seconds', String(seconds + MORE)]
        const flood = startTlsLoad({ core, port: peer.port }, args)
        return JSON.parse(await flood.output((seconds + MORE + 15) * 1000))
      }),
    ])
    // What is left of the flood in the proxy is not the next sample's.
    await sleep(200)
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
        rate: result.handshakes / result.duration,
      },
      errors: [...errors, ...loadErrors(result)],
      raw: { before, during, flood: result },
    }
  },
}
