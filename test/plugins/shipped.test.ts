/** What ships: the options that editors show and the page has are those that are checked. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { modules } from '#sluice/cli/modules.js'
import { renderOptions } from '#sluice/options/generate/reference.js'
import type { Options, Section } from '#sluice/options/section.js'
import { repository } from '../cli/spawn.js'

const { exports } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  exports: Record<string, { types: string; default: string }>
}
const names = Object.keys(exports).flatMap((path) => /^\.\/plugins\/(.+)$/.exec(path)?.[1] ?? [])

/** Without what a formatter decides. */
function words(text: string): string {
  return text
    .replace(/^ *(\/\*\*|\*\/|\*)/gm, '')
    .replace(/\*\//g, '')
    .replace(/\s+/g, ' ')
    .replace(/[(] /g, '(')
    .replace(/,? [)]/g, ')')
}

test('there are plugins, and a configuration that `sluice` loads may import each', () => {
  assert.ok(names.length >= 4)
  const known = Object.keys(modules).filter((name) => name.startsWith('sluice/plugins/'))
  assert.deepEqual(known.sort(), names.map((name) => `sluice/plugins/${name}`).sort())
})

for (const name of names) {
  test(`${name}: types, page and check have the same options`, async () => {
    const { options } = (await import(`#sluice/plugins/options/${name}.js`)) as {
      options: Section<Options>
    }
    const source = readFileSync(join(repository, 'src/plugins/options', `${name}.ts`), 'utf8')
    const shown = words(`export interface ${options.name} ${options.code('')}`)
    assert.ok(words(source).includes(shown), `src/plugins/options/${name}.ts: expected\n${shown}`)
    const page = readFileSync(join(repository, 'docs/plugins.md'), 'utf8')
    const table = renderOptions(options.schema as Parameters<typeof renderOptions>[0])
    assert.ok(page.includes(table), `docs/plugins.md: expected\n${table}`)
    assert.ok(page.includes(`'sluice/plugins/${name}'`))
  })
}
