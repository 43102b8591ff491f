/** Servers behind SOCKS proxies of Debian: microsocks (version 5) and Dante (4 and 5). */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Config, ServerConfig } from '#sluice/config/types.js'
import { useBackend } from '#sluice/policy/verdicts.js'
import { closedPort } from '../support/peer.js'
import { Daemon } from './support/daemon.js'
import { HELLO, type Nginx, startNginx } from './support/nginx.js'
import { CURL_CLOSED, needs, runProgram } from './support/programs.js'
import { interopTest, type Running } from './support/sluice.js'

needs('microsocks', 'danted', 'curl')

const BODY = randomBytes(2 * 1024 * 1024)

let nginx: Nginx
let open: Daemon
let guarded: Daemon
let dante: Daemon

before(async () => {
  nginx = await startNginx({ 'body.bin': BODY })
  open = await startMicrosocks([])
  guarded = await startMicrosocks(['-u', 'someone', '-P', 'secret'])
  dante = await startDante()
})

after(async () => {
  for (const daemon of [nginx, open, guarded, dante]) await daemon?.stop()
})

function startMicrosocks(options: readonly string[]): Promise<Daemon> {
  return Daemon.start({
    program: 'microsocks',
    prepare: ({ ports: [port] }) => ({
      args: ['-i', '127.0.0.1', '-p', String(port), ...options],
      ready: [{ port: port as number }],
    }),
  })
}

function startDante(): Promise<Daemon> {
  return Daemon.start({
    program: 'danted',
    prepare({ directory, ports: [port] }) {
      const file = join(directory, 'danted.conf')
      writeFileSync(
        file,
        `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
`,
      )
      const pid = join(directory, 'danted.pid')
      return { args: ['-f', file, '-p', pid], ready: [{ port: port as number }] }
    },
  })
}

/** nginx through a SOCKS proxy. */
function config(socks: ServerConfig['socks'], address = `127.0.0.1:${nginx.port}`): Config {
  return {
    frontends: {
      web: { bind: '127.0.0.1:0', rules: { connection: [() => useBackend('far')] } },
    },
    backends: { far: { retries: 0, servers: { a: { address, socks } } } },
  }
}

function get(sluice: Running, path: string, ...more: string[]) {
  return runProgram('curl', ['-sS', ...more, `http://127.0.0.1:${sluice.port()}${path}`])
}

/** Small and large, and the server's side of the connection is the SOCKS proxy's. */
async function works(sluice: Running): Promise<void> {
  const hello = await get(sluice, '/hello')
  assert.equal(hello.stdout, HELLO, hello.stderr)
  const file = join(nginx.directory, `socks-${sluice.kind}.bin`)
  assert.equal((await get(sluice, '/body.bin', '-o', file)).code, 0)
  const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  assert.equal(sum(readFileSync(file)), sum(BODY))
  const records = await sluice.ended(2)
  for (const { by, code, timers } of records) {
    assert.deepEqual([by, code], ['client', 'done'])
    assert.ok(timers.connect >= 0)
  }
}

interopTest('microsocks, version 5', async (start) => {
  await works(await start(config({ address: `127.0.0.1:${open.port}` })))
})

interopTest('microsocks, version 5 with user and password', async (start) => {
  const socks = { address: `127.0.0.1:${guarded.port}`, user: 'someone', password: 'secret' }
  await works(await start(config(socks)))
})

interopTest('Dante, version 5', async (start) => {
  await works(await start(config({ address: `127.0.0.1:${dante.port}`, version: 5 })))
})

interopTest('Dante, version 4', async (start) => {
  await works(await start(config({ address: `127.0.0.1:${dante.port}`, version: 4 })))
})

interopTest('microsocks refuses a wrong password', async (start) => {
  const socks = { address: `127.0.0.1:${guarded.port}`, user: 'someone', password: 'wrong' }
  const sluice = await start(config(socks))
  const { code } = await get(sluice, '/hello')
  assert.ok(CURL_CLOSED.includes(code), `curl ended with ${code}`)
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.by, record?.phase, record?.code], ['server', 'socks', 'socks-auth'])
})

interopTest('microsocks wants a password that there is none of', async (start) => {
  const sluice = await start(config({ address: `127.0.0.1:${guarded.port}` }))
  const { code } = await get(sluice, '/hello')
  assert.ok(CURL_CLOSED.includes(code), `curl ended with ${code}`)
  const [record] = await sluice.ended(1)
  assert.deepEqual([record?.phase, record?.code], ['socks', 'socks-no-method'])
})

for (const version of [4, 5] as const) {
  interopTest(`Dante, version ${version}, cannot reach the server`, async (start) => {
    const nobody = `127.0.0.1:${await closedPort()}`
    const sluice = await start(config({ address: `127.0.0.1:${dante.port}`, version }, nobody))
    const { code } = await get(sluice, '/hello')
    assert.ok(CURL_CLOSED.includes(code), `curl ended with ${code}`)
    const [record] = await sluice.ended(1)
    assert.deepEqual([record?.phase, record?.code], ['socks', 'socks-refused'])
  })
}
