/** What systemd is told. */

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Notifier } from '#sluice/cli/notify.js'
import { loadBinding } from '#sluice/engine/native/load.js'
import { engineKinds } from '../support/engines.js'
import { folder, start } from './spawn.js'

const config = `
import { staticReply } from 'sluice/policy'
// What a policy starts must not speak for the service.
process.stderr.write('env ' + (process.env.NOTIFY_SOCKET ?? 'clean') + '\\n')
export default {
  global: { drainTimeout: '7s', grace: '0s' },
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: staticReply('hello') } } },
}
`

function recorder(env: NodeJS.ProcessEnv, pid?: number) {
  const sent: string[] = []
  const failed: unknown[] = []
  const notifier = new Notifier(
    env,
    (socket, message) => {
      assert.equal(socket, env.NOTIFY_SOCKET ?? '/run/n')
      sent.push(message)
    },
    (error) => failed.push(error),
    pid,
  )
  return { notifier, sent, failed }
}

test('nobody asked: nothing is sent', () => {
  for (const env of [{}, { NOTIFY_SOCKET: '' }]) {
    const { notifier, sent } = recorder(env)
    notifier.ready('here')
    notifier.reloading()
    notifier.stopping(1000)
    assert.deepEqual(sent, [])
  }
})

test('the messages, and the variables are gone', () => {
  const env = { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: 'x', WATCHDOG_PID: '1', PATH: '/bin' }
  const { notifier, sent } = recorder(env)
  assert.deepEqual(env, { PATH: '/bin' })
  notifier.ready('here')
  notifier.reloading()
  notifier.ready()
  notifier.stopping(30_000)
  assert.deepEqual(
    sent.map((text) => text.replace(/MONOTONIC_USEC=[1-9]\d+/, 'MONOTONIC_USEC=now')),
    [
      'READY=1\nSTATUS=here',
      'RELOADING=1\nMONOTONIC_USEC=now',
      'READY=1',
      'STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=35000000',
    ],
  )
})

test('the watchdog hears twice in its time, where it is meant for this process', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const alive = (env: NodeJS.ProcessEnv) => {
    const { notifier, sent } = recorder({ NOTIFY_SOCKET: '/run/n', ...env }, 42)
    notifier.ready()
    t.mock.timers.tick(1000)
    notifier.ready()
    t.mock.timers.tick(1000)
    return sent.filter((text) => text === 'WATCHDOG=1').length
  }
  assert.equal(alive({ WATCHDOG_USEC: '1000000', WATCHDOG_PID: '42' }), 4)
  assert.equal(alive({ WATCHDOG_USEC: '2000000' }), 2)
  assert.equal(alive({ WATCHDOG_USEC: '1000000', WATCHDOG_PID: '43' }), 0)
  for (const usec of ['', '0', '-5', 'soon']) assert.equal(alive({ WATCHDOG_USEC: usec }), 0)
})

test('what cannot be sent is told, and thrown nowhere', () => {
  const failed: unknown[] = []
  const notifier = new Notifier(
    { NOTIFY_SOCKET: 'nonsense' },
    () => {
      throw new Error('no')
    },
    (error) => failed.push(error),
  )
  notifier.ready()
  notifier.stopping(0)
  assert.equal(failed.length, 2)
})

for (const kind of engineKinds) {
  test(`a service from its start to its stop (${kind})`, async (t) => {
    const { path, remove } = folder({ 'sluice.config.mjs': config })
    const socket = join(path, 'notify')
    const { TestDatagrams } = loadBinding()
    const datagrams = new TestDatagrams(socket)
    const got: string[] = []
    const hears = async (what: RegExp) => {
      for (;;) {
        got.push(...datagrams.take())
        const found = got.findIndex((text) => what.test(text))
        if (found >= 0) return got.splice(0, found + 1).at(-1) as string
        await sleep(5)
      }
    }
    const running = start(['run', '--engine', kind], path, {
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: '100000',
    })
    t.after(async () => {
      running.child.kill('SIGKILL')
      await running.ended
      remove()
    })
    const ready = await hears(/^READY=1/)
    assert.match(ready, /^READY=1\nSTATUS=sluice \S+: .*web listens on 127\.0\.0\.1:\d+ > app$/)
    await hears(/^WATCHDOG=1$/)
    await hears(/^WATCHDOG=1$/)
    running.child.kill('SIGHUP')
    await hears(/^RELOADING=1\nMONOTONIC_USEC=\d+$/)
    await hears(/^READY=1$/)
    running.child.kill('SIGTERM')
    await hears(/^STOPPING=1\n.*\nEXTEND_TIMEOUT_USEC=12000000$/)
    const { code, stderr } = await running.ended
    assert.equal(code, 0)
    assert.match(stderr, /^env clean$/m)
    assert.doesNotMatch(stderr, /systemd could not/)
  })
}

test('without the addon the program systemd-notify is asked', async (t) => {
  const { path, remove } = folder({ 'sluice.config.mjs': config })
  const said = join(path, 'said')
  writeFileSync(said, '')
  const program = join(path, 'systemd-notify')
  writeFileSync(program, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >>'${said}'\n`)
  chmodSync(program, 0o755)
  const running = start(['run', '--engine', 'js'], path, {
    NOTIFY_SOCKET: '/run/n',
    SLUICE_ADDON: join(path, 'missing.node'),
    PATH: `${path}:${process.env.PATH}`,
  })
  t.after(async () => {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  })
  while (!/^\/run\/n READY=1 STATUS=sluice /.test(readFileSync(said, 'utf8'))) await sleep(5)
  running.child.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
})

test('a socket that is not there is told once, and the proxy runs', async (t) => {
  const { path, remove } = folder({ 'sluice.config.mjs': config })
  const running = start(['run', '--engine', 'js'], path, {
    NOTIFY_SOCKET: '/nowhere/n',
    WATCHDOG_USEC: '60000',
  })
  t.after(async () => {
    running.child.kill('SIGKILL')
    await running.ended
    remove()
  })
  await running.sees(/systemd could not be told \(NOTIFY_SOCKET\): Error: .*No such file/)
  await sleep(100)
  running.child.kill('SIGTERM')
  const { code, stderr } = await running.ended
  assert.equal(code, 0)
  assert.equal(stderr.match(/could not be told/g)?.length, 1)
})
