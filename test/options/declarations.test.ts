import assert from 'node:assert/strict'
import { test } from 'node:test'
import { config } from '#sluice/options/config.js'
import type { Option, Section } from '#sluice/options/section.js'
import type { Type } from '#sluice/options/type.js'

interface Found {
  path: string
  option: Option
}

/** Every option of the configuration, with where it stands. */
function found(type: Type, path: string, into: Found[] = []): Found[] {
  const { options } = type as Partial<Section<Record<string, Option>>>
  for (const [name, option] of Object.entries(options ?? {})) {
    into.push({ path: `${path}.${name}`, option })
    found(option.type, `${path}.${name}`, into)
  }
  if (!options) for (const part of type.parts) found(part, path, into)
  return into
}

const all = found(config as Type, 'config')

test('the declarations are found', () => {
  assert.ok(all.length > 120, `${all.length} options`)
  for (const path of ['config.frontends.bind.tls.ca', 'config.tables.store.gpc0Rate'])
    assert.ok(
      all.some((one) => one.path === path),
      path,
    )
})

for (const { path, option } of all) {
  test(`${path}: its default passes its own check`, () => {
    const { default: standard, resolve, schema, doc } = option
    assert.match(doc, /[.)]$/)
    if (standard === undefined) return
    assert.deepEqual(schema.safeParse(standard).error?.issues ?? [], [])
    assert.deepEqual(resolve(undefined), resolve(standard))
  })
}
