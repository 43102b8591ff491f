// Runs the compiled tests with node:test. Node 20 does not expand patterns
// after --test, so the files are found here.
//
//   node test/tools/run-tests.mjs [part of a path]... [--option-of-node]...
//
// SLUICE_TEST_ENGINES=native or js runs the tests of one engine. SLUICE_TEST_WORKERS=2
// gives the native one two threads, also in the proxies that tests make and the
// programs that they start, unless they say how many they want. What must hold so:
//
//   SLUICE_TEST_WORKERS=2 SLUICE_TEST_ENGINES=native \
//     node test/tools/run-tests.mjs conformance faults /proxy/ interop e2e
//
// Tests that need programs which are not installed (`needs(...)` in the file or in
// what it imports) are left out and named at the end, with the line that installs
// them. With SLUICE_REQUIRE_INTEROP=1 they run, and so fail.
//
// SLUICE_TEST_CONCURRENCY says how many files run at a time: one for each core where
// it says nothing.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

if (process.argv.includes('--help')) {
  const text = readFileSync(fileURLToPath(import.meta.url), 'utf8')
  for (const line of text.slice(0, text.indexOf('\n\n')).split('\n')) console.log(line.slice(3))
  process.exit(0)
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const args = process.argv.slice(2)
const options = args.filter((arg) => arg.startsWith('-') && !arg.startsWith('--test-reporter'))
// The runner has a reporter of its own beside it, so that each needs its destination.
const reporters = args.filter((arg) => arg.startsWith('--test-reporter'))
if (!reporters.some((arg) => arg.startsWith('--test-reporter='))) {
  reporters.push(`--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`)
}
if (!reporters.some((arg) => arg.startsWith('--test-reporter-destination='))) {
  reporters.push('--test-reporter-destination=stdout')
}
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

const { missingPackages } = await import(join(build, 'interop/support/programs.js'))

/** Programs that a compiled file, or what it imports of the tests, says it needs. */
const programsOf = new Map()
function programs(file) {
  const known = programsOf.get(file)
  if (known) return known
  const found = new Set()
  programsOf.set(file, found)
  const text = readFileSync(file, 'utf8')
  for (const [, list] of text.matchAll(/^needs\(([^)]*)\)/gm)) {
    for (const [, program] of list.matchAll(/'([^']+)'/g)) found.add(program)
  }
  for (const [, path] of text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'/gm)) {
    const imported = join(dirname(file), path)
    if (existsSync(imported)) for (const program of programs(imported)) found.add(program)
  }
  return found
}

const left = new Map()
if (process.env.SLUICE_REQUIRE_INTEROP !== '1') {
  for (const file of files) {
    const packages = missingPackages([...programs(join(root, file))])
    if (packages.length > 0) left.set(file, packages)
  }
}
const run = files.filter((file) => !left.has(file))

if (run.length === 0) {
  sayLeftOut()
  process.exit(1)
}

function sayLeftOut() {
  if (left.size === 0) return
  const names = [...left.keys()].map((file) => relative(relative(root, build), file))
  const packages = [...new Set([...left.values()].flat())].sort()
  console.error(
    `\nNOT RUN: ${left.size} of ${files.length} test files, for want of programs ` +
      `(${names.join(', ')}). To run them: apt-get install -y ${packages.join(' ')}\n`,
  )
}

const env = { ...process.env }
if (env.SLUICE_TEST_WORKERS) {
  const preload = new URL('workers.mjs', import.meta.url)
  env.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ''} --import ${preload}`.trim()
}

// Tests wait more than they compute, so several files run beside each other. Those
// that say why they cannot (`// Runs alone: ...`) come after them, one at a time.
const alone = run.filter((file) =>
  /^\/\/ Runs alone: /m.test(readFileSync(join(root, file), 'utf8')),
)
const together = run.filter((file) => !alone.includes(file))
const scratch = mkdtempSync(join(tmpdir(), 'sluice-tests-'))
const durations = []
let failed = false

/** Runs these files, so many at a time, and notes whether one failed and what each took. */
function runFiles(files, concurrency) {
  if (files.length === 0) return
  const times = join(scratch, 'times')
  const { status, signal, error } = spawnSync(
    process.execPath,
    [
      '--test',
      `--test-concurrency=${concurrency}`,
      // A file that hangs is a failure, not a stalled run; tests that may hang have
      // shorter limits of their own. ms.
      '--test-timeout=240000',
      ...reporters,
      `--test-reporter=${fileURLToPath(new URL('slowest.mjs', import.meta.url))}`,
      `--test-reporter-destination=${times}`,
      ...options,
      ...files,
    ],
    { cwd: root, stdio: 'inherit', env },
  )
  if (error) throw error
  if (signal) console.error(`The tests were ended by ${signal}.`)
  if (status !== 0) failed = true
  for (const line of existsSync(times) ? readFileSync(times, 'utf8').split('\n') : []) {
    const [ms, file] = line.split('\t')
    if (file) durations.push([Number(ms), relative(build, file)])
  }
}

function saySlowest() {
  if (durations.length < 20) return
  const slowest = durations.sort(([a], [b]) => b - a).slice(0, 10)
  console.error(
    '\nThe ten slowest files, with what the tests declared in them took (some are shared helpers):',
  )
  for (const [ms, file] of slowest)
    console.error(`${(ms / 1000).toFixed(1).padStart(7)} s  ${file}`)
}

try {
  runFiles(together, Number(process.env.SLUICE_TEST_CONCURRENCY) || availableParallelism())
  runFiles(alone, 1)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
saySlowest()
sayLeftOut()
process.exit(failed ? 1 : 0)
