/** One scenario: its peers started, warmed up, and sampled in turn, round by round. */

import { startUpstream } from '../upstream/nginx.mjs'
import { settle, timeWaits } from './network.mjs'
import { certificate } from './tls.mjs'
import { tlsLoad } from './tls-load.mjs'
import { wrk } from './wrk.mjs'

/** @typedef {import('../scenarios/scenario.mjs').Scenario} Scenario */
/** @typedef {import('../peers/peer.mjs').Peer} Peer */
/** @typedef {import('../peers/peer.mjs').RunningPeer} RunningPeer */
/** @typedef {import('./options.mjs').Options} Options */
/** @typedef {import('./summary.mjs').TakenSample} TakenSample */

/** A sample begins when no more sockets than this are in TIME_WAIT, or this long has passed, ms. */
const TIME_WAITS = 1000
const SETTLE = 10_000

/**
 * @param {{scenario: Scenario, peers: Peer[], options: Options, openFiles: number}} run
 * @returns {Promise<{samples: TakenSample[], notes: string[]}>} never rejects for a peer's fault
 */
export async function runScenario({ scenario, peers, options, openFiles }) {
  /** @type {TakenSample[]} */
  const samples = []
  /** @type {string[]} */
  const notes = []
  if (scenario.alone) {
    await alone(scenario, peers, options, samples, notes)
    return { samples, notes }
  }
  let upstream
  try {
    upstream = await startUpstream({ program: options.nginx, core: options.loadCore, openFiles })
  } catch (error) {
    return { samples, notes: [`${scenario.name}: no upstream: ${message(error)}`] }
  }
  const tls = scenario.tls === undefined ? undefined : certificate(scenario.tls)
  const setting = { core: options.proxyCore, upstream, options, openFiles, tls }
  const chosen = peers.filter((peer) => takesPart(peer, scenario))
  /** @type {Map<string, RunningPeer>} */
  const running = new Map()
  const start = async (/** @type {Peer} */ peer) => {
    const started = await peer.start(setting)
    running.set(peer.name, started)
    return started
  }
  const stop = async (/** @type {string} */ name) => {
    await running.get(name)?.stop()
    running.delete(name)
  }
  try {
    for (const peer of scenario.fresh ? [] : [...chosen]) {
      try {
        const started = await start(peer)
        if (tls !== undefined) notes.push(await negotiated(peer, started, options))
        if (scenario.warm !== false) await warmUp(started, options, tls !== undefined)
      } catch (error) {
        notes.push(`${scenario.name}: without ${peer.name}: ${message(error)}`)
        chosen.splice(chosen.indexOf(peer), 1)
        await stop(peer.name)
      }
    }
    for (let round = 1; round <= options.rounds && chosen.length > 0; round++) {
      for (let turn = 0; turn < chosen.length; turn++) {
        // Another one begins each round, so that nobody always follows the same peer.
        const peer = /** @type {Peer} */ (chosen[(turn + round - 1) % chosen.length])
        progress(scenario, round, options, peer.name)
        const before = await settle(TIME_WAITS, SETTLE)
        /** @type {import('../scenarios/scenario.mjs').Sample} */
        let sample
        try {
          const target = running.get(peer.name) ?? (await start(peer))
          sample = await scenario.sample({ peer: target, options, seconds: options.seconds })
        } catch (error) {
          sample = { values: {}, errors: [message(error)] }
        }
        if (scenario.fresh) await stop(peer.name)
        const gone = upstream.ended()
        if (gone !== undefined) {
          notes.push(`${scenario.name}: ended in round ${round}: ${gone}`)
          return { samples, notes }
        }
        samples.push(taken(scenario, peer.name, round, before, sample))
      }
    }
  } finally {
    for (const name of [...running.keys()]) await stop(name)
    await upstream.stop()
    progress()
  }
  return { samples, notes }
}

/**
 * @param {Peer} peer
 * @param {Scenario} scenario
 */
function takesPart({ name, only, tls }, scenario) {
  const secure = scenario.tls !== undefined
  if (secure ? tls === 'never' : tls === 'only') return false
  return (scenario.peers?.includes(name) ?? true) && (only?.includes(scenario.name) ?? true)
}

/**
 * @param {Scenario} scenario
 * @param {Peer[]} peers
 * @param {Options} options
 * @param {TakenSample[]} samples
 * @param {string[]} notes
 */
async function alone(scenario, peers, options, samples, notes) {
  if (!peers.some(({ name }) => name === 'native')) {
    notes.push(`${scenario.name}: needs the native engine.`)
    return
  }
  for (let round = 1; round <= options.rounds; round++) {
    progress(scenario, round, options, 'native')
    try {
      const peer = { port: 0, pids: () => [], stop: async () => {} }
      const sample = await scenario.sample({ peer, options, seconds: options.seconds })
      samples.push(taken(scenario, 'native', round, timeWaits(), sample))
    } catch (error) {
      notes.push(`${scenario.name}: ${message(error)}`)
      break
    }
  }
  progress()
}

/**
 * @param {Scenario} scenario
 * @param {string} peer
 * @param {number} round
 * @param {number} waits
 * @param {import('../scenarios/scenario.mjs').Sample} sample
 * @returns {TakenSample}
 */
function taken(scenario, peer, round, waits, sample) {
  return { scenario: scenario.name, peer, round, timeWaits: waits, ...sample }
}

/**
 * @param {Peer} peer
 * @param {RunningPeer} running
 * @param {Options} options
 * @returns {Promise<string>} what peer and client agreed upon, in a handshake and one that resumes it
 */
async function negotiated({ name }, { port }, { loadCore: core }) {
  const load = { core, port, connections: 1, seconds: 5, resume: true, count: 2 }
  const { negotiated: found, tickets, resumed } = await tlsLoad(load)
  const words = [found.version, found.cipher, found.group, found.signature].join(' ')
  const tail = resumed === 1 ? 'resumes it' : 'does not resume it'
  return `${name} negotiates ${words}, ${tail}, and sends ${tickets} tickets in the two handshakes.`
}

/**
 * A second of both kinds of load, for compilers and allocators.
 * @param {RunningPeer} peer
 * @param {Options} options
 * @param {boolean} tls
 */
async function warmUp({ port }, { loadCore: core }, tls) {
  const load = { core, port, path: '/', connections: 64, seconds: 1, tls }
  await wrk({ ...load, close: true })
  await wrk(load)
}

/**
 * One line that replaces itself, on a terminal only.
 * @param {Scenario} [scenario]
 * @param {number} [round]
 * @param {Options} [options]
 * @param {string} [peer]
 */
function progress(scenario, round, options, peer) {
  if (!process.stderr.isTTY) return
  const words = scenario ? `${scenario.name} round ${round}/${options?.rounds} ${peer}` : ''
  process.stderr.write(`\r\x1b[K${words}`)
}

/** @param {unknown} error */
function message(error) {
  return error instanceof Error ? error.message : String(error)
}
