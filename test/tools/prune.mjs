// Removes what an earlier compilation left behind for sources that are gone:
// a test that was renamed must not run twice, a module that was removed must
// not be published.
//
//   node test/tools/prune.mjs SOURCE OUTPUT    every OUTPUT/x.js needs SOURCE/x.ts

import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'

const [source, output] = process.argv.slice(2)
if (!source || !output) throw new Error('usage: node test/tools/prune.mjs SOURCE OUTPUT')

const OUTPUTS = ['.js.map', '.js', '.d.ts.map', '.d.ts', '.mjs', '.d.mts']

if (existsSync(output)) {
  for (const entry of readdirSync(output, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath ?? entry.path, entry.name)
    const ending = OUTPUTS.find((one) => file.endsWith(one))
    // The addon and its loader (.node, .cjs) have no TypeScript source.
    if (ending === undefined) continue
    const stem = join(source, relative(output, file.slice(0, -ending.length)))
    if (!existsSync(`${stem}.ts`) && !existsSync(`${stem}.mts`)) rmSync(file)
  }
}
