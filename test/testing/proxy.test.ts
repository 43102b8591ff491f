import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { ConfigError } from '#sluice/base/errors.js'
import type { BackendNames, Config } from '#sluice/config/types.js'
import {
  accept,
  chargen,
  consume,
  defineApplet,
  echo,
  expectProxy,
  more,
  reject,
  reply,
  setVar,
  staticReply,
  tarpit,
  track,
  useBackend,
} from '#sluice/policy.js'
import { createTestProxy, type LogRecord } from '#sluice/testing/index.js'
import { engineOf } from '#sluice/testing/proxy.js'

const app = { app: { servers: { a: '127.0.0.1:9001' } } }

/** Frontend 'web' with these options in front of backend 'app'. */
function web(options: Partial<Config['frontends'][string]> = {}) {
  return { web: { bind: '127.0.0.1:8080', backend: 'app', ...options } }
}

const plain = { frontends: web(), backends: app }

test('a wrong configuration is refused with all its mistakes', async () => {
  await assert.rejects(
    // @ts-expect-error: there is no backend 'ap'
    createTestProxy({ frontends: { web: { bind: 'nowhere', backend: 'ap' } }, backends: app }),
    (error) => error instanceof ConfigError && error.issues.length === 2,
  )
})

test('names, addresses and positions that do not exist are refused with a suggestion', async () => {
  const servers: Config['backends'] = { app: { servers: { a: '127.0.0.1:9001', e: echo() } } }
  await using proxy = await createTestProxy<string, BackendNames, string, string>({
    frontends: web(),
    backends: servers,
  })
  const refused = (options: Parameters<typeof proxy.connect>[0], message: RegExp) =>
    assert.rejects(proxy.connect(options), { code: 'ERR_SLUICE_ARGUMENT', message })
  await refused({ frontend: 'wep' }, /no frontend 'wep'\. Did you mean 'web'\?/)
  await refused({ bind: 1 }, /'web' has no bind 1/)
  await refused({ servers: { 'app/b': 'refuse' } }, /no server 'app\/b'/)
  await refused({ servers: { 'app/e': 'refuse' } }, /is an applet/)
  await refused({ src: 'somewhere' }, /src: 'somewhere' is no IP address/)
  await refused({ dst: 'x' }, /dst: 'x'/)
  await refused({ bytes: 'abc', split: 4 }, /positions from 0 to 3, got 4/)
  await refused({ proxy: { src: 'x' } }, /proxy\.src/)
  assert.throws(() => proxy.setServer('app/b', 'refuse'), { code: 'ERR_SLUICE_ARGUMENT' })
  assert.equal(proxy.stats().connections, 0)
})

test('every verdict of a rule has its name', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        connection: [
          function byPort({ srcPort }) {
            if (srcPort === 1) return reject()
            if (srcPort === 2) return reject({ reset: true })
            if (srcPort === 3) return tarpit('5s')
            if (srcPort === 4) return reply('go away\n')
            if (srcPort === 5) throw new Error('boom')
            if (srcPort === 6) return accept()
          },
        ],
      },
    }),
    backends: app,
  })
  const connect = (srcPort: number) => proxy.connect({ srcPort })
  assert.equal((await connect(1)).verdict, 'rejected')
  assert.equal((await connect(2)).verdict, 'reset')
  const held = await connect(3)
  assert.equal(held.verdict, 'tarpitted')
  assert.equal(held.open, true)
  const replied = await connect(4)
  assert.equal(replied.verdict, 'replied')
  assert.equal(replied.replyText, 'go away\n')
  const failed = await connect(5)
  assert.equal(failed.verdict, 'closed')
  assert.equal(failed.reason?.code, 'policy-error')
  assert.match(String(failed.steps[0]?.error), /boom/)
  assert.equal(failed.logs.find(({ level }) => level === 'error')?.rule, 'byPort')
  assert.equal((await connect(6)).rule, 'byPort')
  const passed = await connect(7)
  assert.equal(passed.verdict, 'accepted')
  assert.equal(passed.rule, undefined)
  assert.equal(passed.reason, undefined)
  await proxy.advance('5s')
  assert.equal(held.open, false)
  assert.equal(held.verdict, 'tarpitted')
})

test('a client that leaves a tarpit ends it', async () => {
  await using proxy = await createTestProxy({
    frontends: web({ rules: { connection: [tarpit('5s')] } }),
    backends: app,
  })
  const held = await proxy.connect()
  await held.connection.close()
  assert.equal(held.open, false)
  assert.deepEqual(held.reason, { by: 'policy', phase: 'tcp-rules', code: 'tarpit' })
})

test('the steps tell what ran, constants included, and what it answered', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        connection: [
          setVar('colour', 'red'),
          function quiet() {},
          { name: 'late', run: async () => accept() },
        ],
        session: [useBackend('app'), () => undefined],
        handshake: [{ name: 'hello', run: () => consume(1) }],
      },
    }),
    backends: app,
  })
  const result = await proxy.connect({ bytes: 'xy' })
  assert.deepEqual(
    result.steps.map(({ phase, name, answer, at }) => [phase, name, answer, at]),
    [
      ['connection', 'setVar', { kind: 'setVar', name: 'colour', value: 'red' }, 1000],
      ['connection', 'quiet', undefined, 1000],
      ['connection', 'late', { kind: 'accept' }, 1000],
      ['handshake', 'hello', { kind: 'consume', bytes: 1 }, 1000],
      ['session', 'useBackend', { kind: 'useBackend', backend: 'app' }, 1000],
      ['session', 'frontends.web.rules.session[1]', undefined, 1000],
    ],
  )
  assert.deepEqual(result.vars, { colour: 'red' })
  assert.equal(result.sentText, 'y')
})

test('table changes are those of the connection, also where others write meanwhile', async () => {
  const releases: (() => void)[] = []
  await using proxy = await createTestProxy({
    tables: {
      perSource: { key: 'ip', size: 10, store: { connCur: true, connRate: '10s', gpc0: true } },
      all: { key: 'string', size: 10, store: { sessCnt: true } },
    },
    frontends: web({
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'perSource'),
          track('sc1', 'everybody', 'all'),
          async function slow(conn) {
            await new Promise<void>((resolve) => {
              releases.push(resolve)
            })
            conn.sc0.gpc0++
          },
        ],
      },
    }),
    backends: app,
  })
  const [first, second] = await Promise.all([
    proxy.connect({ src: '198.51.100.1' }),
    proxy.connect({ src: '198.51.100.2' }),
  ])
  for (const release of releases.toReversed()) release()
  await Promise.all([first.settled(), second.settled()])
  const change = (key: string) => ({
    table: 'perSource',
    key,
    before: { connCur: 0, connRate: 0, gpc0: 0 },
    after: { connCur: 1, connRate: 1, gpc0: 1 },
  })
  const counted = (before: number) => ({
    table: 'all',
    key: 'everybody',
    before: { sessCnt: before },
    after: { sessCnt: before + 1 },
  })
  const perSource = (result: typeof first) =>
    result.tables.filter(({ table }) => table === 'perSource')
  assert.deepEqual(perSource(first), [change('198.51.100.1')])
  assert.deepEqual(perSource(second), [change('198.51.100.2')])
  // The second one was released first: its session was counted first.
  assert.deepEqual(second.tables.at(-1), counted(0))
  assert.deepEqual(first.tables.at(-1), { ...counted(1), before: { sessCnt: 0 } })
})

test('tables can be arranged, read and listed', async () => {
  await using proxy = await createTestProxy({
    tables: {
      perSource: { key: 'ip', size: 10, expire: '1m', store: { gpc0: true, connRate: '10s' } },
    },
    frontends: web({
      rules: {
        connection: [
          track('sc0', (conn) => conn.src, 'perSource'),
          function blocked({ sc0 }) {
            if (sc0.gpc0 > 4) return reject()
          },
        ],
      },
    }),
    backends: app,
  })
  const { perSource } = proxy.tables
  perSource.set('198.51.100.7', { gpc0: 5 })
  assert.deepEqual(perSource.get('198.51.100.7'), { gpc0: 5, connRate: 0 })
  assert.equal((await proxy.connect({ src: '198.51.100.7' })).verdict, 'rejected')
  assert.equal((await proxy.connect({ src: '198.51.100.8' })).verdict, 'accepted')
  assert.deepEqual(Array.from(perSource.entries(), ({ key }) => key).sort(), [
    '198.51.100.7',
    '198.51.100.8',
  ])
  assert.equal(perSource.get('203.0.113.9'), undefined)
  assert.throws(() => perSource.set('not an address', { gpc0: 1 }), { code: 'ERR_SLUICE_ARGUMENT' })
  assert.throws(() => perSource.set('198.51.100.7', { gpt0: 1 }), /does not store gpt0/)
  assert.equal(perSource.delete('198.51.100.8'), false)
  assert.equal(perSource.delete('198.51.100.7'), true)
  perSource.set('198.51.100.9', { connRate: 7 })
  await proxy.advance('59s')
  assert.equal(perSource.size, 2)
  await proxy.advance('1s')
  // The tracked one stays.
  assert.equal(perSource.size, 1)
})

test('transitions, timers, logs and the record of the end', async () => {
  await using proxy = await createTestProxy(plain, { now: 5_000 })
  const result = await proxy.connect({ src: '2001:db8::7', srcPort: 4242, bytes: 'ping' })
  assert.deepEqual(
    result.transitions.map(({ side, from, to }) => `${side} ${from}-${to}`),
    // The engine tells that the server is there only where somebody wants to know.
    ['client INI-EST', 'server INI-REQ', 'server REQ-ASS', 'server ASS-CON'],
  )
  assert.deepEqual(result.timers, { queue: 0, connect: 0, total: 0 })
  await proxy.advance('25ms')
  assert.equal(result.timers.total, 25)
  await result.connection.serverSend('pong!')
  await result.connection.fin()
  assert.equal(result.open, false)
  assert.equal(result.replyText, 'pong!')
  assert.deepEqual(result.timers, { queue: 0, connect: 0, total: 25 })
  assert.deepEqual(result.reason, { by: 'client', phase: 'data', code: 'done' })
  assert.equal(result.transitions.at(-1)?.at, 5025)
  assert.equal(result.logs.length, 1)
  const { level, time, msg, id, src, dst, bytesIn, bytesOut } = result.logs[0] as LogRecord
  assert.deepEqual([level, time, msg, id], ['info', 5025, 'session ended', result.id])
  assert.deepEqual([src, dst, bytesIn, bytesOut], ['2001:db8::7', '2001:db8::fe', 4, 5])
  assert.ok(proxy.logs.includes(result.logs[0] as (typeof proxy.logs)[number]))
  assert.match(inspect(result), /verdict: 'accepted'/)
})

test('arrivals with a delay come as the clock advances', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        handshake: [
          {
            name: 'line',
            deadline: '3s',
            run: ({ bytes }) => (bytes.includes(10) ? undefined : more()),
          },
        ],
      },
    }),
    backends: app,
  })
  const fast = await proxy.connect({ bytes: 'abc\n', split: 'every', delay: '900ms', fin: true })
  const slow = await proxy.connect({ bytes: 'abc\n', split: [2, 1, 3], delay: '1001ms' })
  assert.equal(fast.verdict, 'pending')
  assert.equal(fast.steps.length, 1)
  await proxy.advance('1800ms')
  assert.equal(fast.steps.length, 3)
  await proxy.advance('900ms')
  assert.equal(fast.sentText, 'abc\n')
  assert.equal(fast.open, false)
  await proxy.advance('300ms')
  assert.deepEqual(slow.reason, { by: 'timeout', phase: 'handshake', code: 'handshake-timeout' })
  assert.equal(slow.rule, 'line')
})

test('clients beyond maxconn wait to be accepted', async () => {
  await using proxy = await createTestProxy({ frontends: web({ maxconn: 1 }), backends: app })
  const first = await proxy.connect()
  const second = await proxy.connect({ bytes: 'two' })
  const third = await proxy.connect()
  assert.equal(second.verdict, 'pending')
  assert.deepEqual(second.timers, { queue: 0, connect: -1, total: 0 })
  await first.connection.close()
  assert.equal(second.verdict, 'accepted')
  assert.equal(second.sentText, 'two')
  assert.equal(third.verdict, 'pending')
  await second.connection.close()
  assert.equal(third.verdict, 'accepted')
})

test('a limit that two binds share holds both back', async () => {
  await using proxy = await createTestProxy({
    frontends: web({ bind: ['127.0.0.1:8080', '127.0.0.1:8081'], maxconn: 1 }),
    backends: app,
  })
  const first = await proxy.connect({ bind: 1 })
  const second = await proxy.connect({ bind: 0 })
  assert.equal(second.verdict, 'pending')
  await first.connection.close()
  assert.equal(second.verdict, 'accepted')
})

test('PROXY headers of both versions, cut anywhere, with TLVs', async () => {
  const seen: unknown[] = []
  await using proxy = await createTestProxy({
    frontends: web({
      bind: { address: ':8080', acceptProxy: true },
      rules: {
        connection: [
          ({ src, srcPort, dst, dstPort, peer, proxyTlvs }) => {
            const tlv = proxyTlvs.get(0xe0)
            seen.push([src, srcPort, dst, dstPort, peer, tlv && Buffer.from(tlv).toString()])
          },
        ],
      },
    }),
    backends: app,
  })
  const v1 = {
    version: 1,
    src: '198.51.100.7',
    srcPort: 1,
    dst: '198.51.100.8',
    dstPort: 2,
  } as const
  const length = 'PROXY TCP4 198.51.100.7 198.51.100.8 1 2\r\nhi'.length
  for (let cut = 0; cut <= length; cut++) {
    assert.equal((await proxy.connect({ proxy: v1, bytes: 'hi', split: cut })).sentText, 'hi')
  }
  assert.equal(seen.length, length + 1)
  assert.deepEqual(new Set(seen.map((one) => JSON.stringify(one))).size, 1)
  assert.deepEqual(seen[0], ['198.51.100.7', 1, '198.51.100.8', 2, '192.0.2.1', undefined])

  const v2 = { src: '2001:db8::7', tlvs: { 224: 'blue' }, crc32c: true } as const
  assert.equal((await proxy.connect({ proxy: v2, bytes: 'hi', split: 'every' })).sentText, 'hi')
  assert.deepEqual(seen.at(-1), ['2001:db8::7', 40_000, '2001:db8::1', 443, '192.0.2.1', 'blue'])

  await proxy.connect({ proxy: { command: 'LOCAL', src: '' } })
  assert.deepEqual((seen.at(-1) as unknown[])[0], '192.0.2.1')
})

test('bad, cut and missing PROXY headers close with their reasons', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      bind: { address: ':8080', acceptProxy: true },
      timeouts: { handshake: '3s' },
    }),
    backends: app,
  })
  const code = async (bytes: string, fin = false) => {
    const { verdict, reason } = await proxy.connect({ bytes, fin })
    assert.equal(verdict, 'closed')
    assert.equal(reason?.phase, 'accept-proxy')
    return reason?.code
  }
  assert.equal(await code('GET / HTTP/1.0\r\n\r\n'), 'proxy-signature')
  assert.equal(await code('PROXY TCP4 a b c d\r\n'), 'proxy-malformed')
  assert.equal(await code(`PROXY ${'x'.repeat(110)}`), 'proxy-too-long')
  assert.equal(await code('PROXY TCP4 1.2', true), 'aborted')
  const slow = await proxy.connect({ bytes: 'PROXY TCP4 1.2' })
  await proxy.advance('2999ms')
  assert.equal(slow.verdict, 'pending')
  await proxy.advance('1ms')
  assert.deepEqual(slow.reason, { by: 'timeout', phase: 'accept-proxy', code: 'handshake-timeout' })
})

test('a rule may expect a PROXY header of some', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        connection: [({ src }) => (src.startsWith('10.') ? expectProxy() : undefined)],
        session: [({ src, peer }) => setVar('seen', `${src} by ${peer}`)],
      },
    }),
    backends: app,
  })
  const proxied = await proxy.connect({
    src: '10.0.0.1',
    proxy: { src: '198.51.100.7' },
    bytes: 'x',
  })
  assert.equal(proxied.vars.seen, '198.51.100.7 by 10.0.0.1')
  assert.equal(proxied.sentText, 'x')
  assert.equal((await proxy.connect({ src: '10.0.0.1' })).verdict, 'pending')
  assert.equal((await proxy.connect()).vars.seen, '192.0.2.1 by 192.0.2.1')
})

test('health and monitor answer before everything else', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      ...web({ monitor: { from: ['10.0.0.0/8'], reply: 'fine\n' } }),
      health: { bind: { address: ':8081', health: true }, backend: 'app' },
    },
    backends: app,
  })
  const monitored = await proxy.connect({ src: '10.1.2.3' })
  assert.equal(monitored.verdict, 'replied')
  assert.equal(monitored.replyText, 'fine\n')
  assert.equal(monitored.reason?.code, 'monitor')
  const health = await proxy.connect({ frontend: 'health' })
  assert.equal(health.verdict, 'replied')
  assert.equal(health.replyText, 'OK\n')
  assert.equal((await proxy.connect()).verdict, 'accepted')
})

test('PROXY headers for servers: the unique id is the id in the logs', async () => {
  await using proxy = await createTestProxy({
    frontends: web(),
    backends: {
      app: {
        servers: {
          a: { address: '127.0.0.1:9001', sendProxy: { version: 2, uniqueId: true, crc32c: true } },
        },
      },
    },
  })
  const result = await proxy.connect({ bytes: 'hi' })
  const end = result.sent.indexOf(result.id ?? 'none')
  assert.ok(end > 0)
  assert.equal(result.sent.subarray(0, 12).toString('latin1'), '\r\n\r\n\0\r\nQUIT\n')
  assert.equal(result.sent.subarray(-2).toString(), 'hi')
})

test('servers: refused, unreachable, timed out, one outcome for each attempt', async () => {
  await using proxy = await createTestProxy(
    {
      frontends: web(),
      backends: {
        app: { ...app.app, retries: 1, passive: false, timeouts: { connect: '4s' } },
      },
    },
    { servers: { 'app/a': 'unreachable' } },
  )
  const gone = await proxy.connect()
  await proxy.advance('1s')
  assert.equal(gone.verdict, 'closed')
  assert.deepEqual(gone.reason, { by: 'server', phase: 'connect', code: 'unreachable' })
  assert.equal(gone.logs.at(-1)?.errno, 113)
  assert.deepEqual(gone.attempts, ['app/a', 'app/a'])

  const recovered = await proxy.connect({
    servers: { 'app/a': ['refuse', { reply: 'ok' }] },
    bytes: 'x',
  })
  await proxy.advance('1s')
  assert.equal(recovered.replyText, 'ok')
  assert.equal(recovered.timers.total, 1000)

  proxy.setServer('app/a', 'timeout')
  const slow = await proxy.connect()
  await proxy.advance('7999ms')
  assert.equal(slow.verdict, 'pending')
  await proxy.advance('1ms')
  assert.deepEqual(slow.reason, { by: 'timeout', phase: 'connect', code: 'connect-timeout' })
})

test('passive marking: a server that keeps refusing is down until one session was served', async () => {
  await using proxy = await createTestProxy({
    frontends: web(),
    backends: {
      app: { ...app.app, retries: 0, passive: { failures: 2, backoff: '10s' } },
    },
  })
  const status = () => proxy.stats().backends.app?.servers.a?.status
  for (let i = 0; i < 2; i++) await proxy.connect({ servers: { 'app/a': 'refuse' } })
  assert.equal(status(), 'down')
  const refused = await proxy.connect({ servers: { 'app/a': 'refuse' } })
  assert.equal(refused.reason?.code, 'refused')
  assert.equal(status(), 'down')
  assert.equal((await proxy.connect()).verdict, 'accepted')
  assert.equal(status(), 'up')
})

test('server scripts: greeting, function replies, and how they end', async () => {
  await using proxy = await createTestProxy(plain)
  const chat = await proxy.connect({
    servers: {
      'app/a': {
        greeting: '220\n',
        reply: (received) =>
          received.toString().endsWith('\n') ? `${received.length}\n` : undefined,
      },
    },
    bytes: 'ab',
  })
  assert.equal(chat.replyText, '220\n')
  await chat.connection.send('\n')
  await chat.connection.send('c\n')
  assert.equal(chat.replyText, '220\n3\n5\n')
  assert.equal(chat.open, true)

  const done = await proxy.connect({
    servers: { 'app/a': { reply: 'bye', end: 'fin' } },
    bytes: 'x',
  })
  assert.deepEqual(done.reason, { by: 'server', phase: 'data', code: 'done' })
  const reset = await proxy.connect({ servers: { 'app/a': { greeting: 'x', end: 'reset' } } })
  assert.deepEqual(reset.reason, { by: 'server', phase: 'data', code: 'reset' })
  assert.equal(reset.verdict, 'accepted')

  const half = await proxy.connect({
    allowHalfOpen: true,
    servers: { 'app/a': { greeting: 'x', end: 'fin', allowHalfOpen: true } },
  })
  assert.equal(half.open, true)
  await half.connection.send('still here')
  assert.equal(half.sentText, 'still here')
  await half.connection.fin()
  assert.equal(half.reason?.code, 'done')
})

test('inactivity of clients, servers and tunnels', async () => {
  const timeouts = {
    client: '10s',
    server: '20s',
    tunnel: '1m',
    clientFin: '2s',
    serverFin: '3s',
  } as const
  await using proxy = await createTestProxy({ ...plain, timeouts })
  const code = async (after: `${number}ms`, options: Parameters<typeof proxy.connect>[0]) => {
    const result = await proxy.connect(options)
    await proxy.advance(after)
    assert.equal(result.open, true)
    await proxy.advance('1ms')
    assert.equal(result.reason?.by, 'timeout')
    return `${result.reason?.phase} ${result.reason?.code}`
  }
  assert.equal(await code('9999ms', { bytes: 'x' }), 'data client-timeout')
  assert.equal(
    await code('59999ms', { bytes: 'x', servers: { 'app/a': { reply: 'y' } } }),
    'data tunnel-timeout',
  )
  const silent = { 'app/a': { allowHalfOpen: true } } as const
  assert.equal(await code('2999ms', { fin: true, servers: silent }), 'close server-fin-timeout')
  const deaf = { 'app/a': { greeting: 'x', end: 'fin' } } as const
  assert.equal(
    await code('1999ms', { allowHalfOpen: true, servers: deaf }),
    'close client-fin-timeout',
  )

  // Activity puts the end off.
  const active = await proxy.connect()
  await proxy.advance('9s')
  await active.connection.send('x')
  await proxy.advance('9s')
  assert.equal(active.open, true)
  await proxy.advance('1s')
  assert.equal(active.reason?.code, 'client-timeout')
})

test('a policy that never answers is late', async () => {
  const never = () => new Promise<undefined>(() => {})
  await using proxy = await createTestProxy({
    global: { verdictTimeout: '2s' },
    frontends: {
      ...web({ rules: { connection: [never] } }),
      open: {
        bind: ':8081',
        backend: 'app',
        onError: 'open',
        rules: { session: [never] },
      },
    },
    backends: app,
  })
  const closed = await proxy.connect()
  const opened = await proxy.connect({ frontend: 'open', bytes: 'x' })
  await proxy.advance('2s')
  assert.deepEqual(closed.reason, { by: 'timeout', phase: 'tcp-rules', code: 'verdict-timeout' })
  assert.equal(opened.sentText, 'x')
  assert.equal(proxy.stats().frontends.web?.lateVerdicts, 1)
})

test('a rule that reads a file is waited for by settled', async () => {
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        connection: [
          async function fromFile() {
            return setVar('name', JSON.parse(await readFile('package.json', 'utf8')).name)
          },
        ],
      },
    }),
    backends: app,
  })
  const result = await (await proxy.connect()).settled()
  assert.equal(result.verdict, 'accepted')
  assert.equal(result.vars.name, 'sluice')
})

test('applets: replies, back-pressure of a client that stops reading, errors', async () => {
  const applet = defineApplet('broken', async (stream) => {
    await stream.read()
    throw new Error('boom')
  })
  await using proxy = await createTestProxy({
    frontends: {
      ...web(),
      echo: { bind: ':1', backend: 'echo' },
      chargen: { bind: ':2', backend: 'chargen' },
      broken: { bind: ':3', backend: 'broken' },
    },
    backends: {
      app: { servers: { a: staticReply('hi\n') } },
      echo: { servers: { a: echo() } },
      chargen: { servers: { a: chargen() } },
      broken: { servers: { a: applet } },
    },
  })
  const served = await proxy.connect()
  assert.equal(served.verdict, 'accepted')
  assert.equal(served.replyText, 'hi\n')
  assert.equal(served.open, false)
  assert.deepEqual([served.backend, served.server], ['app', 'a'])

  const big = 'x'.repeat(200_000)
  const echoed = await proxy.connect({ frontend: 'echo', bytes: big, fin: true })
  assert.equal(echoed.replyText, big)
  assert.deepEqual(echoed.reason, { by: 'client', phase: 'data', code: 'done' })

  const lines = await proxy.connect({ frontend: 'chargen', window: 1000 })
  assert.ok(lines.reply.length > 1000 && lines.reply.length < 200_000)
  assert.equal(lines.open, true)
  await lines.connection.reset()
  assert.equal(lines.reason?.code, 'reset')

  const broken = await proxy.connect({ frontend: 'broken', bytes: 'x' })
  assert.equal(broken.reason?.code, 'applet-error')
  assert.equal(broken.logs[0]?.applet, 'broken')
})

test('host names resolve to addresses of their own, to those given, or not at all', async () => {
  await using proxy = await createTestProxy(
    {
      frontends: web(),
      backends: {
        app: { servers: { a: 'one.internal:1', b: 'two.internal:2', c: 'three.internal:3' } },
      },
    },
    { hosts: { 'two.internal': '203.0.113.2', 'three.internal': [] } },
  )
  const addresses = [...engineOf(proxy).routes.values()].map(({ address }) => address)
  assert.deepEqual(addresses, [
    { kind: 'tcp', ip: '198.18.0.1', port: 1 },
    { kind: 'tcp', ip: '203.0.113.2', port: 2 },
  ])
  assert.equal(proxy.stats().backends.app?.servers.c?.status, 'unresolved')
  assert.ok(proxy.logs.some(({ msg }) => /does not resolve/.test(msg)))
})

test('a client that goes away in every phase', async () => {
  await using proxy = await createTestProxy({
    frontends: {
      ...web(),
      rules: {
        bind: ':1',
        backend: 'app',
        rules: { connection: [() => new Promise<undefined>(() => {})] },
      },
      bytes: {
        bind: ':2',
        backend: 'app',
        rules: { handshake: [() => more()] },
      },
    },
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  const first = await proxy.connect({ servers: { 'app/a': 'timeout' } })
  const phases: Record<string, string | undefined> = {}
  for (const frontend of ['web', 'rules', 'bytes'] as const) {
    const result = await proxy.connect({ frontend })
    await result.connection.close()
    phases[frontend] = `${result.reason?.by} ${result.reason?.phase} ${result.reason?.code}`
  }
  assert.deepEqual(phases, {
    web: 'client queue reset',
    rules: 'client tcp-rules reset',
    bytes: 'client handshake aborted',
  })
  await first.connection.close()
  assert.deepEqual(first.reason, { by: 'client', phase: 'connect', code: 'reset' })
  assert.equal(proxy.stats().connections, 0)
  assert.equal(proxy.stats().backends.app?.servers.a?.sessions, 0)
})

test('stop drains under the virtual clock; afterwards nobody listens', async () => {
  await using proxy = await createTestProxy(plain)
  const held = await proxy.connect()
  const ends = await proxy.connect()
  const stopping = proxy.stop({ deadline: '10s' })
  await proxy.advance('5s')
  await ends.connection.close()
  await assert.rejects(proxy.connect(), { code: 'ERR_SLUICE_STATE' })
  assert.equal(held.open, true)
  await proxy.advance('5s')
  assert.deepEqual(await stopping, { drained: false, closed: 1 })
  assert.deepEqual(held.reason, { by: 'proxy', phase: 'data', code: 'shutdown' })
})

test('disposing ends what is open, also while a drain is under way', async () => {
  const proxy = await createTestProxy(plain)
  const held = await proxy.connect()
  void proxy.stop({ deadline: '1m' })
  await proxy[Symbol.asyncDispose]()
  assert.equal(held.open, false)
  assert.equal(proxy.clock.pending, 0)
})

test('many clients at once', async () => {
  await using proxy = await createTestProxy(plain)
  const results = await Promise.all(
    Array.from({ length: 500 }, (_, i) => proxy.connect({ srcPort: 10_000 + i, bytes: String(i) })),
  )
  assert.ok(results.every(({ sentText }, i) => sentText === String(i)))
  assert.equal(new Set(results.map(({ id }) => id)).size, 500)
  await Promise.all(results.map(({ connection }) => connection.close()))
  assert.deepEqual(proxy.stats().frontends.web?.ends, { 'client/data/done': 500 })
})

test('bytes that a rule took are not shown to it again, with a FIN behind them', async () => {
  const seen: string[] = []
  await using proxy = await createTestProxy({
    frontends: web({
      rules: {
        handshake: [
          ({ bytes }) => {
            seen.push(Buffer.from(bytes).toString())
            return bytes.length > 0 ? [consume(1), more()] : undefined
          },
        ],
      },
    }),
    backends: app,
  })
  const result = await proxy.connect({ bytes: 'ab', split: 'every', fin: true })
  assert.deepEqual(seen, ['a', 'b', ''])
  assert.equal(result.verdict, 'accepted')
})

test('the type checker knows the names of a configuration that is written in place', async () => {
  await using proxy = await createTestProxy({
    tables: { perSource: { key: 'ip', size: 10 } },
    frontends: web(),
    backends: { app: { servers: { one: '127.0.0.1:9001' } } },
  })
  assert.equal(proxy.tables.perSource.name, 'perSource')
  // @ts-expect-error There is no such table.
  assert.equal(proxy.tables.perSorce, undefined)
  // @ts-expect-error There is no such frontend.
  await assert.rejects(proxy.connect({ frontend: 'site' }), { code: 'ERR_SLUICE_ARGUMENT' })
  // @ts-expect-error There is no such server.
  await assert.rejects(proxy.connect({ servers: { 'app/two': 'refuse' } }), /no server/)
  const misspelt = { frontends: web(), backends: app }
  await assert.rejects(
    // @ts-expect-error A misspelt key is found while typing, and when it runs.
    createTestProxy({ ...misspelt, timeoutz: {} }),
    ConfigError,
  )
})
