/** The examples of docs/testing.md, as they stand there. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { defineConfig } from '#sluice/index.js'
import {
  clientCert,
  consume,
  defineTable,
  type HandshakeRule,
  more,
  reject,
  reply,
  setVar,
  tarpit,
  useBackend,
} from '#sluice/policy.js'
import { createTestProxy } from '#sluice/testing/index.js'

// guide: policy
const sources = defineTable({ key: 'ip', size: 100_000, expire: '10m', store: { connRate: '10s' } })

const config = defineConfig({
  tables: { sources },
  frontends: {
    web: {
      bind: '127.0.0.1:8080',
      backend: 'app',
      rules: {
        connection: [
          function tooFast(conn) {
            if (sources.track(conn).connRate > 100) return reject()
          },
        ],
      },
    },
  },
  backends: { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' } } },
})
// guide: end

// guide: first
test('a client is served', async () => {
  await using proxy = await createTestProxy(config)
  const result = await proxy.connect({
    src: '198.51.100.7',
    bytes: 'ping',
    servers: { 'app/a': { reply: 'pong' } },
  })
  assert.equal(result.verdict, 'accepted')
  assert.equal(result.server, 'a')
  assert.equal(result.sentText, 'ping')
  assert.equal(result.replyText, 'pong')
})
// guide: end

// guide: rate
test('one source may open 100 connections in 10 seconds', async () => {
  await using proxy = await createTestProxy(config)
  for (let i = 0; i < 100; i++) {
    const { verdict } = await proxy.connect({ src: '198.51.100.7' })
    assert.equal(verdict, 'accepted')
  }
  const tooFast = await proxy.connect({ src: '198.51.100.7' })
  assert.equal(tooFast.verdict, 'rejected')
  assert.equal(tooFast.rule, 'tooFast')
  assert.deepEqual(tooFast.reason, { by: 'policy', phase: 'tcp-rules', code: 'rejected' })
  assert.equal((await proxy.connect({ src: '198.51.100.8' })).verdict, 'accepted')

  await proxy.advance('20s')
  assert.equal((await proxy.connect({ src: '198.51.100.7' })).verdict, 'accepted')
  assert.equal(proxy.tables.sources?.get('198.51.100.7')?.connRate, 1)
})
// guide: end

// guide: held
test('at most two connections at once from one source', async () => {
  const open = defineTable({ key: 'ip', size: 100, store: { connCur: true } })
  await using proxy = await createTestProxy({
    tables: { open },
    frontends: {
      web: {
        bind: ':8080',
        backend: 'app',
        rules: {
          connection: [
            function tooMany(conn) {
              if (open.track(conn).connCur > 2) return reject({ reset: true })
            },
          ],
        },
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  })
  const first = await proxy.connect()
  const second = await proxy.connect()
  assert.equal((await proxy.connect()).verdict, 'reset')
  assert.equal(open.get('192.0.2.1')?.connCur, 2)

  await first.connection.close()
  assert.equal((await proxy.connect()).verdict, 'accepted')
  assert.equal(second.open, true)
})
// guide: end

// guide: async
test('a slow reputation service does not hold anybody for longer than 250 ms', async () => {
  const answers = new Map<string, (isBad: boolean) => void>()
  const isBad = (src: string) =>
    new Promise<boolean>((resolve) => {
      answers.set(src, resolve)
    })
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: ':8080',
        backend: 'app',
        rules: {
          connection: [
            {
              name: 'reputation',
              deadline: '250ms',
              onError: 'open',
              async run(conn) {
                if (await isBad(conn.src)) return tarpit('10s')
              },
            },
          ],
        },
      },
    },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  })
  const bad = await proxy.connect({ src: '198.51.100.7' })
  const late = await proxy.connect({ src: '198.51.100.8' })
  assert.equal(bad.verdict, 'pending')

  answers.get('198.51.100.7')?.(true)
  await bad.settled()
  assert.equal(bad.verdict, 'tarpitted')

  await proxy.advance('250ms')
  assert.equal(late.verdict, 'accepted')
  assert.equal(late.logs[0]?.msg, 'rule reputation did not answer in time')

  await proxy.advance('10s')
  assert.equal(bad.open, false)
  assert.equal(bad.timers.total, 10_000)
})
// guide: end

// guide: handshake
test('a tenant header chooses the backend, however it is cut', async () => {
  const tenant: HandshakeRule = {
    name: 'tenant',
    limit: 64,
    run({ bytes }) {
      const end = bytes.indexOf(10)
      if (end < 0) return more()
      const name = Buffer.from(bytes.subarray(0, end)).toString()
      if (name !== 'red' && name !== 'blue') return reply('no such tenant\n')
      return [consume(end + 1), useBackend(name), setVar('tenant', name)]
    },
  }
  await using proxy = await createTestProxy({
    frontends: { web: { bind: ':8080', rules: { handshake: [tenant] } } },
    backends: {
      red: { servers: { a: '127.0.0.1:9001' } },
      blue: { servers: { a: '127.0.0.1:9002' } },
    },
  })
  const bytes = 'blue\nGET /'
  for (let cut = 0; cut <= bytes.length; cut++) {
    const result = await proxy.connect({ bytes, split: cut })
    assert.equal(result.backend, 'blue')
    assert.equal(result.sentText, 'GET /')
    assert.deepEqual(result.vars, { tenant: 'blue' })
  }
  assert.equal((await proxy.connect({ bytes, split: 'every' })).sentText, 'GET /')
  assert.equal((await proxy.connect({ bytes: 'green\n' })).replyText, 'no such tenant\n')
})
// guide: end

// guide: proxy
test('PROXY headers count only where they come from the load balancer', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: { address: ':8080', acceptProxy: { from: ['10.0.0.0/8'] } },
        backend: 'app',
        rules: { session: [(conn) => void conn.log.info({ peer: conn.peer }, 'came in')] },
      },
    },
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', sendProxy: 1 } } } },
  })
  const header = { version: 2, src: '198.51.100.7', srcPort: 4000, tlvs: { 224: 'blue' } } as const
  const trusted = await proxy.connect({
    src: '10.0.0.1',
    proxy: header,
    bytes: 'hi',
    split: 'every',
  })
  assert.equal(trusted.verdict, 'accepted')
  assert.equal(trusted.sentText, 'PROXY TCP4 198.51.100.7 203.0.113.1 4000 443\r\nhi')
  assert.equal(trusted.logs[0]?.src, '198.51.100.7')
  assert.equal(trusted.logs[0]?.peer, '10.0.0.1')

  const forged = await proxy.connect({ src: '192.0.2.66', proxy: header })
  assert.equal(forged.verdict, 'rejected')
  assert.equal(forged.reason?.code, 'proxy-untrusted')
})
// guide: end

// guide: tls
test('one name demands a certificate, another goes through unterminated', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      https: {
        bind: {
          address: ':8443',
          tls: {
            cert: ['certs/shop.example.pem', 'certs/admin.example.pem'],
            ca: 'certs/staff.pem',
            alpn: ['h2', 'http/1.1'],
          },
          sniRoutes: { 'db.example': 'db' },
        },
        backend: 'app',
        rules: {
          clientHello: [
            function staffOnly({ hello }) {
              if (hello.serverName === 'admin.example') return clientCert('required')
            },
          ],
          secured: [
            function notAlice({ tls }) {
              const { serverName, peerCertificate } = tls
              if (serverName !== 'admin.example' || peerCertificate?.commonName === 'alice') return
              return reject()
            },
          ],
        },
      },
    },
    backends: {
      app: { servers: { a: '127.0.0.1:9001' } },
      db: { servers: { a: '127.0.0.1:9002' } },
    },
  })
  const shop = await proxy.connect({
    tls: { serverName: 'shop.example', alpn: ['h2'] },
    bytes: 'GET /',
    split: 'every',
  })
  assert.equal(shop.verdict, 'accepted')
  assert.equal(shop.sentText, 'GET /')
  assert.equal(shop.tls?.certificate?.name, 'shop.example')
  assert.equal(shop.tls?.info?.alpn, 'h2')

  const nobody = await proxy.connect({ tls: { serverName: 'admin.example' } })
  assert.deepEqual(nobody.reason, { by: 'client', phase: 'tls', code: 'tls-cert-missing' })
  const admin = (commonName: string) =>
    proxy.connect({ tls: { serverName: 'admin.example', clientCert: { commonName } } })
  assert.equal((await admin('alice')).verdict, 'accepted')
  assert.equal((await admin('mallory')).rule, 'notAlice')

  const db = await proxy.connect({ tls: { serverName: 'db.example' } })
  assert.equal(db.backend, 'db')
  assert.equal(db.tls?.passthrough, true)
})
// guide: end

// guide: silence
test('SSH clients that speak first go to git, everybody else to the site', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      web: {
        bind: ':8080',
        backend: 'site',
        rules: {
          handshake: [
            {
              name: 'protocol',
              deadline: '2s',
              run({ bytes, last }) {
                if (bytes.length < 4) return last ? undefined : more()
                if (Buffer.from(bytes.subarray(0, 4)).toString() === 'SSH-') {
                  return useBackend('git')
                }
              },
            },
          ],
        },
      },
    },
    backends: {
      site: { servers: { a: '127.0.0.1:9001' } },
      git: { servers: { a: '127.0.0.1:9002' } },
    },
  })
  const ssh = await proxy.connect({ bytes: 'SSH-2.0-x\r\n', split: 3, delay: '500ms' })
  assert.equal(ssh.verdict, 'pending')
  await proxy.advance('500ms')
  assert.equal(ssh.backend, 'git')
  assert.deepEqual(
    ssh.steps.map(({ name, answer }) => `${name}: ${(answer as { kind: string }).kind}`),
    ['protocol: more', 'protocol: useBackend'],
  )

  const silent = await proxy.connect()
  await proxy.advance('2s')
  assert.equal(silent.backend, 'site')
})
// guide: end

// guide: servers
test('a server that refuses twice is left for the other one', async () => {
  await using proxy = await createTestProxy(
    {
      frontends: { web: { bind: ':8080', backend: 'app' } },
      backends: {
        app: {
          balance: 'first',
          retries: 3,
          redispatch: 2,
          retryDelay: '1s',
          servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' },
        },
      },
    },
    { servers: { 'app/b': { greeting: 'hello\n' } } },
  )
  const result = await proxy.connect({ servers: { 'app/a': 'refuse' } })
  assert.equal(result.verdict, 'pending')
  await proxy.advance('1s')
  assert.equal(result.replyText, 'hello\n')
  assert.deepEqual(result.attempts, ['app/a', 'app/a', 'app/b'])
})
// guide: end

// guide: queue
test('a client that waits for a slot too long is sent away', async () => {
  await using proxy = await createTestProxy({
    frontends: { web: { bind: ':8080', backend: 'app' } },
    backends: {
      app: {
        servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } },
        timeouts: { queue: '3s' },
      },
    },
  })
  const served = await proxy.connect()
  const patient = await proxy.connect()
  await proxy.advance('2s')
  const other = await proxy.connect()
  await served.connection.close()
  assert.equal(patient.verdict, 'accepted')
  assert.deepEqual(patient.timers, { queue: 2000, connect: 0, total: 2000 })

  await proxy.advance('3s')
  assert.equal(other.verdict, 'closed')
  assert.deepEqual(other.reason, { by: 'timeout', phase: 'queue', code: 'queue-timeout' })
  assert.deepEqual(proxy.stats().frontends.web?.ends, {
    'client/data/done': 1,
    'timeout/queue/queue-timeout': 1,
  })
})
// guide: end

/** From build/test/testing. */
const root = new URL('../../../', import.meta.url)

test('docs/testing.md shows these examples', () => {
  const guide = readFileSync(new URL('docs/testing.md', root), 'utf8')
  const source = readFileSync(new URL('test/testing/guide.test.ts', root), 'utf8')
  const examples = [...source.matchAll(/^\/\/ guide: (\w+)\n(.*?)^\/\/ guide: end$/gms)]
  assert.ok(examples.length >= 10)
  for (const [, name, code] of examples) {
    assert.ok(guide.includes(code as string), `example '${name}' differs from docs/testing.md`)
  }
})
