/** Signals to `sluice run`, one by one and together. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { engineKinds } from '../support/engines.js'
import { folder, type Running, start } from './spawn.js'

const holding = (more = '') => `
import { defineApplet } from 'sluice/policy'
const hold = defineApplet('hold', async (stream) => {
  await stream.write('here')
  for await (const _ of stream) {}
})
export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: hold } } },
  ${more}
}
`

interface Started {
  running: Running
  path: string
  /** A client that stays. */
  client(): Promise<Socket>
}

async function run(t: TestContext, config: string, ...args: string[]): Promise<Started> {
  const { path, remove } = folder({ 'sluice.config.mjs': config })
  const running = start(['run', ...args], path)
  t.after(async () => {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  })
  const port = Number((await running.sees(/127\.0\.0\.1:(\d+)/))[1])
  const client = async () => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    t.after(() => socket.destroy())
    await once(socket, 'data')
    return socket
  }
  return { running, path, client }
}

for (const signals of [
  ['SIGINT', 'SIGINT'],
  ['SIGINT', 'SIGTERM'],
] as const) {
  test(`${signals.join(' and ')} at once are one: sessions drain`, async (t) => {
    const { running, client } = await run(t, holding(), '--engine', 'js')
    const socket = await client()
    for (const signal of signals) running.child.kill(signal)
    await running.sees(/waiting at most 30s for 1 open; again stops at once\n/)
    socket.end()
    const { code, stderr } = await running.ended
    assert.equal(code, 0)
    assert.equal(stderr.match(/stopping/g)?.length, 1, stderr)
  })
}

test('a signal before the proxy is there ends the program', async (t) => {
  const config = `process.stderr.write('loading\\n')\nawait new Promise((r) => setTimeout(r, 1e6))`
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { path, remove } = folder({ 'sluice.config.mjs': config })
    const running = start(['run', '--engine', 'js'], path)
    t.after(() => void running.child.kill('SIGKILL'))
    await running.sees(/loading\n/)
    running.child.kill(signal)
    const { code, stderr } = await running.ended
    assert.equal(code, 0)
    assert.equal(stderr, `loading\n${signal}: stopped before the start\n`)
    remove()
  }
})

test('a signal while the proxy starts ends it without a complaint', async (t) => {
  const config = `
    export default {
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: { servers: { a: 'name.invalid:1' } } },
    }
    // The start is under way when this runs.
    setImmediate(() => setImmediate(() => process.kill(process.pid, 'SIGTERM')))
  `
  const { path, remove } = folder({ 'sluice.config.mjs': config })
  const running = start(['run', '--engine', 'js', '--log-level', 'silent'], path)
  t.after(() => void running.child.kill('SIGKILL'))
  const { code, stderr } = await running.ended
  assert.equal(code, 0, stderr)
  assert.match(stderr, /SIGTERM: stop/)
  assert.doesNotMatch(stderr, /was stopped while it started/)
  remove()
})

test('SIGUSR1 opens the log anew and no debugger; with stdout there is nothing to open', async (t) => {
  for (const kind of engineKinds) {
    const config = holding("log: { file: 'logs/s.log' }")
    const { running, client, path } = await run(t, config, '--engine', kind)
    const file = join(path, 'logs/s.log')
    ;(await client()).end()
    while (!readFileSync(file, 'utf8').includes('"event":"session"')) await sleep(5)
    renameSync(file, `${file}.1`)
    running.child.kill('SIGUSR1')
    await running.sees(/SIGUSR1: the log goes on in .*s\.log\n/)
    ;(await client()).end()
    running.child.kill('SIGTERM')
    const { code, stderr } = await running.ended
    assert.equal(code, 0)
    assert.doesNotMatch(stderr, /[Dd]ebugger/)
    for (const name of [file, `${file}.1`]) {
      assert.equal(readFileSync(name, 'utf8').match(/"event":"session"/g)?.length, 1, name)
    }
  }
  const { running } = await run(t, holding(), '--engine', 'js')
  running.child.kill('SIGUSR1')
  await running.sees(/SIGUSR1: the log is on stdout: nothing to open anew\n/)
})

test('SIGUSR1 where the file cannot be opened: told, and the old one goes on', async (t) => {
  const config = holding("log: { file: 'logs/s.log' }")
  const { running, client, path } = await run(t, config, '--engine', 'js')
  renameSync(join(path, 'logs'), join(path, 'old'))
  // The folder is made anew, so something must be in its way.
  writeFileSync(join(path, 'logs'), '')
  running.child.kill('SIGUSR1')
  await running.sees(/SIGUSR1: .*log\.file: \S+logs\/s\.log cannot be written: a part/s)
  ;(await client()).end()
  running.child.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
  assert.match(readFileSync(join(path, 'old/s.log'), 'utf8'), /"event":"session"/)
})

test('no moment of the start opens the debugger', async (t) => {
  const { path, remove } = folder({ 'sluice.config.mjs': holding() })
  t.after(remove)
  // Without a listener Node says 'Debugger listening' and the process goes on.
  const probe = `process.on('exit', () => console.error('listeners', process.listenerCount('SIGUSR1')))`
  const { stderr } = await start(['check'], path, {
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(probe)}`,
  }).ended
  assert.match(stderr, /listeners 1\n/)
})

test('SIGUSR2 is refused with what to do instead, and the process goes on', async (t) => {
  const { running, client } = await run(t, holding(), '--engine', 'js')
  running.child.kill('SIGUSR2')
  await running.sees(/SIGUSR2: .*second process.*SIGTERM.*SIGHUP/)
  ;(await client()).end()
  running.child.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
})

for (const kind of engineKinds) {
  test(`global.grace: health says no while clients are still served (${kind})`, async (t) => {
    const { path, remove } = folder({
      'sluice.config.mjs': `
        import { staticReply } from 'sluice/policy'
        export default {
          global: { grace: '1h' },
          frontends: {
            web: {
              bind: ['127.0.0.1:0', { address: '127.0.0.1:0', health: true }],
              backend: 'app',
            },
            watched: { bind: '127.0.0.2:0', backend: 'app', monitor: { from: ['127.0.0.0/8'], reply: 'yes' } },
          },
          backends: { app: { servers: { a: staticReply('hello') } } },
        }`,
    })
    const running = start(['run', '--engine', kind, '--log-level', 'silent'], path)
    t.after(async () => {
      running.child.kill('SIGKILL')
      await running.ended
      remove()
    })
    const [, web, health, watched] = (
      await running.sees(
        /127\.0\.0\.1:(\d+) > app\n.*127\.0\.0\.1:(\d+) > app\n.*127\.0\.0\.2:(\d+)/,
      )
    ).map(Number)
    const ask = async (port: number | undefined, host = '127.0.0.1') => {
      const socket = connect(port ?? 0, host)
      let text = ''
      try {
        for await (const chunk of socket) text += chunk
        return text
      } catch (error) {
        return (error as NodeJS.ErrnoException).code
      }
    }
    assert.equal(await ask(web), 'hello')
    assert.equal(await ask(health), 'OK\n')
    assert.equal(await ask(watched, '127.0.0.2'), 'yes')
    running.child.kill('SIGTERM')
    await running.sees(/stopping, accepting for 1h while health says no, then waiting/)
    // Once it is closed; until then whoever is accepted is cut off.
    while ((await ask(health)) !== 'ECONNREFUSED') await sleep(5)
    assert.equal(await ask(watched, '127.0.0.2'), 'ECONNRESET')
    assert.equal(await ask(web), 'hello')
    // Nobody has to wait for it.
    await sleep(200)
    running.child.kill('SIGTERM')
    assert.equal((await running.ended).code, 143)
  })
}

test('files of logs that do not exist yet are made with their folder', async (t) => {
  const { path } = await run(t, holding("log: { file: 'a/b/c.log' }"), '--engine', 'js')
  assert.ok(existsSync(join(path, 'a/b/c.log')))
})
