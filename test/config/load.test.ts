import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, test } from 'node:test'
import { SluiceError } from '#sluice/base/errors.js'
import { findConfig, loadConfig } from '#sluice/config/load.js'

const root = mkdtempSync(join(tmpdir(), 'sluice-load-'))
after(() => rmSync(root, { recursive: true }))

let folders = 0
/** A new folder with these files. */
function folder(files: Record<string, string>): string {
  const path = join(root, String(++folders))
  mkdirSync(path)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

/** What a configuration gets instead of the real package, to see that it does. */
const modules = {
  sluice: { defineConfig: (config: object) => ({ ...config, defined: true }) },
  'sluice/policy': { reject: () => 'rejected' },
}

async function failure(files: Record<string, string>, file?: string): Promise<string> {
  const cwd = folder(files)
  try {
    await loadConfig(file ?? Object.keys(files)[0], { cwd, modules })
  } catch (error) {
    assert.ok(error instanceof SluiceError, String(error))
    assert.equal(error.code, 'ERR_SLUICE_CONFIG_LOAD')
    return error.message.replaceAll(cwd, 'CWD')
  }
  return assert.fail('expected an error')
}

const typed = `
import { defineConfig } from 'sluice'
import { reject } from 'sluice/policy'
interface Settings { port: number }
const settings: Settings = { port: 8080 }
export const tryIt = 'curl localhost'
export default defineConfig({ port: settings.port, verdict: reject() } as never)
`
const plain = typed
  .replace(/interface.*\n/, '')
  .replace(': Settings', '')
  .replace(' as never', '')

for (const [name, text] of Object.entries({
  'sluice.config.ts': typed,
  'sluice.config.mts': typed,
  'sluice.config.js': plain,
  'sluice.config.mjs': plain,
})) {
  test(`${name}: found, loaded, with the package's own modules`, async () => {
    const cwd = folder({ [name]: text })
    const loaded = await loadConfig(undefined, { cwd, modules })
    assert.deepEqual(loaded, {
      config: { port: 8080, verdict: 'rejected', defined: true },
      file: join(cwd, name),
      displayName: name,
      tryIt: 'curl localhost',
    })
  })
}

test('sluice.config.json', async () => {
  const cwd = folder({ 'sluice.config.json': '{"frontends": {}}' })
  const loaded = await loadConfig(undefined, { cwd })
  assert.deepEqual(loaded.config, { frontends: {} })
  assert.equal(loaded.tryIt, undefined)
})

test('the first of several files is taken', () => {
  const cwd = folder({
    'sluice.config.json': '{}',
    'sluice.config.mjs': '',
    'sluice.config.mts': '',
  })
  assert.equal(findConfig(cwd), join(cwd, 'sluice.config.mts'))
})

test('the default export may be a promise or a function', async () => {
  for (const text of [
    'export default Promise.resolve({ a: 1 })',
    'export default () => ({ a: 1 })',
    'export default async () => ({ a: 1 })',
  ]) {
    const cwd = folder({ 'c.ts': text })
    assert.deepEqual((await loadConfig('c.ts', { cwd })).config, { a: 1 })
  }
})

test('CommonJS, other files and npm packages may be used', async () => {
  const cwd = folder({
    'c.ts':
      "import { b } from './b.ts'\nimport common from './common.cjs'\nexport default { b, common }",
    'b.ts': 'export const b: number = 2',
    'common.cjs': 'module.exports = { c: 3 }',
  })
  assert.deepEqual((await loadConfig('c.ts', { cwd })).config, { b: 2, common: { c: 3 } })
  const commonJs = folder({ 'c.js': 'module.exports = { a: 1 }' })
  assert.deepEqual((await loadConfig('c.js', { cwd: commonJs })).config, { a: 1 })
  // Inside of the repository, where its dependencies are.
  const inside = join(import.meta.dirname, 'load-test.config.ts')
  writeFileSync(
    inside,
    "import pino from 'pino'\nimport { z } from 'zod'\nexport default { a: typeof pino === 'function', b: typeof z.string }",
  )
  try {
    assert.deepEqual((await loadConfig(inside)).config, { a: true, b: 'function' })
  } finally {
    rmSync(inside)
  }
})

test('each load runs the file anew', async () => {
  const cwd = folder({ 'c.ts': 'export default { at: 1 }' })
  assert.deepEqual((await loadConfig('c.ts', { cwd })).config, { at: 1 })
  writeFileSync(join(cwd, 'c.ts'), 'export default { at: 2 }')
  assert.deepEqual((await loadConfig('c.ts', { cwd })).config, { at: 2 })
})

test('nothing is left in the folder or its cache', async () => {
  const cwd = folder({ 'c.ts': typed })
  await loadConfig('c.ts', { cwd, modules })
  const { readdirSync } = await import('node:fs')
  assert.deepEqual(readdirSync(cwd), ['c.ts'])
})

test('a file outside of the folder keeps its whole path in messages', async () => {
  const cwd = folder({})
  const other = folder({ 'c.json': '{' })
  await assert.rejects(loadConfig(relative(cwd, join(other, 'c.json')), { cwd }), {
    message: `${join(other, 'c.json')}:1:2: expected a key in double quotes, got the end of the text (byte 1).`,
  })
})

test('errors: no file', async () => {
  assert.equal(await failure({}, 'missing.ts'), 'missing.ts: no such file.')
  const cwd = folder({})
  assert.throws(() => findConfig(cwd), {
    code: 'ERR_SLUICE_CONFIG_LOAD',
    message: `no sluice.config.ts (or .mts, .js, .mjs, .json) in ${cwd}. 'sluice init' writes one, '-c FILE' names another.`,
  })
})

test('errors: JSON, with line, column and byte', async () => {
  assert.equal(
    await failure({ 'c.json': '{\n  "ä": 1,\n  b: 2\n}' }),
    `c.json:3:3: expected a key in double quotes, got 'b' (byte 15).`,
  )
})

test('errors: syntax, with line and column', async () => {
  assert.equal(
    await failure({ 'c.ts': 'export default {\n  a: [1, 2\n}\n' }),
    'c.ts:3:1: Unexpected token, expected ",".',
  )
  assert.equal(await failure({ 'c.mjs': 'export default {,}' }), 'c.mjs:1:17: Unexpected token.')
})

test('errors: syntax of an imported file, with that file', async () => {
  assert.equal(
    await failure({ 'c.ts': "import './b.ts'\nexport default {}", 'b.ts': 'const = 1' }),
    'CWD/b.ts:1:7: Unexpected token.',
  )
})

test('errors: thrown while loading, with the line', async () => {
  assert.equal(
    await failure({
      'c.ts': 'interface A {\n  b: number\n}\n\nthrow new Error("no token")\nexport default {}',
    }),
    'c.ts:5: no token',
  )
  assert.equal(
    await failure({ 'c.mjs': '\nexport default { a: undefined.b }' }),
    "c.mjs:2: Cannot read properties of undefined (reading 'b')",
  )
  assert.equal(
    await failure({ 'c.ts': 'export default async () => {\n  throw new TypeError("late")\n}' }),
    'c.ts:2: late',
  )
  assert.equal(await failure({ 'c.ts': 'export default Promise.reject("why")' }), 'c.ts: why')
})

test('errors: an import that does not resolve', async () => {
  assert.equal(
    await failure({ 'c.ts': "\nimport { a } from './nowhere.js'\nexport default a" }),
    "c.ts:2: Cannot find module './nowhere.js'",
  )
})

test('CommonJS: module.exports is the configuration, whatever the file is called', async () => {
  const own = "const { defineConfig } = require('sluice')\n"
  const text = `${own}module.exports = defineConfig({ frontends: {} })`
  for (const name of ['c.js', 'c.cjs', 'c.ts', 'c.cts']) {
    const cwd = folder({ [name]: text })
    const { config } = await loadConfig(name, { cwd, modules })
    assert.deepEqual(config, { frontends: {}, defined: true }, name)
  }
  const cwd = folder({ 'package.json': '{"type":"module"}', 'c.js': text })
  assert.deepEqual((await loadConfig('c.js', { cwd, modules })).config, {
    frontends: {},
    defined: true,
  })
  const compiled = folder({
    'c.cjs':
      "Object.defineProperty(exports, '__esModule', { value: true })\nexports.tryIt = 'x'\nexports.default = { a: 1 }",
  })
  const loaded = await loadConfig('c.cjs', { cwd: compiled })
  assert.deepEqual([loaded.config, loaded.tryIt], [{ a: 1 }, 'x'])
})

test('errors: a failure in another file is told with its place and who used it', async () => {
  assert.equal(
    await failure({
      'c.ts': "\nimport { a } from './b.ts'\nexport default { a }",
      'b.ts': '\n\nexport const a = (undefined as never as { b: number }).b',
    }),
    "CWD/b.ts:3: Cannot read properties of undefined (reading 'b')\n  used by c.ts:2",
  )
  assert.equal(
    await failure({
      'c.ts': "import { read } from './b.ts'\nexport default async () => {\n  await read()\n}",
      'b.ts': "export async function read() {\n  await 1\n  throw new Error('gone')\n}",
    }),
    'CWD/b.ts:3: gone\n  used by c.ts:3',
  )
})

test('errors: the causes of a failure are told', async () => {
  const refused = await failure({
    'c.ts': `import { createServer } from 'node:net'
export default async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  await fetch(\`http://127.0.0.1:\${port}/\`)
}`,
  })
  // The fetch() of Node 24 and some of 22 rejects with a stack that does not lead here.
  assert.match(
    refused,
    /^c\.ts(:7)?: fetch failed\n {2}caused by connect ECONNREFUSED 127\.0\.0\.1:\d+$/,
  )
  assert.equal(
    await failure({
      'c.ts':
        "throw new Error('outer', { cause: new TypeError('inner', { cause: 'why' }) })\nexport default {}",
    }),
    'c.ts:1: outer\n  caused by inner\n  caused by why',
  )
  assert.equal(
    await failure({
      'c.ts':
        "throw new AggregateError([new Error('a'), new Error('b')], 'both')\nexport default {}",
    }),
    'c.ts:1: both\n  caused by a\n  caused by b',
  )
  const circle = "const e = new Error('e')\ne.cause = e\nthrow e\nexport default {}"
  assert.match(await failure({ 'c.ts': circle }), /^c\.ts:1: e(\n {2}caused by e){1,5}$/)
})

test('errors: a function that is not exported has its own name', async () => {
  assert.equal(
    await failure({
      'c.ts': "import { deny } from 'sluice/policy'\nexport default { a: deny() }",
    }),
    'c.ts:2: deny is not a function',
  )
})

test('errors: other notations', async () => {
  for (const name of ['c.yaml', 'haproxy.cfg', 'nginx.conf', 'c.toml', 'c.json5', 'sluice']) {
    assert.match(
      await failure({ [name]: 'a: 1' }),
      /: a configuration is TypeScript, JavaScript or JSON, in a file that ends in \.ts, .* or \.json\.$/,
    )
  }
  for (const text of ['{\n  // why\n}', '{ /* why */ }', '# why\n{}', '{} // why']) {
    assert.match(
      await failure({ 'c.json': text }),
      /: JSON has no comments; a configuration in \.ts or \.js may have them \(byte \d+\)\.$/,
    )
  }
  assert.match(await failure({ 'c.json': "{'a': 1}" }), /: strings stand in double quotes/)
})

test('errors: nothing useful is exported', async () => {
  assert.equal(
    await failure({ 'c.ts': 'export const config = {}\nexport const tryIt = "a"' }),
    "c.ts: has no default export, only 'config'; write 'export default defineConfig({ ... })'.",
  )
  assert.equal(
    await failure({ 'c.ts': 'console.error' }),
    "c.ts: has no default export; write 'export default defineConfig({ ... })'.",
  )
  assert.equal(
    await failure({ 'c.ts': 'export default 5' }),
    'c.ts: the default export is 5, not a configuration.',
  )
  assert.equal(
    await failure({ 'c.ts': 'export default () => undefined' }),
    'c.ts: the default export is undefined, not a configuration.',
  )
})
