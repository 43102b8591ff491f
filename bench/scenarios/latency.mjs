/** One client at a time: nothing is batched, every wake-up shows. */

import { measure } from './scenario.mjs'

/**
 * @param {string} prefix
 * @param {string} title
 * @returns {import('./scenario.mjs').Metric[]}
 */
const metrics = (prefix, title) => [
  { key: `${prefix}.mean`, title: `${title}, mean cycle`, unit: 'us', better: 'lower', digits: 1 },
  {
    key: `${prefix}.p50`,
    title: `${title}, p50`,
    unit: 'us',
    better: 'lower',
    digits: 0,
    chart: true,
  },
  { key: `${prefix}.p99`, title: `${title}, p99`, unit: 'us', better: 'lower', digits: 0 },
  { key: `${prefix}.p99.9`, title: `${title}, p99.9`, unit: 'us', better: 'lower', digits: 0 },
  {
    key: `${prefix}.switches`,
    title: `${title}, context switches each`,
    unit: '',
    better: 'lower',
    digits: 1,
  },
]

/** @type {import('./scenario.mjs').Scenario} */
export const scenario = {
  name: 'latency',
  title: 'Latency of one client',
  note: 'wrk -t1 -c1, keep-alive and then with a connection for each request. Percentiles run from the request written to the reply read (the connect to the upstream is in it, that to the proxy is not); the mean cycle is the whole of connect, request, reply, close.',
  metrics: [...metrics('keepalive', 'keep-alive'), ...metrics('close', 'connection each')],
  async sample(context) {
    const keepalive = await measure(context, { connections: 1 })
    const close = await measure(context, { connections: 1, close: true })
    return {
      values: { ...values('keepalive', keepalive), ...values('close', close) },
      errors: [...keepalive.result.errors, ...close.result.errors],
      raw: { keepalive: keepalive.result, close: close.result },
    }
  },
}

/**
 * @param {string} prefix
 * @param {Awaited<ReturnType<typeof measure>>} measured
 */
function values(prefix, { result, switches }) {
  const { requests, duration, latency } = result
  return {
    [`${prefix}.switches`]: switches / requests,
    [`${prefix}.mean`]: (duration / requests) * 1e6,
    [`${prefix}.p50`]: latency.p50,
    [`${prefix}.p99`]: latency.p99,
    [`${prefix}.p99.9`]: latency['p99.9'],
  }
}
