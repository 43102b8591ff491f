/** The plugin postgres-router: without a network, and its TLS on real sockets. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { createProxy } from 'sluice'
import { type PostgresRouterOptions, postgresRouter } from 'sluice/plugins/postgres-router'
import { createTestProxy } from 'sluice/testing'
import { selfSigned } from '../examples/certificate.js'
import {
  ask,
  cancelRequest,
  errorFields,
  servePostgres,
  sslRequest,
  startup,
} from '../examples/postgres-peer.js'
import { engineKinds } from '../support/engines.js'
import { Peer } from '../support/peer.js'

function start(options: PostgresRouterOptions) {
  return createTestProxy({
    frontends: { db: { bind: '127.0.0.1:5432' } },
    backends: {
      primary: { servers: { a: '127.0.0.1:9001' } },
      tenants: { servers: { b: '127.0.0.1:9002' } },
    },
    use: [postgresRouter(options)],
  })
}

const orders = startup({ user: 'app', database: 'orders' })

test('the database chooses the backend, by a list or by a function', async () => {
  await using listed = await start({ route: { orders: 'primary', other: 'tenants' } })
  const routed = await listed.connect({ bytes: orders, split: 'every' })
  assert.equal(routed.backend, 'primary')
  assert.deepEqual(routed.sent, orders)
  assert.deepEqual(routed.vars, { database: 'orders', user: 'app' })
  const unknown = await listed.connect({ bytes: startup({ user: 'a', database: 'constructor' }) })
  assert.equal(errorFields(unknown.reply.subarray(5)).C, '3D000')
  await using called = await start({
    route: (database, user) => (user === 'app' && database === 'orders' ? 'tenants' : undefined),
  })
  assert.equal((await called.connect({ bytes: orders })).backend, 'tenants')
  const refused = await called.connect({ bytes: startup({ user: 'b', database: 'orders' }) })
  assert.equal(errorFields(refused.reply.subarray(5)).C, '3D000')
})

test('what is no first packet is refused, and everything is counted', async () => {
  await using proxy = await start({ route: { orders: 'primary' } })
  const garbage = await proxy.connect({ bytes: 'GET / HTTP/1.1\r\n\r\n' })
  assert.equal(errorFields(garbage.reply.subarray(5)).C, '08P01')
  assert.equal((await proxy.connect({ bytes: cancelRequest })).verdict, 'rejected')
  const asking = await proxy.connect({ bytes: Buffer.concat([sslRequest, orders]) })
  assert.equal(asking.backend, 'primary')
  assert.equal(asking.replyText, 'N')
  const slow = await proxy.connect({ bytes: orders.subarray(0, 9) })
  await proxy.advance('10s')
  assert.equal(slow.reason?.code, 'handshake-timeout')
  assert.deepEqual(
    proxy
      .stats()
      .plugins['postgres-router']?.clients_total?.values.map(
        ({ labels, value }) => `${labels.outcome} ${value}`,
      ),
    ['invalid 1', 'cancel 1', 'routed 1'],
  )
})

test('what is wrong in its options is told with the path', async () => {
  const told = (options: object) => start(options as PostgresRouterOptions).then(() => '', String)
  assert.match(
    await told({ route: { orders: 'primry' } }),
    /plugins\[0\]: there is no backend named 'primry'\. Did you mean 'primary'\?/,
  )
  const text = await told({ route: 7, tls: 'requires' })
  assert.match(text, /plugins\[0\]\.route: expected \{ DATABASE: backend \}, or a function/)
  assert.match(text, /plugins\[0\]\.tls: .*'requires'.*Did you mean 'require'\?/)
})

for (const engine of engineKinds) {
  for (const tls of ['accept', 'require'] as const) {
    test(`${engine}: TLS that the client asks for, '${tls}'`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-postgres-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const cert = join(folder, 'db.pem')
      const made = selfSigned('db.test')
      writeFileSync(cert, Buffer.concat([made.cert, made.key]))
      const proxy = createProxy(
        {
          frontends: {
            db: {
              bind: { address: '127.0.0.1:0', tls: { cert }, startTls: 'rule' },
              use: [postgresRouter({ route: { orders: 'primary' }, tls })],
            },
          },
          backends: {
            primary: { servers: { a: `127.0.0.1:${await servePostgres(t, 'primary')}` } },
          },
          log: { level: 'silent' },
        },
        { engine },
      )
      await proxy.start()
      t.after(() => proxy.stop({ deadline: '10s' }))
      const port = proxy.addresses.db?.[0]?.port ?? 0

      const asking = await Peer.connect({ port, host: '127.0.0.1' })
      await asking.send(sslRequest)
      await asking.expect('S')
      const socket = connect({ socket: asking.socket, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      const secured = new Peer(socket)
      await secured.send(orders)
      assert.equal(await ask(secured, 'select 1'), 'primary orders')
      secured.destroy()

      const plain = await Peer.connect({ port, host: '127.0.0.1' })
      await plain.send(orders)
      if (tls === 'accept') assert.equal(await ask(plain, 'select 1'), 'primary orders')
      else assert.match((await plain.readToEnd()).toString('latin1'), /C28000\0/)
      plain.destroy()
    })
  }
}
