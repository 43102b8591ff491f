/** Servers at the port that the client came to (B44b), on both engines. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { test } from 'node:test'
import type { BindConfig } from '#sluice/config/types.js'
import { createProxy, type SluiceProxy } from '#sluice/index.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'

/** A server on 127.0.0.1 that says which port it has. */
async function teller(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end(`port ${(server.address() as AddressInfo).port}`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

async function read(port: number, host: string, first = ''): Promise<string> {
  const socket = connect({ port, host })
  if (first !== '') socket.write(first)
  let text = ''
  socket.on('error', () => {})
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return text
}

for (const engine of engineKinds) {
  const run = async (
    bind: (string | BindConfig)[],
    address: string,
    use: (proxy: SluiceProxy, lines: Record<string, unknown>[]) => Promise<void>,
  ) => {
    const { logger, lines } = memoryLogger()
    await using proxy = createProxy(
      {
        global: { engine },
        frontends: { ftp: { bind, backend: 'app' } },
        backends: { app: { servers: { a: address }, retries: 0 } },
      },
      { logger },
    )
    await proxy.start()
    await use(proxy, lines)
  }

  test(`a range of ports leads to the same ports (${engine})`, async () => {
    const [one, two] = await Promise.all([teller(), teller()])
    const binds = [`127.0.0.2:${one.port}`, `127.0.0.2:${two.port}`]
    try {
      await run(binds, '127.0.0.1:+0', async (_, lines) => {
        for (const { port } of [one, two, one, one, two])
          assert.equal(await read(port, '127.0.0.2'), `port ${port}`)
        const told = lines.map(({ serverAddress }) => serverAddress).filter(Boolean)
        assert.deepEqual([...new Set(told)].sort(), [
          ...[one.port, two.port].sort().map((port) => `127.0.0.1:${port}`),
        ])
      })
    } finally {
      one.server.close()
      two.server.close()
    }
  })

  test(`and to ports at a distance (${engine})`, async () => {
    const { server, port } = await teller()
    try {
      await run([`127.0.0.2:${port - 100}`], 'localhost:+100', async () => {
        assert.equal(await read(port - 100, '127.0.0.2'), `port ${port}`)
      })
      await run([`127.0.0.2:${port - 100}`], '127.0.0.1:+100', async () => {
        assert.equal(await read(port - 100, '127.0.0.2'), `port ${port}`)
      })
    } finally {
      server.close()
    }
  })

  test(`the port of a PROXY header is the one that counts (${engine})`, async () => {
    const { server, port } = await teller()
    const bind = { address: '127.0.0.1:0', acceptProxy: true }
    try {
      await run([bind], '127.0.0.1:-1', async (proxy, lines) => {
        const own = proxy.addresses.ftp?.[0]?.port as number
        const header = (to: number) => `PROXY TCP4 192.0.2.1 192.0.2.2 40000 ${to}\r\n`
        assert.equal(await read(own, '127.0.0.1', header(port + 1)), `port ${port}`)
        // Below the first port there is none: that client's problem.
        assert.equal(await read(own, '127.0.0.1', header(1)), '')
        const failure = lines.find(({ msg }) => msg === 'no route to the server')
        assert.match(JSON.stringify(failure), /has no port for a client that came to port 1/)
        assert.equal(await read(own, '127.0.0.1', header(port + 1)), `port ${port}`)
      })
    } finally {
      server.close()
    }
  })
}
