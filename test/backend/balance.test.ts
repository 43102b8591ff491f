import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Balancer } from '#sluice/backend/balance/balancer.js'
import { First } from '#sluice/backend/balance/first.js'
import { LeastConn } from '#sluice/backend/balance/leastconn.js'
import { Random, seededRandom } from '#sluice/backend/balance/random.js'
import { RoundRobin } from '#sluice/backend/balance/roundrobin.js'
import { candidate, connection, type TestCandidate } from './support.js'

const asker = { connection: connection() }
const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 })

function over(balancer: Balancer<TestCandidate>, candidates: TestCandidate[]) {
  balancer.update(candidates)
  return balancer
}

function pickNames(balancer: Balancer<TestCandidate>, count: number): string {
  return Array.from({ length: count }, () => balancer.pick(asker, undefined)?.name ?? '-').join(' ')
}

describe('every algorithm that balances load', () => {
  const loads = fc.array(
    fc.record({
      weight: fc.integer({ min: 1, max: 256 }),
      sessions: fc.integer({ min: 0, max: 5 }),
      limit: fc.constantFrom(1, 3, 5, Number.POSITIVE_INFINITY),
    }),
    { minLength: 0, maxLength: 6 },
  )
  const algorithms: Record<string, () => Balancer<TestCandidate>> = {
    roundrobin: () => new RoundRobin(),
    leastconn: () => new LeastConn(),
    first: () => new First(),
    random: () => new Random(2, seededRandom(1)),
  }
  for (const [name, make] of Object.entries(algorithms)) {
    it(`${name} finds a free server exactly where there is one, and never the avoided one`, () => {
      fc.assert(
        fc.property(loads, fc.nat(6), (specs, avoided) => {
          const candidates = specs.map((s, i) => candidate(i, s.weight, s.sessions, s.limit))
          const avoid = candidates[avoided]
          const free = candidates.filter((c) => c.sessions < c.limit && c !== avoid)
          const balancer = over(make(), candidates)
          for (let i = 0; i < 10; i++) {
            const picked = balancer.pick(asker, avoid && [avoid])
            if (free.length === 0) assert.equal(picked, undefined)
            else assert.ok(picked && free.includes(picked))
          }
        }),
      )
    })
  }
})

describe('roundrobin', () => {
  it('spreads a heavy server between the others', () => {
    const balancer = over(new RoundRobin(), [candidate(1, 5), candidate(2, 1), candidate(3, 1)])
    assert.equal(pickNames(balancer, 7), 's1 s1 s2 s1 s3 s1 s1')
    assert.equal(pickNames(balancer, 7), 's1 s1 s2 s1 s3 s1 s1')
  })

  it('gives every server exactly its weight in a cycle', () => {
    fc.assert(
      fc.property(weights, (list) => {
        const candidates = list.map((weight, i) => candidate(i, weight))
        const equal = list.every((weight) => weight === list[0])
        const cycle = equal ? list.length : list.reduce((sum, weight) => sum + weight, 0)
        const balancer = over(new RoundRobin(), candidates)
        const counts = new Map<TestCandidate, number>()
        for (let i = 0; i < cycle; i++) {
          const picked = balancer.pick(asker, undefined) as TestCandidate
          counts.set(picked, (counts.get(picked) ?? 0) + 1)
        }
        for (const one of candidates) assert.equal(counts.get(one), equal ? 1 : one.weight)
      }),
    )
  })

  it('stays within one cycle of the fair share at every moment', () => {
    const candidates = [candidate(1, 7), candidate(2, 3), candidate(3, 2)]
    const balancer = over(new RoundRobin(), candidates)
    const counts = new Map<TestCandidate, number>()
    for (let n = 1; n <= 500; n++) {
      const picked = balancer.pick(asker, undefined) as TestCandidate
      counts.set(picked, (counts.get(picked) ?? 0) + 1)
      for (const one of candidates) {
        const off = Math.abs((counts.get(one) ?? 0) - (n * one.weight) / 12)
        assert.ok(off < 2, `${one.name} is ${off} off after ${n}`)
      }
    }
  })

  it('goes on where it was when another server leaves', () => {
    const [a, b, c] = [candidate(1), candidate(2), candidate(3)]
    const balancer = over(new RoundRobin(), [a, b, c])
    assert.equal(pickNames(balancer, 2), 's1 s2')
    balancer.update([b, c])
    assert.equal(pickNames(balancer, 3), 's3 s2 s3')
  })

  it('gives no burst to a server that keeps coming and going', () => {
    const [a, b, c] = [candidate(1, 3), candidate(2, 2), candidate(3, 1)]
    const balancer = over(new RoundRobin(), [a, b, c])
    for (let i = 0; i < 1000; i++) {
      balancer.update([a, b])
      pickNames(balancer, i % 3)
      balancer.update([a, b, c])
      pickNames(balancer, i % 5)
    }
    for (let i = 0; i < 1000; i++) {
      balancer.update([a, b])
      balancer.update([a, b, c])
      pickNames(balancer, 1)
    }
    const names = pickNames(balancer, 60).split(' ')
    for (const { name, weight } of [a, b, c]) {
      const count = names.filter((picked) => picked === name).length
      assert.ok(Math.abs(count - weight * 10) <= 2, `${name}: ${count} of 60`)
    }
  })
})

describe('leastconn', () => {
  it('never picks a server while another is less busy for its weight', () => {
    const loads = fc.array(fc.tuple(fc.integer({ min: 1, max: 256 }), fc.nat(50)), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(loads, (list) => {
        const candidates = list.map(([weight, held], i) => candidate(i, weight, held))
        const balancer = over(new LeastConn(), candidates)
        for (let i = 0; i < 30; i++) {
          const picked = balancer.pick(asker, undefined) as TestCandidate
          const least = Math.min(...candidates.map((c) => c.sessions / c.weight))
          assert.equal(picked.sessions / picked.weight, least)
          picked.sessions++
        }
      }),
    )
  })

  it('takes equals in turn', () => {
    const balancer = over(new LeastConn(), [candidate(1), candidate(2), candidate(3)])
    assert.equal(pickNames(balancer, 6), 's1 s2 s3 s1 s2 s3')
  })

  it('holds sessions in proportion to the weights', () => {
    const candidates = [candidate(1, 1), candidate(2, 2), candidate(3, 5)]
    const balancer = over(new LeastConn(), candidates)
    for (let i = 0; i < 80; i++) (balancer.pick(asker, undefined) as TestCandidate).sessions++
    assert.deepEqual(
      candidates.map(({ sessions }) => sessions),
      [10, 20, 50],
    )
  })
})

describe('first', () => {
  it('fills servers in the order of their ids', () => {
    const candidates = [candidate(2, 1, 0, 2), candidate(1, 9, 0, 1), candidate(3)]
    const balancer = over(new First(), candidates)
    const names: string[] = []
    for (let i = 0; i < 5; i++) {
      const picked = balancer.pick(asker, undefined) as TestCandidate
      picked.sessions++
      names.push(picked.name)
    }
    assert.deepEqual(names, ['s1', 's2', 's2', 's3', 's3'])
  })
})

describe('random', () => {
  it('draws in proportion to the weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
        fc.integer(),
        (list, seed) => {
          const candidates = list.map((weight, i) => candidate(i, weight))
          const balancer = over(new Random(1, seededRandom(seed)), candidates)
          const counts = new Map<TestCandidate, number>()
          const draws = 4000
          for (let i = 0; i < draws; i++) {
            const picked = balancer.pick(asker, undefined) as TestCandidate
            counts.set(picked, (counts.get(picked) ?? 0) + 1)
          }
          const total = list.reduce((sum, weight) => sum + weight, 0)
          for (const one of candidates) {
            const share = one.weight / total
            // Seven standard deviations of a binomial distribution.
            const slack = 7 * Math.sqrt(draws * share * (1 - share))
            assert.ok(Math.abs((counts.get(one) ?? 0) - draws * share) <= slack)
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  it('gives the same choices for the same seed', () => {
    const names = (seed: number) =>
      pickNames(
        over(new Random(2, seededRandom(seed)), [candidate(1), candidate(2), candidate(3)]),
        50,
      )
    assert.equal(names(7), names(7))
    assert.notEqual(names(7), names(8))
  })

  it('with two draws holds the busiest server far below one draw', () => {
    const busiest = (draws: number) => {
      const candidates = Array.from({ length: 50 }, (_, i) => candidate(i))
      const balancer = over(new Random(draws, seededRandom(42)), candidates)
      for (let i = 0; i < 5000; i++) (balancer.pick(asker, undefined) as TestCandidate).sessions++
      return Math.max(...candidates.map(({ sessions }) => sessions))
    }
    assert.ok(busiest(2) <= 104, `two draws: ${busiest(2)}`)
    assert.ok(busiest(1) >= 115, `one draw: ${busiest(1)}`)
  })
})
