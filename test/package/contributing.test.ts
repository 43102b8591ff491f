/** The pages for contributors name files and scripts that are there. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repository } from '../cli/spawn.js'

const read = (path: string) => readFileSync(join(repository, path), 'utf8')
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }

for (const page of ['CONTRIBUTING.md', 'SECURITY.md']) {
  test(`${page}: every file that it names is there`, () => {
    const text = read(page)
    const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path]) => path as string)
    const named = [...text.matchAll(/`((?:src|test|crates|docs)\/[\w./-]+)`/g)]
    const paths = [...links, ...named.map(([, path]) => path as string)]
    assert.ok(paths.length > 3, page)
    for (const path of paths) assert.ok(existsSync(join(repository, path)), path)
  })
}

test('CONTRIBUTING.md: every npm script that it names is there', () => {
  const named = [...read('CONTRIBUTING.md').matchAll(/npm run ([\w:]+)/g)]
  assert.ok(named.length > 3)
  for (const [, script] of named) assert.ok(scripts[script as string], script)
})
