import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { type FirstBytes, reject, track, useBackend } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { closedPort, dial, startEcho, talk } from '../support/net.js'

/** Ways in which a client behaves; the first byte tells the policy what is wanted. */
const behaviours = [
  (port: number) => talk(port, 'E echo'),
  (port: number) => talk(port, 'X rejected'),
  (port: number) => talk(port, 'T throws'),
  (port: number) => talk(port, 'D dead server'),
  (port: number) => talk(port, 'Q queue'),
  async (port: number) => {
    const socket = await dial(port)
    socket.write('E reset')
    socket.resetAndDestroy()
    await once(socket, 'close')
  },
  async (port: number) => {
    const socket = await dial(port)
    socket.write('Q leaves the queue')
    setImmediate(() => socket.resetAndDestroy())
    await once(socket, 'close')
  },
  async (port: number) => {
    const socket = await dial(port)
    socket.destroy()
    await once(socket, 'close')
  },
]

for (const kind of engineKinds) {
  test(`${kind}: every way to end leaves nothing behind`, async (t) => {
    const server = await startEcho()
    t.after(() => server.close())
    const address = `127.0.0.1:${server.port}`
    const { logger, lines } = memoryLogger()
    const proxy = createProxy(
      {
        global: { maxconn: 500 },
        tables: { t: { key: 'ip', size: 10, store: { connCur: true, connCnt: true } } },
        frontends: {
          web: {
            bind: '127.0.0.1:0',
            backend: 'app',
            rules: {
              connection: [track('sc0', (conn) => conn.src, 't')],
              handshake: [
                function route({ bytes }: FirstBytes) {
                  switch (String.fromCharCode(bytes[0] ?? 0)) {
                    case 'X':
                      return reject({ reset: true })
                    case 'T':
                      throw new Error('on purpose')
                    case 'D':
                      return useBackend('dead')
                    case 'Q':
                      return useBackend('narrow')
                    default:
                      return undefined
                  }
                },
              ],
            },
          },
        },
        backends: {
          app: { servers: { a: address } },
          narrow: { servers: { a: { address, maxconn: 2 } } },
          dead: {
            servers: { a: `127.0.0.1:${await closedPort()}` },
            retries: 1,
            retryDelay: '5ms',
            passive: false,
          },
        },
      },
      { engine: kind, logger },
    )
    await proxy.start()
    const port = proxy.addresses.web?.[0]?.port as number
    let ended = 0
    // Node cannot tell the source of a connection that was reset before it was accepted.
    let unknown = 0
    proxy.on('session', ({ src, by, phase, code }) => {
      ended++
      if (src !== '') return
      assert.equal(`${kind} ${by} ${phase} ${code}`, 'js client accept reset')
      unknown++
    })
    const total = 480
    let next = 0
    const worker = async () => {
      while (next < total) await behaviours[next++ % behaviours.length]?.(port)
    }
    await Promise.all(Array.from({ length: 24 }, worker))
    assert.equal((await proxy.stop({ deadline: '20s' })).drained, true)
    const stats = proxy.stats()
    assert.equal(stats.connections, 0)
    assert.equal(ended, stats.frontends.web?.connections)
    for (const backend of Object.values(proxy.backends)) {
      assert.equal(backend?.queued, 0)
      assert.equal(backend.sessions, 0)
      for (const server of Object.values(backend.servers)) assert.equal(server?.sessions, 0)
    }
    const seen = proxy.tables.t?.get('127.0.0.1')
    assert.equal(seen?.connCur, 0)
    assert.equal(seen?.connCnt, ended - unknown)
    const defects = lines.filter(({ level, msg }) => level >= 50 && msg !== 'rule route failed')
    assert.deepEqual(defects, [])
  })
}
