import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls'
import { clientHello, helloFor, records, serverName } from '../codec/hello-bytes.js'
import { engineKinds } from '../support/engines.js'
import { type Certificate, selfSigned } from './certificate.js'
import { serveNamed } from './servers.js'
import { everyCut, type RunningExample, runExample } from './support.js'

const certificates: Record<string, Certificate> = {
  site: selfSigned('www.example.com'),
  tenants: selfSigned('tenant.example.com'),
}
const UNRECOGNIZED_NAME = Buffer.from('15030100020270', 'hex')

/** A TLS server that says its name and echoes. */
async function serveTls(t: TestContext, name: string): Promise<number> {
  const sockets = new Set<TLSSocket>()
  const server = createServer({ ...certificates[name] }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(`${name}:`)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A TLS session from end to end through the proxy: what the server said, and its certificate. */
async function talkTls(
  { proxy }: RunningExample,
  servername: string,
  version: SecureVersion,
): Promise<{ text: string; commonName: string | undefined }> {
  const port = proxy.addresses.https?.[0]?.port as number
  const options = { minVersion: version, maxVersion: version, rejectUnauthorized: false }
  const socket = connect({ ...options, host: '127.0.0.1', port, servername })
  await once(socket, 'secureConnect')
  const commonName = socket.getPeerCertificate().subject.CN
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.end('hello')
  await once(socket, 'close')
  return { text: Buffer.concat(chunks).toString(), commonName: String(commonName) }
}

for (const kind of engineKinds) {
  test(`${kind}: TLS from end to end, the certificate is the server's`, async (t) => {
    const servers = {
      'site/a': await serveTls(t, 'site'),
      'tenants/a': await serveTls(t, 'tenants'),
    }
    const running = await runExample(t, kind, 'sni-routing', { servers })
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      assert.deepEqual(await talkTls(running, 'www.example.com', version), {
        text: 'site:hello',
        commonName: 'www.example.com',
      })
      assert.deepEqual(await talkTls(running, 'shop.example.com', version), {
        text: 'tenants:hello',
        commonName: 'tenant.example.com',
      })
    }
    const { backend, tls } = await running.record(0)
    assert.deepEqual([backend, tls?.serverName], ['site', 'www.example.com'])
  })

  test(`${kind}: a ClientHello reaches its server whole, split at any byte`, async (t) => {
    const servers = { 'api/a': await serveNamed(t, 'api') }
    const { connect: dial } = await runExample(t, kind, 'sni-routing', { servers })
    const message = clientHello({ extensions: [serverName('v1.api.example.com')] })
    const hello = records(message)
    const fragmented = records(message, 3)
    const ways: [Buffer, number[]][] = [
      ...everyCut(hello).map((cut): [Buffer, number[]] => [hello, [cut]]),
      [hello, everyCut(hello)],
      [fragmented, everyCut(fragmented)],
    ]
    for (const [bytes, cuts] of ways) {
      const client = await dial('https')
      await client.sendSplit(bytes, cuts)
      client.fin()
      const answer = await client.readToEnd()
      assert.equal(answer.toString('latin1'), `api:${bytes.toString('latin1')}`)
    }
  })

  test(`${kind}: rules: names of any depth, and an alert for names of others`, async (t) => {
    const servers = {
      'api/a': await serveNamed(t, 'api'),
      'tenants/a': await serveNamed(t, 'tenants'),
    }
    const { connect: dial, record } = await runExample(t, kind, 'sni-routing', { servers })
    const ask = async (bytes: Buffer) => {
      const client = await dial('https')
      await client.send(bytes)
      client.fin()
      return client.readToEnd()
    }
    const reached: Record<string, string> = {
      'v1.api.example.com': 'api:',
      'a.b.api.example.com': 'api:',
      'api.example.com': 'tenants:',
      'SHOP.example.com.': 'tenants:',
    }
    let n = 0
    for (const [name, server] of Object.entries(reached)) {
      assert.ok((await ask(helloFor(name))).toString('latin1').startsWith(server), name)
      assert.equal((await record(n++)).code, 'done')
    }
    const refused = [
      helloFor('www.elsewhere.example'),
      helloFor('notexample.com'),
      records(clientHello({ extensions: [] })),
    ]
    for (const bytes of refused) {
      assert.deepEqual(await ask(bytes), UNRECOGNIZED_NAME)
      const { by, phase, code, rule } = await record(n++)
      assert.deepEqual([by, phase, code, rule], ['policy', 'tls', 'replied', 'withinDomain'])
    }
  })

  test(`${kind}: a name that has no backend, and what is no ClientHello`, async (t) => {
    const { connect: dial, record } = await runExample(t, kind, 'sni-routing')
    const cases: [Buffer, string][] = [
      [helloFor('a.b.example.com'), 'proxy/accept-session/no-backend'],
      [records(clientHello({ ciphers: Buffer.alloc(0) })), 'client/tls/tls-malformed'],
      [Buffer.from('160301000401ffffff', 'hex'), 'client/tls/tls-hello-too-large'],
      // Not TLS: to the default backend, which this frontend does not have.
      [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'proxy/accept-session/no-backend'],
    ]
    for (const [i, [bytes, reason]] of cases.entries()) {
      const client = await dial('https')
      await client.send(bytes)
      await client.ending()
      const { by, phase, code } = await record(i)
      assert.equal([by, phase, code].join('/'), reason)
    }
  })

  test(`${kind}: a client that stops in the middle is closed`, async (t) => {
    const { connect: dial } = await runExample(t, kind, 'sni-routing')
    const client = await dial('https')
    await client.send(helloFor('www.example.com').subarray(0, 40))
    client.fin()
    assert.ok(await client.ending())
  })
}
