/** From samples to medians and ratios. */

import { ratio, spread } from './stats.mjs'

/**
 * @typedef {object} TakenSample
 * @property {string} scenario
 * @property {string} peer
 * @property {number} round from 1
 * @property {Record<string, number>} values
 * @property {string[]} errors
 * @property {unknown} [raw]
 * @property {number} timeWaits sockets in TIME_WAIT when it began
 *
 * @typedef {object} PeerSummary
 * @property {string} name
 * @property {Record<string, import('./stats.mjs').Spread>} values by metric
 * @property {number} taken samples
 * @property {number} failed of them
 * @property {string[]} errors what the failed ones said, each once
 *
 * @typedef {object} ScenarioSummary
 * @property {string} name
 * @property {string} title
 * @property {string} note
 * @property {import('../scenarios/scenario.mjs').Metric[]} metrics
 * @property {PeerSummary[]} peers
 * @property {Record<string, Record<string, import('./stats.mjs').Spread>>} ratios native divided by
 *   the peer, by metric and peer
 */

/**
 * @param {import('../scenarios/scenario.mjs').Scenario} scenario
 * @param {TakenSample[]} samples of this scenario
 * @returns {ScenarioSummary}
 */
export function summarize(scenario, samples) {
  const names = [...new Set(samples.map(({ peer }) => peer))]
  const peers = names.map((name) => summarizePeer(name, scenario, samples))
  /** @type {ScenarioSummary['ratios']} */
  const ratios = {}
  for (const { key, compare } of scenario.metrics) {
    if (compare === false) continue
    const native = byRound(samples, 'native', key)
    for (const name of names) {
      if (name === 'native' || name === 'direct') continue
      const spread = ratio(native, byRound(samples, name, key))
      if (spread !== undefined) ratios[key] = { ...ratios[key], [name]: spread }
    }
  }
  const { name, title, note, metrics } = scenario
  return { name, title, note, metrics, peers, ratios }
}

/**
 * @param {string} name
 * @param {import('../scenarios/scenario.mjs').Scenario} scenario
 * @param {TakenSample[]} samples
 * @returns {PeerSummary}
 */
function summarizePeer(name, scenario, samples) {
  const own = samples.filter(({ peer }) => peer === name)
  const failed = own.filter(({ errors }) => errors.length > 0)
  /** @type {PeerSummary['values']} */
  const values = {}
  for (const { key } of scenario.metrics) {
    const good = [...byRound(samples, name, key).values()]
    if (good.length > 0) values[key] = spread(good)
  }
  const errors = [...new Set(failed.flatMap((sample) => sample.errors))]
  return { name, values, taken: own.length, failed: failed.length, errors }
}

/**
 * @param {TakenSample[]} samples
 * @param {string} peer
 * @param {string} key
 * @returns {Map<number, number>} value by round, of the samples without errors
 */
function byRound(samples, peer, key) {
  const values = new Map()
  for (const sample of samples) {
    const value = sample.values[key]
    if (sample.peer !== peer || sample.errors.length > 0) continue
    if (value !== undefined && Number.isFinite(value)) values.set(sample.round, value)
  }
  return values
}
