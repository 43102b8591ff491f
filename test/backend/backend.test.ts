import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Server } from '#sluice/backend/backend.js'
import type { Connection } from '#sluice/policy/types.js'
import {
  backendConfig,
  choose,
  FakeClient,
  givenTo,
  makeWorld,
  serversOf,
  startWorld,
} from './support.js'

const hash = (boundedLoad = 0) =>
  ({
    algorithm: 'hash',
    key: (conn: Connection) => conn.src,
    type: 'consistent',
    boundedLoad,
  }) as const

describe('slots', () => {
  it('count sessions up on pick and down on release, with the same answer each time', async () => {
    const { backend, byName } = await startWorld(backendConfig(serversOf({})))
    const first = backend.pick(new FakeClient())
    assert.equal(byName('a').sessions, 1)
    backend.release(byName('a'))
    assert.equal(byName('a').sessions, 0)
    assert.equal(backend.pick(new FakeClient()), first)
  })

  it('log a double release and keep the count', async () => {
    const { backend, byName, lines } = await startWorld(backendConfig(serversOf({})))
    backend.release(byName('a'))
    assert.equal(byName('a').sessions, 0)
    assert.match(lines[0]?.msg ?? '', /double release/)
    assert.equal(lines[0]?.server, 'a')
  })

  it('refuse the server of another backend', async () => {
    const one = await startWorld(backendConfig(serversOf({})))
    const other = await startWorld(backendConfig(serversOf({})))
    other.backend.pick(new FakeClient())
    one.backend.release(other.byName('a'))
    assert.equal(other.byName('a').sessions, 1)
    assert.match(one.lines[0]?.msg ?? '', /double release/)
  })

  it('pass over full servers', async () => {
    const { backend } = await startWorld(backendConfig(serversOf({ maxconn: 1 }, { maxconn: 2 })))
    assert.deepEqual(
      [1, 2, 3, 4].map(() => choose(backend)),
      ['a', 'b', 'b', 'queued'],
    )
  })

  it('are none before the routes are there, and none after stop', async () => {
    const { backend, engine, clock } = makeWorld(backendConfig(serversOf({})))
    assert.equal(choose(backend), 'none')
    await backend.start()
    assert.equal(choose(backend), 'a')
    backend.stop()
    assert.equal(choose(backend), 'none')
    assert.equal(engine.routes.size, 0)
    assert.equal(clock.pending, 0)
  })
})

describe('the queue of a backend', () => {
  it('gives a freed slot to the next client by priority', async () => {
    const { backend, byName, engine } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    assert.equal(choose(backend), 'a')
    assert.equal(engine.eagerFor, 0)
    const clients = [0, 1, -1, 0].map((priority) => new FakeClient(priority))
    for (const client of clients) assert.equal(choose(backend, client), 'queued')
    const order: number[] = []
    for (const [i, client] of clients.entries()) client.onDequeued = () => order.push(i)
    for (let i = 0; i < 4; i++) {
      // While somebody waits for a slot, ends are told at once.
      assert.equal(engine.eagerFor, 1)
      backend.release(byName('a'))
      assert.equal(byName('a').sessions, 1)
    }
    assert.equal(engine.eagerFor, 0)
    assert.deepEqual(order, [2, 0, 3, 1])
    assert.equal(backend.queued, 0)
  })

  it('expires clients, who then get no slot', async () => {
    const { backend, byName, clock } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    choose(backend)
    const client = new FakeClient()
    choose(backend, client)
    clock.advance('1999ms')
    assert.equal(client.expired, 0)
    clock.advance('1ms')
    assert.equal(client.expired, 1)
    backend.release(byName('a'))
    assert.equal(client.server, undefined)
    assert.equal(byName('a').sessions, 0)
  })

  it('forgets a client that cancels', async () => {
    const { backend, byName, clock } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    choose(backend)
    const client = new FakeClient()
    choose(backend, client)
    backend.cancel(client)
    backend.cancel(client)
    assert.equal(backend.queued, 0)
    backend.release(byName('a'))
    clock.advance('10s')
    assert.equal(client.server, undefined)
    assert.equal(client.expired, 0)
  })

  it('is full at maxqueue', async () => {
    const config = backendConfig(serversOf({ maxconn: 1 }), { maxqueue: 1 })
    const { backend } = await startWorld(config)
    assert.deepEqual(
      [1, 2, 3].map(() => choose(backend)),
      ['a', 'queued', 'full'],
    )
  })

  it('serves those who wait when a server comes back', async () => {
    const { backend, byName } = await startWorld(
      backendConfig(serversOf({ maxconn: 1 }, { state: 'maint', maxconn: 2 })),
    )
    choose(backend)
    const clients = [1, 2, 3].map(() => new FakeClient())
    for (const client of clients) choose(backend, client)
    byName('b').setState('ready')
    assert.deepEqual(
      clients.map((client) => client.server?.name),
      ['b', 'b', undefined],
    )
  })

  it('spreads them over the servers, if several can take them', async () => {
    const { backend, byName } = await startWorld(
      backendConfig(
        serversOf({ maxconn: 1 }, { state: 'maint' }, { state: 'maint' }, { backup: true }),
      ),
    )
    choose(backend)
    const clients = [1, 2].map(() => new FakeClient())
    for (const client of clients) assert.equal(choose(backend, client), 'queued')
    byName('b').setState('ready')
    assert.equal(byName('b').sessions, 2)
    assert.equal(byName('d').sessions, 0)
  })

  it('stays right when a client gives its slot back at once', async () => {
    const { backend, byName } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    choose(backend)
    const clients = Array.from({ length: 1000 }, () => new FakeClient())
    for (const client of clients) {
      client.onDequeued = (server) => backend.release(server)
      choose(backend, client)
    }
    backend.release(byName('a'))
    assert.ok(clients.every(({ server }) => server?.name === 'a'))
    assert.equal(byName('a').sessions, 0)
    assert.equal(backend.queued, 0)
  })

  it('survives a client that throws', async () => {
    const { backend, byName, lines } = await startWorld(backendConfig(serversOf({ maxconn: 2 })))
    choose(backend)
    choose(backend)
    const [bad, good] = [new FakeClient(), new FakeClient()]
    bad.onDequeued = () => {
      throw new Error('oops')
    }
    choose(backend, bad)
    choose(backend, good)
    backend.release(byName('a'))
    backend.release(byName('a'))
    assert.equal(good.server?.name, 'a')
    assert.match(lines[0]?.msg ?? '', /dequeued threw/)
  })

  it('replaces a client that asks twice, with a log line', async () => {
    const { backend, lines } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    choose(backend)
    const client = new FakeClient()
    choose(backend, client)
    choose(backend, client)
    assert.equal(backend.queued, 1)
    assert.match(lines[0]?.msg ?? '', /queued twice/)
  })

  it('expires everybody on stop', async () => {
    const { backend } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    choose(backend)
    const client = new FakeClient()
    choose(backend, client)
    backend.stop()
    assert.equal(client.expired, 1)
    assert.equal(backend.queued, 0)
  })

  it('is one of the server under hashing, and of the backend once that server is gone', async () => {
    const config = backendConfig(serversOf({ maxconn: 1 }, { maxconn: 1 }), { balance: hash() })
    const { backend, byName } = await startWorld(config)
    const name = choose(backend)
    const [owner, other] = name === 'a' ? (['a', 'b'] as const) : (['b', 'a'] as const)
    const [waits, next] = [new FakeClient(), new FakeClient()]
    assert.equal(choose(backend, waits), 'queued')
    assert.equal(choose(backend, next), 'queued')
    assert.equal(byName(other).sessions, 0)
    byName(owner).setState('maint')
    assert.equal(waits.server?.name, other)
    assert.equal(givenTo(next), undefined)
    backend.release(byName(other))
    assert.equal(next.server?.name, other)
  })
})

describe('the choice of servers', () => {
  it('takes the first usable backup while no other server is, or all of them', async () => {
    for (const allBackups of [false, true]) {
      const servers = serversOf({ maxconn: 1 }, { backup: true }, { backup: true })
      const { backend, byName } = await startWorld(backendConfig(servers, { allBackups }))
      assert.equal(choose(backend), 'a')
      assert.equal(choose(backend), 'queued')
      byName('a').setState('maint')
      const names = [1, 2, 3, 4].map(() => choose(backend)).sort()
      assert.deepEqual(names, allBackups ? ['b', 'b', 'c', 'c'] : ['b', 'b', 'b', 'b'])
      byName('b').setState('drain')
      assert.equal(choose(backend), 'c')
      byName('a').setState('ready')
      backend.release(byName('a'))
      assert.equal(choose(backend), 'a')
    }
  })

  it('gives new sessions to no server in drain or maint, or of weight 0', async () => {
    const { backend, byName, changes } = await startWorld(backendConfig(serversOf({}, {}, {}, {})))
    byName('a').setState('drain')
    byName('b').setState('maint')
    byName('c').setWeight(0)
    assert.deepEqual(
      [1, 2, 3].map(() => choose(backend)),
      ['d', 'd', 'd'],
    )
    assert.deepEqual(changes, ['a: up > drain', 'b: up > maint', 'c: up > drain'])
    byName('d').setState('drain')
    assert.equal(choose(backend), 'none')
  })

  it('follows a change of weight', async () => {
    const { backend, byName } = await startWorld(backendConfig(serversOf({}, {})))
    byName('a').setWeight(3)
    const names = Array.from({ length: 8 }, () => choose(backend))
    assert.equal(names.filter((name) => name === 'a').length, 6)
    assert.throws(() => byName('a').setWeight(257), { code: 'ERR_SLUICE_ARGUMENT' })
    assert.throws(() => byName('a').setWeight(0.5), { code: 'ERR_SLUICE_ARGUMENT' })
  })

  it('avoids a server where another has a slot, and takes it otherwise', async () => {
    for (const algorithm of ['roundrobin', 'leastconn', 'first'] as const) {
      const config = backendConfig(serversOf({}, { maxconn: 3 }), { balance: { algorithm } })
      const { backend, byName } = await startWorld(config)
      const a = byName('a')
      const names = Array.from({ length: 4 }, () => choose(backend, new FakeClient(), a))
      assert.deepEqual(names, ['b', 'b', 'b', 'a'], algorithm)
    }
  })

  it('avoids every server of the list, and takes one of them where no other has a slot', async () => {
    for (const algorithm of ['roundrobin', 'leastconn', 'first'] as const) {
      const config = backendConfig(serversOf({}, {}, { maxconn: 1 }), { balance: { algorithm } })
      const { backend, byName } = await startWorld(config)
      const avoid = [byName('a'), byName('b')]
      const pick = () => {
        const picked = backend.pick(new FakeClient(), avoid)
        return picked.kind === 'server' ? picked.server.name : picked.kind
      }
      assert.equal(backend.offers(avoid), true)
      assert.equal(pick(), 'c', algorithm)
      assert.equal(backend.offers(avoid), false)
      assert.match(pick(), /^[ab]$/, algorithm)
    }
  })

  it('refuses states and weights that are none', async () => {
    const { byName } = await startWorld(backendConfig(serversOf({})))
    const a = byName('a')
    for (const state of ['redy', 'READY', '', undefined, null, 0, {}, 'constructor']) {
      assert.throws(() => a.setState(state as 'ready'), {
        code: 'ERR_SLUICE_ARGUMENT',
        message: /state of server 'a' must be one of 'ready', 'drain', 'maint', not /,
      })
    }
    for (const weight of [
      Number.NaN,
      -1,
      257,
      0.5,
      Number.POSITIVE_INFINITY,
      '5',
      null,
      undefined,
    ]) {
      assert.throws(() => a.setWeight(weight as number), {
        code: 'ERR_SLUICE_ARGUMENT',
        message: /weight of server 'a' must be a whole number from 0 to 256, not /,
      })
    }
    assert.deepEqual([a.state, a.weight, a.status], ['ready', 1, 'up'])
  })

  it('queues where the avoided server is the only one and full', async () => {
    const { backend, byName } = await startWorld(backendConfig(serversOf({ maxconn: 1 })))
    assert.equal(choose(backend, new FakeClient(), byName('a')), 'a')
    assert.equal(choose(backend, new FakeClient(), byName('a')), 'queued')
  })

  it('serves applets like servers, without a route', async () => {
    const applet = { kind: 'applet', name: 'echo', serve: () => {} } as const
    const servers = serversOf({ address: { kind: 'applet', applet }, maxconn: 1 })
    const passive = { failures: 1, backoff: 1000, maxBackoff: 1000 }
    const { backend, byName } = await startWorld(backendConfig(servers, { passive }))
    assert.equal(choose(backend), 'a')
    assert.equal(byName('a').applet, applet)
    assert.equal(byName('a').route(), -1)
    assert.equal(byName('a').wantsOutcome, false)
    assert.equal(choose(backend), 'queued')
  })
})

describe('any mix of sessions', () => {
  const algorithm = fc.constantFrom(
    { algorithm: 'roundrobin' } as const,
    { algorithm: 'leastconn' } as const,
    { algorithm: 'random', draws: 2 } as const,
    hash(),
    hash(125),
  )
  const step = fc.oneof(
    fc.record({ op: fc.constant('pick' as const), priority: fc.integer({ min: -1, max: 1 }) }),
    fc.record({ op: fc.constant('release' as const), index: fc.nat(20) }),
    fc.record({ op: fc.constant('cancel' as const), index: fc.nat(20) }),
    fc.record({
      op: fc.constant('state' as const),
      index: fc.nat(3),
      state: fc.constantFrom('ready', 'drain', 'maint'),
    }),
    fc.record({ op: fc.constant('outcome' as const), index: fc.nat(3), ok: fc.boolean() }),
    fc.record({ op: fc.constant('wait' as const), ms: fc.nat(3000) }),
  )

  it('keeps counts exact, limits kept, and nobody waiting beside a free slot', async () => {
    await fc.assert(
      fc.asyncProperty(algorithm, fc.array(step, { maxLength: 80 }), async (balance, steps) => {
        const config = backendConfig(
          serversOf(
            { maxconn: 2 },
            { maxconn: 1, weight: 3 },
            { maxconn: 2 },
            { maxconn: 1, backup: true },
          ),
          { balance, maxqueue: 6, passive: { failures: 2, backoff: 500, maxBackoff: 2000 } },
        )
        const { backend, clock, lines } = await startWorld(config)
        const waiting = new Set<FakeClient>()
        const held: Server[] = []
        for (const { op, ...args } of steps as ({ op: string } & Record<string, unknown>)[]) {
          const index = (args.index as number) ?? 0
          const target = backend.servers[index % backend.servers.length] as Server
          if (op === 'pick') {
            const client = new FakeClient(args.priority as number)
            client.onDequeued = (server) => {
              assert.ok(waiting.delete(client))
              held.push(server)
            }
            const pick = backend.pick(client)
            if (pick.kind === 'server') held.push(pick.server)
            if (pick.kind === 'queued') waiting.add(client)
          } else if (op === 'release') {
            const [server] = held.splice(index, 1)
            if (server) backend.release(server)
          } else if (op === 'cancel') {
            const client = [...waiting][index]
            if (client) {
              waiting.delete(client)
              backend.cancel(client)
            }
          } else if (op === 'state') target.setState(args.state as 'ready')
          else if (op === 'outcome') {
            if (args.ok) backend.succeeded(target)
            else backend.failed(target, 4)
          } else clock.advance(`${args.ms as number}ms`)
          for (const client of waiting) if (client.expired) waiting.delete(client)

          assert.equal(backend.queued, waiting.size)
          for (const server of backend.servers) {
            assert.equal(server.sessions, held.filter((one) => one === server).length)
            assert.ok(server.sessions <= server.config.maxconn)
          }
          const regular = backend.servers.filter(
            ({ status, config: { backup } }) => status === 'up' && !backup,
          )
          const room = regular.filter(({ sessions, config: { maxconn } }) => sessions < maxconn)
          // Under plain hashing a client waits for its own server only.
          if (balance.algorithm !== 'hash' || balance.boundedLoad > 0) {
            if (room.length > 0) assert.equal(waiting.size, 0)
          }
        }
        for (let server = held.pop(); server; server = held.pop()) backend.release(server)
        for (const server of backend.servers) assert.equal(server.sessions, 0)
        backend.stop()
        assert.equal(backend.queued, 0)
        assert.equal(clock.pending, 0)
        assert.ok(!lines.some(({ msg }) => msg.startsWith('internal error')))
      }),
      { numRuns: 300 },
    )
  })
})
