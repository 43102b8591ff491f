/** Plain `node:tls`: a TLS socket and a socket piped into each other. */

import { fileURLToPath } from 'node:url'
import { freePort } from '../lib/network.mjs'
import { startPinned } from '../lib/processes.mjs'
import { SUITE } from '../lib/tls.mjs'
import { runningPeer } from './peer.mjs'

const SERVER = fileURLToPath(new URL('./node-tls-server.mjs', import.meta.url))

/** @type {import('./peer.mjs').Peer} */
export const peer = {
  name: 'node-tls',
  tls: 'only',
  missing: () => undefined,
  version: () => `node ${process.version}, ${process.versions.openssl}`,
  async start({ core, upstream, tls }) {
    if (tls === undefined) throw new Error('node-tls needs a certificate')
    const port = await freePort()
    const args = [SERVER, String(port), String(upstream.port), tls.cert, tls.key, SUITE]
    return runningPeer(startPinned(core, process.execPath, args), port)
  },
}
