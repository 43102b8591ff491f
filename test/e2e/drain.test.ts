/** The program under load, told to stop: what is under way comes to its end. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { folder, start } from '../cli/spawn.js'
import { type Nginx, startNginx } from '../interop/support/nginx.js'
import { needs, runProgram } from '../interop/support/programs.js'
import { engineKinds } from '../support/engines.js'
import { Peer } from '../support/peer.js'

needs('curl')

/** More than the kernel's buffers on both sides hold. */
const BODY = randomBytes(32 * 1024 * 1024)
const DOWNLOADS = 4
const REQUEST = 'GET /body.bin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'

let nginx: Nginx

before(async () => {
  nginx = await startNginx({ 'body.bin': BODY })
})

after(() => nginx?.stop())

function config(drainTimeout: string): string {
  return `
export default {
  global: { drainTimeout: '${drainTimeout}' },
  frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
  backends: { app: { servers: { a: '127.0.0.1:${nginx.port}' } } },
}
`
}

for (const kind of engineKinds) {
  test(`SIGTERM during downloads: no byte is lost (${kind})`, { timeout: 90_000 }, async () => {
    const { path, remove } = folder({ 'sluice.config.mjs': config('60s') })
    const sluice = start(['run', '--engine', kind], path)
    try {
      const port = Number((await sluice.sees(/127\.0\.0\.1:(\d+)/))[1])
      const clients: Peer[] = []
      for (let i = 0; i < DOWNLOADS; i++) {
        const client = await Peer.connect({ port })
        clients.push(client)
        await client.send(REQUEST)
        await client.expect('HTTP/1.1 200 OK\r\n')
        client.pause()
      }
      sluice.child.kill('SIGTERM')
      await sluice.sees(new RegExp(`SIGTERM: stopping, waiting at most 1m for ${DOWNLOADS} open`))
      // Nobody else comes in.
      let refused = false
      while (!refused) {
        const { code } = await runProgram('curl', ['-sS', `http://127.0.0.1:${port}/hello`])
        refused = code === 7
      }
      for (const client of clients) client.resume()
      for (const client of clients) {
        const reply = await client.readToEnd()
        assert.ok(reply.subarray(-BODY.length).equals(BODY))
        client.fin()
      }
      const { code, stdout } = await sluice.ended
      assert.equal(code, 0)
      // The log was written to its end.
      const whole = stdout
        .split('\n')
        .filter((line) => line.includes('"session"'))
        .map((line) => JSON.parse(line) as { bytesOut: number })
        .filter(({ bytesOut }) => bytesOut > BODY.length)
      assert.equal(whole.length, DOWNLOADS, stdout)
    } finally {
      sluice.child.kill('SIGKILL')
      await sluice.ended
      remove()
    }
  })

  test(`SIGTERM with a client that stays: closed at the deadline (${kind})`, {
    timeout: 60_000,
  }, async () => {
    const { path, remove } = folder({ 'sluice.config.mjs': config('300ms') })
    const sluice = start(['run', '--engine', kind], path)
    try {
      const port = Number((await sluice.sees(/127\.0\.0\.1:(\d+)/))[1])
      const client = await Peer.connect({ port })
      await client.send('GET /hello HTTP/1.1\r\nhost: a\r\n\r\n')
      await client.expect('HTTP/1.1 200 OK\r\n')
      sluice.child.kill('SIGTERM')
      await client.ending()
      client.destroy()
      const { code, stdout, stderr } = await sluice.ended
      assert.equal(code, 0)
      assert.match(stderr, /1 closed at the deadline/)
      const line = stdout.split('\n').find((text) => text.includes('"session"')) ?? '{}'
      const { by, phase, code: why } = JSON.parse(line) as Record<string, string>
      assert.deepEqual([by, phase, why], ['proxy', 'data', 'shutdown'])
    } finally {
      sluice.child.kill('SIGKILL')
      await sluice.ended
      remove()
    }
  })
}
