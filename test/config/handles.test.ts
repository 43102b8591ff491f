/** Tables that handles configure: the same checks, told at their place in `tables`. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigError } from '#sluice/base/errors.js'
import { resolveConfig } from '#sluice/config/resolve.js'
import type { Config } from '#sluice/config/types.js'
import { defineTable } from '#sluice/policy.js'

function issuesOf(tables: Config['tables']): string[] {
  try {
    resolveConfig({
      tables,
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: { servers: { a: '127.0.0.1:9001' } } },
    })
  } catch (error) {
    return (error as ConfigError).issues.map(({ path, message }) => `${path}: ${message}`)
  }
  return []
}

test('what a handle has of options is checked as in a table that is written out', () => {
  const odd = { key: 'ip', size: 0, expires: '1m', store: { connRat: '10s' } }
  const inPlace = issuesOf({ odd: odd as never })
  assert.equal(inPlace.length, 3)
  assert.deepEqual(issuesOf({ odd: defineTable(odd as never) as never }), inPlace)
  assert.deepEqual(issuesOf({ odd: defineTable(undefined as never) as never }), [
    'tables.odd.key: is required.',
    'tables.odd.size: is required.',
  ])
})

test('one handle is one table', () => {
  const one = defineTable({ key: 'ip', size: 5 })
  assert.deepEqual(issuesOf({ one }), [])
  assert.deepEqual(issuesOf({ one, two: one }), [
    'tables.two: is the same handle as tables.one: one handle is one table.',
  ])
  const twin = { key: 'ip', size: 5 } as const
  assert.deepEqual(issuesOf({ one: twin, two: twin }), [])
})
