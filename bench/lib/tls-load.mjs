/** The load generator of the TLS scenarios: clients/tls-load, built when it is needed. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findProgram, startPinned } from './processes.mjs'

const CRATE = fileURLToPath(new URL('../clients/tls-load', import.meta.url))
const PROGRAM = `${CRATE}/target/release/tls-load`

/**
 * Part of the handshakes that has to be resumed where that is asked for. A
 * server on node:tls sends two tickets with a full handshake and none with a
 * resumed one, which makes every third a full one.
 */
const LEAST_RESUMED = 0.6

/**
 * @typedef {object} TlsLoadResult
 * @property {number} handshakes completed, with reply and close
 * @property {number} full
 * @property {number} resumed
 * @property {number} retried full with a HelloRetryRequest
 * @property {number} truncated ended by a FIN without close_notify
 * @property {number} errors
 * @property {string[]} words
 * @property {number} duration seconds
 * @property {number} p50 microseconds from connect to the end of the handshake
 * @property {number} p99
 * @property {number} p999
 * @property {{p50: number, p99: number, p999: number}} cycle the same to the end of the reply
 * @property {{count: number, p50: number, p99: number, p999: number}} messages microseconds from
 *   request to reply, on connections that stay
 * @property {number} tickets received
 * @property {{version: string, cipher: string, group: string, signature: string}} negotiated
 */

/**
 * Builds the program; cargo only looks at a build that is there and new.
 * @returns {string | undefined} why there is none
 */
export function buildTlsLoad() {
  const cargo = findProgram('cargo')
  if (cargo === undefined) {
    return existsSync(PROGRAM)
      ? undefined
      : 'no cargo: apt-get install -y rustc cargo, or https://rustup.rs'
  }
  const args = ['build', '--release', '--locked', '--quiet', '--target-dir', 'target']
  const { status, stderr } = spawnSync(cargo, args, { cwd: CRATE, encoding: 'utf8' })
  return status === 0 ? undefined : `bench/clients/tls-load does not build: ${lastLine(stderr)}`
}

/**
 * @param {object} run
 * @param {number} run.core
 * @param {number} run.port on 127.0.0.1
 * @param {string[]} args further options
 */
export function startTlsLoad({ core, port }, args) {
  return startPinned(core, PROGRAM, ['--address', `127.0.0.1:${port}`, ...args])
}

/**
 * A closed loop of handshakes, or with `keep` of messages.
 * @param {object} run
 * @param {number} run.core
 * @param {number} run.port on 127.0.0.1
 * @param {number} run.connections
 * @param {number} run.seconds whole
 * @param {boolean} [run.resume]
 * @param {boolean} [run.keep] connections stay
 * @param {number} [run.count] ends after so many
 * @returns {Promise<TlsLoadResult>}
 */
export async function tlsLoad({ core, port, connections, seconds, resume, keep, count }) {
  const started = startTlsLoad({ core, port }, [
    '--connections',
    String(connections),
    '--seconds',
    String(seconds),
    ...(resume === true ? ['--resume'] : []),
    ...(keep === true ? ['--keep'] : []),
    ...(count === undefined ? [] : ['--count', String(count)]),
  ])
  return JSON.parse(await started.output((seconds + 15) * 1000))
}

/**
 * @param {TlsLoadResult} result
 * @param {number} [lines] connections at once, each of which resumes after its first handshake;
 *   none where nothing should have been resumed
 * @returns {string[]} what makes a sample a failure
 */
export function loadErrors({ handshakes, resumed, errors, words, messages }, lines) {
  const found = errors > 0 ? [`${errors} errors: ${words.join(', ')}`] : []
  if (handshakes + messages.count === 0) found.push('nothing completed')
  if (lines !== undefined && resumed < (handshakes - lines) * LEAST_RESUMED) {
    found.push(`only ${resumed} of ${handshakes} handshakes were resumed`)
  }
  if (lines === undefined && resumed > 0) found.push(`${resumed} handshakes were resumed`)
  return found
}

/** @param {string | null} text */
function lastLine(text) {
  return (text ?? '').trim().split('\n').at(-1) ?? ''
}
