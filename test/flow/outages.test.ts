/** Servers that come and go, under a virtual clock: how many clients notice, and for how long. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestClient, TestEngine } from '#sluice/testing/engine/engine.js'
import type { ConnectOutcome } from '#sluice/testing/engine/parts.js'
import { Code } from '#sluice/wire/wire.js'
import { harness } from '../support/harness.js'

const REFUSED: ConnectOutcome = { code: Code.REFUSED, errno: 111 }

function portOf(
  engine: TestEngine,
  client: TestClient,
  route = client.routes.at(-1) ?? -1,
): number {
  const address = engine.routes.get(route)?.address
  return address?.kind === 'tcp' ? address.port : 0
}

interface Outage {
  servers: Record<string, unknown>
  backend?: object
  /** What becomes of a connect at `at` ms after the start. */
  outcome: (port: number, at: number) => ConnectOutcome
  /** ms. */
  duration: number
  /** ms between clients. */
  every?: number
}

interface Client {
  /** When it came, in ms. */
  at: number
  /** When its session was there; undefined for a client that got none. */
  served: number | undefined
  ports: number[]
}

/** Clients come at a steady rate, say something, and leave. */
async function run({ servers, backend, outcome, duration, every = 20 }: Outage): Promise<Client[]> {
  const { engine, clock, lines } = await harness(
    { backends: { app: { servers, ...backend } as never } },
    {
      onConnect: (client, route) => outcome(portOf(engine, client, route), clock.now() - start),
    },
  )
  const start = clock.now()
  const clients: Client[] = []
  const open = new Map<TestClient, Client>()
  const look = () => {
    for (const [client, seen] of open) {
      if (client.mode === 'forward') {
        seen.served = clock.now() - start
        client.reset()
      }
      if (!client.ended) continue
      seen.ports = client.routes.map((route) => portOf(engine, client, route))
      open.delete(client)
    }
  }
  while (clock.now() - start < duration || open.size > 0) {
    if (clock.now() - start < duration) {
      const seen: Client = { at: clock.now() - start, served: undefined, ports: [] }
      clients.push(seen)
      open.set(engine.accept(), seen)
    }
    look()
    clock.advance(`${every}ms`)
    look()
  }
  assert.deepEqual(
    lines.filter(({ level }) => level >= 50),
    [],
  )
  return clients
}

const failed = (clients: Client[]) => clients.filter(({ served }) => served === undefined)
const three = { a: '127.0.0.1:9001', b: '127.0.0.1:9002', c: '127.0.0.1:9003' }

describe('servers that flap out of phase', () => {
  // At any time one of three is up: HAProxy 3.5 loses 18 % of the clients here.
  const turns = (port: number, at: number) =>
    Math.floor(at / 2000) % 3 === port - 9001 ? 'ok' : REFUSED

  for (const passive of [undefined, false] as const) {
    it(`are no loss while one of them is up, marks ${passive === false ? 'off' : 'on'}`, async () => {
      const backend = passive === undefined ? {} : { passive }
      const clients = await run({ servers: three, backend, outcome: turns, duration: 60_000 })
      assert.deepEqual(failed(clients), [])
      assert.ok(clients.every(({ at, served }) => served === at))
    })
  }
})

describe('a server away', () => {
  const away = (from: number, to: number) => (_port: number, at: number) =>
    at >= from && at < to ? REFUSED : 'ok'

  for (const servers of [{ a: three.a }, { a: three.a, b: three.b }, three]) {
    const count = Object.keys(servers).length
    it(`for a moment is bridged: ${count} of ${count} for 0.3 s and for 2.5 s`, async () => {
      for (const ms of [300, 2500]) {
        const outcome = away(1000, 1000 + ms)
        const clients = await run({ servers, outcome, duration: 6_000 })
        assert.deepEqual(failed(clients), [])
      }
    })

    it(`for long is back within a second: ${count} of ${count} for 40 s`, async () => {
      const clients = await run({ servers, outcome: away(1000, 41_000), duration: 60_000 })
      // Those who came when the retries could not reach over it, and nobody else.
      assert.ok(failed(clients).every(({ at }) => at >= 1000 && at <= 41_000 - 3000))
      const after = clients.filter(({ at }) => at >= 41_000)
      assert.ok(after.every(({ at, served }) => served === at))
    })
  }

  it('beside others is noticed within about a second of its return, and nobody waits', async () => {
    const outcome = (port: number, at: number) =>
      port === 9001 && at >= 1000 && at < 41_000 ? REFUSED : 'ok'
    const clients = await run({ servers: three, outcome, duration: 60_000 })
    assert.ok(clients.every(({ at, served }) => served === at))
    const back = clients.find(({ at, ports }) => at >= 41_000 && ports.at(-1) === 9001)
    assert.ok(back !== undefined && back.at <= 42_100, `back at ${back?.at}`)
    const trials = clients.filter(({ at, ports }) => at > 2000 && at < 41_000 && ports[0] === 9001)
    assert.ok(trials.length <= 41, `${trials.length} trials`)
  })

  it('that does not answer costs few of the clients of others their time', async () => {
    const outcome = (port: number) => (port === 9001 ? 'pending' : 'ok')
    const clients = await run({ servers: three, outcome, duration: 120_000, every: 50 })
    assert.deepEqual(failed(clients), [])
    const late = clients.filter(({ at, served }) => served !== at)
    // Everybody who was sent there until it was marked, and then the trials.
    const first = late.filter(({ at }) => at < 5_200).length
    assert.ok(first > 20 && late.length - first <= 10, `${first} and ${late.length - first}`)
  })
})
