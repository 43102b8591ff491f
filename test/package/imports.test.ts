/**
 * The house, as a test: a folder of the first level of src is a layer, a sub-folder is private to
 * its layer, and imports go one way, those of types like those of code. There are no exceptions.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { repository } from '../cli/spawn.js'

/** From the bottom up; a file imports from its own layer and from those before it. */
const layers = [
  'base',
  'address',
  'wire',
  'codec',
  'engine',
  'log',
  'policy',
  'options',
  'tables',
  'config',
  'tls',
  'backend',
  'flow',
  'proxy',
  // The faces of the package are files.
  'index.ts',
  'policy.ts',
  'plugins',
  'testing',
  'cli',
]

interface Import {
  from: string
  to: string
}

const src = join(repository, 'src')

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]))

/** Of types as well as of code, each target once. */
const imports: Import[] = files.flatMap((from) => {
  const text = texts.get(from) as string
  const statement = /^(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'/gm
  const expression = /\bimport\('(\.[^']+)'\)/g
  const targets = [...text.matchAll(statement), ...text.matchAll(expression)]
  const files = targets.map(([, target]) => normalize(join(dirname(from), target as string)))
  return [...new Set(files)].map((to) => ({ from, to: to.replace(/\.js$/, '.ts') }))
})

function layerOf(file: string): number {
  return layers.indexOf(file.split('/')[0] as string)
}

function show({ from, to }: Import): string {
  return `${from} -> ${to}`
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

test('imports go downwards only', () => {
  const found = imports.filter(({ from, to }) => layerOf(to) > layerOf(from))
  assert.deepEqual(found.map(show), [])
})

test('a sub-folder is private to its layer', () => {
  const found = imports.filter(({ from, to }) => {
    const parent = dirname(dirname(to))
    return parent !== '.' && !from.startsWith(`${parent}/`)
  })
  assert.deepEqual(found.map(show), [])
})

test('no file imports itself, however many are in between', () => {
  assert.deepEqual(circlesOf(imports), [])
})

/** Files that reach each other, as sorted groups (Tarjan's strongly connected components). */
function circlesOf(imports: readonly Import[]): string[][] {
  const next = new Map<string, string[]>(files.map((file) => [file, []]))
  for (const { from, to } of imports) next.get(from)?.push(to)
  const index = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (file: string): number => {
    const own = index.size
    index.set(file, own)
    stack.push(file)
    let low = own
    for (const to of next.get(file) ?? []) {
      if (!index.has(to)) low = Math.min(low, visit(to))
      else if (stack.includes(to)) low = Math.min(low, index.get(to) as number)
    }
    if (low === own) {
      const group = stack.splice(stack.indexOf(file))
      if (group.length > 1) found.push(group.sort())
    }
    return low
  }
  for (const file of files) if (!index.has(file)) visit(file)
  return found
}

test('policy cannot tell the engines apart: only the choice imports an implementation', () => {
  const implementation = /^engine\/(js|native)\//
  const others = imports.filter(
    ({ from, to }) =>
      implementation.test(to) && !implementation.test(from) && from !== 'engine/select.ts',
  )
  assert.deepEqual(others.map(show), [])
  const between = imports.filter(
    ({ from, to }) =>
      implementation.test(from) &&
      implementation.test(to) &&
      implementation.exec(from)?.[1] !== implementation.exec(to)?.[1],
  )
  assert.deepEqual(between.map(show), [])
})

test('nothing below flow/ names the connection of the flow', () => {
  const flow = layers.indexOf('flow')
  const below = files.filter((file) => layerOf(file) < flow)
  assert.deepEqual(
    below.filter((file) => /\bClientConnection\b/.test(texts.get(file) as string)),
    [],
  )
})

test('nobody assigns a method of another object', () => {
  const methods = declared(/^ {2}(?:(?:override|async) )*(\w+)(?:<[^>]*>)?\([^;]*\{$/gm)
  const fields = declared(/^ {2}(?:(?:override|readonly) )*(\w+)\??(?:: | = )/gm)
  const found = files.flatMap((file) => {
    const text = texts.get(file) as string
    return [...text.matchAll(/([\w.#]+)\.(\w+) = /g)]
      .map(([, object, name]) => [object as string, name as string] as const)
      .filter(([object, name]) => object !== 'this' && methods.has(name))
      .filter(([object, name]) => !fields.has(name) || takes(text, object, name))
      .map(([object, name]) => `${file}: ${object}.${name}`)
  })
  // Observers and options are for that.
  assert.deepEqual(found, [])
})

function declared(pattern: RegExp): Set<string> {
  const names = [...texts.values()].flatMap((text) => [...text.matchAll(pattern)])
  return new Set(names.map(([, name]) => name as string))
}

/** Whether a text has `const { name } = object` or `const it = object.name`, to wrap what it replaces. */
function takes(text: string, object: string, name: string): boolean {
  const part = new RegExp(`const \\{[^}]*\\b${name}\\b[^}]*\\} = ${object}\\n`)
  const whole = new RegExp(`const \\w+ = ${object}\\.${name}\\b(?!\\()`)
  return part.test(text) || whole.test(text)
}

test('only Node, this package’s dependencies and own files are imported', () => {
  const { dependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const bare = files.flatMap((from) => {
    // Without the examples that template strings hold.
    const text = (texts.get(from) as string).replace(/`(?:\\.|[^`\\])*`/gs, '``')
    return [...text.matchAll(/^(?:import|export)\s[^'";]*?from\s+'([^.'][^']*)'/gm)]
      .map(([, name]) => name as string)
      .filter((name) => !name.startsWith('node:') && !(name in dependencies))
      .map((name) => `src/${from} imports ${name}`)
  })
  assert.deepEqual(bare, [])
})
