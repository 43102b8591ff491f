/** What docs/deployment.md and docs/embedding.md show is run as it stands there. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { needs } from '../interop/support/programs.js'
import { engineKinds } from '../support/engines.js'
import { closedPort, Peer } from '../support/peer.js'
import { bash, blocks, page, place } from './pages.js'

needs('curl')

const deployment = page('deployment')
const embedding = page('embedding')

test('every command of the page on deployment', { timeout: 120_000 }, async (t) => {
  const here = place(t)
  const port = await closedPort()
  const outputs: string[] = []
  const commands = blocks(deployment, 'sh')
  for (const command of commands) {
    outputs.push(await bash(t, command.replaceAll('8080', String(port)), here))
  }
  const [check, signals, rotation, overlap, both] = outputs
  assert.equal(commands.length, 5)
  assert.match(check ?? '', /sluice\.config\.mjs: ok/)
  assert.equal(signals, 'one\n')
  assert.equal(rotation, '')
  assert.equal(overlap, 'two\n')
  assert.match(both ?? '', /^two\n/)
  assert.match(readFileSync(join(here.path, 'log/sessions.log'), 'utf8'), /"event":"session"/)
})

interface Program {
  child: ReturnType<typeof spawn>
  /** Resolves with the match once stdout has one. */
  prints(pattern: RegExp): Promise<RegExpExecArray>
}

function program(t: TestContext, file: string, cwd: string, env: NodeJS.ProcessEnv): Program {
  const child = spawn(process.execPath, [file], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  const prints = async (pattern: RegExp) => {
    for (;;) {
      const match = pattern.exec(output)
      if (match) return match
      const [text] = (await once(child.stdout, 'data')) as [Buffer]
      output += text
    }
  }
  return { child, prints }
}

const programs = blocks(embedding, 'ts').filter((code) => code.includes("process.once('SIGTERM'"))

test('embedding: two programs that run', () => {
  assert.equal(programs.length, 2)
})

for (const [index, name] of ['a program with a proxy in it', 'a worker with one'].entries()) {
  for (const kind of engineKinds) {
    test(`embedding: ${name} serves, stops by its signal and ends by itself (${kind})`, {
      timeout: 60_000,
    }, async (t) => {
      const { path, env } = place(t)
      const choose = (code: string) =>
        code.replace('createProxy({', `createProxy({ global: { engine: '${kind}' },`)
      writeFileSync(join(path, 'package.json'), '{"type":"module"}')
      writeFileSync(join(path, 'main.js'), choose(programs[index] as string))
      const worker = blocks(embedding, 'ts').find((code) => code.startsWith('// worker.js'))
      writeFileSync(join(path, 'worker.js'), choose(worker as string))
      const { child, prints } = program(t, 'main.js', path, env)
      const port = Number((await prints(/^listening (\d+)$/m))[1])
      const client = await Peer.connect({ port })
      await client.send('hello')
      await client.expect('hello')
      client.fin()
      await client.ending()
      client.destroy()
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await prints(/^stopped/m)
      assert.deepEqual(await exited, [0, null])
    })
  }
}

test('embedding: the program opens its log anew', async () => {
  // The command's half is in test/cli/signals.test.ts; here the name only.
  assert.match(embedding, /proxy\.reopenLog\(\)/)
  const { SluiceProxy } = await import('#sluice/proxy/proxy.js')
  assert.equal(typeof SluiceProxy.prototype.reopenLog, 'function')
})
