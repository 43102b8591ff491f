import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Balancer } from '#sluice/backend/balance/balancer.js'
import { ConsistentHash } from '#sluice/backend/balance/consistent-hash.js'
import { HashMap } from '#sluice/backend/balance/hash-map.js'
import { createBalancer } from '#sluice/backend/balance/index.js'
import type { Connection } from '#sluice/policy/types.js'
import { candidate, captureLog, connection, serversOf, type TestCandidate } from './support.js'

const bySource = (conn: Connection) => conn.src
const KEYS = 20_000

function owners(balancer: Balancer<TestCandidate>, avoid?: TestCandidate): (string | undefined)[] {
  const names: (string | undefined)[] = []
  for (let i = 0; i < KEYS; i++)
    names.push(balancer.pick({ connection: connection(`key-${i}`) }, avoid && [avoid])?.name)
  return names
}

function shares(names: (string | undefined)[]): Map<string | undefined, number> {
  const counts = new Map<string | undefined, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1 / names.length)
  return counts
}

function moved(before: (string | undefined)[], after: (string | undefined)[]): number {
  return before.filter((name, i) => name !== after[i]).length
}

function consistent(list: TestCandidate[], boundedLoad = 0, meanWeight = 1) {
  const balancer = new ConsistentHash<TestCandidate>(bySource, boundedLoad, meanWeight)
  balancer.update(list)
  return balancer
}

describe('hash map', () => {
  const list = [candidate(1, 1), candidate(2, 2), candidate(3, 5)]
  const balancer = new HashMap<TestCandidate>(bySource, 0)
  balancer.update(list)

  it('spreads keys by weight, within 2 %', () => {
    const counts = shares(owners(balancer))
    for (const { name, weight } of list) {
      assert.ok(
        Math.abs((counts.get(name) ?? 0) - weight / 8) < 0.02,
        `${name} ${counts.get(name)}`,
      )
    }
  })

  it('gives a key the same server every time, and another one where that is avoided', () => {
    assert.deepEqual(owners(balancer), owners(balancer))
    assert.ok(!owners(balancer, list[2]).includes('s3'))
  })

  it('answers undefined for no servers, and for the avoided one alone', () => {
    const empty = new HashMap<TestCandidate>(bySource, 0)
    assert.equal(empty.pick({ connection: connection() }, undefined), undefined)
    empty.update([list[0] as TestCandidate])
    assert.equal(empty.pick({ connection: connection() }, [list[0] as TestCandidate]), undefined)
  })
})

describe('consistent hash', () => {
  it('spreads keys by weight, within a quarter of each share', () => {
    const list = [candidate(1, 10), candidate(2, 20), candidate(3, 50), candidate(4, 20)]
    const counts = shares(owners(consistent(list, 0, 25)))
    for (const { name, weight } of list) {
      const off = Math.abs((counts.get(name) ?? 0) / (weight / 100) - 1)
      assert.ok(off < 0.25, `${name}: ${counts.get(name)}`)
    }
  })

  it('moves only the keys of the server that leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(), (count, index) => {
        const list = Array.from({ length: count }, (_, i) => candidate(i))
        const gone = list[index % count] as TestCandidate
        const before = owners(consistent(list))
        const after = owners(consistent(list.filter((one) => one !== gone)))
        for (const [i, name] of before.entries()) {
          if (name !== gone.name) assert.equal(after[i], name)
        }
        const share = moved(before, after) / KEYS
        assert.ok(share > 0.6 / count && share < 1.5 / count, `${share} of ${count}`)
      }),
      { numRuns: 15 },
    )
  })

  it('does not depend on the order of servers', () => {
    const list = Array.from({ length: 6 }, (_, i) => candidate(i))
    assert.deepEqual(owners(consistent(list)), owners(consistent([...list].reverse())))
  })

  it('moves keys only towards a server whose weight grows', () => {
    const list = [candidate(1, 4), candidate(2, 4), candidate(3, 4)]
    const balancer = consistent(list, 0, 4)
    const before = owners(balancer)
    ;(list[0] as TestCandidate).weight = 8
    balancer.update(list)
    const after = owners(balancer)
    for (const [i, name] of after.entries()) if (name !== before[i]) assert.equal(name, 's1')
    assert.ok(moved(before, after) > KEYS / 20)
  })

  it('sends the keys of an avoided server elsewhere, and keeps the others', () => {
    const list = Array.from({ length: 5 }, (_, i) => candidate(i))
    const balancer = consistent(list)
    const before = owners(balancer)
    const after = owners(balancer, list[2])
    assert.ok(!after.includes('s2'))
    for (const [i, name] of before.entries()) if (name !== 's2') assert.equal(after[i], name)
  })

  it('waits for a full server: affinity goes before load', () => {
    const list = [candidate(1, 1, 1, 1), candidate(2, 1, 1, 1)]
    assert.ok(consistent(list).pick({ connection: connection() }, undefined))
  })
})

describe('bounded load', () => {
  it('holds every server at its bound, whatever the keys', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 100, max: 200 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 200 }),
        fc.boolean(),
        (weights, percent, keys, map) => {
          const list = weights.map((weight, i) => candidate(i, weight))
          const balancer = map
            ? new HashMap<TestCandidate>(bySource, percent)
            : consistent(list, percent)
          balancer.update(list)
          const total = weights.reduce((sum, weight) => sum + weight, 0)
          for (const [held, key] of keys.entries()) {
            const picked = balancer.pick({ connection: connection(`hot-${key}`) }, undefined)
            assert.ok(picked, 'some server is always below its bound')
            picked.sessions++
            const bound = Math.ceil(((percent / 100) * (held + 1) * picked.weight) / total - 1e-9)
            assert.ok(picked.sessions <= bound, `${picked.sessions} over ${bound}`)
          }
        },
      ),
    )
  })

  it('lets the others take what a full server cannot', () => {
    const list = [candidate(1, 1, 1, 1), candidate(2, 1, 50)]
    assert.equal(consistent(list, 125).pick({ connection: connection() }, undefined)?.name, 's2')
    ;(list[1] as TestCandidate).limit = 50
    assert.equal(consistent(list, 125).pick({ connection: connection() }, undefined), undefined)
  })
})

describe('the key function', () => {
  it('that throws or gives no key is logged on the connection, which goes by its source', () => {
    const { log, lines } = captureLog()
    const keys: (() => unknown)[] = [
      () => {
        throw new Error('no such property')
      },
      () => undefined,
      () => Promise.resolve('a'),
    ]
    const servers = serversOf({}, {}, {})
    const make = (fn: (conn: Connection) => string) => {
      const made = createBalancer<TestCandidate>(
        { algorithm: 'hash', key: fn, type: 'consistent', boundedLoad: 0 },
        servers,
        Math.random,
      )
      made.update([candidate(1), candidate(2), candidate(3)])
      return made
    }
    const conn = connection('192.0.2.77', log)
    const expected = make(bySource).pick({ connection: conn }, undefined)?.name
    for (const key of keys)
      assert.equal(make(key as () => string).pick({ connection: conn }, undefined)?.name, expected)
    assert.equal(lines.length, keys.length)
    for (const { msg } of lines) assert.match(msg, /key function of hash balancing failed/)
  })
})
