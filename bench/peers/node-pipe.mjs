/** Plain `net`: two sockets piped into each other. */

import { fileURLToPath } from 'node:url'
import { freePort } from '../lib/network.mjs'
import { startPinned } from '../lib/processes.mjs'
import { runningPeer } from './peer.mjs'

const SERVER = fileURLToPath(new URL('./node-pipe-server.mjs', import.meta.url))

/** @type {import('./peer.mjs').Peer} */
export const peer = {
  name: 'node-pipe',
  tls: 'never',
  missing: () => undefined,
  version: () => `node ${process.version}`,
  async start({ core, upstream }) {
    const port = await freePort()
    const args = [SERVER, String(port), String(upstream.port)]
    return runningPeer(startPinned(core, process.execPath, args), port)
  },
}
