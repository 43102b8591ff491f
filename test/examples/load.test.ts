import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { resolveConfig } from '#sluice/config/resolve.js'
import { loadExample, root } from './support.js'

const names = readdirSync(join(root, 'examples'))

test('there are examples', () => {
  assert.ok(names.length >= 14, names.join(' '))
})

for (const name of names) {
  const file = `examples/${name}/sluice.config.ts`

  test(`${name}: loads, is right, and says how to run it`, async () => {
    const config = await loadExample(file)
    const resolved = resolveConfig(config, { file })
    assert.ok(resolved.frontends.length > 0)
    assert.ok(resolved.backends.length > 0)
    const text = readFileSync(join(root, file), 'utf8')
    assert.match(text, /^\/\*\*\n \* /)
    assert.match(text.slice(0, text.indexOf('*/')), /sluice run/)
  })
}
