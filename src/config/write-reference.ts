/** Writes docs/configuration.md; with --check only says whether it is up to date. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { renderReference } from './reference.js'

const file = fileURLToPath(new URL('../../docs/configuration.md', import.meta.url))
const text = renderReference()

if (process.argv.includes('--check')) {
  const current = readIfThere()
  if (current !== text) {
    process.stderr.write(
      "docs/configuration.md is not up to date: run 'node dist/config/write-reference.js'.\n",
    )
    process.exitCode = 1
  }
} else {
  writeFileSync(file, text)
}

function readIfThere(): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
