import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type HeapItem, IndexedHeap } from '#sluice/base/heap.js'

interface Item extends HeapItem {
  value: number
}

describe('the indexed heap', () => {
  it('gives the least item first, whichever others have left', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(10_000), { minLength: 1, maxLength: 60 }),
        fc.array(fc.nat(59), { maxLength: 30 }),
        (values, leaving) => {
          const heap = new IndexedHeap<Item>((a, b) => a.value < b.value)
          const items = values.map((value) => ({ value, heapIndex: -1 }))
          for (const item of items) heap.push(item)
          for (const index of leaving) {
            const item = items[index]
            if (item && item.heapIndex >= 0) heap.remove(item)
          }
          const left = items.filter(({ heapIndex }) => heapIndex >= 0).map(({ value }) => value)
          assert.equal(heap.size, left.length)
          const order: number[] = []
          for (let item = heap.peek(); item; item = heap.peek()) {
            order.push(item.value)
            heap.remove(item)
          }
          assert.deepEqual(
            order,
            left.sort((a, b) => a - b),
          )
          assert.ok(items.every(({ heapIndex }) => heapIndex === -1))
        },
      ),
      { numRuns: 500 },
    )
  })
})
