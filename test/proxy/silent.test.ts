/** A bind that looks at server names in front of servers that speak first (B34a), on both engines. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import { createProxy } from '#sluice/index.js'
import { createTestProxy } from '#sluice/testing/index.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'

function written(port: number, bind: object, frontend: object = {}): Config {
  return {
    frontends: {
      mail: {
        bind: { address: '127.0.0.1:0', ...bind },
        timeouts: { handshake: '200ms' },
        ...frontend,
      },
    },
    backends: {
      smtp: { servers: { a: `127.0.0.1:${port}` } },
      other: { servers: { a: '127.0.0.1:1' } },
    },
  } as Config
}

const routes: Record<string, [object, object]> = {
  "'*'": [{ sniRoutes: { 'a.example': 'other', '*': 'smtp' } }, {}],
  'the default backend': [{ sniRoutes: { 'a.example': 'other' } }, { backend: 'smtp' }],
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.on('error', () => {})
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return text
}

for (const engine of engineKinds) {
  for (const [name, [bind, frontend]] of Object.entries(routes)) {
    test(`a client that waits for the server is given ${name} (${engine})`, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.write('220 ready\r\n')
        socket.once('data', (line) => socket.end(`heard ${line}`))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { logger } = memoryLogger()
      const config = written((server.address() as AddressInfo).port, bind, frontend)
      await using proxy = createProxy(config, { engine, logger })
      await proxy.start()
      try {
        const client = connect(proxy.addresses.mail?.[0]?.port as number, '127.0.0.1')
        const [greeting] = (await once(client, 'data')) as [Buffer]
        assert.equal(greeting.toString(), '220 ready\r\n')
        client.write('QUIT\r\n')
        assert.equal(await readAll(client), 'heard QUIT\r\n')
      } finally {
        server.close()
      }
    })
  }

  test(`a client that began a ClientHello and stops is given up (${engine})`, async () => {
    const { logger, lines } = memoryLogger()
    const config = written(1, { sniRoutes: { '*': 'smtp' } })
    await using proxy = createProxy(config, { engine, logger })
    await proxy.start()
    const client = connect(proxy.addresses.mail?.[0]?.port as number, '127.0.0.1')
    client.write(Buffer.from([22, 3, 1, 1]))
    // By a FIN or a RST: its bytes may not have been read.
    client.on('error', () => {}).resume()
    await new Promise((resolve) => client.once('close', resolve))
    assert.equal(client.bytesRead, 0)
    await proxy.stop()
    const ended = lines.find(({ code }) => code === 'handshake-timeout')
    assert.deepEqual([ended?.by, ended?.phase], ['timeout', 'tls'])
  })
}

test('the same in memory', async () => {
  await using proxy = await createTestProxy(written(1, { sniRoutes: { '*': 'smtp' } }))
  const result = await proxy.connect({ servers: { 'smtp/a': { reply: '220 ready' } } })
  await proxy.advance('200ms')
  assert.deepEqual([result.backend, result.server], ['smtp', 'a'])
})
