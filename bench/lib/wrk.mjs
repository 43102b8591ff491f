/** The load generator wrk: one thread, on the load core. */

import { fileURLToPath } from 'node:url'
import { findProgram, startPinned, versionLine } from './processes.mjs'

const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url))

export const WRK_INSTALL = 'apt-get install -y wrk'

/**
 * @typedef {object} WrkResult
 * @property {number} requests
 * @property {number} bytes read, headers included
 * @property {number} duration seconds
 * @property {{mean: number, p50: number, p99: number, 'p99.9': number, max: number}} latency
 *   microseconds from the request written to the reply read; connecting is not in it
 * @property {string[]} errors what went wrong, in words; a sample with any has failed
 */

/** @returns {string | undefined} version, or nothing where it is not installed */
export function wrkVersion() {
  return findProgram('wrk') === undefined ? undefined : versionLine('wrk', '-v')
}

/**
 * @param {object} run
 * @param {number} run.core
 * @param {number} run.port on 127.0.0.1
 * @param {string} run.path
 * @param {number} run.connections
 * @param {number} run.seconds whole
 * @param {boolean} [run.close] a connection for each request
 * @param {boolean} [run.tls] over TLS; certificates are not verified
 * @returns {Promise<WrkResult>}
 */
export async function wrk({ core, port, path, connections, seconds, close = false, tls = false }) {
  const started = startPinned(core, 'wrk', [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout',
    '5s',
    '-s',
    SCRIPT,
    ...(close ? ['-H', 'Connection: close'] : []),
    `${tls ? 'https' : 'http'}://127.0.0.1:${port}${path}`,
  ])
  const output = await started.output((seconds + 15) * 1000)
  const line = output.split('\n').find((text) => text.startsWith('{'))
  if (line === undefined) throw new Error(`wrk printed no summary: ${started.lastWords}`)
  const summary = JSON.parse(line)
  const errors = Object.entries(summary.errors)
    .filter(([, count]) => Number(count) > 0)
    .map(
      ([kind, count]) =>
        `${count} ${kind === 'status' ? 'replies other than 2xx' : `${kind} errors`}`,
    )
  if (summary.requests === 0) errors.push('no request completed')
  return { ...summary, duration: summary.duration / 1e6, errors }
}
