/** Recipes that refuse or hold connections: rate-limit, blocklist, tarpit. */

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
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

async function withServer(t: TestContext) {
  return { 'app/a': await serveNamed(t, 'app') }
}

for (const kind of engineKinds) {
  test(`${kind}: rate-limit refuses a source above its rate, and no other`, async (t) => {
    const running = await runExample(t, kind, 'rate-limit', { servers: await withServer(t) })
    for (let i = 0; i < limits.limit; i++) assert.equal(await visit(running, '127.0.0.1'), 'app:')
    assert.equal(await visit(running, '127.0.0.1'), 'reset')
    assert.equal(await visit(running, '127.0.0.2'), 'app:')
    const { code, rule } = await running.record(limits.limit)
    assert.deepEqual([code, rule], ['rejected', 'rate-limit/tooFast'])
    for (let i = 1; i < limits.ban; i++) await visit(running, '127.0.0.1')
    assert.equal(await visit(running, '127.0.0.1'), 'reset')
    const last = await running.record(limits.limit + limits.ban + 1)
    assert.equal(last.rule, 'rate-limit/banned')
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
    t.after(() => rmSync(folder, { recursive: true }))
    cpSync(join(root, 'examples/blocklist'), folder, { recursive: true })
    const running = await runExample(t, kind, 'blocklist', {
      file: join(folder, 'sluice.config.ts'),
      servers: await withServer(t),
    })
    const list = join(folder, 'blocked.txt')
    const lines = (text: string) => running.lines.filter(({ msg }) => msg.includes(text))
    assert.equal(await visit(running, '127.0.0.2'), 'app:')
    writeFileSync(list, '127.0.0.2\n')
    await eventually('a reload', () => lines('was read again').length === 1)
    assert.equal(lines('was read again')[0]?.size, 1)
    assert.equal(await visit(running, '127.0.0.2'), '')
    assert.equal((await running.record(1)).rule, 'blocklist/blockedSource')
    assert.equal(await visit(running, '127.0.0.1'), 'app:')
    writeFileSync(list, '127.0.0.1\nnonsense\n')
    await eventually('a complaint', () => lines('the old one stays').length === 1)
    const [bad = assert.fail()] = lines('the old one stays')
    assert.match((bad.err as Error).message, /blocked\.txt:2: .*got 'nonsense'/)
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
