import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { routeSpec, ServerRoute } from '#sluice/backend/route.js'
import type { ResolvedServer, ResolvedUpstreamTls } from '#sluice/config/resolved.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { backendConfig, clientTls, FakeEngine, server, startWorld } from './support.js'

const { timeouts } = backendConfig([], {
  timeouts: { connect: 1, server: 2, serverFin: 3, tunnel: 4, queue: 5 },
})
const plain = {
  sendProxy: 0,
  proxyCrc: false,
  keepAlive: undefined,
  userTimeout: 0,
  connectTimeout: 1,
  serverTimeout: 2,
  serverFinTimeout: 3,
  tunnelTimeout: 4,
}
const spec = (options: Partial<ResolvedServer>, ip?: string) =>
  routeSpec(server('a', 1, options), timeouts, ip)

describe('the route to a server', () => {
  it('has its address and the time-outs of the backend', () => {
    assert.deepEqual(spec({ address: { kind: 'ip', ip: '::1', port: 80 } }), {
      ...plain,
      address: { kind: 'tcp', ip: '::1', port: 80 },
    })
    assert.deepEqual(spec({ address: { kind: 'unix', path: '/run/a.sock' } }), {
      ...plain,
      address: { kind: 'unix', path: '/run/a.sock' },
    })
    assert.deepEqual(
      spec({ address: { kind: 'host', host: 'a.example', port: 80 } }, '192.0.2.1').address,
      { kind: 'tcp', ip: '192.0.2.1', port: 80 },
    )
  })

  it('sends a PROXY header of the configured version', () => {
    const sendProxy = {
      version: 2,
      uniqueId: false,
      crc32c: true,
      ssl: false,
      sslCn: false,
      authority: false,
      tlvs: false,
    } as const
    assert.deepEqual(spec({ sendProxy }), {
      ...plain,
      address: { kind: 'tcp', ip: '127.0.0.1', port: 9001 },
      sendProxy: 2,
      proxyCrc: true,
    })
  })

  it('leads to the SOCKS proxy, which resolves names', () => {
    const socks = {
      ip: '192.0.2.5',
      port: 1080,
      version: 4,
      user: 'u',
      password: undefined,
    } as const
    const made = spec({ address: { kind: 'host', host: 'a.example', port: 80 }, socks })
    assert.deepEqual(made.address, { kind: 'tcp', ip: '192.0.2.5', port: 1080 })
    assert.deepEqual(made.socks, { version: 4, user: 'u', host: 'a.example', port: 80 })
    const literal = spec({ address: { kind: 'ip', ip: '192.0.2.9', port: 81 }, socks })
    assert.deepEqual(literal.socks, { version: 4, user: 'u', host: '192.0.2.9', port: 81 })
  })

  it('starts from the configured source', () => {
    assert.equal(spec({ source: 'client' }).source, 'client')
    assert.deepEqual(spec({ source: { ip: '192.0.2.3', port: 0 } }).source, { ip: '192.0.2.3' })
    assert.deepEqual(spec({ source: { ip: '192.0.2.3', port: 99 } }).source, {
      ip: '192.0.2.3',
      port: 99,
    })
  })

  it('cannot be made for what has no address', () => {
    const applet = { kind: 'applet', name: 'echo', serve: () => {} } as const
    const socks = {
      ip: '192.0.2.5',
      port: 1080,
      version: 5,
      user: undefined,
      password: undefined,
    } as const
    const code = { code: 'ERR_SLUICE_ARGUMENT' }
    assert.throws(() => spec({ address: { kind: 'applet', applet } }), code)
    assert.throws(() => spec({ address: { kind: 'host', host: 'a.example', port: 80 } }), code)
    assert.throws(() => spec({ address: { kind: 'unix', path: '/run/a.sock' }, socks }), code)
  })
})

const tls = (options: Partial<ResolvedUpstreamTls> = {}) => ({ tls: clientTls(options) })

describe('the route to a server with TLS', () => {
  it('has the context and the fixed name, and cannot be made without a context', () => {
    const made = routeSpec(server('a', 1, tls()), timeouts, undefined, 7)
    assert.deepEqual(made.tls, { context: 7, serverName: 'up.example' })
    assert.throws(() => spec(tls()), { code: 'ERR_SLUICE_ARGUMENT' })
  })

  it('is one for each name, at most as many as are kept, the oldest out of use goes', () => {
    const engine = new FakeEngine()
    const clock = new VirtualClock()
    const routes = new ServerRoute(engine, clock, 2)
    routes.set(routeSpec(server('a', 1, tls()), timeouts, undefined, 7))
    assert.equal(routes.variant('up.example', undefined), routes.id)
    const [one, two] = [routes.variant('one', undefined), routes.variant('two', undefined)]
    assert.equal(routes.variant('one', undefined), one)
    const three = routes.variant('three', undefined)
    assert.equal(engine.routes.get(three)?.tls?.serverName, 'three')
    assert.equal(routes.variant('one', undefined), one)
    // Connects that name it may be on their way.
    assert.ok(engine.routes.has(two) && routes.has(two))
    clock.advance('5s')
    assert.ok(!engine.routes.has(two) && !routes.has(two))
    assert.deepEqual([routes.has(one), routes.has(three), routes.has(-1)], [true, true, false])
    routes.close()
    assert.equal(engine.routes.size, 0)
    assert.equal(clock.pending, 0)
  })

  it('is one for each port, also behind a SOCKS proxy', () => {
    const engine = new FakeEngine()
    const routes = new ServerRoute(engine, new VirtualClock())
    const relative = { address: { kind: 'ip', ip: '192.0.2.9', port: 0, offset: 0 } } as const
    routes.set(routeSpec(server('a', 1, { ...tls(), ...relative }), timeouts, undefined, 7))
    const plain = routes.variant(undefined, 30_000)
    const named = routes.variant('one', 30_000)
    assert.notEqual(plain, named)
    assert.equal(routes.variant(undefined, 30_000), plain)
    assert.deepEqual(engine.routes.get(plain)?.address, {
      kind: 'tcp',
      ip: '192.0.2.9',
      port: 30_000,
    })
    assert.equal(engine.routes.get(named)?.tls?.serverName, 'one')
    assert.ok(routes.has(plain) && routes.has(named))
    const socks = { ip: '192.0.2.5', port: 1080, version: 5, user: undefined, password: undefined }
    const behind = new ServerRoute(engine, new VirtualClock())
    behind.set(routeSpec(server('a', 1, { ...relative, socks: socks as never }), timeouts))
    const spec = engine.routes.get(behind.variant(undefined, 21))
    assert.deepEqual(spec?.address, { kind: 'tcp', ip: '192.0.2.5', port: 1080 })
    assert.equal(spec?.socks?.port, 21)
  })

  it('is another one with another context, whatever the name', () => {
    const engine = new FakeEngine()
    const clock = new VirtualClock()
    const routes = new ServerRoute(engine, clock)
    routes.set(routeSpec(server('a', 1, tls()), timeouts, undefined, 7))
    const old = [routes.id, routes.variant('one', undefined)]
    routes.setContext(7)
    assert.equal(routes.id, old[0])
    routes.setContext(8)
    const fresh = [routes.id, routes.variant('one', undefined)]
    for (const route of fresh) {
      assert.ok(!old.includes(route))
      assert.equal(engine.routes.get(route)?.tls?.context, 8)
    }
    clock.advance('5s')
    assert.deepEqual([...engine.routes.keys()].sort(), fresh.sort())
  })

  it('follows the contexts of its backend', async () => {
    let context = 7
    const config = backendConfig([server('a', 1, tls()), server('b', 2)])
    const { backend, engine, byName } = await startWorld(config, { tlsContextOf: () => context })
    const [a, b] = [byName('a'), byName('b')]
    const before = [a.route(), b.route()]
    backend.renewTls()
    assert.deepEqual([a.route(), b.route()], before)
    context = 8
    backend.renewTls()
    assert.notEqual(a.route(), before[0])
    assert.equal(b.route(), before[1])
    assert.equal(engine.routes.get(a.route())?.tls?.context, 8)
    assert.ok(a.hasRoute(a.route()) && !a.hasRoute(b.route()))
    backend.stop()
    assert.equal(engine.routes.size, 0)
  })
})
