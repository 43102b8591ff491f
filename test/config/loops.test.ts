import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#sluice/base/errors.js'
import { findLoops } from '#sluice/config/loops.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { createProxy } from '#sluice/index.js'

const one = (bind: string, server: string, more: object = {}): Config => ({
  frontends: { web: { bind, backend: 'app', ...more } },
  backends: { app: { servers: { a: server } } },
})
const lines = (config: Config) => {
  const { certain, possible } = findLoops(resolveConfig(config))
  const text = (list: typeof certain) => list.map(({ path, message }) => `${path} ${message}`)
  return { certain: text(certain), possible: text(possible) }
}
const itself =
  "backends.app.servers.a is a bind of frontend 'web' itself: one client makes connections until none are left (web → web)."

test('a server that is the own bind is found, however it is written', () => {
  for (const [bind, server] of [
    ['127.0.0.1:9001', '127.0.0.1:9001'],
    [':9001', '127.0.0.1:9001'],
    ['[::]:9001', '127.0.0.9:9001'],
    ['[::]:9001', '[::1]:9001'],
    ['127.0.0.1:9000-9001', 'localhost:9001'],
    ['127.0.0.1:9000-9001', '127.0.0.1:+0'],
    [':9001', '127.0.0.1:-0'],
    ['127.0.0.1:9001', '0.0.0.0:9001'],
    ['[::1]:9001', '[0:0::1]:9001'],
    ['[::]:9001', '[0::1]:9001'],
    ['unix:/run/a.sock', 'unix:/run/a.sock'],
    ['unix:/run/a.sock', 'unix:/run/../run/a.sock'],
    ['unix:@a', 'unix:@a'],
  ] as const) {
    assert.deepEqual(lines(one(bind, server)), { certain: [itself], possible: [] }, bind)
  }
})

test('what only looks like it is none', () => {
  for (const [bind, server] of [
    ['127.0.0.1:0', '127.0.0.1:9001'],
    ['127.0.0.2:9001', '127.0.0.1:9001'],
    [':9001', '[::1]:9001'],
    [':9001', '192.0.2.1:9001'],
    ['unix:/run/a.sock', 'unix:/run/b.sock'],
    ['unix:@a', 'unix:./@a'],
    ['127.0.0.1:0', '127.0.0.1:+0'],
    ['127.0.0.1:9001', '127.0.0.2:+0'],
    ['127.0.0.1:9000-9001', '127.0.0.1:+1'],
  ] as const) {
    assert.deepEqual(lines(one(bind, server)), { certain: [], possible: [] }, bind)
  }
})

test("where a PROXY header says the client's port, '+0' may lead anywhere", () => {
  const config = one('127.0.0.1:9001', '127.0.0.1:+0', {
    bind: { address: '127.0.0.1:9001', acceptProxy: true },
  })
  assert.deepEqual(lines(config), { certain: [], possible: [] })
})

test('a way back over another frontend, and a chain that ends', () => {
  const config: Config = {
    frontends: {
      one: { bind: '[::]:8001', backend: 'two' },
      two: { bind: 'unix:/run/two.sock', backend: 'one' },
      three: { bind: '127.0.0.1:8003', backend: 'one' },
    },
    backends: {
      one: { servers: { x: '192.0.2.1:80', a: '127.0.0.1:8001' } },
      two: { servers: { b: 'unix:/run/two.sock' } },
    },
  }
  assert.deepEqual(lines(config).certain, [
    "backends.two.servers.b is a bind of frontend 'two' itself: one client makes connections until none are left (one → two → one).",
    "backends.one.servers.a is a bind of frontend 'one' itself: one client makes connections until none are left (two → one → two).",
  ])
  const { two, ...ending } = config.frontends
  assert.ok(two)
  assert.deepEqual(lines({ ...config, frontends: ending }), { certain: [], possible: [] })
})

test('it is an error of a proxy, and a warning where a rule may decide otherwise', () => {
  const config = one(':9001', '127.0.0.1:9001')
  assert.throws(
    () => createProxy(config),
    (error) => error instanceof ConfigError && error.message.includes('web → web'),
  )
  const ruled = one(':9001', '127.0.0.1:9001', { rules: { session: [() => undefined] } })
  assert.deepEqual(lines(ruled), { certain: [], possible: [itself] })
  assert.ok(resolveConfig(ruled).warnings.some(({ path }) => path === 'backends.app.servers.a'))
})
