// How much of src the tests run, and that it does not become less. Collected by V8
// in every process and worker that the tests start, added up by c8.
//
//   node test/tools/coverage.mjs [part of a path]...   run the tests, report, compare
//   node test/tools/coverage.mjs --report              report on the last run again
//   node test/tools/coverage.mjs --raise               raise the floor to the last run
//
// The floor is in coverage-floor.json beside this file, in percent. It only rises: a
// change that needs it lower has to say so in review, by editing that file.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const raw = join(root, 'coverage/raw')
const reports = join(root, 'coverage')
const summary = join(reports, 'coverage-summary.json')
const floorFile = fileURLToPath(new URL('coverage-floor.json', import.meta.url))
/** Fewer than this many points above the floor are the luck of one run. */
const LUCK = 0.5

const args = process.argv.slice(2)
const mode = args.find((arg) => arg === '--report' || arg === '--raise')

function node(program, list, env = {}) {
  const { status, error } = spawnSync(process.execPath, [program, ...list], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  if (error) throw error
  return status ?? 1
}

/** Sources that compile to nothing, such as interfaces: no process ever loads them. */
function withoutCode() {
  return readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .filter((file) => {
      const text = readFileSync(join(root, 'dist', file), 'utf8')
      return text.replace(/^\/\/.*$|\/\*[\s\S]*?\*\//gm, '').trim() === 'export {};'
    })
    .map((file) => `src/${file.replace(/\.js$/, '.ts')}`)
}

function report() {
  if (!existsSync(raw)) throw new Error(`${relative(root, raw)} is missing: npm run coverage`)
  const status = node(join(root, 'node_modules/c8/bin/c8.js'), [
    'report',
    // One file after another: together they are more than the memory of a small machine.
    '--merge-async',
    `--temp-directory=${raw}`,
    `--reports-dir=${reports}`,
    '--reporter=json-summary',
    '--reporter=html',
    '--all',
    '--src=src',
    '--exclude-after-remap',
    '--include=src/**',
    ...withoutCode().map((file) => `--exclude=${file}`),
  ])
  if (status !== 0) process.exit(status)
}

/** Prints each figure beside its floor; true where none is below. */
function compare({ raise }) {
  const { total } = JSON.parse(readFileSync(summary, 'utf8'))
  const floor = JSON.parse(readFileSync(floorFile, 'utf8'))
  let holds = true
  for (const what of Object.keys(floor)) {
    const { pct, covered, total: all } = total[what]
    const below = pct < floor[what]
    if (below) holds = false
    const verdict = below
      ? 'BELOW THE FLOOR'
      : pct > floor[what] + 2 * LUCK
        ? 'raise the floor: npm run coverage -- --raise'
        : 'ok'
    console.log(
      `coverage of ${what}: ${pct} % (${covered} of ${all}), floor ${floor[what]} %: ${verdict}`,
    )
    if (raise) floor[what] = Math.max(floor[what], Math.floor((pct - LUCK) * 10) / 10)
  }
  if (raise) writeFileSync(floorFile, `${JSON.stringify(floor, null, 2)}\n`)
  else console.log(`each file, each line: ${relative(root, join(reports, 'index.html'))}`)
  return holds
}

let status = 0
if (mode === undefined) {
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(raw, { recursive: true })
  const runner = fileURLToPath(new URL('run-tests.mjs', import.meta.url))
  status = node(runner, args, { NODE_V8_COVERAGE: raw })
}
if (mode !== '--raise') report()
const holds = compare({ raise: mode === '--raise' })
// Of a part of the tests the floor says nothing.
const all = args.every((arg) => arg.startsWith('-'))
process.exit(status || (all && !holds && mode !== '--raise' ? 1 : 0))
