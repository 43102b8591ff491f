import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileLimit, shareDescriptors } from '#sluice/config/nofile.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy/types.js'

const minimal: Config = {
  frontends: { web: { bind: '127.0.0.1:8080', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:9001' } } },
}

test('defaults of everything', () => {
  const config = resolveConfig({ ...minimal, global: { maxconn: 1000 } })
  assert.deepEqual(config, {
    maxconn: 1000,
    maxpipes: 250,
    workers: 1,
    engine: 'auto',
    busyPoll: false,
    lead: true,
    verdictTimeout: 5_000,
    drainTimeout: 30_000,
    grace: 0,
    resolveInterval: 30_000,
    started: undefined,
    tlsHandshakes: { concurrent: 1024, total: 0, queue: 4096, queueTimeout: 3_000 },
    tlsReload: 10_000,
    tables: [],
    plugins: [],
    frontends: [
      {
        name: 'web',
        binds: [
          {
            address: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
            path: 'frontends.web.bind',
            backlog: 4096,
            maxconn: 1000,
            deferAccept: 0,
            fastOpen: 0,
            reusePort: false,
            keepAlive: { idle: 60, interval: 15, count: 4 },
            userTimeout: 0,
            transparent: false,
            originalDst: false,
            acceptProxy: undefined,
            health: false,
            tls: undefined,
            startTls: 'accept',
            sniRoutes: undefined,
          },
        ],
        backend: 'app',
        maxconn: 1000,
        monitor: undefined,
        rules: { connection: [], clientHello: [], secured: [], handshake: [], session: [] },
        onError: 'close',
        timeouts: { client: 3_600_000, clientFin: 60_000, handshake: 5_000 },
        log: { sample: 1, openAfter: 0 },
      },
    ],
    backends: [
      {
        name: 'app',
        balance: { algorithm: 'roundrobin' },
        servers: [
          {
            name: 'a',
            id: 1,
            address: { kind: 'ip', ip: '127.0.0.1', port: 9001 },
            weight: 1,
            maxconn: 0,
            backup: false,
            state: 'ready',
            keepAlive: { idle: 60, interval: 15, count: 4 },
            userTimeout: 0,
            sendProxy: undefined,
            tls: undefined,
            socks: undefined,
            source: undefined,
          },
        ],
        maxqueue: 1024,
        retries: 3,
        redispatch: 1,
        retryDelay: 1_000,
        allBackups: false,
        passive: { failures: 3, backoff: 1_000, maxBackoff: 10_000 },
        stick: undefined,
        timeouts: { server: 3_600_000, serverFin: 60_000, connect: 5_000, queue: 5_000, tunnel: 0 },
      },
    ],
    log: { level: 'info', file: undefined, format: undefined },
    warnings: [],
  })
})

test('keep-alive: on for TCP, in whole seconds, and off where it is said', () => {
  const config = resolveConfig({
    frontends: {
      web: {
        backend: 'app',
        bind: [
          { address: ':1', keepAlive: { idle: '1500ms', count: 9 }, userTimeout: '90s' },
          { address: ':2', keepAlive: false },
          'unix:/run/a.sock',
        ],
      },
    },
    backends: {
      app: {
        servers: {
          a: { address: 'h:1', keepAlive: { interval: '1h' } },
          b: { address: 'h:1', keepAlive: false, userTimeout: '1s' },
          c: 'unix:/run/b.sock',
        },
      },
    },
  })
  const of = (list: { keepAlive: unknown; userTimeout: number }[] | undefined) =>
    list?.map(({ keepAlive, userTimeout }) => ({ keepAlive, userTimeout }))
  const off = { keepAlive: undefined, userTimeout: 0 }
  assert.deepEqual(of(config.frontends[0]?.binds), [
    { keepAlive: { idle: 2, interval: 15, count: 9 }, userTimeout: 90_000 },
    off,
    off,
  ])
  assert.deepEqual(of(config.backends[0]?.servers), [
    { keepAlive: { idle: 60, interval: 3600, count: 4 }, userTimeout: 0 },
    { keepAlive: undefined, userTimeout: 1_000 },
    off,
  ])
})

test('time-outs: the section, then the top level, then what they follow', () => {
  const config = resolveConfig({
    frontends: {
      own: { bind: ':1', backend: 'own', timeouts: { client: '2s' } },
      top: { bind: ':2', backend: 'own' },
    },
    backends: {
      own: { servers: { a: 'h:1' }, timeouts: { connect: '200ms', serverFin: '7s' } },
      top: { servers: { a: 'h:1' } },
    },
    timeouts: { client: '9s', clientFin: '8s', server: '6s', queue: '3s', tunnel: '1h' },
  })
  assert.deepEqual(
    config.frontends.map((frontend) => frontend.timeouts),
    [
      { client: 2_000, clientFin: 8_000, handshake: 5_000 },
      { client: 9_000, clientFin: 8_000, handshake: 5_000 },
    ],
  )
  assert.deepEqual(
    config.backends.map((backend) => backend.timeouts),
    [
      { server: 6_000, serverFin: 7_000, connect: 200, queue: 3_000, tunnel: 3_600_000 },
      { server: 6_000, serverFin: 6_000, connect: 5_000, queue: 3_000, tunnel: 3_600_000 },
    ],
  )
  assert.equal(config.backends[0]?.retryDelay, 200, 'at most the connect time-out')
})

test('everything that can be set is taken over', () => {
  const key = (conn: Connection) => conn.dst
  const rule = () => undefined
  const hand = { name: 'h', run: () => undefined, limit: '1kB' as const }
  const echo = { kind: 'applet' as const, name: 'echo', serve() {} }
  const { frontends, backends, tables } = resolveConfig({
    applets: { echo },
    tables: {
      t: {
        key: 'string',
        size: 5,
        expire: '1m',
        keyLength: 8,
        store: { serverId: true, connRate: '10s' },
      },
    },
    frontends: {
      web: {
        bind: [
          {
            address: '127.0.0.1',
            port: '8000-8001',
            deferAccept: '1500ms',
            fastOpen: 5,
            maxconn: 7,
          },
          { address: '[::]:1', v6only: true, deferAccept: true, acceptProxy: true, backlog: 9 },
          { address: 'unix:/a', mode: '660', acceptProxy: { from: ['::1'] }, health: true },
        ],
        maxconn: 50,
        monitor: { from: ['10.0.0.1'], reply: 'ok' },
        rules: { connection: [rule], handshake: [hand] },
        onError: 'open',
        backend: 'app',
        log: { sample: 10 },
      },
    },
    backends: {
      app: {
        balance: { algorithm: 'hash', key, boundedLoad: 150 },
        servers: {
          a: {
            address: 'example.org:1',
            weight: 0,
            maxconn: 3,
            backup: true,
            state: 'drain',
            id: 50,
          },
          b: { address: 'unix:/b', sendProxy: true },
          c: { address: '[::1]:2', sendProxy: { version: 2, uniqueId: true }, source: '::1' },
          d: {
            address: 'h:1',
            socks: { address: '127.0.0.1:1080', user: 'u', password: 'p' },
            source: 'client',
          },
          e: 'applet:echo',
          f: echo,
          g: { applet: echo, sendProxy: false },
          h: { address: 'h:1', sendProxy: 1 },
        },
        redispatch: 1,
        passive: false,
        stick: { table: 't', mode: 'match' },
      },
    },
  })
  const [web] = frontends
  assert.ok(web)
  assert.deepEqual(
    web.binds.map((bind) => bind.address),
    [
      { kind: 'tcp', host: '127.0.0.1', port: 8000 },
      { kind: 'tcp', host: '127.0.0.1', port: 8001 },
      { kind: 'tcp', host: '::', port: 1, v6only: true },
      { kind: 'unix', path: '/a', mode: 0o660 },
    ],
  )
  assert.deepEqual(
    web.binds.map(({ path, deferAccept, maxconn }) => [path, deferAccept, maxconn]),
    [
      ['frontends.web.bind[0]', 2, 7],
      ['frontends.web.bind[0]', 2, 7],
      ['frontends.web.bind[1]', 1, 50],
      ['frontends.web.bind[2]', 0, 50],
    ],
  )
  assert.deepEqual(web.binds[2]?.acceptProxy, { from: undefined, limit: 16_384 })
  assert.deepEqual(web.binds[3]?.acceptProxy, { from: ['::1'], limit: 16_384 })
  assert.deepEqual(web.monitor, { from: ['10.0.0.1'], reply: new TextEncoder().encode('ok') })
  assert.equal(web.rules.connection[0]?.rule, rule)
  assert.equal(web.rules.handshake[0]?.rule, hand)
  assert.equal(web.log.sample, 10)
  const [app] = backends
  assert.ok(app)
  assert.deepEqual(app.balance, { algorithm: 'hash', key, type: 'consistent', boundedLoad: 150 })
  assert.deepEqual(
    app.servers.map(({ id, address }) => [id, address.kind]),
    [
      [50, 'host'],
      [2, 'unix'],
      [3, 'ip'],
      [4, 'host'],
      [5, 'applet'],
      [6, 'applet'],
      [7, 'applet'],
      [8, 'host'],
    ],
  )
  assert.deepEqual(tables[0]?.store.connRate, 10_000)
  assert.deepEqual([tables[0]?.expire, tables[0]?.keyLength], [60_000, 8])
})

test('connections by default follow from the fd limit', () => {
  const share = (wanted: Parameters<typeof shareDescriptors>[0], limit: number) => {
    const { maxconn, maxpipes, missing } = shareDescriptors(wanted, limit)
    return [maxconn, maxpipes, missing?.needed]
  }
  assert.deepEqual(share({}, 1024), [384, 96, undefined])
  assert.deepEqual(share({ sockets: 100 }, 1024), [344, 86, undefined])
  assert.deepEqual(share({}, 1_048_576), [65_536, 16_384, undefined])
  assert.deepEqual(share({}, Number.POSITIVE_INFINITY), [65_536, 16_384, undefined])
  assert.deepEqual(share({}, 64), [1, 0, undefined])
  // What is configured is kept where it fits, sessions before pipes.
  assert.deepEqual(share({ maxpipes: 80 }, 1024), [400, 80, undefined])
  assert.deepEqual(share({ maxconn: 480 }, 1024), [480, 0, undefined])
  assert.deepEqual(share({ maxconn: 400, maxpipes: 80 }, 1024), [400, 80, undefined])
  assert.deepEqual(share({ maxconn: 400, maxpipes: 81 }, 1024), [400, 80, 1026])
  assert.deepEqual(share({ maxconn: 481 }, 1024), [384, 96, 1026])
  assert.deepEqual(share({ maxconn: 10_000_000 }, Number.POSITIVE_INFINITY), [
    10_000_000,
    2_500_000,
    undefined,
  ])
  const limits =
    'Limit   Soft Limit   Hard Limit   Units\nMax open files            2048                 4096                 files\n'
  assert.equal(
    fileLimit(() => limits),
    2048,
  )
  assert.equal(
    fileLimit(() => limits.replace('2048', 'unlimited')),
    Number.POSITIVE_INFINITY,
  )
  assert.equal(
    fileLimit(() => ''),
    undefined,
  )
  assert.equal(
    fileLimit(() => assert.fail('no such file')),
    undefined,
  )
  const { maxconn } = shareDescriptors({ sockets: 1 })
  assert.equal(resolveConfig(minimal).maxconn, maxconn)
})

test('a maxconn beyond the fd limit is lowered, and told with the numbers', () => {
  const of = (global: Config['global']) => {
    const { maxconn, maxpipes, warnings } = resolveConfig(
      { ...minimal, global },
      { fileLimit: 1025 },
    )
    return {
      maxconn,
      maxpipes,
      warnings: warnings.map(({ path, message }) => `${path} ${message}`),
    }
  }
  assert.deepEqual(of({ maxconn: 480 }), { maxconn: 480, maxpipes: 0, warnings: [] })
  assert.deepEqual(of({ maxconn: 2000 }), {
    maxconn: 384,
    maxpipes: 96,
    warnings: [
      "global.maxconn needs 4065 file descriptors, and this process may have 1025: 384 sessions at once it is. Raise the limit (ulimit -n, systemd's LimitNOFILE), or lower it.",
    ],
  })
  assert.deepEqual(of({ maxconn: 400, maxpipes: 100 }).warnings, [
    "global.maxpipes needs 1065 file descriptors, and this process may have 1025: 80 pipes at once it is. Raise the limit (ulimit -n, systemd's LimitNOFILE), or lower it.",
  ])
})

test('systemd sockets become binds, and may be missing where only checking', () => {
  const config = { ...minimal, frontends: { web: { bind: 'systemd', backend: 'app' } } }
  const env = { LISTEN_FDS: '2', LISTEN_PID: String(process.pid) }
  const resolved = resolveConfig(config, { env })
  assert.deepEqual(
    resolved.frontends[0]?.binds.map((bind) => bind.address),
    [
      { kind: 'fd', fd: 3 },
      { kind: 'fd', fd: 4 },
    ],
  )
  assert.deepEqual(resolveConfig(config, { env: {}, allowNoSockets: true }).frontends[0]?.binds, [])
})

test('port 0 may be there any number of times', () => {
  const config = { ...minimal, frontends: { web: { bind: [':0', ':0'], backend: 'app' } } }
  assert.equal(resolveConfig(config).frontends[0]?.binds.length, 2)
})

test('maxconn has a most, which the error says', () => {
  const check = (maxconn: number, workers = 1) =>
    resolveConfig(
      { ...minimal, global: { maxconn, workers } },
      { fileLimit: Number.POSITIVE_INFINITY },
    )
  assert.equal(check(4_194_304).maxconn, 4_194_304)
  for (const maxconn of [4_194_305, 2_147_483_647]) {
    assert.throws(() => check(maxconn), { message: /global\.maxconn: .*4194304/ })
  }
  assert.equal(check(262_144, 256).maxconn, 262_144)
  assert.throws(() => check(262_145, 256), {
    message: /global\.maxconn: 262145 is too much for 256 workers.*at most 262144/,
  })
})
