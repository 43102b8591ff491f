/** node node-tls-server.mjs PORT UPSTREAM-PORT CERT KEY SUITE: node-pipe with TLS towards clients. */

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'

const [port, upstream, cert = '', key = '', ciphers = ''] = process.argv.slice(2)

createServer(
  {
    noDelay: true,
    cert: readFileSync(cert),
    key: readFileSync(key),
    minVersion: 'TLSv1.3',
    ciphers,
    ecdhCurve: 'X25519',
  },
  (client) => {
    if (client.remoteAddress?.startsWith('192.0.2.')) {
      client.destroy()
      return
    }
    const server = connect({ port: Number(upstream), host: '127.0.0.1', noDelay: true })
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
    client.pipe(server).pipe(client)
  },
).listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 })
