/**
 * Writes what follows from the options: their types in src/options/written.ts and
 * docs/configuration.md. With --check only says whether both are up to date.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { renderReference } from './reference.js'
import { renderTypes } from './types.js'

const files: Readonly<Record<string, string>> = {
  'src/options/written.ts': renderTypes(),
  'docs/configuration.md': renderReference(),
}

for (const [file, text] of Object.entries(files)) {
  const path = fileURLToPath(new URL(`../../../${file}`, import.meta.url))
  if (!process.argv.includes('--check')) writeFileSync(path, text)
  else if (readIfThere(path) !== text) {
    process.stderr.write(`${file} is not up to date: run 'npm run generate'.\n`)
    process.exitCode = 1
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
