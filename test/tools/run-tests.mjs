// Runs the compiled tests with node:test. Node 20 does not expand patterns
// after --test, so the files are found here.
//
//   node test/tools/run-tests.mjs [part of a path]... [--option-of-node]...

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const args = process.argv.slice(2)
const options = args.filter((arg) => arg.startsWith('-'))
const wanted = args.filter((arg) => !arg.startsWith('-'))

const build = join(root, 'build/test')
const files = readdirSync(build, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
  .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
if (files.length === 0) {
  console.error(`No test matches ${wanted.join(' ') || 'build/test/**/*.test.js'}.`)
  process.exit(1)
}

const { status, signal, error } = spawnSync(
  process.execPath,
  [
    '--test',
    // One file at a time: tests that count file descriptors and fill buffers
    // would otherwise wait for each other's processor.
    '--test-concurrency=1',
    // A file that hangs is a failure, not a stalled run; tests that may hang have
    // shorter limits of their own. ms.
    '--test-timeout=240000',
    ...options,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
)
if (error) throw error
if (signal) console.error(`The tests were ended by ${signal}.`)
process.exit(status ?? 1)
