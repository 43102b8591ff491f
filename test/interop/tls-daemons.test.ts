/** nginx, HAProxy and openssl s_server behind TLS, and nginx and HAProxy as TLS clients. */

import assert from 'node:assert/strict'
import type { Config, UpstreamTlsConfig } from '#sluice/config/types.js'
import { defineApplet } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import {
  haproxyClient,
  haproxyServer,
  nginxClient,
  nginxServer,
  opensslServer,
} from '../support/tls-daemons.js'
import type { Daemon } from './support/daemon.js'
import { needs, runProgram } from './support/programs.js'
import { interopTest, type Start, until } from './support/sluice.js'

needs('curl')

const root = makeAuthority()
const ca = root.intermediate()
const back = ca.issue({ names: ['back.example'] })
const front = ca.issue({ names: ['front.example'] })
const ada = root.issue({ names: [], commonName: 'Ada', client: true })
const versions = ['TLSv1.2', 'TLSv1.3'] as const

/** Answers a request; somebody who sends none gets nothing. */
const page = defineApplet('page', async (stream) => {
  for await (const _ of stream) {
    await stream.write(
      Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nhello\n'),
    )
    return
  }
})

/** Clear TCP to a server with TLS. */
function towards(port: number, tls: UpstreamTlsConfig = {}): Config {
  const verified = { ca: root.certFile, serverName: 'back.example', ...tls }
  return {
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
    backends: { app: { servers: { a: { address: `127.0.0.1:${port}`, tls: verified } } } },
  }
}

async function get(port: number): Promise<string> {
  const url = `http://127.0.0.1:${port}/`
  const { code, stdout, stderr } = await runProgram('curl', ['-sS', '--max-time', '20', url])
  assert.equal(code, 0, stderr)
  return stdout
}

/** A test with a daemon that is stopped at its end. */
function withDaemon(
  name: string,
  make: () => Promise<Daemon>,
  run: (start: Start, daemon: Daemon) => Promise<void>,
): void {
  interopTest(name, async (start) => {
    const daemon = await make()
    try {
      await run(start, daemon)
    } finally {
      await daemon.stop()
    }
  })
}

for (const version of versions) {
  withDaemon(
    `nginx as server, ${version}`,
    () => nginxServer(back, version),
    async (start, nginx) => {
      const sluice = await start(towards(nginx.port))
      for (let i = 0; i < 2; i++) {
        const expected = `nginx ${version} back.example  ${i === 0 ? '.' : 'r'}\n`
        assert.equal(await get(sluice.port()), expected)
      }
      const records = await sluice.ended(2)
      assert.deepEqual(
        records.map(({ serverTls }) => [serverTls?.version, serverTls?.resumed]),
        [
          [version, false],
          [version, true],
        ],
      )
    },
  )

  withDaemon(
    `nginx as server that wants a certificate, ${version}`,
    () => nginxServer(back, version, root),
    async (start, nginx) => {
      const sluice = await start(towards(nginx.port, { cert: ada.chainFile, key: ada.keyFile }))
      assert.match(await get(sluice.port()), /CN=Ada/)
    },
  )

  withDaemon(
    `HAProxy as server, ${version}`,
    () => haproxyServer(back, version),
    async (start, haproxy) => {
      const sluice = await start(towards(haproxy.port))
      assert.equal(await get(sluice.port()), `haproxy ${version} back.example \n`)
      const [record] = await sluice.ended(1)
      assert.equal(record?.code, 'done')
    },
  )

  withDaemon(
    `HAProxy as server that wants a certificate, ${version}`,
    () => haproxyServer(back, version, `verify required ca-file ${root.certFile}`),
    async (start, haproxy) => {
      const sluice = await start(towards(haproxy.port, { cert: ada.chainFile, key: ada.keyFile }))
      assert.equal(await get(sluice.port()), `haproxy ${version} back.example Ada\n`)
    },
  )

  withDaemon(
    `openssl s_server, ${version}`,
    () => opensslServer(back, version),
    async (start, server) => {
      const sluice = await start(towards(server.port))
      const body = await get(sluice.port())
      assert.match(body, new RegExp(`Protocol *: ${version.replace('.', '\\.')}`))
    },
  )

  for (const [name, client] of [
    ['nginx', nginxClient],
    ['HAProxy', haproxyClient],
  ] as const) {
    interopTest(`${name} as client, ${version}`, async (start) => {
      const bind = { address: '127.0.0.1:0', tls: { cert: front.pemFile } }
      const sluice = await start({
        frontends: { web: { bind, backend: 'app' } },
        backends: { app: { servers: { a: page } } },
      })
      const daemon = await client(sluice.port(), 'front.example', version, root)
      try {
        // HAProxy and the readiness check connect too.
        const served = () => sluice.records.filter(({ bytesIn }) => bytesIn > 0)
        for (let i = 0; i < 3; i++) assert.equal(await get(daemon.port), 'hello\n')
        await until(
          () => served().length === 3,
          () => `${served().length} of 3 ended`,
        )
        for (const { tls } of served()) {
          assert.equal(tls?.version, version)
          assert.equal(tls?.serverName, 'front.example')
        }
        // A ticket may be good for one connection only.
        assert.ok(
          served().some(({ tls }) => tls?.resumed),
          'none of them resumes',
        )
      } finally {
        await daemon.stop()
      }
    })
  }

  interopTest(`nginx as client shows its certificate, ${version}`, async (start) => {
    const demand = { ca: root.certFile, clientCert: 'required' as const }
    const bind = { address: '127.0.0.1:0', tls: { cert: front.pemFile, ...demand } }
    const sluice = await start({
      frontends: { web: { bind, backend: 'app' } },
      backends: { app: { servers: { a: page } } },
    })
    const nginx = await nginxClient(sluice.port(), 'front.example', version, root, ada)
    try {
      assert.equal(await get(nginx.port), 'hello\n')
      const served = () => sluice.records.find(({ bytesIn }) => bytesIn > 0)
      await until(
        () => served() !== undefined,
        () => 'no session ended',
      )
      assert.equal(served()?.tls?.clientCert, 'Ada')
    } finally {
      await nginx.stop()
    }
  })
}
