/** Plugins as the command has them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folder, sluice, start } from './spawn.js'

const config = (use: string) => `
import { defineConfig } from 'sluice'
import { definePlugin } from 'sluice/policy'
import { rateLimit } from 'sluice/plugins/rate-limit'

const noting = definePlugin({
  name: 'noting',
  setup(_options, { log, signal }) {
    const note = (text) => process.stderr.write(text + '\\n')
    note('noted: setup')
    log.info('set up')
    return { start: () => note('noted: start'), stop: () => note('noted: stop ' + signal.aborted) }
  },
})
const holding = definePlugin({
  name: 'holding',
  setup(_options, { signal }) {
    const timer = setInterval(() => {}, 1_000)
    signal.addEventListener('abort', () => clearInterval(timer))
    return {}
  },
})
const failing = definePlugin({
  name: 'failing',
  setup: () => ({ start: async () => { throw new Error('port taken') } }),
})

export default defineConfig({
  global: { engine: 'js' },
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app', use: [${use}] } },
  backends: { app: { servers: { a: '127.0.0.1:9' } } },
})
`

test('check tells what plugins find, and run does before anything starts', async (t) => {
  const { path, remove } = folder({
    'sluice.config.ts': config('rateLimit({ limt: 1 }), noting, noting()'),
  })
  t.after(remove)
  for (const command of ['check', 'run']) {
    const { code, stderr } = await sluice([command], path)
    assert.equal(code, 1)
    assert.match(stderr, /sluice\.config\.ts: 2 errors\n/)
    assert.match(stderr, /frontends\.web\.use\[0\]\.limt: is unknown\. Did you mean 'limit'\?/)
    assert.match(stderr, /frontends\.web\.use\[1\]: expected a plugin.*Call it: noting\(\)\./)
    assert.doesNotMatch(stderr, /noted: start/)
  }
})

test('check sets plugins up and starts none', async (t) => {
  const { path, remove } = folder({ 'sluice.config.ts': config('noting()') })
  t.after(remove)
  const { code, stdout, stderr } = await sluice(['check'], path)
  assert.equal(code, 0, stderr)
  assert.match(stdout, /: ok: /)
  assert.doesNotMatch(stdout, /set up/)
  assert.deepEqual(stderr.match(/noted: .*/g), ['noted: setup'])
})

test('check ends what a plugin has begun by its signal', async (t) => {
  for (const more of ['', ', noting({}, { order: 1 })']) {
    const { path, remove } = folder({ 'sluice.config.ts': config(`holding()${more}`) })
    t.after(remove)
    const { code, stderr } = await sluice(['check'], path)
    assert.equal(code, more === '' ? 0 : 1, stderr)
  }
})

test('run sets a plugin up once, starts it, and stops it at the end', async (t) => {
  const { path, remove } = folder({ 'sluice.config.ts': config('noting()') })
  t.after(remove)
  const running = start(['run'], path)
  await running.sees(/web listens on/)
  running.child.kill('SIGTERM')
  const { code, stdout, stderr } = await running.ended
  assert.equal(code, 0, stderr)
  assert.deepEqual(stderr.match(/noted: .*/g), ['noted: setup', 'noted: start', 'noted: stop true'])
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const own = lines.filter(({ plugin }) => plugin === 'noting')
  assert.deepEqual(
    own.map(({ msg }) => msg),
    ['set up'],
  )
})

test('a plugin that does not start is told with its path, and 3', async (t) => {
  const { path, remove } = folder({ 'sluice.config.ts': config('noting(), failing()') })
  t.after(remove)
  const { code, stderr } = await sluice(['run'], path)
  assert.equal(code, 3)
  assert.match(stderr, /frontends\.web\.use\[1\]: plugin 'failing' did not start: port taken/)
  assert.match(stderr, /noted: stop true/)
})
