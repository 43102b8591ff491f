import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BySlot } from '#sluice/base/by-slot.js'

test('values by slot, over the ends of pages', () => {
  const values = new BySlot<string>(5000)
  assert.deepEqual([...values], [])
  for (const slot of [4999, 0, 1023, 1024]) values.set(slot, `at ${slot}`)
  assert.deepEqual([...values], ['at 0', 'at 1023', 'at 1024', 'at 4999'])
  assert.equal(values.get(1), undefined)
  // No page was made for these.
  assert.equal(values.get(2048), undefined)
  values.delete(2048)
  values.delete(1024)
  values.set(0, 'again')
  assert.deepEqual([...values], ['again', 'at 1023', 'at 4999'])
})

test('a slot that there is not has no value', () => {
  const values = new BySlot<string>(10)
  for (const slot of [-1, -2000, 5000, Number.NaN]) assert.equal(values.get(slot), undefined)
})

test('many slots take no memory before they are used', () => {
  const values = new BySlot<object>(2 ** 27)
  const last = {}
  values.set(2 ** 27 - 1, last)
  assert.equal(values.get(2 ** 27 - 1), last)
  assert.deepEqual([...values], [last])
})
