/**
 * `npm run bench`: every scenario, every peer, interleaved and pinned. Prints
 * tables as it goes and writes bench/results. docs/benchmarks.md tells more.
 */

import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { describeMachine, openFilesLimit } from './lib/machine.mjs'
import { describeNetwork, enterNamespace, prepareNamespace } from './lib/network.mjs'
import { HELP, needsTls, readOptions } from './lib/options.mjs'
import { endOnSignals, findProgram } from './lib/processes.mjs'
import { ratioTable, scenarioTable, targetTable, terminal } from './lib/report.mjs'
import { runScenario } from './lib/rounds.mjs'
import { summarize } from './lib/summary.mjs'
import { opensslMissing } from './lib/tls.mjs'
import { buildTlsLoad } from './lib/tls-load.mjs'
import { writeResults } from './lib/write.mjs'
import { WRK_INSTALL, wrkVersion } from './lib/wrk.mjs'

/** @typedef {import('./peers/peer.mjs').Peer} Peer */

let options
try {
  options = readOptions(process.argv.slice(2))
} catch (error) {
  console.error(`${/** @type {Error} */ (error).message}\n\n${HELP}`)
  process.exit(2)
}
if (options === 'help') {
  console.log(HELP)
  process.exit(0)
}
if (process.platform !== 'linux') {
  console.error('The benchmarks pin processes and read /proc: they run on Linux only.')
  process.exit(2)
}
// Before the namespace, out of which cargo reaches no registry.
const noTls = options.scenarios.some(needsTls) ? (opensslMissing() ?? buildTlsLoad()) : undefined
if (options.hostNetwork || !enterNamespace()) await main(options)

/** @param {import('./lib/options.mjs').Options} options */
async function main(options) {
  endOnSignals()
  if (!options.hostNetwork) prepareNamespace()
  const notes = checkMachine(options)
  const scenarios = options.scenarios.filter((name) => noTls === undefined || !needsTls(name))
  if (noTls !== undefined) notes.push(`Without the TLS scenarios: ${noTls}.`)
  /** @type {Peer[]} */
  const peers = []
  /** @type {Record<string, string>} */
  const versions = { wrk: wrkVersion() ?? 'missing' }
  for (const name of options.peers) {
    /** @type {{peer: Peer}} */
    const { peer } = await import(`./peers/${name}.mjs`)
    const missing = peer.missing(options)
    if (missing === undefined) {
      peers.push(peer)
      versions[name] = peer.version(options)
    } else {
      notes.push(`Without ${name}: ${missing}.`)
    }
  }
  const network = describeNetwork()
  const machine = describeMachine()
  for (const note of notes) console.error(note)
  console.log(
    Object.entries(versions)
      .map(([name, text]) => `${name}: ${text}`)
      .join('\n'),
  )

  const openFiles = openFilesLimit()
  const started = new Date()
  const samples = []
  const summaries = []
  for (const name of scenarios) {
    /** @type {{scenario: import('./scenarios/scenario.mjs').Scenario}} */
    const { scenario } = await import(`./scenarios/${name}.mjs`)
    const result = await runScenario({ scenario, peers, options, openFiles })
    for (const note of result.notes.filter((note) => !notes.includes(note))) {
      notes.push(note)
      console.error(note)
    }
    if (result.samples.length === 0) continue
    samples.push(...result.samples)
    const summary = summarize(scenario, result.samples)
    summaries.push(summary)
    console.log(terminal(scenarioTable(summary)))
  }
  if (summaries.length === 0) {
    console.error('Nothing was measured.')
    process.exit(1)
  }
  console.log(terminal(ratioTable(summaries)))
  console.log(terminal(targetTable(summaries)))
  if (options.write) {
    const run = { machine, network, versions, notes, options, started, samples, summaries }
    for (const file of writeResults(run)) console.log(`written: ${file}`)
  }
  process.exit(0)
}

/**
 * @param {import('./lib/options.mjs').Options} options
 * @returns {string[]} what a reader of the figures should know
 */
function checkMachine({ proxyCore, loadCore }) {
  const notes = []
  if (findProgram('taskset') === undefined) {
    console.error('no taskset: apt-get install -y util-linux')
    process.exit(2)
  }
  if (availableParallelism() < 2 || proxyCore === loadCore) {
    notes.push('One core for the proxy and the load: they disturb each other.')
  }
  if (wrkVersion() === undefined) notes.push(`Without wrk: ${WRK_INSTALL}.`)
  // This process waits nearly always; what little it does belongs beside the load.
  spawnSync('taskset', ['-a', '-p', '-c', String(loadCore), String(process.pid)])
  return notes
}
