import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTlvs } from '#sluice/codec/proxy/tlv.js'
import type { SessionRecord } from '#sluice/flow/record/record.js'
import type { Connection } from '#sluice/policy/types.js'
import type { TestEngine } from '#sluice/testing/engine/engine.js'
import { Code, ConnectFlag, Handshake } from '#sluice/wire/wire.js'
import { harness, web } from '../support/harness.js'

const refused = () => ({ code: Code.REFUSED, errno: 111 })

function servers(proxy: { stats(): { backends: Record<string, unknown> } }) {
  return proxy.stats().backends.app as {
    queued: number
    servers: Record<string, { sessions: number }>
  }
}

test('one session: slot, states and the log line', async () => {
  const { engine, proxy, sessions, clock } = await harness({})
  const records: SessionRecord[] = []
  proxy.on('session', (record) => records.push(record))
  const client = engine.accept({ src: '192.0.2.7', srcPort: 4242 })
  assert.equal(servers(proxy).servers.a?.sessions, 1)
  client.send('ping')
  clock.advance('25ms')
  client.serverSend('pong!')
  client.fin()
  client.serverFin()
  assert.equal(servers(proxy).servers.a?.sessions, 0)
  const [logged] = sessions()
  assert.ok(logged)
  const { id, level, msg, ...line } = logged
  assert.match(String(id), /^[0-9a-f]{16}$/)
  assert.equal(level, 30)
  assert.equal(msg, 'session ended')
  assert.deepEqual(line, {
    event: 'session',
    time: line.time,
    frontend: 'web',
    bind: '127.0.0.1:40000',
    src: '192.0.2.7',
    srcPort: 4242,
    dst: '192.0.2.254',
    dstPort: 80,
    backend: 'app',
    server: 'a',
    serverAddress: '127.0.0.1:9001',
    localPort: 32_768,
    timers: { queue: 0, connect: 0, total: 25 },
    bytesIn: 4,
    bytesOut: 5,
    by: 'client',
    phase: 'data',
    code: 'done',
    retries: 0,
  })
  assert.equal(records.length, 1)
  assert.equal(records[0]?.id, id)
  assert.equal(records[0]?.localPort, 32_768)
  assert.deepEqual(proxy.stats().frontends.web?.ends, { 'client/data/done': 1 })
})

test('our port towards a server is asked for where somebody may read it, and else not', async () => {
  async function asked(level: string, listens: boolean, sample = 1): Promise<unknown> {
    const { engine, proxy } = await harness({ frontends: web({ log: { sample } }) }, { level })
    if (listens) proxy.on('session', () => undefined)
    await Promise.resolve()
    const client = engine.accept()
    const [, flags] = engine.calls.find(({ name }) => name === 'connect')?.args ?? []
    client.reset()
    return flags
  }
  const { WANT_SOURCE } = ConnectFlag
  assert.equal(await asked('info', false), WANT_SOURCE)
  assert.equal(await asked('info', false, 100), WANT_SOURCE)
  assert.equal(await asked('info', false, 0), 0)
  assert.equal(await asked('warn', false), 0)
  assert.equal(await asked('warn', true), WANT_SOURCE)
})

test('transitions of a session, in order', async () => {
  const { engine, proxy } = await harness({})
  const walked: string[] = []
  proxy.on('transition', ({ side, from, to }) => walked.push(`${side} ${from}-${to}`))
  await Promise.resolve()
  engine.accept().reset()
  assert.deepEqual(walked, [
    'client INI-EST',
    'server INI-REQ',
    'server REQ-ASS',
    'server ASS-CON',
    'server CON-EST',
    'server EST-DIS',
    'server DIS-CLO',
    'client EST-DIS',
    'client DIS-CLO',
  ])
})

test('trace logs every transition with the decoded connection', async () => {
  const { engine, lines } = await harness({}, { level: 'trace' })
  const client = engine.accept()
  const line = lines.find(({ from, to }) => from === 'ASS' && to === 'CON')
  assert.equal(line?.server, 'a')
  assert.match(
    String(line?.msg),
    /^cs=EST ss=CON\(-\) rq=- rp=- client=\[conn=\d+\.1 cs=ACCEPTED .*src=192\.0\.2\.1:50000.*\] server=\[-\]/,
  )
  client.reset()
  const last = lines.filter(({ from }) => from !== undefined).at(-1)
  assert.match(String(last?.msg), /^cs=CLO ss=CLO\(.*\) rq=.* client=\[.*reason=client/)
})

test('no backend and no usable server are told apart', async () => {
  const none = await harness({
    frontends: { web: { bind: '127.0.0.1:0', rules: { session: [() => undefined] } } },
  })
  assert.deepEqual(none.engine.accept().end, {
    by: 'proxy',
    phase: 'accept-session',
    code: 'no-backend',
  })
  const maint = await harness({
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', state: 'maint' } } } },
  })
  assert.equal(maint.engine.accept().end?.code, 'no-server')
  assert.equal(maint.sessions()[0]?.level, 40)
})

test('the queue: a slot that comes free goes to the first in line', async () => {
  const { engine, proxy, clock, sessions } = await harness({
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  const first = engine.accept()
  const second = engine.accept()
  assert.equal(second.mode, 'session')
  assert.equal(servers(proxy).queued, 1)
  clock.advance('700ms')
  first.reset()
  assert.equal(second.mode, 'forward')
  assert.equal(servers(proxy).servers.a?.sessions, 1)
  second.reset()
  assert.equal(servers(proxy).servers.a?.sessions, 0)
  assert.deepEqual(sessions()[1]?.timers, { queue: 700, connect: 0, total: 700 })
})

test('queue time-out, full queue, and a client that leaves the queue', async () => {
  const { engine, proxy, clock, sessions } = await harness({
    backends: {
      app: {
        servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } },
        maxqueue: 2,
        timeouts: { queue: '3s' },
      },
    },
  })
  const first = engine.accept()
  const leaves = engine.accept()
  const expires = engine.accept()
  const refusedClient = engine.accept()
  assert.deepEqual(refusedClient.end, { by: 'proxy', phase: 'queue', code: 'queue-full' })
  leaves.reset()
  assert.equal(servers(proxy).queued, 1)
  clock.advance('3s')
  assert.deepEqual(expires.end, { by: 'timeout', phase: 'queue', code: 'queue-timeout' })
  first.reset()
  assert.deepEqual(servers(proxy), {
    queued: 0,
    servers: { a: { sessions: 0, status: 'up', weight: 1 } },
  })
  assert.deepEqual(
    sessions().map(({ by, phase, code }) => `${by}/${phase}/${code}`),
    [
      'proxy/queue/queue-full',
      'client/queue/reset',
      'timeout/queue/queue-timeout',
      'client/data/reset',
    ],
  )
  assert.deepEqual(sessions()[2]?.timers, { queue: 3000, connect: -1, total: 3000 })
})

test('a wait in the queue that the proxy ends is in the line', async () => {
  const { engine, proxy, clock, sessions } = await harness({
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  engine.accept()
  engine.accept()
  clock.advance('700ms')
  await proxy.stop({ deadline: '0ms' })
  const queued = sessions().filter(({ phase }) => phase === 'queue')
  assert.deepEqual(
    queued.map(({ timers }) => timers),
    [{ queue: 700, connect: -1, total: 700 }],
  )
})

test('who keeps a connection reads the same source before, during and behind its session', async () => {
  for (const src of ['192.0.2.7', '2001:db8::7']) {
    let kept: Connection | undefined
    const keep = (conn: Connection) => {
      kept ??= conn
      assert.notEqual(conn.src, '')
    }
    const { engine } = await harness({ frontends: web({ rules: { connection: [keep] } }) })
    const client = engine.accept({ src })
    client.send('ping')
    assert.equal(kept?.src, src)
    client.reset()
    engine.accept({ src: '198.51.100.1' }).reset()
    assert.deepEqual([kept?.src, kept?.bytesIn], [src, 4])
  }
})

test('redispatch after as many failures as retries: the same server in TAR, then another', async () => {
  const { engine, clock, sessions, proxy } = await harness(
    {
      backends: {
        app: {
          balance: 'first',
          servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' },
          retries: 2,
          redispatch: 2,
          retryDelay: '1s',
          passive: false,
        },
      },
    },
    {
      onConnect: (_client, route) => (port(engine, route) === 9001 ? refused() : 'ok'),
    },
  )
  const client = engine.accept()
  assert.deepEqual(ports(engine, client.routes), [9001])
  assert.equal(servers(proxy).servers.a?.sessions, 1)
  clock.advance('999ms')
  assert.deepEqual(ports(engine, client.routes), [9001])
  clock.advance('1ms')
  assert.deepEqual(ports(engine, client.routes), [9001, 9001, 9002])
  assert.equal(client.mode, 'forward')
  assert.equal(servers(proxy).servers.a?.sessions, 0)
  assert.equal(servers(proxy).servers.b?.sessions, 1)
  client.reset()
  assert.equal(servers(proxy).servers.b?.sessions, 0)
  assert.equal(sessions()[0]?.server, 'b')
  assert.equal(sessions()[0]?.retries, 2)
})

test('redispatch after one failure goes elsewhere at once', async () => {
  const { engine } = await harness(
    {
      backends: {
        app: {
          balance: 'first',
          servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' },
          redispatch: 1,
        },
      },
    },
    {
      onConnect: (_client, route) => (port(engine, route) === 9001 ? refused() : 'ok'),
    },
  )
  const client = engine.accept()
  assert.deepEqual(ports(engine, client.routes), [9001, 9002])
})

test('by default another server is tried at once, and each only once before a pause', async () => {
  const { engine, clock } = await harness(
    {
      backends: {
        app: {
          balance: 'first',
          servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002', c: '127.0.0.1:9003' },
          passive: false,
        },
      },
    },
    {
      onConnect: (client) => (client.routes.length < 5 ? refused() : 'ok'),
    },
  )
  const client = engine.accept()
  assert.deepEqual(ports(engine, client.routes), [9001, 9002, 9003])
  clock.advance('999ms')
  assert.equal(client.routes.length, 3)
  clock.advance('1ms')
  assert.deepEqual(ports(engine, client.routes), [9001, 9002, 9003, 9001, 9002])
  assert.equal(client.mode, 'forward')
})

test('without retries one server is asked, once', async () => {
  const { engine, clock } = await harness(
    { backends: { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' }, retries: 0 } } },
    { onConnect: refused },
  )
  const client = engine.accept()
  clock.advance('1m')
  assert.equal(client.routes.length, 1)
  assert.equal(client.end?.code, 'refused')
})

test('attempts are bounded, with many servers too', async () => {
  const servers = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`s${i}`, `127.0.0.1:${9001 + i}`]),
  )
  const { engine, clock, proxy } = await harness(
    { backends: { app: { servers, retries: 2 } } },
    { onConnect: refused },
  )
  const client = engine.accept()
  clock.advance('1m')
  assert.equal(client.routes.length, 5)
  assert.equal(new Set(client.routes).size, 5)
  const { backends } = proxy.stats()
  for (const { sessions } of Object.values(backends.app?.servers ?? {})) assert.equal(sessions, 0)
})

test('a pause counts from the beginning of the attempt: nothing is added to a time-out', async () => {
  const { engine, clock, sessions } = await harness(
    {
      backends: {
        app: { servers: { a: '127.0.0.1:9001' }, timeouts: { connect: '2s' }, retries: 3 },
      },
    },
    { onConnect: () => 'pending' },
  )
  const client = engine.accept()
  clock.advance('7999ms')
  assert.equal(client.mode, 'connecting')
  assert.equal(client.routes.length, 4)
  clock.advance('1ms')
  assert.equal(client.end?.code, 'connect-timeout')
  assert.deepEqual(sessions()[0]?.timers, { queue: 0, connect: -1, total: 8_000 })
})

test('what sticks to a server waits for it, as long as the retries are', async () => {
  const { engine, clock } = await harness(
    {
      tables: { affinity: { key: 'ip', size: 10, store: { serverId: true } } },
      backends: {
        app: {
          balance: 'first',
          servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' },
          stick: { table: 'affinity' },
        },
      },
    },
    { onConnect: (client) => (client.routes.length === 1 ? refused() : 'ok') },
  )
  const client = engine.accept()
  clock.advance('1s')
  assert.deepEqual(ports(engine, client.routes), [9001, 9001])
})

test('a lack of something on this machine does not send a session to another server', async () => {
  const { engine, clock } = await harness(
    { backends: { app: { servers: { a: '127.0.0.1:9001', b: '127.0.0.1:9002' } } } },
    {
      onConnect: (client) => (client.routes.length < 2 ? { code: Code.FD_EXHAUSTED } : 'ok'),
    },
  )
  const client = engine.accept()
  assert.equal(client.routes.length, 1)
  clock.advance('1s')
  assert.equal(client.mode, 'forward')
})

test('redispatch with one server left pauses before it tries again', async () => {
  const { engine, clock, proxy } = await harness(
    { backends: { app: { servers: { a: '127.0.0.1:9001' }, redispatch: 1, passive: false } } },
    {
      onConnect: (client) => (client.routes.length < 3 ? refused() : 'ok'),
    },
  )
  const client = engine.accept()
  assert.equal(client.routes.length, 1)
  clock.advance('1s')
  assert.equal(client.routes.length, 2)
  assert.equal(servers(proxy).servers.a?.sessions, 1)
  clock.advance('1s')
  assert.equal(client.mode, 'forward')
  client.reset()
  assert.equal(servers(proxy).servers.a?.sessions, 0)
})

test('when every retry fails the client is closed with the last reason and errno', async () => {
  const { engine, clock, sessions, proxy } = await harness(
    {
      backends: {
        app: { servers: { a: '127.0.0.1:9001' }, retries: 1, redispatch: false, passive: false },
      },
    },
    { onConnect: refused },
  )
  const client = engine.accept()
  clock.advance('1s')
  assert.deepEqual(client.end, { by: 'server', phase: 'connect', code: 'refused' })
  assert.equal(client.routes.length, 2)
  assert.equal(servers(proxy).servers.a?.sessions, 0)
  assert.equal(sessions()[0]?.errno, 111)
  assert.equal(sessions()[0]?.retries, 1)
  assert.equal(sessions()[0]?.level, 40)
})

test('a failure that a second try cannot mend goes elsewhere or ends', async () => {
  const { engine } = await harness(
    { backends: { app: { servers: { a: '127.0.0.1:9001' }, redispatch: false } } },
    { onConnect: () => ({ code: Code.SOCKS_AUTH }) },
  )
  const client = engine.accept()
  assert.equal(client.end?.code, 'socks-auth')
  assert.equal(client.routes.length, 1)
})

// notes-connection-commits.txt, at the end: at TAR expiration the server's slot was taken, then a
// time-out cleared everything, and since the state before was TAR the slot was never given back.
test('a session that ends around TAR gives its slot back, exactly once', async (t) => {
  const config = {
    backends: {
      app: {
        servers: { a: { address: '127.0.0.1:9001', maxconn: 2 } },
        retries: 3,
        redispatch: false as const,
        passive: false as const,
      },
    },
  }
  await t.test('in TAR', async () => {
    const { engine, clock, proxy, sessions, lines } = await harness(config, {
      onConnect: refused,
    })
    const client = engine.accept()
    assert.equal(servers(proxy).servers.a?.sessions, 1)
    client.reset()
    assert.equal(servers(proxy).servers.a?.sessions, 0)
    assert.equal(sessions()[0]?.phase, 'connect')
    clock.advance('10s')
    assert.equal(client.routes.length, 1)
    assert.ok(!lines.some(({ level }) => level >= 50))
  })
  await t.test('right after TAR expired and the attempt was made', async () => {
    const { engine, clock, proxy, lines } = await harness(config, {
      onConnect: (client) => (client.routes.length === 1 ? refused() : 'pending'),
    })
    const client = engine.accept()
    clock.advance('1s')
    assert.equal(client.mode, 'connecting')
    assert.equal(servers(proxy).servers.a?.sessions, 1)
    client.reset()
    assert.equal(servers(proxy).servers.a?.sessions, 0)
    assert.ok(!lines.some(({ level }) => level >= 50))
  })
  await t.test('closed by the drain deadline in TAR', async () => {
    const { engine, proxy } = await harness(config, {
      onConnect: refused,
    })
    const client = engine.accept()
    const result = await proxy.stop({ deadline: '0s' })
    assert.deepEqual(result, { drained: false, closed: 1 })
    assert.deepEqual(client.end, { by: 'proxy', phase: 'connect', code: 'shutdown' })
    assert.equal(servers(proxy).servers.a?.sessions, 0)
  })
})

test('the client leaves while its connect is under way', async () => {
  const { engine, proxy, sessions } = await harness({}, { onConnect: () => 'pending' })
  const client = engine.accept()
  client.reset()
  assert.equal(servers(proxy).servers.a?.sessions, 0)
  assert.equal(sessions()[0]?.phase, 'connect')
  // An outcome that comes too late changes nothing.
  client.connectOk()
  client.connectFail(Code.REFUSED)
  assert.deepEqual(engine.faults, [])
})

test('while failures are counted the outcome is asked for', async () => {
  const { engine, proxy } = await harness(
    {
      backends: {
        app: {
          servers: { a: '127.0.0.1:9001' },
          retries: 0,
          passive: { failures: 2, backoff: '5s' },
        },
      },
    },
    {
      onConnect: () => (engine.calls.length === 1 ? refused() : 'ok'),
    },
  )
  const { WANT_CONNECTED } = ConnectFlag
  const outcome = () => {
    const flags = engine.calls.findLast(({ name }) => name === 'connect')?.args[1] as number
    return (flags & WANT_CONNECTED) !== 0
  }
  engine.accept()
  assert.equal(outcome(), false)
  engine.accept()
  assert.equal(outcome(), true)
  engine.accept()
  assert.equal(outcome(), false)
  assert.equal(proxy.backends.app?.servers.a?.status, 'up')
})

test('a unique id is sent as a TLV', async () => {
  const { engine, sessions } = await harness({
    backends: {
      app: {
        servers: { a: { address: '127.0.0.1:9001', sendProxy: { version: 2, uniqueId: true } } },
      },
    },
  })
  const client = engine.accept()
  const tlvs = engine.calls[0]?.args[3] as Uint8Array
  client.reset()
  assert.equal(new TextDecoder().decode(parseTlvs(tlvs).get(5)), sessions()[0]?.id)
})

test('a queued session tells the engine that it waits, and only once', async () => {
  const { engine } = await harness({
    frontends: web({ rules: { connection: [() => undefined] } }),
    backends: { app: { servers: { a: { address: '127.0.0.1:9001', maxconn: 1 } } } },
  })
  engine.accept()
  engine.accept()
  const proceeds = engine.calls.filter(({ name }) => name === 'proceed')
  assert.deepEqual(
    proceeds.map(({ args }) => args),
    [[Handshake.TCP_RULES | Handshake.CUSTOM | Handshake.ACCEPT_SESSION, 0, 0]],
  )
})

function port(engine: TestEngine, route: number): number {
  const address = engine.routes.get(route)?.address
  return address?.kind === 'tcp' ? address.port : 0
}

function ports(engine: TestEngine, routes: readonly number[]): number[] {
  return routes.map((route) => port(engine, route))
}

test('a session that is open for long has a line of its own, once; others have none', async () => {
  const { engine, clock, lines, sessions } = await harness({
    frontends: web({ log: { openAfter: '10s', sample: 0 } }),
  })
  const open = () => lines.filter(({ event }) => event === 'open')
  const short = engine.accept({ src: '192.0.2.1' })
  const long = engine.accept({ src: '192.0.2.2' })
  long.send('ping')
  clock.advance('9999ms')
  short.fin()
  short.serverFin()
  assert.equal(open().length, 0)
  clock.advance('1ms')
  assert.equal(open().length, 1)
  const [line] = open()
  assert.deepEqual(
    [line?.msg, line?.src, line?.server, line?.serverAddress, line?.openFor, line?.bytesIn],
    ['session goes on', '192.0.2.2', 'a', '127.0.0.1:9001', 10_000, 4],
  )
  clock.advance('30s')
  assert.equal(open().length, 1)
  long.fin()
  long.serverFin()
  assert.equal(sessions().length, 0, 'sampled away')
})
