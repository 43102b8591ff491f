/** HTTP of a real server to a real client, with a policy that decides on every connection. */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Config } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy/types.js'
import { reject, track, useBackend } from '#sluice/policy/verdicts.js'
import { HELLO, type Nginx, startNginx } from './support/nginx.js'
import { CURL_CLOSED, needs, runProgram } from './support/programs.js'
import { interopTest, type Running, watcher } from './support/sluice.js'

needs('curl')

const MEGABYTES_10 = randomBytes(10 * 1024 * 1024)

let nginx: Nginx
let directory: string

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-client-'))
  nginx = await startNginx({ 'big.bin': MEGABYTES_10 })
})

after(async () => {
  await nginx?.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** The frontend has no backend of its own: only the rule's answer leads to nginx. */
function config(rule?: (conn: Connection) => undefined): Config {
  return {
    tables: { sources: { key: 'ip', size: 100, store: { connCnt: true, connCur: true } } },
    frontends: {
      web: {
        bind: '127.0.0.1:0',
        rules: {
          connection: [
            track('sc0', (conn) => conn.src, 'sources'),
            ...(rule ? [rule] : []),
            function toNginx() {
              return useBackend('nginx')
            },
          ],
        },
      },
    },
    backends: { nginx: { servers: { a: `127.0.0.1:${nginx.port}` } } },
  }
}

function url(running: Running, path: string): string {
  return `http://127.0.0.1:${running.port()}${path}`
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

interopTest(
  'curl gets a small page; the policy saw the client that nginx did not',
  async (start) => {
    const { rule, seen } = watcher()
    const sluice = await start(config(rule))
    const { code, stdout } = await runProgram('curl', ['-sS', url(sluice, '/hello')])
    assert.equal(code, 0)
    assert.equal(stdout, HELLO)
    const [record] = await sluice.ended(1)
    assert.equal(seen.length, 1)
    assert.equal(seen[0]?.src, '127.0.0.1')
    assert.equal(seen[0]?.dstPort, sluice.port())
    assert.equal(record?.srcPort, seen[0]?.srcPort)
    assert.deepEqual([record?.backend, record?.server], ['nginx', 'a'])
    assert.equal(`${record?.by}/${record?.phase}/${record?.code}`, 'client/data/done')
    assert.ok((record?.bytesOut ?? 0) > HELLO.length)
  },
)

interopTest('10 MB come through unchanged', async (start) => {
  const sluice = await start(config())
  const file = join(directory, 'down.bin')
  const { code, stderr } = await runProgram('curl', ['-sS', '-o', file, url(sluice, '/big.bin')])
  assert.equal(code, 0, stderr)
  assert.equal(sha256(readFileSync(file)), sha256(MEGABYTES_10))
  const [record] = await sluice.ended(1)
  assert.ok((record?.bytesOut ?? 0) > MEGABYTES_10.length)
})

interopTest('a client that reads slowly gets every byte', async (start) => {
  const sluice = await start(config())
  const file = join(directory, 'slow.bin')
  const slow = ['-sS', '--limit-rate', '8M', '-o', file, url(sluice, '/big.bin')]
  const { code, stderr } = await runProgram('curl', slow)
  assert.equal(code, 0, stderr)
  assert.equal(sha256(readFileSync(file)), sha256(MEGABYTES_10))
})

interopTest(
  '10 MB are uploaded unchanged, with and without Expect: 100-continue',
  async (start) => {
    const sluice = await start(config())
    const file = join(directory, 'up.bin')
    writeFileSync(file, MEGABYTES_10)
    for (const expect of ['Expect: 100-continue', 'Expect:']) {
      const name = `/up/${expect.length}-${sluice.kind}.bin`
      const args = ['-sS', '-f', '-H', expect, '-T', file, url(sluice, name)]
      const { code, stderr } = await runProgram('curl', args)
      assert.equal(code, 0, stderr)
      assert.equal(sha256(readFileSync(join(nginx.directory, 'root', name))), sha256(MEGABYTES_10))
    }
    const records = await sluice.ended(2)
    assert.ok(records.every(({ bytesIn }) => bytesIn > MEGABYTES_10.length))
  },
)

interopTest('one keep-alive connection carries many requests: one decision', async (start) => {
  const { rule, seen } = watcher()
  const sluice = await start(config(rule))
  const requests = 50
  const { code, stdout } = await runProgram('curl', [
    '-sS',
    ...Array.from({ length: requests }, () => url(sluice, '/hello')),
  ])
  assert.equal(code, 0)
  assert.equal(stdout, HELLO.repeat(requests))
  assert.equal(seen.length, 1)
  const records = await sluice.ended(1)
  assert.equal(records.length, 1)
})

interopTest('connections at once, small and large, all come through', async (start) => {
  const { rule, seen } = watcher()
  const sluice = await start(config(rule))
  const args = ['-sS', '-f', '--parallel', '--parallel-immediate', '--parallel-max', '30']
  const expected = new Map<string, Uint8Array>()
  for (let i = 0; i < 30; i++) {
    const file = join(directory, `at-once-${i}`)
    const big = i % 10 === 0
    expected.set(file, big ? MEGABYTES_10 : Buffer.from(HELLO))
    args.push('-o', file, url(sluice, big ? '/big.bin' : '/hello'))
  }
  const { code, stderr } = await runProgram('curl', args)
  assert.equal(code, 0, stderr)
  for (const [file, content] of expected) assert.ok(readFileSync(file).equals(content), file)
  await sluice.ended(seen.length)
  assert.ok(seen.length > 1, 'curl opened one connection only')
  assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length)
})

interopTest('a connection for each request, each with its own decision', async (start) => {
  const counts: number[] = []
  const sluice = await start(
    config((conn) => {
      counts.push(conn.sc0.connCnt)
    }),
  )
  const requests = 200
  const agent = new Agent({ keepAlive: false, maxSockets: 20 })
  const bodies = await Promise.all(
    Array.from({ length: requests }, () => get(sluice.port(), '/hello', agent)),
  )
  assert.ok(bodies.every((body) => body === HELLO))
  const records = await sluice.ended(requests)
  assert.equal(records.length, requests)
  // The table counted every connection, and each rule saw its own place.
  assert.deepEqual(
    counts,
    Array.from({ length: requests }, (_, i) => i + 1),
  )
})

interopTest('a policy that refuses is felt by curl; the others go on', async (start) => {
  let asked = 0
  async function everySecond() {
    const refuse = asked++ % 2 === 1
    await new Promise((resolve) => setImmediate(resolve))
    return refuse ? reject() : undefined
  }
  const base = config()
  const sluice = await start({
    ...base,
    frontends: {
      web: {
        bind: '127.0.0.1:0',
        backend: 'nginx',
        rules: { connection: [everySecond] },
      },
    },
  })
  const codes: number[] = []
  for (let i = 0; i < 10; i++) {
    const { code } = await runProgram('curl', ['-sS', url(sluice, '/hello')])
    codes.push(CURL_CLOSED.includes(code) ? -1 : code)
  }
  assert.deepEqual(codes, [0, -1, 0, -1, 0, -1, 0, -1, 0, -1])
  const records = await sluice.ended(10)
  const refused = records.filter(({ by }) => by === 'policy')
  assert.equal(refused.length, 5)
  for (const { rule, code, server } of refused) {
    assert.deepEqual([rule, code, server], ['everySecond', 'rejected', undefined])
  }
})

interopTest('IPv6 on both sides', async (start) => {
  const { rule, seen } = watcher()
  const base = config(rule)
  const sluice = await start({
    ...base,
    frontends: { web: { ...base.frontends.web, bind: '[::1]:0' } },
    backends: { nginx: { servers: { a: `[::1]:${nginx.port}` } } },
  })
  const { code, stdout } = await runProgram('curl', [
    '-sS',
    '-g',
    `http://[::1]:${sluice.port()}/hello`,
    `http://[::1]:${sluice.port()}/whoami`,
  ])
  assert.equal(code, 0)
  assert.match(stdout, /^hello from nginx\n::1 \d+\n$/)
  assert.deepEqual([seen[0]?.src, seen[0]?.dst], ['::1', '::1'])
})

interopTest('unix sockets on both sides', async (start) => {
  const path = join(directory, 'sluice.sock')
  const { rule, seen } = watcher()
  const base = config(rule)
  const sluice = await start({
    ...base,
    frontends: { web: { ...base.frontends.web, bind: `unix:${path}` } },
    backends: { nginx: { servers: { a: `unix:${nginx.socketPath}` } } },
  })
  const file = join(directory, 'unix.bin')
  const { code, stderr } = await runProgram('curl', [
    '-sS',
    '--unix-socket',
    path,
    '-o',
    file,
    'http://sluice/big.bin',
  ])
  assert.equal(code, 0, stderr)
  assert.equal(sha256(readFileSync(file)), sha256(MEGABYTES_10))
  assert.equal(seen[0]?.src, '')
  const [record] = await sluice.ended(1)
  assert.equal(record?.code, 'done')
})

/** One GET; the body as text. Rejects for anything but status 200. */
function get(port: number, path: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const req = request(
      { host: '127.0.0.1', port, path, agent, headers: { connection: 'close' } },
      (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        res.on('error', reject)
        res.on('end', () => {
          if (res.statusCode === 200) resolve(body)
          else reject(new Error(`status ${res.statusCode}`))
        })
      },
    )
    req.on('error', reject)
    req.end()
  })
}
