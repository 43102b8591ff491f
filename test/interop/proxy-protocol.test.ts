/** PROXY headers, version 1 and 2, from and to HAProxy, nginx and curl. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { TlvType } from '#sluice/codec/proxy/tlv.js'
import type { BindConfig, Config, ServerConfig } from '#sluice/config/types.js'
import type { Connection } from '#sluice/policy/types.js'
import { useBackend } from '#sluice/policy/verdicts.js'
import type { Daemon } from './support/daemon.js'
import { startHaproxy } from './support/haproxy.js'
import { HELLO, type Nginx, startNginx } from './support/nginx.js'
import { CURL_CLOSED, needs, runProgram } from './support/programs.js'
import { interopTest, type Running, until, watcher } from './support/sluice.js'

needs('curl')

let nginx: Nginx
/** HAProxy that expects a PROXY header and tells what it says. */
let teller: Daemon
let directory: string

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-proxy-'))
  nginx = await startNginx()
  const answer = '%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_unique_id]\\n'
  teller = await startHaproxy(
    1,
    ([port]) => `
frontend teller
  mode http
  bind 127.0.0.1:${port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "${answer}"`,
  )
})

after(async () => {
  await nginx?.stop()
  await teller?.stop()
  rmSync(directory, { recursive: true, force: true })
})

/** Policy chooses the backend of each connection. */
function config(
  bind: string | BindConfig,
  server: string | ServerConfig,
  rule: (conn: Connection) => undefined,
): Config {
  const decided = (_conn: Connection) => useBackend('app')
  return {
    frontends: { web: { bind, rules: { connection: [rule, decided] } } },
    backends: { app: { servers: { a: server } } },
  }
}

/** HAProxy in front of Sluice: TCP, with the options of its server line. */
function haproxyInFront(sluice: Running, options: string): Promise<Daemon> {
  return startHaproxy(
    1,
    ([port]) => `
frontend front
  mode tcp
  bind 127.0.0.1:${port}
  unique-id-format id-%ci-%cp
  default_backend sluice
backend sluice
  mode tcp
  server sluice 127.0.0.1:${sluice.port()} ${options}`,
  )
}

/** What curl got, and the port that it came from. The last line is the port. */
async function curl(args: readonly string[]): Promise<{ body: string; port: number }> {
  const all = ['-sS', '-g', '-w', '%{local_port}', ...args]
  const { code, stdout, stderr } = await runProgram('curl', all)
  assert.equal(code, 0, stderr)
  const at = stdout.lastIndexOf('\n') + 1
  return { body: stdout.slice(0, at), port: Number(stdout.slice(at)) }
}

const versions: [name: string, options: string, uniqueId: boolean][] = [
  ['version 1', 'send-proxy', false],
  ['version 2', 'send-proxy-v2', false],
  ['version 2 with checksum', 'send-proxy-v2 proxy-v2-options crc32c', false],
  ['version 2 with unique id', 'send-proxy-v2 proxy-v2-options unique-id', true],
  ['version 2 with both', 'send-proxy-v2 proxy-v2-options crc32c,unique-id', true],
]

for (const [name, options, uniqueId] of versions) {
  interopTest(`HAProxy in front sends ${name}`, async (start) => {
    const { rule, seen } = watcher()
    const bind = { address: '127.0.0.1:0', acceptProxy: { from: ['127.0.0.1/32'] } }
    const sluice = await start(config(bind, `127.0.0.1:${nginx.port}`, rule))
    const front = await haproxyInFront(sluice, options)
    try {
      // HAProxy was asked once whether it answers: that connection had no request.
      await sluice.ended(1)
      seen.length = 0
      const at = `http://127.0.0.1:${front.port}/hello`
      const { body, port } = await curl(['--interface', '127.0.0.2', at])
      assert.equal(body, HELLO)
      const [conn] = seen
      assert.deepEqual([conn?.src, conn?.srcPort], ['127.0.0.2', port])
      assert.deepEqual([conn?.dst, conn?.dstPort], ['127.0.0.1', front.port])
      assert.equal(conn?.peer, '127.0.0.1')
      const id = conn?.tlvs.get(TlvType.UNIQUE_ID)?.toString()
      assert.equal(id, uniqueId ? `id-127.0.0.2-${port}` : undefined)
      const record = (await sluice.ended(2))[1]
      assert.deepEqual([record?.src, record?.srcPort], ['127.0.0.2', port])
    } finally {
      await front.stop()
    }
  })
}

interopTest(
  'health checks of HAProxy say LOCAL: the address is the checker’s own',
  async (start) => {
    const { rule, seen } = watcher()
    const bind = { address: '127.0.0.1:0', acceptProxy: true }
    const sluice = await start(config(bind, `127.0.0.1:${nginx.port}`, rule))
    const front = await startHaproxy(
      1,
      ([port]) => `
frontend front
  mode http
  bind 127.0.0.1:${port}
  default_backend sluice
backend sluice
  mode http
  option httpchk GET /hello
  http-check expect string hello
  server sluice 127.0.0.1:${sluice.port()} send-proxy-v2 check inter 50ms fall 1 rise 1`,
    )
    try {
      await until(
        () => seen.length >= 3,
        () => `${seen.length} checks came`,
      )
      for (const { src, peer, dstPort } of seen) {
        assert.deepEqual([src, peer, dstPort], ['127.0.0.1', '127.0.0.1', sluice.port()])
      }
      // It is up, so its checks were answered well.
      const { body } = await curl([`http://127.0.0.1:${front.port}/hello`])
      assert.equal(body, HELLO)
    } finally {
      await front.stop()
    }
  },
)

interopTest('a PROXY header from a source that is not trusted closes', async (start) => {
  const { rule, seen } = watcher()
  const bind = { address: '127.0.0.1:0', acceptProxy: { from: ['127.0.0.9/32'] } }
  const sluice = await start(config(bind, `127.0.0.1:${nginx.port}`, rule))
  const args = ['-sS', '--haproxy-protocol', `http://127.0.0.1:${sluice.port()}/hello`]
  const { code } = await runProgram('curl', args)
  assert.ok(CURL_CLOSED.includes(code), `curl ended with ${code}`)
  const [record] = await sluice.ended(1)
  assert.equal(record?.code, 'proxy-untrusted')
  assert.equal(seen.length, 0)
})

interopTest('curl itself sends version 1, on IPv4 and IPv6', async (start) => {
  const { rule, seen } = watcher()
  const base = config('127.0.0.1:0', `127.0.0.1:${nginx.port}`, rule)
  const bind = ['127.0.0.1:0', '[::1]:0'].map((address) => ({ address, acceptProxy: true }))
  const sluice = await start({ ...base, frontends: { web: { ...base.frontends.web, bind } } })
  const [v4, v6] = sluice.proxy.addresses.web ?? []
  for (const [host, port] of [
    ['127.0.0.1', v4?.port],
    ['[::1]', v6?.port],
  ] as const) {
    const { body } = await curl(['--haproxy-protocol', `http://${host}:${port}/hello`])
    assert.equal(body, HELLO)
  }
  assert.deepEqual(
    seen.map(({ src }) => src),
    ['127.0.0.1', '::1'],
  )
})

const headers: ServerConfig['sendProxy'][] = [
  1,
  2,
  { version: 2, crc32c: true },
  { version: 2, uniqueId: true },
  { version: 2, uniqueId: true, crc32c: true },
]

for (const sendProxy of headers) {
  const name = JSON.stringify(sendProxy)
  const uniqueId = typeof sendProxy === 'object' && sendProxy.uniqueId === true

  interopTest(`HAProxy behind accepts our header: ${name}`, async (start) => {
    const { rule, seen } = watcher()
    const server = { address: `127.0.0.1:${teller.port}`, sendProxy }
    const sluice = await start(config('127.0.0.1:0', server, rule))
    const at = `http://127.0.0.1:${sluice.port()}/`
    const { body, port } = await curl(['--interface', '127.0.0.7', at])
    const id = uniqueId ? seen[0]?.id : ''
    assert.equal(body, `127.0.0.7 ${port} 127.0.0.1 ${sluice.port()} ${id}\n`)
  })

  interopTest(`HAProxy behind learns of IPv6 from our header: ${name}`, async (start) => {
    const server = { address: `127.0.0.1:${teller.port}`, sendProxy }
    const { rule } = watcher()
    const sluice = await start(config('[::1]:0', server, rule))
    const { body, port } = await curl([`http://[::1]:${sluice.port()}/`])
    assert.ok(body.startsWith(`::1 ${port} ::1 ${sluice.port()} `), body)
  })

  interopTest(`nginx behind accepts our header: ${name}`, async (start) => {
    const server = { address: `127.0.0.1:${nginx.proxyPort[0]}`, sendProxy }
    const { rule } = watcher()
    const sluice = await start(config('127.0.0.1:0', server, rule))
    const at = `http://127.0.0.1:${sluice.port()}`
    const first = await curl(['--interface', '127.0.0.8', `${at}/whoami`])
    assert.equal(first.body, `127.0.0.8 ${first.port}\n`)
    // Keep-alive: the header comes once, before the first request only.
    const { body } = await curl([`${at}/hello`, `${at}/hello`].flatMap((one) => ['-o', '-', one]))
    assert.equal(body.replace(/\d+(?=hello)/g, ''), HELLO.repeat(2))
  })

  interopTest(`nginx behind on IPv6 accepts our header: ${name}`, async (start) => {
    const server = { address: `[::1]:${nginx.proxyPort[1]}`, sendProxy }
    const { rule } = watcher()
    const sluice = await start(config('[::1]:0', server, rule))
    const { body, port } = await curl([`http://[::1]:${sluice.port()}/whoami`])
    assert.equal(body, `::1 ${port}\n`)
  })

  interopTest(`a client on a unix socket has no address to tell: ${name}`, async (start) => {
    const path = join(directory, 'client.sock')
    const { rule } = watcher()
    const server = { address: `127.0.0.1:${teller.port}`, sendProxy }
    const sluice = await start(config(`unix:${path}`, server, rule))
    const { body } = await curl(['--unix-socket', path, 'http://sluice/'])
    // HAProxy goes on with the address of the connection itself.
    assert.match(body, new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${teller.port} `))
    await sluice.ended(1)
  })
}

interopTest('HAProxy, Sluice, HAProxy: the first client’s address arrives', async (start) => {
  const { rule, seen } = watcher()
  const sluice = await start(
    config(
      { address: '127.0.0.1:0', acceptProxy: true },
      {
        address: `127.0.0.1:${teller.port}`,
        sendProxy: { version: 2, uniqueId: true, crc32c: true },
      },
      rule,
    ),
  )
  const front = await haproxyInFront(sluice, 'send-proxy-v2 proxy-v2-options crc32c,unique-id')
  try {
    await sluice.ended(1)
    seen.length = 0
    const at = `http://127.0.0.1:${front.port}/`
    const { body, port } = await curl(['--interface', '127.0.0.5', at])
    assert.equal(body, `127.0.0.5 ${port} 127.0.0.1 ${front.port} ${seen[0]?.id}\n`)
  } finally {
    await front.stop()
  }
})
