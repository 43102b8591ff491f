import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, createServer, type TLSSocket } from 'node:tls'
import type { Config } from '#sluice/config/types.js'
import { assembleProxy } from '#sluice/proxy/create.js'
import type { SluiceProxy } from '#sluice/proxy/proxy.js'
import { VirtualClock } from '#sluice/testing/clock.js'
import { TestEngine } from '#sluice/testing/engine/engine.js'
import type { ReloadReport } from '#sluice/tls/contexts.js'
import { certificateFolder, type Issued, makeAuthority } from '../support/certificates.js'
import { createEngine, engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'

const ca = makeAuthority('Root')
const issue = (name: string) => ca.issue({ names: [name] })
const serialOf = ({ cert }: Pick<Issued, 'cert'>) => new X509Certificate(cert).serialNumber

/** A TLS server that sends back what comes. */
async function echoServer(issued: Issued) {
  const server = createServer({ cert: issued.chain, key: issued.key }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

async function client(proxy: SluiceProxy, servername: string): Promise<TLSSocket> {
  const port = proxy.addresses.web?.[0]?.port as number
  const socket = connect({ host: '127.0.0.1', port, servername, ca: ca.cert })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

async function echo(socket: TLSSocket, text: string): Promise<void> {
  socket.write(text)
  let answer = ''
  while (answer.length < text.length) answer += (await once(socket, 'data'))[0]
  assert.equal(answer, text)
}

for (const kind of engineKinds) {
  test(`${kind}: TLS in and out; a reload swaps certificates and drops nobody`, async () => {
    const folder = join(certificateFolder(), 'certs')
    mkdirSync(folder)
    const put = (name: string, { chain, key }: Issued) =>
      writeFileSync(join(folder, name), chain + key)
    const [a1, a2, b] = [issue('a.example'), issue('a.example'), issue('b.example')]
    put('a.pem', a1)
    const { server, port } = await echoServer(issue('app.internal'))
    after(() => server.close())
    const engine = await createEngine(kind)
    const { logger } = memoryLogger('silent')
    const caFile = join(folder, '..', 'ca.pem')
    writeFileSync(caFile, ca.cert)
    const proxy = assembleProxy(
      {
        global: { tlsReload: '0s' },
        frontends: {
          web: { bind: { address: '127.0.0.1:0', tls: { cert: folder } }, backend: 'app' },
        },
        backends: {
          app: {
            servers: {
              s: { address: `127.0.0.1:${port}`, tls: { ca: caFile, serverName: 'app.internal' } },
            },
          },
        },
      },
      { engine, logger },
    )
    const told: ReloadReport[] = []
    proxy.on('certificates', (report) => told.push(report))
    assert.deepEqual(proxy.certificates(), [])
    await assert.rejects(proxy.reloadCertificates(), { code: 'ERR_SLUICE_STATE' })
    await proxy.start()
    try {
      const old = await client(proxy, 'a.example')
      assert.equal(old.getPeerCertificate().serialNumber, serialOf(a1))
      await echo(old, 'before')
      put('a.pem', a2)
      put('b.pem', b)
      // The same authority in another file content: servers get a new context too.
      writeFileSync(caFile, `new\n${ca.cert}`)
      const report = await proxy.reloadCertificates()
      assert.deepEqual(report, {
        changed: [join(folder, 'a.pem'), join(folder, 'b.pem'), caFile],
        errors: [],
      })
      assert.deepEqual(told, [report])
      await echo(old, 'after')
      const fresh = await client(proxy, 'a.example')
      assert.equal(fresh.getPeerCertificate().serialNumber, serialOf(a2))
      await echo(fresh, 'new certificate')
      const other = await client(proxy, 'b.example')
      assert.equal(other.getPeerCertificate().serialNumber, serialOf(b))
      await echo(other, 'another name')
      assert.deepEqual(
        proxy.certificates().map(({ file, names }) => [file, names]),
        [
          [join(folder, 'a.pem'), ['a.example']],
          [join(folder, 'b.pem'), ['b.example']],
        ],
      )
      rmSync(join(folder, 'b.pem'))
      assert.deepEqual((await proxy.reloadCertificates()).changed, [join(folder, 'b.pem')])
      await echo(other, 'still there')
      for (const socket of [old, fresh, other]) socket.destroy()
    } finally {
      await proxy.stop({ deadline: '0s' })
    }
    await assert.rejects(proxy.reloadCertificates(), { code: 'ERR_SLUICE_STATE' })
  })
}

test('a listener that throws does not stop a reload', async () => {
  const folder = certificateFolder()
  const file = join(folder, 'a.pem')
  const put = ({ chain, key }: Issued) => writeFileSync(file, chain + key)
  put(issue('a.example'))
  const { logger, lines } = memoryLogger()
  const clock = new VirtualClock()
  const proxy = assembleProxy(config({ tls: { cert: file } }), {
    engine: new TestEngine(clock),
    clock,
    logger,
  })
  proxy.on('certificates', () => {
    throw new Error('a mistake')
  })
  await proxy.start()
  put(issue('a.example'))
  assert.deepEqual(await proxy.reloadCertificates(), { changed: [file], errors: [] })
  assert.ok(lines.some(({ msg }) => msg === "a listener of 'certificates' threw"))
  await proxy.stop()
  assert.equal(clock.pending, 0)
})

test('certificates that cannot be used: one error with all of them, and nothing is left', async () => {
  const clock = new VirtualClock()
  const engine = new TestEngine(clock)
  const proxy = assembleProxy(config({ tls: [{ cert: '/no/a.pem' }, { cert: '/no/b.pem' }] }), {
    engine,
    clock,
    logger: memoryLogger().logger,
  })
  await assert.rejects(proxy.start(), {
    code: 'ERR_SLUICE_TLS',
    message: [
      'certificates: 2 problems',
      '  frontends.web.bind.tls[0]: /no/a.pem: no such file.',
      '  frontends.web.bind.tls[1]: /no/b.pem: no such file.',
    ].join('\n'),
  })
  assert.equal(engine.stopped, true)
  assert.equal(engine.listeners.size, 0)
  assert.equal(clock.pending, 0)
})

function config(bind: object): Config {
  return {
    frontends: { web: { bind: { address: '127.0.0.1:0', ...bind }, backend: 'app' } },
    backends: { app: { servers: { a: '127.0.0.1:9001' } } },
  }
}
