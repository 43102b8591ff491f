/** The log's reader fails; the program ends all the same. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import { folder, main } from '../cli/spawn.js'
import { engineKinds } from '../support/engines.js'
import { Peer } from '../support/peer.js'

const config = `
import { staticReply } from 'sluice/policy'
export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: staticReply('hello') } } },
}
`

for (const kind of engineKinds) {
  test(`SIGTERM ends the program though nobody reads its log (${kind})`, {
    timeout: 60_000,
  }, async () => {
    const { path, remove } = folder({ 'sluice.config.mjs': config })
    const child = spawn(process.execPath, [main, 'run', '--engine', kind], { cwd: path })
    const exited = once(child, 'exit')
    try {
      let stderr = ''
      for await (const chunk of child.stderr
        .setEncoding('utf8')
        .iterator({ destroyOnReturn: false })) {
        stderr += chunk
        if (stderr.includes('listens on')) break
      }
      const port = Number(/127\.0\.0\.1:(\d+)/.exec(stderr)?.[1])
      // More lines than the socket pair behind stdout holds.
      for (let i = 0; i < 1500; i++) {
        const client = await Peer.connect({ port })
        await client.expect('hello')
        client.fin()
        await client.ending()
        client.destroy()
      }
      child.kill('SIGTERM')
      assert.deepEqual(await exited, [0, null])
    } finally {
      child.kill('SIGKILL')
      child.stdout.destroy()
      child.stderr.destroy()
      remove()
    }
  })
}

/** Logs when told to, and ends at once. */
const program = `
import { createLog } from '${import.meta.resolve('#sluice/log/logger.js')}'
const log = createLog({ level: 'info', file: undefined })
process.stdin.once('data', () => {
  log.logger.info('last words')
  process.exit(0)
})
process.stderr.write('ready')
`

for (const reader of ['is there', 'is gone'] as const) {
  test(`lines of the last moment, the reader ${reader}`, { timeout: 30_000 }, async () => {
    const args = ['--input-type=module', '-e', program]
    const child = spawn(process.execPath, args)
    const exited = once(child, 'close')
    try {
      await once(child.stderr, 'data')
      let stdout = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text
      })
      if (reader === 'is gone') child.stdout.destroy()
      child.stdin.write('now')
      assert.deepEqual(await exited, [0, null])
      assert.equal(stdout.includes('last words'), reader === 'is there')
    } finally {
      child.kill('SIGKILL')
    }
  })
}

test('a closed stdout: every line is counted, and one line says so', {
  timeout: 30_000,
}, async () => {
  const source = `
    import { createLog } from '${import.meta.resolve('#sluice/log/logger.js')}'
    const log = createLog({ level: 'info', file: undefined })
    process.stdout.on('error', () => {})
    process.stdin.once('data', async () => {
      for (let i = 0; i < 3000; i++) log.logger.info({ i }, 'line')
      await log.close()
      for (let i = 0; i < 7; i++) log.logger.info({ i }, 'line')
      await log.close()
      process.stderr.write('dropped ' + log.dropped())
      process.exit(0)
    })
    process.stderr.write('ready')
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', source])
  const exited = once(child, 'close')
  try {
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    await once(child.stderr, 'data')
    child.stdout.destroy()
    child.stdin.write('now')
    assert.deepEqual(await exited, [0, null])
    assert.match(stderr, /dropped 3007$/)
    assert.equal(stderr.match(/cannot be written/g)?.length, 1, stderr)
  } finally {
    child.kill('SIGKILL')
  }
})

const rejecting = `
import { reject } from 'sluice/policy'
export default {
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app', rules: { connection: [reject()] } } },
  backends: { app: { servers: { a: '127.0.0.1:1' } } },
}
`
const SESSIONS = 200

for (const kind of engineKinds) {
  for (const stdout of ['a full disk', 'a pipe that nobody reads any more'] as const) {
    test(`the program counts what it cannot log: ${stdout} (${kind})`, {
      timeout: 60_000,
    }, async (t) => {
      const { path, remove } = folder({ 'sluice.config.mjs': rejecting })
      t.after(remove)
      const full = openSync('/dev/full', 'w')
      t.after(() => closeSync(full))
      const child = spawn(process.execPath, [main, 'run', '--engine', kind], {
        cwd: path,
        stdio: ['ignore', stdout === 'a full disk' ? full : 'pipe', 'pipe'],
      })
      t.after(() => child.kill('SIGKILL'))
      child.stdout?.destroy()
      let stderr = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        stderr += text
      })
      const says = async (pattern: RegExp) => {
        while (!pattern.test(stderr)) await once(child.stderr as Readable, 'data')
        return pattern.exec(stderr)
      }
      const port = Number((await says(/127\.0\.0\.1:(\d+)/))?.[1])
      for (let i = 0; i < SESSIONS; i++) {
        const client = await Peer.connect({ port })
        await client.ending()
        client.destroy()
      }
      const exited = once(child, 'close')
      child.kill('SIGTERM')
      assert.deepEqual(await exited, [0, null])
      assert.equal(stderr.match(/the log \(stdout\) cannot be written/g)?.length, 1, stderr)
      assert.match(stderr, new RegExp(`the log \\(stdout\\) has lost ${SESSIONS} lines\n`))
    })
  }
}
