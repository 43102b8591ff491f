import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Config, FrontendConfig } from '#sluice/config/types.js'
import {
  type Connection,
  clientCert,
  consume,
  type FirstBytes,
  passthrough,
  reject,
  reply,
  useBackend,
  useCertificate,
} from '#sluice/policy.js'
import { buildClientHello, createTestProxy } from '#sluice/testing/index.js'
import { engineOf } from '#sluice/testing/proxy.js'
import { Code } from '#sluice/wire/wire.js'

const tls = { cert: 'certs/shop.example.pem' }

function config(web: Partial<FrontendConfig>, more: Partial<Config> = {}) {
  return {
    frontends: { web: { bind: { address: '127.0.0.1:443', tls }, backend: 'app', ...web } },
    backends: {
      app: { servers: { a: '127.0.0.1:9001' } },
      other: { servers: { b: '127.0.0.1:9002' } },
    },
    ...more,
  }
}

const hello = { serverName: 'shop.example' }

describe('a client with TLS', () => {
  it('is served behind its handshake', async () => {
    await using proxy = await createTestProxy(config({}), {
      servers: { 'app/a': { reply: 'answer' } },
    })
    const result = await proxy.connect({
      tls: { ...hello, alpn: ['h2'] },
      bytes: 'request',
      fin: true,
    })
    assert.equal(result.verdict, 'accepted')
    assert.equal(result.sentText, 'request')
    assert.equal(result.replyText, 'answer')
    assert.deepEqual(result.tls?.certificate, {
      set: 'frontends.web.bind.tls',
      name: 'shop.example',
      clientCert: 'none',
    })
    assert.equal(result.tls?.info?.version, 'TLSv1.3')
    const line = result.logs.find(({ event }) => event === 'session')
    assert.deepEqual(line?.tls, {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      serverName: 'shop.example',
      alpn: '',
      resumed: false,
    })
    assert.equal(line?.level, 'info')
  })

  it('is asked wherever its first bytes are cut, a PROXY header in front', async () => {
    const web = { bind: { address: '127.0.0.1:443', tls, acceptProxy: true } }
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({
      proxy: { src: '192.0.2.77' },
      tls: hello,
      bytes: 'request',
      split: 'every',
    })
    assert.equal(result.sentText, 'request')
    await result.connection.close()
    assert.equal(result.logs.at(-1)?.src, '192.0.2.77')
    assert.equal(engineOf(proxy).staleHandles, 0)
  })

  it('has its certificate, ALPN and resumption in rules and in the log', async () => {
    const web = {
      bind: {
        address: '127.0.0.1:443',
        tls: { ...tls, alpn: ['http/1.1'], clientCert: 'optional', ca: 'ca.pem' },
      },
      rules: {
        secured: [
          function seen(conn: Connection) {
            conn.vars.cn = conn.tls?.peerCertificate?.commonName
            conn.vars.alpn = conn.tls?.alpn
            conn.vars.ja4 = conn.tls?.ja4
          },
        ],
      },
    } satisfies Partial<FrontendConfig>
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({
      tls: {
        ...hello,
        alpn: ['h2', 'http/1.1'],
        versions: ['TLSv1.2'],
        resumed: true,
        clientCert: { commonName: 'alice', organization: 'Shop', altNames: ['alice.example'] },
      },
    })
    assert.equal(result.vars.cn, 'alice')
    assert.equal(result.vars.alpn, 'http/1.1')
    const { info } = result.tls ?? {}
    assert.equal(info?.peerCertificate?.subject, 'O=Shop,CN=alice')
    assert.deepEqual(info?.peerCertificate?.altNames, ['DNS:alice.example'])
    assert.equal(info?.verified, true)
    await result.connection.close()
    assert.deepEqual(result.logs.at(-1)?.tls, {
      version: 'TLSv1.2',
      cipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
      serverName: 'shop.example',
      alpn: 'http/1.1',
      resumed: true,
      clientCert: 'alice',
      ja4: result.vars.ja4,
    })
    assert.match(String(result.vars.ja4), /^t12d/)
    const { web: stats } = proxy.stats().frontends
    assert.deepEqual([stats?.tlsHandshakes, stats?.tlsResumed], [1, 1])
  })

  it('ends with the reason of its failed handshake, its server name and no warning', async () => {
    const web = {
      bind: {
        address: '127.0.0.1:443',
        tls: { ...tls, minVersion: 'TLSv1.3', clientCert: 'required', ca: 'ca.pem' },
      },
    } satisfies Partial<FrontendConfig>
    await using proxy = await createTestProxy(config(web))
    const old = await proxy.connect({ tls: { ...hello, versions: ['TLSv1.2'] } })
    assert.deepEqual(old.reason, { by: 'client', phase: 'tls', code: 'tls-version' })
    const bare = await proxy.connect({ tls: hello })
    assert.deepEqual(bare.reason, { by: 'client', phase: 'tls', code: 'tls-cert-missing' })
    assert.deepEqual(bare.logs.at(-1)?.tls, { serverName: 'shop.example' })
    assert.equal(bare.logs.at(-1)?.level, 'info')
    engineOf(proxy).onHandshake = () => ({ code: Code.TLS_ALERT, errno: 48 })
    const alert = await proxy.connect({ tls: hello })
    const line = alert.logs.at(-1)
    assert.deepEqual([line?.code, line?.alert, line?.errno], ['tls-alert', 'unknown_ca', undefined])
  })

  it('that stops in its handshake is given up, and nobody is warned', async () => {
    await using proxy = await createTestProxy(config({}))
    engineOf(proxy).onHandshake = () => 'pending'
    const stops = await proxy.connect({ tls: hello })
    const silent = await proxy.connect({ bytes: Buffer.from(buildClientHello(hello)).subarray(9) })
    assert.equal(silent.reason?.code, 'not-tls')
    await proxy.advance('5s')
    assert.deepEqual(stops.reason, { by: 'timeout', phase: 'tls', code: 'handshake-timeout' })
    assert.equal(stops.logs.at(-1)?.level, 'info')
  })
})

describe('what is no ClientHello', () => {
  it('is told about plain HTTP, and closed otherwise', async () => {
    await using proxy = await createTestProxy(config({}))
    const http = await proxy.connect({ bytes: 'GET / HTTP/1.1\r\n\r\n' })
    assert.deepEqual(http.reason, { by: 'client', phase: 'tls', code: 'plain-http' })
    assert.equal(http.verdict, 'replied')
    const [head, body] = http.replyText.split('\r\n\r\n') as [string, string]
    assert.match(head, /^HTTP\/1\.1 400 Bad Request\r\n/)
    assert.match(head, /\r\nConnection: close$/)
    assert.match(head, new RegExp(`\r\nContent-Length: ${body.length}\r\n`))
    assert.match(body, /speaks TLS/)
    const garbage = await proxy.connect({ bytes: 'SSH-2.0-x\r\n' })
    assert.deepEqual(garbage.reason, { by: 'client', phase: 'tls', code: 'not-tls' })
    assert.equal(garbage.replyText, '')
    assert.equal(garbage.logs.at(-1)?.tls, undefined)
    assert.equal(garbage.logs.at(-1)?.level, 'info')
  })

  it('is told apart by what is wrong with it', async () => {
    await using proxy = await createTestProxy(config({}))
    // A ServerHello; a ClientHello whose cipher suites are cut; one of 20 kB.
    const records: [Buffer, string][] = [
      [Buffer.from([0x16, 3, 3, 0, 5, 2, 0, 0, 1, 0]), 'tls-malformed'],
      [Buffer.from([0x16, 3, 3, 0, 5, 1, 0, 0, 1, 0]), 'tls-malformed'],
      [Buffer.from([0x16, 3, 3, 0, 5, 1, 0, 0x50, 0, 0]), 'tls-hello-too-large'],
    ]
    for (const [bytes, code] of records) {
      const result = await proxy.connect({ bytes })
      assert.deepEqual(result.reason, { by: 'client', phase: 'tls', code })
    }
  })

  it('a client that leaves first aborts', async () => {
    await using proxy = await createTestProxy(config({}))
    const result = await proxy.connect({ bytes: Buffer.from([0x16, 3, 1]), fin: true })
    assert.equal(result.reason?.code, 'aborted')
  })
})

describe('certificates', () => {
  const sets = {
    bind: {
      address: '127.0.0.1:443',
      tls: [
        { cert: ['certs/shop.example.pem', 'certs/more.pem'] },
        { cert: 'certs/admin.pem', clientCert: 'required' as const, ca: 'ca.pem' },
      ],
    },
  }
  const certificates = {
    'certs/more.pem': ['more.example', '*.more.example'],
    'certs/admin.pem': ['admin.example'],
  }

  it('are chosen by name, and the first one serves the others', async () => {
    await using proxy = await createTestProxy(config(sets), { certificates })
    const chosen: [string, string, string][] = []
    for (const serverName of ['shop.example', 'a.more.example', 'a.b.more.example', '']) {
      const { certificate } = (await proxy.connect({ tls: { serverName } })).tls ?? {}
      chosen.push([serverName, certificate?.set ?? '', certificate?.name ?? ''])
    }
    const first = 'frontends.web.bind.tls[0]'
    assert.deepEqual(chosen, [
      ['shop.example', first, 'shop.example'],
      ['a.more.example', first, '*.more.example'],
      ['a.b.more.example', first, 'shop.example'],
      ['', first, 'shop.example'],
    ])
    const admin = await proxy.connect({
      tls: { serverName: 'admin.example', clientCert: { commonName: 'root' } },
    })
    assert.equal(admin.tls?.certificate?.clientCert, 'required')
    assert.equal(admin.verdict, 'accepted')
  })

  it('of strict binds are for nobody else', async () => {
    const web = { bind: { address: '127.0.0.1:443', tls: { ...tls, strictSni: true } } }
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({ tls: { serverName: 'other.example' } })
    assert.deepEqual(result.reason, { by: 'client', phase: 'tls', code: 'tls-no-certificate' })
    assert.deepEqual(result.logs.at(-1)?.tls, { serverName: 'other.example' })
    assert.equal(result.logs.at(-1)?.level, 'info')
  })
})

describe('ClientHello rules', () => {
  it('choose certificate, demand and backend, also by promise', async () => {
    const web = {
      bind: { address: '127.0.0.1:443', tls: { ...tls, cert: ['a.pem', 'b.pem'], ca: 'ca.pem' } },
      rules: {
        clientHello: [
          async function choose(conn: Connection) {
            if (conn.hello?.serverName !== 'alias.example') return
            return [useCertificate('b.example'), clientCert('required'), useBackend('other')]
          },
        ],
      },
    } satisfies Partial<FrontendConfig>
    const certificates = { 'a.pem': ['a.example'], 'b.pem': ['b.example'] }
    await using proxy = await createTestProxy(config(web), { certificates })
    const alias = await proxy.connect({
      tls: { serverName: 'alias.example', clientCert: { commonName: 'x' } },
    })
    assert.equal(alias.server, 'b')
    assert.equal(alias.tls?.certificate?.name, 'b.example')
    assert.equal(alias.tls?.certificate?.clientCert, 'required')
    assert.equal(alias.steps[0]?.phase, 'clientHello')
    const plain = await proxy.connect({ tls: { serverName: 'a.example' } })
    assert.equal(plain.server, 'a')
    assert.equal(plain.tls?.certificate?.clientCert, 'none')
  })

  it('refuse, and the line has the name of the rule and of the server', async () => {
    const web = {
      rules: {
        clientHello: [
          function scanner(conn: Connection) {
            if (conn.hello?.serverName === '') return reject({ reset: true })
            return undefined
          },
        ],
      },
    }
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({ tls: {} })
    assert.equal(result.verdict, 'reset')
    assert.deepEqual(result.reason, { by: 'policy', phase: 'tls', code: 'rejected' })
    assert.equal(result.rule, 'scanner')
    assert.deepEqual(result.logs.at(-1)?.tls, { serverName: '' })
  })

  it('see what a PROXY header said', async () => {
    const web = {
      bind: { address: '127.0.0.1:443', tls, acceptProxy: true },
      rules: {
        clientHello: [
          function seen(conn: Connection) {
            conn.vars.authority = Buffer.from(conn.proxyTlvs.get(2) ?? []).toString()
            conn.vars.src = conn.src
          },
        ],
      },
    }
    await using proxy = await createTestProxy(config(web))
    const proxied = { src: '192.0.2.77', tlvs: { 2: 'front.example' } }
    const result = await proxy.connect({ proxy: proxied, tls: hello, bytes: 'x' })
    assert.deepEqual({ ...result.vars }, { authority: 'front.example', src: '192.0.2.77' })
    assert.equal(result.sentText, 'x')
  })

  it('let a client through as it is', async () => {
    const web = { rules: { clientHello: [useBackend('other'), passthrough()] } }
    await using proxy = await createTestProxy(config(web))
    const message = buildClientHello(hello)
    const result = await proxy.connect({ tls: hello, bytes: 'sealed' })
    assert.equal(result.server, 'b')
    assert.equal(result.tls?.passthrough, true)
    assert.ok(result.sent.includes(message) && result.sent.toString('latin1').endsWith('sealed'))
    await result.connection.close()
    assert.deepEqual(result.logs.at(-1)?.tls, { serverName: 'shop.example', passthrough: true })
  })

  it('that demand what the bind cannot do end that connection, as an error of policy', async () => {
    // Where the verdict is constant, the configuration is refused instead.
    const web = { rules: { clientHello: [() => clientCert('required')] } }
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({ tls: hello })
    assert.deepEqual(result.reason, { by: 'policy', phase: 'tls', code: 'policy-error' })
    assert.equal(proxy.stats().frontends.web?.policyErrors, 1)
    assert.ok(result.logs.some(({ level, msg }) => level === 'error' && /'ca'/.test(msg)))
  })

  it('that fail close, or go on with the certificate of the name', async () => {
    const boom = () => {
      throw new Error('boom')
    }
    await using closes = await createTestProxy(config({ rules: { clientHello: [boom] } }))
    assert.equal((await closes.connect({ tls: hello })).reason?.code, 'policy-error')
    await using opens = await createTestProxy(
      config({ onError: 'open', rules: { clientHello: [boom] } }),
    )
    const result = await opens.connect({ tls: hello })
    assert.equal(result.verdict, 'accepted')
    assert.equal(result.tls?.certificate?.name, 'shop.example')
  })

  it('that never answer close, and never let plain bytes through', async () => {
    const web = {
      onError: 'open' as const,
      rules: { clientHello: [{ name: 'never', run: () => new Promise<never>(() => {}) }] },
    }
    await using proxy = await createTestProxy(config(web))
    const spec = [...engineOf(proxy).listeners.values()][0]
    assert.equal(spec?.fallbackRoute, -1)
    const result = await proxy.connect({ tls: hello, bytes: 'secret' })
    await proxy.advance('5s')
    // The rule's failure means to open: with the certificate, behind TLS.
    assert.equal(result.verdict, 'accepted')
    assert.equal(result.sentText, 'secret')
  })
})

describe('established rules', () => {
  it('run before session rules and handlers, and may reject or reply', async () => {
    const order: string[] = []
    const web = {
      rules: {
        secured: [
          async function cipher(conn: Connection) {
            order.push(`established ${conn.tls?.cipher}`)
            await Promise.resolve()
            if (conn.tls?.peerCertificate === undefined && conn.src === '192.0.2.9') {
              return reply('no certificate\n')
            }
            return undefined
          },
        ],
        session: [
          () => {
            order.push('session')
          },
        ],
        handshake: [
          ({ bytes }: FirstBytes) => {
            order.push(`handshake ${Buffer.from(bytes)}`)
            return consume(1)
          },
        ],
      },
    } satisfies Partial<FrontendConfig>
    await using proxy = await createTestProxy(config(web))
    const result = await proxy.connect({ tls: hello, bytes: '!hello' })
    assert.deepEqual(order, ['established TLS_AES_128_GCM_SHA256', 'handshake !hello', 'session'])
    assert.equal(result.sentText, 'hello')
    const refused = await proxy.connect({ src: '192.0.2.9', tls: hello })
    assert.equal(refused.replyText, 'no certificate\n')
    assert.deepEqual(refused.reason, { by: 'policy', phase: 'tls', code: 'replied' })
    assert.equal(refused.rule, 'cipher')
  })

  it('do not run for what is not terminated', async () => {
    const web = {
      bind: { address: '127.0.0.1:443', tls, sniRoutes: { 'raw.example': 'other' } },
      rules: { secured: [reject()] },
    }
    await using proxy = await createTestProxy(config(web))
    assert.equal((await proxy.connect({ tls: { serverName: 'raw.example' } })).server, 'b')
    assert.equal((await proxy.connect({ tls: hello })).verdict, 'rejected')
  })
})

describe('routing by server name', () => {
  const routes = { 'exact.example': 'other', '*.wild.example': 'other' }

  it('goes by name, then by one label, then by the rest', async () => {
    const bind = { address: '127.0.0.1:443', sniRoutes: { ...routes, '*': 'rest' } }
    const backends = {
      ...config({}).backends,
      rest: { servers: { c: '127.0.0.1:9003' } },
    }
    await using proxy = await createTestProxy(config({ bind }, { backends }))
    const to = async (serverName: string) =>
      (await proxy.connect({ tls: { serverName }, bytes: 'x' })).backend
    assert.equal(await to('exact.example'), 'other')
    assert.equal(await to('a.wild.example'), 'other')
    assert.equal(await to('a.b.wild.example'), 'rest')
    assert.equal(await to('wild.example'), 'rest')
    assert.equal(await to(''), 'rest')
    assert.equal((await proxy.connect({ bytes: 'SSH-2.0-x\r\n' })).backend, 'rest')
  })

  it('goes to the default backend without a match, or is terminated where there is TLS', async () => {
    const bare = { bind: { address: '127.0.0.1:443', sniRoutes: routes } }
    await using through = await createTestProxy(config(bare))
    const result = await through.connect({ tls: hello })
    assert.deepEqual([result.backend, result.tls?.passthrough], ['app', true])
    const http = await through.connect({ bytes: 'GET / HTTP/1.0\r\n\r\n' })
    assert.equal(http.sentText, 'GET / HTTP/1.0\r\n\r\n')
    assert.equal(http.tls, undefined)
    const both = { bind: { address: '127.0.0.1:443', tls, sniRoutes: routes } }
    await using ends = await createTestProxy(config(both))
    assert.equal((await ends.connect({ tls: hello })).tls?.passthrough, false)
    const exact = await ends.connect({ tls: { serverName: 'exact.example' } })
    assert.deepEqual([exact.backend, exact.tls?.passthrough], ['other', true])
  })

  it('gives way to the rules: to their backend, and to a certificate that they choose', async () => {
    const web = {
      bind: { address: '127.0.0.1:443', tls, sniRoutes: { 'exact.example': 'other' } },
      rules: {
        clientHello: [
          (conn: Connection) => {
            if (conn.src === '192.0.2.8') return useBackend('app')
            if (conn.src === '192.0.2.9') return useCertificate('shop.example')
            return undefined
          },
        ],
      },
    }
    await using proxy = await createTestProxy(config(web))
    const from = async (src: string) => {
      const { backend, tls } = await proxy.connect({ src, tls: { serverName: 'exact.example' } })
      return [backend, tls?.passthrough]
    }
    assert.deepEqual(await from('192.0.2.7'), ['other', true])
    assert.deepEqual(await from('192.0.2.8'), ['app', true])
    assert.deepEqual(await from('192.0.2.9'), ['app', false])
  })
})

describe('the bound on handshakes', () => {
  const bounded = (tlsHandshakes: NonNullable<Config['global']>['tlsHandshakes']) =>
    config({}, { global: { tlsHandshakes } })

  it('lets those over it wait for those before them', async () => {
    await using proxy = await createTestProxy(bounded({ concurrent: 1 }))
    engineOf(proxy).onHandshake = () => 'pending'
    const connect = () => proxy.connect({ tls: hello })
    const results = [await connect(), await connect(), await connect()]
    const [first, second, third] = [...engineOf(proxy).clients.values()]
    assert.deepEqual(
      [first, second, third].map((client) => client?.context),
      [0, -1, -1],
    )
    first?.handshakeOk()
    assert.deepEqual([first?.secured, second?.context, third?.context], [true, 0, -1])
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 1, waiting: 1 })
    // A handshake that waits is given up where its client leaves.
    third?.reset()
    second?.reset()
    await proxy.settle()
    assert.deepEqual(
      results.map(({ verdict }) => verdict),
      ['accepted', 'closed', 'closed'],
    )
    assert.equal(engineOf(proxy).staleHandles, 0)
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 0, waiting: 0 })
    const next = await connect()
    assert.equal(next.open, true)
  })

  it('holds no place for those that wait for their client', async () => {
    await using proxy = await createTestProxy(bounded({ concurrent: 4 }))
    engineOf(proxy).onHandshake = () => 'pending'
    for (let i = 0; i < 6; i++) await proxy.connect({ tls: hello })
    const clients = [...engineOf(proxy).clients.values()]
    const begun = () => clients.map(({ context }) => context >= 0)
    assert.deepEqual(begun(), [true, true, true, true, false, false])
    // The first two were not asked: places were many.
    for (const client of clients.slice(0, 3)) client.handshakeWaits()
    assert.deepEqual(begun(), [true, true, true, true, true, false])
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 4, waiting: 1 })
    clients[3]?.handshakeWaits()
    clients[4]?.handshakeWaits()
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 3, waiting: 0 })
    // They complete, or leave, as ever.
    for (const client of clients.slice(0, 4)) client.handshakeOk()
    clients[4]?.reset()
    await proxy.settle()
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 1, waiting: 0 })
    clients[5]?.handshakeOk()
    assert.deepEqual(proxy.stats().tlsHandshakes, { running: 0, waiting: 0 })
  })

  it('closes those for whom there is no place, and those that wait too long', async () => {
    await using proxy = await createTestProxy(
      bounded({ concurrent: 1, queue: 1, queueTimeout: '2s' }),
    )
    engineOf(proxy).onHandshake = () => 'pending'
    const running = await proxy.connect({ tls: hello })
    const waits = await proxy.connect({ tls: hello })
    const full = await proxy.connect({ tls: hello })
    assert.deepEqual(full.reason, { by: 'proxy', phase: 'tls', code: 'queue-full' })
    assert.equal(full.logs.at(-1)?.level, 'warn')
    await proxy.advance('2s')
    assert.deepEqual(waits.reason, { by: 'timeout', phase: 'tls', code: 'queue-timeout' })
    assert.equal(waits.logs.at(-1)?.level, 'warn')
    assert.equal(running.open, true)
  })

  it('does not count what is not terminated', async () => {
    const web = { bind: { address: '127.0.0.1:443', tls, sniRoutes: { 'raw.example': 'other' } } }
    await using proxy = await createTestProxy(
      config(web, { global: { tlsHandshakes: { concurrent: 1 } } }),
    )
    engineOf(proxy).onHandshake = () => 'pending'
    await proxy.connect({ tls: hello })
    const raw = await proxy.connect({ tls: { serverName: 'raw.example' } })
    assert.equal(raw.verdict, 'accepted')
  })

  it('is given up with the proxy, the queue first', async () => {
    const proxy = await createTestProxy(bounded({ concurrent: 1 }))
    engineOf(proxy).onHandshake = () => 'pending'
    const results = [await proxy.connect({ tls: hello }), await proxy.connect({ tls: hello })]
    const clients = [...engineOf(proxy).clients.values()]
    const stopping = proxy.stop({ deadline: '0s' })
    await proxy.advance('2s')
    await stopping
    assert.equal(clients[1]?.context, -1)
    for (const { reason } of results) {
      assert.deepEqual(reason, { by: 'proxy', phase: 'tls', code: 'shutdown' })
    }
  })
})
