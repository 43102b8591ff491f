import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashWords } from '#sluice/tables/hash.js'

test('neighbouring keys spread over the buckets as random ones would', () => {
  const buckets = new Uint32Array(4096)
  for (let i = 0; i < 4096; i++) {
    const bucket = hashWords(Uint32Array.of(0x0a000000 + i), 0, 1, 1, 2) & 4095
    buckets[bucket] = (buckets[bucket] as number) + 1
  }
  // At random 1 - 1/e of the buckets are used, and a chain of more than 8 is rarer than 1 in 200.
  const used = buckets.filter((count) => count > 0).length / 4096
  assert.ok(Math.abs(used - (1 - 1 / Math.E)) < 0.03, String(used))
  assert.ok(Math.max(...buckets) <= 8)
})

test('the secret and every word matter, and only the given words', () => {
  const words = Uint32Array.of(9, 1, 2, 9)
  const hash = hashWords(words, 1, 2, 3, 4)
  assert.equal(hashWords(Uint32Array.of(1, 2), 0, 2, 3, 4), hash)
  assert.notEqual(hashWords(words, 1, 2, 3, 5), hash)
  assert.notEqual(hashWords(words, 1, 2, 5, 4), hash)
  for (const at of [1, 2]) {
    const other = words.slice()
    other[at] = 7
    assert.notEqual(hashWords(other, 1, 2, 3, 4), hash)
  }
})
