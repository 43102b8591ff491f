/** docs/errors.md has every error code, close reason and exit code. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ExitCode } from '#sluice/cli/exit.js'
import { By, ByLabels, Code, CodeLabels, Phase, PhaseLabels } from '#sluice/wire/wire.js'

const root = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const page = read('docs/errors.md')

/** Text between two headings. */
function section(from: string, to: string): string {
  const start = page.indexOf(from)
  const end = page.indexOf(to, start)
  assert.ok(start >= 0 && end > start, `docs/errors.md has '${from}' before '${to}'`)
  return page.slice(start, end)
}

test('every error code has a row, and every row is an error code', () => {
  const [, union = ''] =
    /export type ErrorCode =((?:\s*\| '\w+')+)/.exec(read('src/base/errors.ts')) ?? []
  const declared = union.match(/ERR_SLUICE_\w+/g) ?? []
  assert.ok(declared.length > 0, 'src/base/errors.ts declares ErrorCode')
  const listed = [
    ...section('## Errors that are thrown', '### Exit codes').matchAll(
      /^\| `(ERR_SLUICE_\w+)` \|/gm,
    ),
  ].map(([, code]) => code)
  assert.deepEqual([...listed].sort(), [...declared].sort())
})

test('every close reason has its row', () => {
  const tables = section('### `by`', '<!-- End of the generated part. -->')
  for (const [values, labels] of [
    [By, ByLabels],
    [Phase, PhaseLabels],
    [Code, CodeLabels],
  ] as const) {
    for (const value of Object.values<number>(values)) {
      assert.ok(tables.includes(`\n| ${value} | \`${labels[value]}\` | `), labels[value])
    }
  }
})

test('reasons that the page explains consist of labels', () => {
  const explained = section('### What to look at', '### Socket errors')
  const reasons = [...explained.matchAll(/`([a-z]+)\/([a-z*-]+)\/([a-z-]+)`/g)]
  assert.ok(reasons.length > 10)
  for (const [reason, by, phase, code] of reasons) {
    assert.ok((ByLabels as readonly string[]).includes(by as string), reason)
    assert.ok(phase === '*' || (PhaseLabels as readonly string[]).includes(phase as string), reason)
    assert.ok((CodeLabels as readonly string[]).includes(code as string), reason)
  }
})

test('every exit code has its row', () => {
  const table = page.slice(page.indexOf('### Exit codes'))
  for (const [name, code] of Object.entries(ExitCode)) {
    assert.match(table, new RegExp(`^\\| ${code} \\|`, 'm'), name)
  }
})
