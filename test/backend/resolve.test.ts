import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Resolver, systemResolver } from '#sluice/backend/resolve.js'
import { Code } from '#sluice/wire/wire.js'
import { backendConfig, choose, makeWorld, serversOf, settle } from './support.js'

/** Answers what `answers` holds at the moment: addresses, an error, or nothing at all. */
class FakeResolver implements Resolver {
  answers: string[] | Error | undefined
  lookups = 0

  constructor(answers: FakeResolver['answers']) {
    this.answers = answers
  }

  lookup(): Promise<string[]> {
    this.lookups++
    if (this.answers === undefined) return new Promise(() => {})
    return this.answers instanceof Error
      ? Promise.reject(this.answers)
      : Promise.resolve(this.answers)
  }
}

const host = { kind: 'host', host: 'db.example', port: 5432 } as const

async function start(answers: FakeResolver['answers'], options = {}) {
  const resolver = new FakeResolver(answers)
  const config = backendConfig(serversOf({ address: host, ...options }))
  const world = makeWorld(config, { resolver, resolveInterval: 30_000 })
  const started = world.backend.start()
  await settle()
  const address = () => world.engine.routes.get(world.byName('a').route())?.address
  const tick = async (ms: number) => {
    world.clock.advance(`${ms}ms`)
    await settle()
  }
  return { ...world, resolver, started, address, tick }
}

describe('host names of servers', () => {
  it('are resolved at the start', async () => {
    const { backend, started, address } = await start(['192.0.2.1', '192.0.2.2'])
    await started
    assert.deepEqual(address(), { kind: 'tcp', ip: '192.0.2.1', port: 5432 })
    assert.equal(choose(backend), 'a')
  })

  it('nonsense of a resolver is one clear line, and the last addresses are kept', async () => {
    const expected = 'the resolver answered for db.example: expected a list of IP addresses, got '
    const nonsense: [unknown, string][] = [
      [undefined, 'undefined'],
      ['192.0.2.1', "'192.0.2.1'"],
      [{ address: '192.0.2.1' }, 'an object'],
      [[{ address: '192.0.2.1', family: 4 }], 'an object'],
      [['192.0.2.1', 'db.internal'], "'db.internal'"],
      [['192.0.2.1:80'], "'192.0.2.1:80'"],
    ]
    for (const [answer, got] of nonsense) {
      const { address, byName, lines, resolver, started, tick } = await start(['192.0.2.9'])
      await started
      resolver.lookup = () => answer as Promise<string[]>
      await tick(30_000)
      assert.equal(byName('a').status, 'up')
      assert.deepEqual(address(), { kind: 'tcp', ip: '192.0.2.9', port: 5432 })
      const errors = lines.flatMap(({ err }) => (err ? [(err as Error).message] : []))
      assert.deepEqual(errors, [`${expected}${got}`])
    }
  })

  it('may come from a resolver that answers at once', async () => {
    const { address, resolver, started, tick } = await start(['192.0.2.9'])
    await started
    resolver.lookup = () => ['192.0.2.10'] as unknown as Promise<string[]>
    await tick(30_000)
    assert.deepEqual(address(), { kind: 'tcp', ip: '192.0.2.10', port: 5432 })
  })

  it('leave the server out while they do not resolve, logged once, and are tried again', async () => {
    const { backend, byName, changes, lines, resolver, started, tick } = await start(
      new Error('ENOTFOUND'),
    )
    await started
    assert.equal(byName('a').status, 'unresolved')
    assert.equal(choose(backend), 'none')
    for (const retry of [1000, 2000, 4000, 8000]) {
      const before = resolver.lookups
      await tick(retry - 1)
      assert.equal(resolver.lookups, before)
      await tick(1)
      assert.equal(resolver.lookups, before + 1)
    }
    assert.equal(lines.length, 1)
    assert.match(lines[0]?.msg ?? '', /does not resolve: the server is out/)
    assert.equal(lines[0]?.server, 'a')
    resolver.answers = ['192.0.2.9']
    await tick(16_000)
    assert.equal(choose(backend), 'a')
    assert.deepEqual(changes, ['a: unresolved > up'])
  })

  it('serve those who wait, once they resolve', async () => {
    const resolver = new FakeResolver(new Error('ENOTFOUND'))
    const config = backendConfig(serversOf({ maxconn: 1 }, { address: host }))
    const { backend, clock } = makeWorld(config, { resolver })
    await backend.start()
    choose(backend)
    assert.equal(choose(backend), 'queued')
    resolver.answers = ['192.0.2.9']
    clock.advance('1s')
    await settle()
    assert.equal(backend.queued, 0)
  })

  it('do not hold up the start beyond the deadline of a look-up', async () => {
    const { clock, started, lines } = await start(undefined)
    clock.advance('5s')
    await started
    assert.match(JSON.stringify(lines[0]), /looking up db.example took over 5000 ms/)
  })

  it('move to a new address with a new route; the old one stays for a moment', async () => {
    const { byName, engine, started, address, tick, resolver, lines } = await start(['192.0.2.1'])
    await started
    const old = byName('a').route()
    resolver.answers = ['192.0.2.7']
    await tick(30_000)
    assert.notEqual(byName('a').route(), old)
    assert.deepEqual(address(), { kind: 'tcp', ip: '192.0.2.7', port: 5432 })
    assert.ok(engine.routes.has(old))
    await tick(5_000)
    assert.deepEqual([...engine.routes.keys()], [byName('a').route()])
    assert.match(lines[0]?.msg ?? '', /new address/)
  })

  it('keep an address that is still among the answers', async () => {
    const { byName, started, tick, resolver } = await start(['192.0.2.1', '192.0.2.2'])
    await started
    const route = byName('a').route()
    resolver.answers = ['192.0.2.2', '192.0.2.1']
    await tick(30_000)
    assert.equal(byName('a').route(), route)
  })

  it('keep the last good address on failure, logged once, and say when it is over', async () => {
    const { byName, started, tick, resolver, lines } = await start(['192.0.2.1'])
    await started
    const route = byName('a').route()
    resolver.answers = new Error('SERVFAIL')
    for (let i = 0; i < 3; i++) await tick(30_000)
    resolver.answers = []
    await tick(30_000)
    assert.equal(byName('a').route(), route)
    assert.equal(lines.length, 1)
    resolver.answers = ['192.0.2.1']
    await tick(30_000)
    assert.match(lines[1]?.msg ?? '', /resolves again/)
  })

  it('take an address of the family of the source address', async () => {
    const source = { ip: '::1', port: 0 }
    const { started, address } = await start(['192.0.2.1', '2001:db8::1'], { source })
    await started
    assert.deepEqual(address(), { kind: 'tcp', ip: '2001:db8::1', port: 5432 })
  })

  it('forget failures of the old address', async () => {
    const resolver = new FakeResolver(['192.0.2.1'])
    const config = backendConfig(serversOf({ address: host }), {
      passive: { failures: 1, backoff: 60_000, maxBackoff: 60_000 },
    })
    const { backend, byName, clock } = makeWorld(config, { resolver, resolveInterval: 30_000 })
    await backend.start()
    backend.failed(byName('a'), Code.REFUSED)
    assert.equal(byName('a').status, 'down')
    resolver.answers = ['192.0.2.2']
    clock.advance('30s')
    await settle()
    assert.equal(byName('a').status, 'up')
    assert.equal(choose(backend), 'a')
  })

  it('are not looked up behind a SOCKS proxy, nor after stop', async () => {
    const socks = {
      ip: '192.0.2.50',
      port: 1080,
      version: 5 as const,
      user: undefined,
      password: undefined,
    }
    const { engine, resolver, started } = await start(['192.0.2.1'], { socks })
    await started
    assert.equal(resolver.lookups, 0)
    assert.equal([...engine.routes.values()][0]?.socks?.host, 'db.example')

    const other = await start(['192.0.2.1'])
    await other.started
    other.backend.stop()
    await other.tick(100_000)
    assert.equal(other.resolver.lookups, 1)
    assert.equal(other.engine.routes.size, 0)
    assert.equal(other.clock.pending, 0)
  })

  it('register no route when the answer comes after stop', async () => {
    let answer: (ips: string[]) => void = () => {}
    const resolver = { lookup: () => new Promise<string[]>((resolve) => (answer = resolve)) }
    const world = makeWorld(backendConfig(serversOf({ address: host })), { resolver })
    const started = world.backend.start()
    world.backend.stop()
    answer(['192.0.2.1'])
    await started
    assert.equal(world.engine.routes.size, 0)
    assert.equal(world.clock.pending, 0)
  })
})

describe('several addresses of a name', () => {
  const three = ['2001:db8::1', '192.0.2.1', '192.0.2.2']

  async function several(answers = three) {
    const resolver = new FakeResolver(answers)
    const passive = { failures: 1, backoff: 1000, maxBackoff: 1000 }
    const config = backendConfig(serversOf({ address: host }), { passive })
    const world = makeWorld(config, { resolver, resolveInterval: 30_000 })
    await world.backend.start()
    const a = world.byName('a')
    const ip = () => {
      const address = world.engine.routes.get(a.route())?.address
      return address?.kind === 'tcp' ? address.ip : undefined
    }
    const fail = (route = a.route()) => world.backend.failed(a, Code.REFUSED, route)
    const resolve = async (ips: string[]) => {
      resolver.answers = ips
      world.clock.advance('30s')
      await settle()
    }
    return { ...world, a, ip, fail, resolve }
  }

  it('are used in turn, and the one that worked goes first', async () => {
    const { backend, a, ip, fail } = await several()
    assert.equal(ip(), '2001:db8::1')
    assert.equal(a.wantsOutcome, false)
    const first = a.route()
    fail()
    assert.equal(ip(), '192.0.2.1')
    assert.equal(a.wantsOutcome, true)
    assert.equal(a.hasUntried([first]), true)
    // Somebody else who found the first one dead does not move it on.
    fail(first)
    assert.equal(ip(), '192.0.2.1')
    assert.equal(a.status, 'up')
    backend.succeeded(a, a.route())
    assert.equal(a.wantsOutcome, false)
    assert.equal(ip(), '192.0.2.1')
  })

  it('make one server, which has failed when all of them have', async () => {
    const { a, ip, fail } = await several()
    const tried: number[] = []
    for (const status of ['up', 'up', 'down']) {
      assert.equal(a.hasUntried(tried), true)
      tried.push(a.route())
      fail()
      assert.equal(a.status, status)
    }
    assert.equal(a.hasUntried(tried), false)
    assert.equal(ip(), '2001:db8::1')
  })

  it('have a route each, however often they are used', async () => {
    const { engine, backend, clock, fail } = await several()
    for (let i = 0; i < 30; i++) fail()
    assert.equal(engine.routes.size, 3)
    backend.stop()
    assert.equal(engine.routes.size, 0)
    assert.equal(clock.pending, 0)
  })

  it('keep what worked when they are looked up again, in another order or with others', async () => {
    const { ip, fail, resolve, a, engine, lines } = await several()
    fail()
    const route = a.route()
    await resolve(['192.0.2.2', '192.0.2.1', '2001:db8::1'])
    assert.equal(a.route(), route)
    await resolve(['192.0.2.9', '192.0.2.1'])
    assert.equal(a.route(), route)
    assert.deepEqual(
      lines.filter(({ level }) => level > 20),
      [],
    )
    fail()
    assert.equal(ip(), '192.0.2.9')
    await resolve(['192.0.2.77'])
    assert.equal(ip(), '192.0.2.77')
    assert.equal(lines.at(-1)?.msg, 'the server has a new address')
    assert.equal(a.hasRoute(route), true)
    await resolve(['192.0.2.77'])
    assert.equal(a.hasRoute(route), false)
    assert.equal(engine.routes.size, 1)
  })

  it('are asked for again from the first after answers that have none of them', async () => {
    const { ip, resolve } = await several()
    await resolve(['192.0.2.1', '192.0.2.1', '192.0.2.2'])
    assert.equal(ip(), '192.0.2.1')
  })
})

describe('the system resolver', () => {
  it('knows localhost, and rejects a name that cannot be', async () => {
    const found = await systemResolver.lookup('localhost')
    assert.ok(found.includes('127.0.0.1') || found.includes('::1'))
    await assert.rejects(systemResolver.lookup('no such host'))
  })
})
