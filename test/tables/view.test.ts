/** Tables as people and programs see them: read and changed by key. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SluiceError } from '#sluice/base/errors.js'
import { StickTable } from '#sluice/tables/stick-table.js'
import { viewTable } from '#sluice/tables/view.js'
import { ManualClock } from './clock.js'
import { storeNothing, tableConfig } from './table-config.js'

const store = { ...storeNothing, connCur: true, gpc0: true, gpc0Rate: 10_000, gpt0: true }

function table(changes: Parameters<typeof tableConfig>[0] = {}) {
  const clock = new ManualClock(1000)
  const one = new StickTable(tableConfig({ store, ...changes }), clock)
  return { clock, one, view: viewTable(one) }
}

function refused(code: string, message: RegExp) {
  return (error: SluiceError) => error.code === code && message.test(error.message)
}

test('get makes nothing, set makes and changes, delete forgets', () => {
  const { one, view } = table()
  assert.equal(view.get('192.0.2.1'), undefined)
  assert.equal(view.size, 0)
  view.set('192.0.2.1', { gpt0: 7 })
  assert.deepEqual(view.get('192.0.2.1'), { connCur: 0, gpc0: 0, gpc0Rate: 0, gpt0: 7 })
  view.set('192.0.2.1', { gpc0: 3 })
  assert.deepEqual(view.get('192.0.2.1'), { connCur: 0, gpc0: 3, gpc0Rate: 3, gpt0: 7 })
  assert.equal(view.size, 1)
  const entry = one.track('192.0.2.1') as number
  one.retain(entry)
  assert.equal(view.delete('192.0.2.1'), false)
  one.release(entry)
  assert.equal(view.delete('192.0.2.1'), true)
  assert.equal(view.delete('192.0.2.1'), false)
  assert.equal(view.get('192.0.2.1'), undefined)
})

test('a rate that is named reads its value, in whichever order it was named', () => {
  const { view } = table()
  view.set('192.0.2.1', { gpc0Rate: 2, gpc0: 5 })
  assert.equal(view.get('192.0.2.1')?.gpc0, 5)
  assert.equal(view.get('192.0.2.1')?.gpc0Rate, 2)
})

test('what cannot be set changes nothing', () => {
  const { one, view } = table({ size: 1 })
  const set = (key: unknown, data: object) => () => view.set(key as string, data)
  const ARGUMENT = 'ERR_SLUICE_ARGUMENT'
  assert.throws(
    set('192.0.2.1', { gpc0: 1, gpc1: 1 }),
    refused(ARGUMENT, /'t' does not store gpc1/),
  )
  assert.throws(
    set('192.0.2.1', { gpc0: 1, gpt0: Number.NaN }),
    refused(ARGUMENT, /gpt0: expected/),
  )
  assert.throws(set('192.0.2.1', { nothing: 1 }), refused(ARGUMENT, /has no 'nothing'/))
  assert.throws(set('2001:db8::1', { gpc0: 1 }), refused(ARGUMENT, /keys are of type 'ip'/))
  assert.throws(set(undefined, { gpc0: 1 }), refused(ARGUMENT, /'t': a key is a string/))
  assert.throws(() => view.get({} as never), refused(ARGUMENT, /'t': a key is a string/))
  assert.throws(() => view.delete(null as never), refused(ARGUMENT, /'t': a key is a string/))
  assert.equal(view.size, 0)
  one.retain(one.track('192.0.2.9') as number)
  assert.throws(
    set('192.0.2.1', { gpc0: 1 }),
    refused('ERR_SLUICE_STATE', /track all of its 1 entries/),
  )
  assert.equal(view.refused, 1)
})

test('entries are bounded, typed as kept, and have what is stored', () => {
  const { clock, one, view } = table()
  for (let i = 0; i < 5; i++) view.set(`192.0.2.${i}`, { gpc0: i })
  one.retain(one.track('192.0.2.3') as number)
  clock.advance(100)
  assert.equal([...view.entries(2)].length, 2)
  const rows = [...view.entries()]
  assert.equal(rows.length, 5)
  assert.deepEqual(
    rows.find(({ key }) => key === '192.0.2.3'),
    {
      key: '192.0.2.3',
      uses: 1,
      idle: 0,
      data: { connCur: 0, gpc0: 3, gpc0Rate: 3, gpt0: 0 },
    },
  )
  assert.equal(rows.find(({ key }) => key === '192.0.2.2')?.idle, 100)
  assert.equal(view.clear(), 4)
  assert.equal(view.size, 1)
})

test('a view is the same each time, and says how the table is', () => {
  const { clock, one, view } = table({ size: 2, expire: 1000 })
  assert.equal(viewTable(one), view)
  assert.equal(view.name, 't')
  assert.equal(view.capacity, 2)
  assert.ok(view.bytes > 0)
  for (const last of [1, 2, 3]) view.set(`192.0.2.${last}`, {})
  assert.equal(view.evicted, 1)
  clock.advance(1000)
  assert.equal(view.get('192.0.2.3'), undefined)
  assert.equal(view.size, 0)
  assert.equal(view.expired, 2)
  assert.deepEqual(Object.keys(view), [])
})
