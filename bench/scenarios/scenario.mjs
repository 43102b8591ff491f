/**
 * What every scenario is.
 *
 * @typedef {object} Metric
 * @property {string} key in the values of a sample
 * @property {string} title
 * @property {string} unit
 * @property {'higher' | 'lower'} better
 * @property {number} digits after the point
 * @property {boolean} [compare] false leaves it out of the ratios: context only
 * @property {boolean} [chart] a headline: a row of the ratio table and a bar group in the chart
 *
 * @typedef {object} SampleContext
 * @property {import('../peers/peer.mjs').RunningPeer} peer
 * @property {import('../lib/options.mjs').Options} options
 * @property {number} seconds
 *
 * @typedef {object} Sample
 * @property {Record<string, number>} values by metric
 * @property {string[]} errors a sample with any has failed: reported, and left out of medians
 * @property {unknown} [raw] everything else, for the JSON file
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} title
 * @property {string} note one sentence: what is done and what is counted
 * @property {Metric[]} metrics
 * @property {string[]} [peers] the only ones it makes sense for
 * @property {boolean} [fresh] start the peer anew for each sample
 * @property {boolean} [warm] false: no second of load before the first sample
 * @property {import('../lib/tls.mjs').KeyType} [tls] the proxies terminate TLS, with such a key
 * @property {boolean} [alone] needs no peer and no upstream: one sample of 'native' a round
 * @property {(context: SampleContext) => Promise<Sample>} sample
 */

import { contextSwitches, coreBusySeconds, cpuSeconds } from '../lib/proc.mjs'
import { wrk } from '../lib/wrk.mjs'

/**
 * Runs wrk against a peer and counts the peer's CPU meanwhile.
 * @param {SampleContext} context
 * @param {{path?: string, connections: number, close?: boolean, tls?: boolean}} load
 */
export async function measure(
  { peer, options, seconds },
  { path = '/', connections, close = false, tls = false },
) {
  const core = options.loadCore
  return counted({ peer, options }, () =>
    wrk({ core, port: peer.port, path, connections, seconds, close, tls }),
  )
}

/**
 * Counts a peer's CPU while a load runs.
 * @template T
 * @param {Pick<SampleContext, 'peer' | 'options'>} context
 * @param {() => Promise<T>} load
 */
export async function counted({ peer, options }, load) {
  const pids = peer.pids()
  const core = options.loadCore
  const before = cpuSeconds(pids)
  const loadBefore = coreBusySeconds(core)
  const switchesBefore = contextSwitches(pids)
  const begin = performance.now()
  const result = await load()
  const cpu = cpuSeconds(pids) - before
  const elapsed = (performance.now() - begin) / 1000
  const switches = contextSwitches(pids) - switchesBefore
  return {
    result,
    cpu,
    switches,
    busy: (cpu / elapsed) * 100,
    loadBusy: ((coreBusySeconds(core) - loadBefore) / elapsed) * 100,
  }
}

/**
 * How far each core was used. Where the load core is full and the proxy core is
 * not, the rate is the load generator's limit and CPU per operation tells more.
 * @type {Metric[]}
 */
export const CORES = [
  { key: 'busy', title: 'proxy core', unit: '%', better: 'lower', digits: 0, compare: false },
  { key: 'loadBusy', title: 'load core', unit: '%', better: 'lower', digits: 0, compare: false },
]

/**
 * Throughput, CPU and latency of a scenario that counts operations.
 * @param {string} operation in the singular
 * @returns {Metric[]}
 */
export function operationMetrics(operation) {
  return [
    { key: 'rate', title: `${operation}s/s`, unit: '/s', better: 'higher', digits: 0, chart: true },
    {
      key: 'cpu',
      title: `CPU per ${operation}`,
      unit: 'us',
      better: 'lower',
      digits: 1,
      chart: true,
    },
    ...CORES,
    { key: 'p50', title: 'p50', unit: 'us', better: 'lower', digits: 0 },
    { key: 'p99', title: 'p99', unit: 'us', better: 'lower', digits: 0 },
    { key: 'p99.9', title: 'p99.9', unit: 'us', better: 'lower', digits: 0 },
  ]
}

/**
 * @param {Awaited<ReturnType<typeof measure>>} measured
 * @returns {Sample}
 */
export function operationSample({ result, cpu, busy, loadBusy }) {
  const { requests, duration, latency } = result
  return {
    values: {
      rate: requests / duration,
      cpu: (cpu / requests) * 1e6,
      busy,
      loadBusy,
      p50: latency.p50,
      p99: latency.p99,
      'p99.9': latency['p99.9'],
    },
    errors: result.errors,
    raw: { ...result, cpu },
  }
}
