/**
 * HAProxy: tcp mode, one thread, no logs. `haproxy` splices where it thinks it
 * worth while (`splice-auto`), as its manual advises; `haproxy-splice` splices
 * whatever it can, through pipes of 1 MiB, which is its best for bulk.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/network.mjs'
import { findProgram, startPinned, temporaryDirectory, versionLine } from '../lib/processes.mjs'
import { SUITE } from '../lib/tls.mjs'
import { REJECTED, runningPeer } from './peer.mjs'

const SPLICE = {
  haproxy: { global: '', defaults: 'option splice-auto' },
  'haproxy-splice': {
    global: 'tune.pipesize 1048576',
    defaults: 'option splice-request\n  option splice-response',
  },
}

/**
 * @param {keyof typeof SPLICE} name
 * @param {string[]} [only]
 * @returns {import('./peer.mjs').Peer}
 */
export const haproxyPeer = (name, only) => ({
  name,
  only,
  missing: ({ haproxy }) =>
    findProgram(haproxy) === undefined
      ? `no ${haproxy}: apt-get install -y haproxy, or --haproxy PATH`
      : undefined,
  version: ({ haproxy }) => versionLine(findProgram(haproxy) ?? haproxy, '-v'),
  async start({ core, upstream, options, openFiles, tls }) {
    const directory = temporaryDirectory()
    const port = await freePort()
    const config = join(directory, 'haproxy.cfg')
    // Two sockets for each connection, and pipes of two fds for a quarter of them.
    const maxconn = Math.min(20_000, Math.floor((openFiles - 200) / 2.5))
    const ssl =
      tls === undefined
        ? ''
        : `ssl crt ${tls.both} ssl-min-ver TLSv1.3 ciphersuites ${SUITE} curves X25519`
    writeFileSync(
      config,
      `global
  nbthread 1
  maxconn ${maxconn}
  ${SPLICE[name].global}
defaults
  mode tcp
  ${SPLICE[name].defaults}
  timeout client 1h
  timeout server 1h
  timeout connect 5s
frontend front
  bind 127.0.0.1:${port} backlog 4096 ${ssl}
  maxconn ${maxconn}
  tcp-request connection reject if { src ${REJECTED} }
  default_backend back
backend back
  server a 127.0.0.1:${upstream.port}
`,
    )
    const program = findProgram(options.haproxy) ?? options.haproxy
    return runningPeer(startPinned(core, program, ['-db', '-f', config]), port)
  },
})

export const peer = haproxyPeer('haproxy')
