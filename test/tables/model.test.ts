/** Random histories of a table against a model that is plainly right. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StickTable } from '#sluice/tables/stick-table.js'
import { ManualClock } from './clock.js'
import { storeNothing, tableConfig } from './table-config.js'

const EXPIRE = 50
const WINDOW = 40

interface Entry {
  key: number
  uses: number
  used: number
  /** Place in the order of use. */
  order: number
  gpc0: number
  events: { at: number; delta: number }[]
}

class Model {
  entries: Entry[] = []
  now = 0
  evicted = 0
  refused = 0
  #order = 0
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  expire(): void {
    this.entries = this.entries.filter(({ uses, used }) => uses > 0 || this.now - used < EXPIRE)
  }

  find(key: number): Entry | undefined {
    this.expire()
    return this.entries.find((entry) => entry.key === key)
  }

  track(key: number): Entry | undefined {
    let entry = this.find(key)
    if (!entry) {
      if (this.entries.length === this.#size) {
        const idle = this.entries.filter(({ uses }) => uses === 0)
        if (idle.length === 0) {
          this.refused++
          return undefined
        }
        const oldest = idle.reduce((a, b) => (a.order < b.order ? a : b))
        this.remove(oldest)
        this.evicted++
      }
      entry = { key, uses: 0, used: 0, order: 0, gpc0: 0, events: [] }
      this.entries.push(entry)
    }
    this.use(entry)
    return entry
  }

  use(entry: Entry): void {
    entry.used = this.now
    entry.order = this.#order++
  }

  remove(entry: Entry): void {
    this.entries = this.entries.filter((other) => other !== entry)
  }

  /** Exact where no event is in the slice at the window's edge, else undefined. */
  rate({ events }: Entry): number | undefined {
    const slice = WINDOW / 4
    const edge = Math.floor(this.now / slice) - 4
    if (events.some(({ at }) => Math.floor(at / slice) === edge)) return undefined
    const inside = events.filter(({ at }) => at > this.now - WINDOW)
    return inside.reduce((sum, { delta }) => sum + delta, 0)
  }
}

const key = fc.nat(11)
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('track' as const), key, hold: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      key,
      delta: fc.integer({ min: -3, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('set' as const), key, value: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 7, 20, 49, 50, 200),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('count' as const) }) },
)

for (const keyType of ['integer', 'string'] as const) {
  test(`a table of ${keyType} keys is what the model is, after every step`, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(step, { maxLength: 120 }),
        (size, steps) => {
          const store = { ...storeNothing, gpc0: true, gpc0Rate: WINDOW }
          const clock = new ManualClock()
          const table = new StickTable(
            tableConfig({ key: keyType, size, expire: EXPIRE, store }),
            clock,
          )
          const model = new Model(size)
          const name = (key: number) => (keyType === 'integer' ? key : `key ${key}`)
          for (const at of steps) {
            if (at.do === 'track') {
              const expected = model.track(at.key)
              const entry = table.track(name(at.key))
              assert.equal(entry !== undefined, expected !== undefined)
              if (at.hold && entry !== undefined && expected) {
                table.retain(entry)
                expected.uses++
              }
            } else if (at.do === 'advance') {
              clock.advance(at.ms)
              model.now += at.ms
            } else if (at.do === 'clear') {
              model.expire()
              const kept = model.entries.filter(({ uses }) => uses > 0)
              assert.equal(table.clear(), model.entries.length - kept.length)
              model.entries = kept
            } else if (at.do === 'count') {
              model.expire()
              assert.equal(table.entries, model.entries.length)
            } else if (at.do === 'remove') {
              const expected = model.find(at.key)
              const removable = expected !== undefined && expected.uses === 0
              assert.equal(table.remove(name(at.key)), removable)
              if (removable) model.remove(expected)
            } else {
              const expected = model.find(at.key)
              const entry = table.lookup(name(at.key))
              assert.equal(entry !== undefined, expected !== undefined)
              if (entry === undefined || !expected) continue
              if (at.do === 'release') {
                if (expected.uses === 0) continue
                table.release(entry)
                if (--expected.uses === 0) model.use(expected)
              } else {
                const delta = at.do === 'add' ? at.delta : at.value - expected.gpc0
                if (at.do === 'add') table.add(entry, 'gpc0', at.delta)
                else table.set(entry, 'gpc0', at.value)
                if (delta > 0) expected.events.push({ at: model.now, delta })
                expected.gpc0 = Math.max(expected.gpc0 + delta, 0)
              }
            }
            model.expire()
            const rows = new Map([...table.dump()].map((row) => [row.key, row]))
            assert.equal(rows.size, model.entries.length)
            for (const expected of model.entries) {
              const row = rows.get(name(expected.key))
              assert.ok(row, `key ${expected.key}`)
              assert.equal(row.uses, expected.uses)
              assert.equal(row.idle, expected.uses > 0 ? 0 : model.now - expected.used)
              assert.equal(row.data.gpc0, expected.gpc0)
              const rate = model.rate(expected)
              if (rate !== undefined) assert.equal(row.data.gpc0Rate, rate)
            }
            assert.deepEqual([table.evicted, table.refused], [model.evicted, model.refused])
          }
        },
      ),
      { numRuns: 600 },
    )
  })
}

test('a large table agrees with a map, over chunks and long bucket chains', () => {
  const size = 10_000
  const clock = new ManualClock()
  const store = { ...storeNothing, gpc1: true }
  const table = new StickTable(tableConfig({ key: 'integer', size, store }), clock)
  // A Map iterates in the order of insertion: with re-insertion on use it is an LRU list.
  const model = new Map<number, number>()
  let random = 12345
  for (let i = 0; i < 60_000; i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    const key = (random >>> 8) % 15_000
    const before = model.get(key)
    if (before === undefined && model.size === size) {
      model.delete(model.keys().next().value as number)
    }
    model.delete(key)
    model.set(key, (before ?? 0) + 1)
    table.add(table.track(key)!, 'gpc1', 1)
  }
  assert.equal(table.entries, size)
  const rows = [...table.dump()].map(({ key, data }) => [key as number, data.gpc1 ?? 0])
  assert.deepEqual(
    rows.sort((a, b) => a[0]! - b[0]!),
    [...model].sort((a, b) => a[0] - b[0]),
  )
})
