/** What the scenarios of TLS handshakes share. */

import { loadErrors, tlsLoad } from '../lib/tls-load.mjs'
import { CORES, counted } from './scenario.mjs'

/** Connections of the closed loop. */
const CONNECTIONS = 64

/** How handshakes are counted, for the note of a scenario. */
export const LOOP = `clients/tls-load, ${CONNECTIONS} connections in a closed loop: connect, TLS 1.3 handshake, request, 25-byte reply, close. The client verifies nothing.`

/** @type {import('./scenario.mjs').Metric[]} */
export const HANDSHAKE_METRICS = [
  { key: 'rate', title: 'handshakes/s', unit: '/s', better: 'higher', digits: 0, chart: true },
  { key: 'cpu', title: 'CPU per handshake', unit: 'us', better: 'lower', digits: 1, chart: true },
  ...CORES,
  { key: 'p50', title: 'handshake p50', unit: 'us', better: 'lower', digits: 0 },
  { key: 'p99', title: 'handshake p99', unit: 'us', better: 'lower', digits: 0 },
  { key: 'p999', title: 'handshake p99.9', unit: 'us', better: 'lower', digits: 0 },
]

/**
 * @param {import('./scenario.mjs').SampleContext} context
 * @param {{resume?: boolean}} [how]
 * @returns {Promise<import('./scenario.mjs').Sample>}
 */
export async function handshakes({ peer, options, seconds }, { resume = false } = {}) {
  const load = { core: options.loadCore, port: peer.port, connections: CONNECTIONS, seconds }
  const { result, cpu, busy, loadBusy } = await counted({ peer, options }, () =>
    tlsLoad({ ...load, resume }),
  )
  return {
    values: {
      rate: result.handshakes / result.duration,
      cpu: (cpu / result.handshakes) * 1e6,
      resumed: (result.resumed / result.handshakes) * 100,
      busy,
      loadBusy,
      p50: result.p50,
      p99: result.p99,
      p999: result.p999,
    },
    errors: loadErrors(result, resume ? CONNECTIONS : undefined),
    raw: { ...result, cpu },
  }
}
