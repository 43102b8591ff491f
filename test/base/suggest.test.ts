import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, suggest } from '#sluice/base/suggest.js'

test('edit distance counts inserts, deletes, replacements and swaps', () => {
  assert.equal(editDistance('', 'abc'), 3)
  assert.equal(editDistance('bind', 'bnd'), 1)
  assert.equal(editDistance('bind', 'bidn'), 1)
  assert.equal(editDistance('bind', 'find'), 1)
  assert.equal(editDistance('kitten', 'sitting'), 3)
})

test('edit distance is symmetric, zero only for equals, and bounded by the longer word', () => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b)
      assert.equal(distance, editDistance(b, a))
      assert.equal(distance === 0, a === b)
      assert.ok(distance <= Math.max(a.length, b.length))
    }),
  )
})

test('suggests what was meant, and nothing far away', () => {
  const keys = ['bind', 'backend', 'maxconn', 'rules', 'onError']
  assert.equal(suggest('bnd', keys), 'bind')
  assert.equal(suggest('max_conn', keys), 'maxconn')
  assert.equal(suggest('Rules', keys), 'rules')
  assert.equal(suggest('on-error', keys), 'onError')
  assert.equal(suggest('backends_of_mine', keys), 'backend')
  assert.equal(suggest('max', keys), 'maxconn')
  assert.equal(suggest('ba', keys), undefined)
  assert.equal(suggest('servers', keys), undefined)
  assert.equal(suggest('x', keys), undefined)
  assert.equal(suggest('b'.repeat(100_000), keys), undefined)
})
