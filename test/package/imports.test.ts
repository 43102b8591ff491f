/**
 * Which parts may import which: downwards only, as docs/architecture.md says,
 * and the engine knows nothing of policy.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { repository } from '../cli/spawn.js'

/**
 * From the bottom up. A file belongs to the first layer one of whose patterns
 * its path within src matches; it may import code of its own layer and of those
 * before it.
 */
const layers: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['base', /^base\//],
  ['address', /^address\//],
  ['wire', /^wire\//],
  ['codec', /^codec\//],
  ['engine', /^engine\//],
  ['log', /^log\//],
  ['policy', /^policy\//],
  ['tables', /^tables\//],
  ['config', /^config\//],
  ['tls', /^tls\//],
  ['backend', /^backend\//],
  ['flow', /^flow\//],
  ['proxy', /^proxy\//],
  ['public', /^(index|policy)\.ts$/],
  ['testing', /^testing\//],
  ['cli', /^cli\//],
]

interface Import {
  from: string
  to: string
  /** Gone after compilation. */
  typeOnly: boolean
}

const src = join(repository, 'src')

function layerOf(file: string): number {
  return layers.findIndex(([, pattern]) => pattern.test(file))
}

function nameOf(file: string): string {
  return layers[layerOf(file)]?.[0] ?? '(none)'
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join(src, from), 'utf8')
  const found: Import[] = []
  const statement = /^(?:import|export)\s+(type\s+)?(?:([^'";]*?)\sfrom\s+)?'(\.[^']+)'/gm
  for (const [, type, names, target] of text.matchAll(statement)) {
    found.push({ from, to: resolve(from, target as string), typeOnly: !!type || onlyTypes(names) })
  }
  for (const [, target] of text.matchAll(/\bimport\('(\.[^']+)'\)/g)) {
    found.push({ from, to: resolve(from, target as string), typeOnly: false })
  }
  return found
})

/** '{ type A, type B }'. */
function onlyTypes(names: string | undefined): boolean {
  const list = /^\{(.*)\}$/s.exec(names?.trim() ?? '')?.[1]
  if (list === undefined) return false
  const each = list.split(',').map((name) => name.trim())
  return each.every((name) => name === '' || name.startsWith('type '))
}

function resolve(from: string, target: string): string {
  return normalize(join(dirname(from), target)).replace(/\.js$/, '.ts')
}

function show({ from, to }: Import): string {
  return `${from} (${nameOf(from)}) imports ${to} (${nameOf(to)})`
}

test('the imports were read', () => {
  assert.ok(files.length > 100)
  assert.ok(imports.length > 2 * files.length, `${imports.length} imports`)
  const missing = imports.filter(({ to }) => !files.includes(to))
  assert.deepEqual(missing.map(show), [])
})

test('every file belongs to a layer', () => {
  assert.deepEqual(
    files.filter((file) => layerOf(file) < 0),
    [],
  )
})

test('code imports downwards only', () => {
  const upwards = imports.filter(
    ({ from, to, typeOnly }) => !typeOnly && layerOf(to) > layerOf(from),
  )
  assert.deepEqual(upwards.map(show), [])
})

test('no two modules import each other’s code, however many are in between', () => {
  const next = new Map<string, string[]>()
  for (const { from, to, typeOnly } of imports) {
    if (!typeOnly) next.set(from, [...(next.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    const at = path.indexOf(file)
    if (at >= 0) cycles.push([...path.slice(at), file].join(' > '))
    if (at >= 0 || done.has(file)) return
    for (const to of next.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  assert.deepEqual(cycles, [])
})

test('the engine knows neither policy nor configuration, not even by type', () => {
  const engine = layers.findIndex(([name]) => name === 'engine')
  const outside = imports.filter(({ from, to }) => layerOf(from) <= engine && layerOf(to) > engine)
  assert.deepEqual(outside.map(show), [])
})

test('policy cannot tell the engines apart: only the choice imports an implementation', () => {
  const implementation = /^engine\/(js|native)\//
  const others = imports.filter(
    ({ from, to }) =>
      implementation.test(to) && !implementation.test(from) && from !== 'engine/select.ts',
  )
  // The engine without a network shares the js engine's helpers; it is no policy.
  const beside = others.filter(({ from }) => !from.startsWith('testing/'))
  assert.deepEqual(beside.map(show), [])
  const between = imports.filter(
    ({ from, to }) =>
      implementation.test(from) &&
      implementation.test(to) &&
      implementation.exec(from)?.[1] !== implementation.exec(to)?.[1],
  )
  assert.deepEqual(between.map(show), [])
})

test('only Node, this package’s dependencies and own files are imported', () => {
  const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const bare = files.flatMap((from) => {
    // Without the examples that template strings hold.
    const text = readFileSync(join(src, from), 'utf8').replace(/`(?:\\.|[^`\\])*`/gs, '``')
    return [...text.matchAll(/^(?:import|export)\s[^'";]*?from\s+'([^.'][^']*)'/gm)]
      .map(([, name]) => name as string)
      .filter((name) => !name.startsWith('node:') && !(name in dependencies))
      .map((name) => `${relative(repository, join(src, from))} imports ${name}`)
  })
  assert.deepEqual(bare, [])
})
