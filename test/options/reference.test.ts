import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { renderReference } from '#sluice/options/generate/reference.js'

const text = renderReference()

test('docs/configuration.md is up to date', () => {
  const file = new URL('../../../docs/configuration.md', import.meta.url)
  assert.equal(readFileSync(file, 'utf8'), text, "run 'npm run generate' and commit the result")
})

test('every field has a description and stands in a table', () => {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| `') && line.split(' | ').length >= 4)
  assert.ok(rows.length > 80, `${rows.length} rows`)
  for (const row of rows) assert.match(row, /\S \|$/, row)
})

test('the sections of a frontend, a backend, a table and the time-outs are there', () => {
  for (const path of [
    'global',
    'tables.NAME.store',
    'frontends.NAME.bind',
    'frontends.NAME.rules',
    'backends.NAME.servers.NAME.socks',
    'timeouts',
  ]) {
    assert.ok(text.includes(`## \`${path}\`\n`), path)
  }
})

test('defaults are those that are applied', () => {
  assert.match(text, /\| `connect` \| `Duration` \| `'5s'` \|/)
  assert.match(text, /\| `retries` \| `number` \| `3` \|/)
})
