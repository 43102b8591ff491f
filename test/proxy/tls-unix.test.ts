/** TLS over unix sockets, whose kernel refuses at once what the other end will not read. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, createServer as createTlsServer } from 'node:tls'
import { type Config, createProxy } from '#sluice/index.js'
import { makeAuthority } from '../support/certificates.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'

const ca = makeAuthority()
const site = ca.issue({ names: ['site.example'] })
const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
after(() => rmSync(folder, { recursive: true }))

const tls = { ca: ca.certFile, serverName: 'site.example' }
const secure = { cert: site.pemFile }

/** A server that answers at once: with TLS it then ends and closes, else it waits for the end. */
async function serve(path: string | undefined): Promise<Server> {
  const server =
    path === undefined
      ? createServer((socket) => socket.once('data', () => socket.write('answer')))
      : createTlsServer({ cert: site.chain, key: site.key }, (socket) => {
          socket.once('data', () => {
            socket.end('answer')
            socket.destroySoon()
          })
        })
  server.listen(path ?? 0)
  await once(server, 'listening')
  return server
}

for (const kind of engineKinds) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const first of ['client', 'server'] as const) {
      test(`${kind}: ${maxVersion} over a unix socket, the ${first} ends and closes at once`, async () => {
        const [front, back] = ['front', 'back'].map((name) => join(folder, `${kind}-${name}.sock`))
        const server = await serve(first === 'server' ? back : undefined)
        const address = server.address()
        const target = typeof address === 'string' ? address : `127.0.0.1:${address?.port}`
        const a =
          first === 'server'
            ? { address: `unix:${target}`, tls: { ...tls, maxVersion } }
            : { address: target }
        const config: Config = {
          frontends: {
            web: {
              bind: { address: `unix:${front}`, tls: { ...secure, maxVersion } },
              backend: 'app',
            },
          },
          backends: { app: { servers: { a } } },
        }
        const { logger, lines } = memoryLogger()
        const proxy = createProxy(config, { engine: kind, logger })
        await proxy.start()
        const client = connect({ path: front as string, ca: ca.cert, servername: 'site.example' })
        client.on('error', () => {})
        client.once('secureConnect', () => client.write('ask'))
        client.once('data', () => {
          client.end()
          client.destroySoon()
        })
        await once(client, 'close')
        const ends = () => lines.filter(({ event }) => event === 'session')
        while (ends().length === 0) await delay(5)
        const told = ends().map(({ by, phase, code }) => [by, phase, code])
        assert.deepEqual(told, [[first, 'data', 'done']])
        await proxy.stop()
        server.close()
      })
    }
  }
}
