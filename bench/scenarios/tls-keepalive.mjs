/** Small messages on established TLS connections, TLS to clear. */

import { loadErrors, tlsLoad } from '../lib/tls-load.mjs'
import { counted, operationMetrics } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'tls-keepalive',
  title: 'Keep-alive small messages over TLS',
  note: 'clients/tls-load, 64 connections in a closed loop; request and 25-byte reply on TLS connections that stay, plain TCP to the upstream.',
  tls: 'p256',
  metrics: operationMetrics('message'),
  async sample({ peer, options, seconds }) {
    const load = { core: options.loadCore, port: peer.port, connections: 64, seconds, keep: true }
    const { result, cpu, busy, loadBusy } = await counted({ peer, options }, () => tlsLoad(load))
    const { messages, duration } = result
    return {
      values: {
        rate: messages.count / duration,
        cpu: (cpu / messages.count) * 1e6,
        busy,
        loadBusy,
        p50: messages.p50,
        p99: messages.p99,
        'p99.9': messages.p999,
      },
      errors: loadErrors(result),
      raw: { ...result, cpu },
    }
  },
}
