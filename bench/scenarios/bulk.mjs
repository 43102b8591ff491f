/** 10 MB objects. */

import { CORES, measure } from './scenario.mjs'

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'bulk',
  title: 'Bulk, 10 MB objects',
  note: 'wrk -t1 -c8; 10 MB objects on connections that stay; GB is 10^9 bytes.',
  metrics: bulkMetrics(),
  sample: (context) => bulkSample(context, false),
}

/** @returns {import('./scenario.mjs').Metric[]} */
export function bulkMetrics() {
  return [
    { key: 'rate', title: 'throughput', unit: 'GB/s', better: 'higher', digits: 2, chart: true },
    { key: 'cpu', title: 'CPU per GB', unit: 's', better: 'lower', digits: 3, chart: true },
    ...CORES,
    { key: 'p50', title: 'p50', unit: 'ms', better: 'lower', digits: 1 },
    { key: 'p99', title: 'p99', unit: 'ms', better: 'lower', digits: 1 },
  ]
}

/**
 * @param {import('./scenario.mjs').SampleContext} context
 * @param {boolean} tls
 * @returns {Promise<import('./scenario.mjs').Sample>}
 */
export async function bulkSample(context, tls) {
  const load = { path: '/bulk', connections: 8, tls }
  const { result, cpu, busy, loadBusy } = await measure(context, load)
  const { bytes, duration, latency } = result
  return {
    values: {
      rate: bytes / duration / 1e9,
      cpu: cpu / (bytes / 1e9),
      busy,
      loadBusy,
      p50: latency.p50 / 1000,
      p99: latency.p99 / 1000,
    },
    errors: result.errors,
    raw: { ...result, cpu },
  }
}
