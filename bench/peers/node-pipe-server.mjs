/** node node-pipe-server.mjs PORT UPSTREAM-PORT: the proxy everybody writes first. */

import { connect, createServer } from 'node:net'

const [port, upstream] = process.argv.slice(2).map(Number)

createServer({ noDelay: true }, (client) => {
  if (client.remoteAddress?.startsWith('192.0.2.')) {
    client.destroy()
    return
  }
  const server = connect({
    port: /** @type {number} */ (upstream),
    host: '127.0.0.1',
    noDelay: true,
  })
  client.on('error', () => server.destroy())
  server.on('error', () => client.destroy())
  client.pipe(server).pipe(client)
}).listen({ port, host: '127.0.0.1', backlog: 4096 })
