import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataType } from '#sluice/tables/stick-table.js'
import { StickTable } from '#sluice/tables/stick-table.js'
import { ManualClock } from './clock.js'
import { storeAll, storeNothing, tableConfig } from './table-config.js'

const PAIRS: [DataType, DataType][] = [
  ['connCnt', 'connRate'],
  ['sessCnt', 'sessRate'],
  ['bytesInCnt', 'bytesInRate'],
  ['bytesOutCnt', 'bytesOutRate'],
  ['gpc0', 'gpc0Rate'],
]

test('every data type is kept apart from every other', () => {
  const t = new StickTable(tableConfig(), new ManualClock())
  const [a, b] = [t.track('10.0.0.1')!, t.track('10.0.0.2')!]
  const names = Object.keys(storeAll) as DataType[]
  for (const [i, name] of names.entries()) t.set(a, name, i + 1)
  for (const [i, name] of names.entries()) if (name.endsWith('Rate')) t.set(a, name, i + 1)
  for (const [i, name] of names.entries()) {
    assert.equal(t.get(a, name), i + 1, name)
    assert.equal(t.get(b, name), 0, name)
  }
})

test('one rise of a counter feeds the counter and its rate, each where stored', () => {
  for (const [counter, rate] of PAIRS) {
    const stores = {
      both: { ...storeNothing, [counter]: true, [rate]: 1000 },
      counter: { ...storeNothing, [counter]: true },
      rate: { ...storeNothing, [rate]: 1000 },
      none: storeNothing,
    }
    for (const [which, store] of Object.entries(stores)) {
      const t = new StickTable(tableConfig({ store }), new ManualClock())
      const entry = t.track('10.0.0.1')!
      const missing = (name: DataType) => ({
        code: 'ERR_SLUICE_ARGUMENT',
        message: `table '${t.name}' does not store ${name}: add it to 'tables.${t.name}.store'.`,
      })
      // What is counted of connections is counted where there is a place for it.
      t.count(entry, counter, 3)
      if (which === 'none') {
        assert.throws(() => t.add(entry, counter, 2), missing(counter))
        assert.throws(() => t.set(entry, counter, 2), missing(counter))
      } else t.add(entry, counter, 2)
      if (which === 'both' || which === 'counter') assert.equal(t.get(entry, counter), 5, counter)
      else if (which !== 'rate' || counter !== 'gpc0') {
        assert.throws(() => t.get(entry, counter), missing(counter))
      }
      if (which === 'both' || which === 'rate') assert.equal(t.get(entry, rate), 5, rate)
      else assert.throws(() => t.get(entry, rate), missing(rate))
    }
  }
})

test('a name that no table has is refused, by every call', () => {
  const t = new StickTable(tableConfig(), new ManualClock())
  const entry = t.track('10.0.0.1')!
  for (const name of ['connrate', '', 'constructor', undefined] as unknown as DataType[]) {
    const expected = {
      code: 'ERR_SLUICE_ARGUMENT',
      message: /has no .*: expected one of .*connRate/,
    }
    assert.throws(() => t.get(entry, name), expected)
    assert.throws(() => t.set(entry, name, 1), expected)
    assert.throws(() => t.add(entry, name, 1), expected)
  }
})

test('assigning a higher value feeds the rate by the rise, a lower one does not', () => {
  for (const gpc0 of [true, false]) {
    const store = { ...storeNothing, gpc0, gpc0Rate: 1000 }
    const t = new StickTable(tableConfig({ store }), new ManualClock())
    const entry = t.track('10.0.0.1')!
    for (let i = 0; i < 3; i++) t.set(entry, 'gpc0', t.get(entry, 'gpc0') + 1)
    t.set(entry, 'gpc0', 0)
    assert.equal(t.get(entry, 'gpc0Rate'), 3)
    assert.equal(t.get(entry, 'gpc0'), 0)
  }
})

test('counters never fall below zero, count beyond 32 bits, and take whole numbers', () => {
  const t = new StickTable(tableConfig(), new ManualClock())
  const entry = t.track('10.0.0.1')!
  t.add(entry, 'connCur', -1)
  assert.equal(t.get(entry, 'connCur'), 0)
  t.add(entry, 'bytesInCnt', 2 ** 40)
  t.add(entry, 'bytesInCnt', 1)
  assert.equal(t.get(entry, 'bytesInCnt'), 2 ** 40 + 1)
  assert.equal(t.get(entry, 'bytesInRate'), 2 ** 40 + 1)
  t.set(entry, 'gpt0', 2.9)
  assert.equal(t.get(entry, 'gpt0'), 2)
  t.set(entry, 'gpt0', -4)
  assert.equal(t.get(entry, 'gpt0'), 0)
  const error = { code: 'ERR_SLUICE_ARGUMENT', message: /table 't': gpc0: .*NaN/ }
  assert.throws(() => t.set(entry, 'gpc0', Number.NaN), error)
  assert.throws(() => t.add(entry, 'gpc0', Number.NaN), error)
})

test('rates slide with the clock, over their own window', () => {
  const clock = new ManualClock(50_000)
  const t = new StickTable(tableConfig(), clock)
  const entry = t.track('10.0.0.1')!
  t.add(entry, 'connCnt', 8)
  t.add(entry, 'bytesOutCnt', 800)
  clock.advance(1000)
  assert.equal(t.get(entry, 'connRate'), 8)
  clock.advance(250)
  assert.equal(t.get(entry, 'connRate'), 0)
  assert.equal(t.get(entry, 'bytesOutRate'), 800)
  clock.advance(8750)
  assert.equal(t.get(entry, 'bytesOutRate'), 0)
  assert.equal(t.get(entry, 'connCnt'), 8)
})

test('a full table evicts the least recently used entry that is not tracked', () => {
  const t = new StickTable(tableConfig({ key: 'integer', size: 3 }), new ManualClock())
  for (const key of [1, 2, 3]) t.track(key)
  t.track(1)
  t.retain(t.lookup(2)!)
  t.track(4)
  assert.equal(t.lookup(3), undefined)
  t.track(5)
  assert.deepEqual(
    [1, 2, 4, 5].map((key) => t.lookup(key) !== undefined),
    [false, true, true, true],
  )
  assert.deepEqual([t.entries, t.evicted, t.expired, t.refused], [3, 2, 0, 0])
})

test('a table full of tracked entries refuses, and counts it', () => {
  const t = new StickTable(tableConfig({ key: 'integer', size: 2 }), new ManualClock())
  const entries = [1, 2].map((key) => t.track(key)!)
  for (const entry of entries) t.retain(entry)
  assert.equal(t.track(3), undefined)
  assert.equal(t.refused, 1)
  assert.equal(t.track(1), entries[0])
  t.release(entries[1]!)
  assert.notEqual(t.track(3), undefined)
  assert.deepEqual([t.lookup(2), t.refused, t.evicted], [undefined, 1, 1])
})

test('an entry expires when it was not used for as long, a tracked one does not', () => {
  const clock = new ManualClock()
  const t = new StickTable(tableConfig({ key: 'integer', expire: 100 }), clock)
  const held = t.track(1)!
  t.retain(held)
  t.retain(held)
  t.add(t.track(2)!, 'gpc1', 5)
  clock.advance(99)
  t.track(2)
  clock.advance(99)
  assert.equal(t.get(t.lookup(2)!, 'gpc1'), 5)
  clock.advance(1)
  assert.equal(t.lookup(2), undefined)
  assert.deepEqual([t.entries, t.expired], [1, 1])
  t.release(held)
  clock.advance(1000)
  assert.equal(t.lookup(1), held)
  t.release(held)
  clock.advance(99)
  assert.equal(t.lookup(1), held)
  clock.advance(1)
  assert.deepEqual([t.lookup(1), t.entries, t.expired], [undefined, 0, 2])
  assert.equal(t.get(t.track(2)!, 'gpc1'), 0)
})

test('expired entries go by themselves while others are tracked', () => {
  const clock = new ManualClock()
  const t = new StickTable(tableConfig({ key: 'integer', size: 1000, expire: 100 }), clock)
  for (let key = 0; key < 200; key++) t.track(key)
  clock.advance(100)
  for (let i = 0; i < 100; i++) t.track(1000)
  assert.equal(t.expired, 200)
})

test('remove and clear leave what connections track', () => {
  const t = new StickTable(tableConfig({ key: 'integer' }), new ManualClock())
  const held = t.track(1)!
  t.retain(held)
  for (const key of [2, 3, 4]) t.add(t.track(key)!, 'gpc0', key)
  assert.deepEqual(
    [t.remove(1), t.remove(2), t.remove(2), t.remove(9)],
    [false, true, false, false],
  )
  assert.equal(t.clear(), 2)
  assert.deepEqual(
    [...t.dump()].map((row) => row.key),
    [1],
  )
  assert.equal(t.get(t.track(3)!, 'gpc0'), 0)
})

test('dump shows what is stored, in use, and how long idle', () => {
  const clock = new ManualClock()
  const store = { ...storeNothing, connCur: true, gpc0Rate: 1000 }
  const t = new StickTable(tableConfig({ store, expire: 100 }), clock)
  const held = t.track('10.0.0.1')!
  t.retain(held)
  t.add(held, 'connCur', 1)
  t.track('10.0.0.9')
  clock.advance(60)
  t.add(t.track('10.0.0.2')!, 'gpc0', 4)
  clock.advance(40)
  assert.deepEqual(
    [...t.dump()],
    [
      { key: '10.0.0.1', uses: 1, idle: 0, data: { connCur: 1, gpc0Rate: 0 } },
      { key: '10.0.0.2', uses: 0, idle: 40, data: { connCur: 0, gpc0Rate: 4 } },
    ],
  )
  assert.equal([...t.dump(1)].length, 1)
})

test('misuse of retain and release is an error, not a broken table', () => {
  const t = new StickTable(tableConfig({ key: 'integer' }), new ManualClock())
  const entry = t.track(1)!
  assert.throws(() => t.release(entry), { code: 'ERR_SLUICE_STATE', message: /not retained/ })
  t.remove(1)
  assert.throws(() => t.retain(entry), { code: 'ERR_SLUICE_STATE', message: /was removed/ })
  assert.throws(() => t.release(entry), { code: 'ERR_SLUICE_STATE' })
})

test('memory grows with the entries and stops at the size', () => {
  const size = 20_000
  const store = { ...storeNothing, connCur: true, connRate: 1000 }
  const t = new StickTable(tableConfig({ key: 'integer', size, store }), new ManualClock())
  const empty = t.bytes
  for (let key = 0; key < size; key++) t.track(key)
  const full = t.bytes
  for (let key = size; key < 3 * size; key++) t.track(key)
  assert.deepEqual([t.bytes, t.entries, t.evicted], [full, size, 2 * size])
  assert.ok(empty < full / 2)
  // A row of 64 bytes, 4 bytes in each of 32768 buckets, and the unused row 0.
  assert.equal(full, (size + 1) * 64 + 32_768 * 4)
})

test('a watcher hears of each write before it and after it, once', () => {
  const t = new StickTable(tableConfig(), new ManualClock())
  const entry = t.track('10.0.0.1')!
  const heard: [boolean, number][] = []
  t.onWrite = (of, written) => {
    assert.equal(of, entry)
    heard.push([written, t.get(of, 'gpc0')])
  }
  t.count(entry, 'gpc0', 2)
  t.add(entry, 'gpc0', 1)
  t.set(entry, 'gpc0', 7)
  assert.deepEqual(heard, [
    [false, 0],
    [true, 2],
    [false, 2],
    [true, 3],
    [false, 3],
    [true, 7],
  ])
  t.set(entry, 'gpc0Rate', 9)
  assert.deepEqual(heard.slice(6), [
    [false, 7],
    [true, 7],
  ])
  t.onWrite = undefined
  t.count(entry, 'gpc0', 1)
  assert.throws(() => t.set(entry, 'gpc0', Number.NaN))
  assert.equal(heard.length, 8)
})
