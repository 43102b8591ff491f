/**
 * What every peer is: a proxy from one port on 127.0.0.1 to the upstream, one
 * thread moving the bytes, pinned to one core, no log line for a session that
 * went well, TCP_NODELAY on both sides, and one look at the source address of
 * each connection (`rejected` below).
 *
 * @typedef {object} PeerOptions
 * @property {number} core core to run on
 * @property {import('../upstream/nginx.mjs').Upstream} upstream
 * @property {import('../lib/options.mjs').Options} options
 * @property {number} openFiles open files a process may have
 * @property {import('../lib/tls.mjs').Certificate} [tls] terminate TLS with it: TLS 1.3 with `SUITE`
 *   and X25519 only, tickets on, and plain TCP to the upstream
 *
 * @typedef {object} RunningPeer
 * @property {number} port
 * @property {() => number[]} pids processes whose CPU and memory count, with their children
 * @property {() => Promise<void>} stop
 * @property {() => Promise<void>} [block] makes the policy block its thread from now on, for
 *   `options.block` seconds; only where there is a policy
 * @property {string} [rejects] a server name that its rule on ClientHellos rejects
 *
 * @typedef {object} Peer
 * @property {string} name
 * @property {string[]} [only] the only scenarios it takes part in
 * @property {'never' | 'only'} [tls] takes part in scenarios without TLS only, or in those with it only
 * @property {(options: import('../lib/options.mjs').Options) => string | undefined} missing
 *   why it cannot run here and what to install, or nothing
 * @property {(options: import('../lib/options.mjs').Options) => string} version
 * @property {(options: PeerOptions) => Promise<RunningPeer>} start
 */

import { listening } from '../lib/network.mjs'

/** Sources that each peer's rule rejects: a network nobody connects from. */
export const REJECTED = '192.0.2.0/24'

/**
 * @param {import('../lib/processes.mjs').Started} started
 * @param {number} port
 * @returns {Promise<RunningPeer>} once it accepts
 */
export async function runningPeer(started, port) {
  try {
    await listening(port, started)
  } catch (error) {
    await started.stop()
    throw error
  }
  return { port, pids: () => [started.pid], stop: () => started.stop() }
}
