/** Recipes that refuse or hold connections: rate-limit, blocklist, tarpit. */

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { limits } from '../../examples/rate-limit/sluice.config.js'
import { engineKinds } from '../support/engines.js'
import { serveNamed } from './servers.js'
import { eventually, type RunningExample, root, runExample } from './support.js'

/** One short conversation: the answer, or how the proxy ended it. */
async function visit({ connect }: RunningExample, from: string): Promise<string> {
  const client = await connect('web', { from })
  client.fin()
  const ending = await client.ending()
  client.destroy()
  return ending === 'reset' ? ending : client.rest().toString()
}

const folders: string[] = []
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

async function withServer(t: TestContext) {
  return { 'app/a': await serveNamed(t, 'app') }
}

for (const kind of engineKinds) {
  test(`${kind}: rate-limit refuses a source above its rate, and no other`, async (t) => {
    const running = await runExample(t, kind, 'rate-limit', { servers: await withServer(t) })
    for (let i = 0; i < limits.rate; i++) assert.equal(await visit(running, '127.0.0.1'), 'app:')
    assert.equal(await visit(running, '127.0.0.1'), 'reset')
    assert.equal(await visit(running, '127.0.0.2'), 'app:')
    const { code, rule } = await running.record(limits.rate)
    assert.deepEqual([code, rule], ['rejected', 'tooMany'])
    for (let i = 1; i < limits.refusals; i++) await visit(running, '127.0.0.1')
    assert.equal(await visit(running, '127.0.0.1'), 'reset')
    assert.equal((await running.record(limits.rate + limits.refusals + 1)).rule, 'abuser')
  })

  test(`${kind}: rate-limit refuses too many open connections of one source`, async (t) => {
    const running = await runExample(t, kind, 'rate-limit', { servers: await withServer(t) })
    const open = []
    for (let i = 0; i < limits.open; i++) open.push(await running.connect('web'))
    assert.equal(await visit(running, '127.0.0.1'), 'reset')
    for (const client of open) client.fin()
    for (const client of open) assert.equal((await client.readToEnd()).toString(), 'app:')
    await running.record(limits.open)
    assert.equal(await visit(running, '127.0.0.1'), 'app:')
  })

  test(`${kind}: blocklist follows its file, and keeps the list when a line is bad`, async (t) => {
    const folder = mkdtempSync(join(root, 'build/blocklist-'))
    // Not when the test ends: the list looks for its file as long as the process lives.
    folders.push(folder)
    cpSync(join(root, 'examples/blocklist'), folder, { recursive: true })
    const told: string[] = []
    t.mock.method(process.stderr, 'write', (text: string) => told.push(text) > 0)
    const running = await runExample(t, kind, 'blocklist', {
      file: join(folder, 'sluice.config.ts'),
      servers: await withServer(t),
    })
    const list = join(folder, 'blocked.txt')
    assert.equal(await visit(running, '127.0.0.2'), 'app:')
    writeFileSync(list, '127.0.0.2\n')
    await eventually('a reload', () => told.length === 1)
    assert.match(told[0] ?? '', /blocked\.txt: 1 blocks/)
    assert.equal(await visit(running, '127.0.0.2'), '')
    assert.equal(await visit(running, '127.0.0.1'), 'app:')
    writeFileSync(list, '127.0.0.1\nnonsense\n')
    await eventually('a complaint', () => told.length === 2)
    assert.match(told[1] ?? '', /blocked\.txt:2: .*got 'nonsense'\. The old list stays\./)
    assert.equal(await visit(running, '127.0.0.1'), 'app:')
    assert.equal(await visit(running, '127.0.0.2'), '')
  })

  test(`${kind}: tarpit holds who came to the trap, also at the real port`, async (t) => {
    const running = await runExample(t, kind, 'tarpit', { servers: await withServer(t) })
    assert.equal(await visit(running, '127.0.0.2'), 'app:')
    const trapped = await running.connect('trap', { from: '127.0.0.2' })
    await eventually('the mark', () => running.lines.some(({ msg }) => msg === 'a scanner'))
    const held = await running.connect('web', { from: '127.0.0.2' })
    await held.send('anybody there?')
    assert.equal(await visit(running, '127.0.0.1'), 'app:')
    assert.deepEqual([trapped.ended, held.ended, held.received], [undefined, undefined, 0])
    held.reset()
    const { by, code, rule } = await running.record(2)
    assert.deepEqual([by, code, rule], ['policy', 'tarpit', 'scanner'])
  })
}
