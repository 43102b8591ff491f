import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls'
import { engineKinds } from '../support/engines.js'
import { type Certificate, selfSigned } from './certificate.js'
import { clientHello, helloFor, records, serverName } from '../handshake/hello-bytes.js'
import { serveNamed } from './servers.js'
import { everyCut, type RunningExample, runExample } from './support.js'

const certificates: Record<string, Certificate> = {
  site: selfSigned('www.example.com'),
  tenants: selfSigned('tenant.example.com'),
}
const UNRECOGNIZED_NAME = Buffer.from('15030100020270', 'hex')
const DECODE_ERROR = Buffer.from('15030100020232', 'hex')

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
    const { backend, rule } = await running.record(0)
    assert.deepEqual([backend, rule], ['site', 'sni-routing'])
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

  test(`${kind}: alerts for unknown names, no name, and what is no ClientHello`, async (t) => {
    const { connect: dial, record } = await runExample(t, kind, 'sni-routing')
    const cases: [Buffer, Buffer][] = [
      [helloFor('www.elsewhere.example'), UNRECOGNIZED_NAME],
      [records(clientHello({ extensions: [] })), UNRECOGNIZED_NAME],
      [records(clientHello({ ciphers: Buffer.alloc(0) })), DECODE_ERROR],
      [Buffer.from('GET / HTTP/1.1\r\n\r\n'), DECODE_ERROR],
      [Buffer.from('160301000401ffffff', 'hex'), DECODE_ERROR],
    ]
    for (const [i, [bytes, alert]] of cases.entries()) {
      const client = await dial('https')
      await client.send(bytes)
      assert.deepEqual(await client.readToEnd(), alert)
      client.fin()
      const { by, phase, code } = await record(i)
      assert.deepEqual([by, phase, code], ['policy', 'custom', 'replied'])
    }
  })

  test(`${kind}: a client that stops in the middle is closed`, async (t) => {
    const { connect: dial, record } = await runExample(t, kind, 'sni-routing')
    const client = await dial('https')
    await client.send(helloFor('www.example.com').subarray(0, 40))
    client.fin()
    await client.ending()
    const { by, code } = await record(0)
    assert.deepEqual([by, code], ['client', 'aborted'])
  })
}
