/** Routing by server name without terminating TLS: the listener's option and the rule's verdict. */

import assert from 'node:assert/strict'
import type { ClientHello } from '#sluice/codec/tls/client-hello.js'
import { type Connection, echo } from '#sluice/policy.js'
import { makeAuthority } from '../support/certificates.js'
import type { TlsServer } from '../support/tls-peer.js'
import { fragment } from '../support/tls-relay.js'
import { type SiteOptions, type Stage, tlsTest } from '../support/tls-site.js'

const ca = makeAuthority()
const own = ca.issue({ names: ['own.example'], commonName: 'the proxy' })
const routed = ca.issue({ names: ['a.example'], commonName: 'the server' })

let server: TlsServer

/** Routes to a TLS server, and what is not routed to the plain upstream. */
async function prepare(stage: Stage, bind: object, frontend = {}): Promise<SiteOptions> {
  server = await stage.server(routed)
  return { frontend: { bind: { address: '127.0.0.1:0', ...bind }, ...frontend } }
}

/** The TLS server as backend `secure`, beside the plain upstream. */
function withSecure(bind: object, frontend: object = {}) {
  return async (stage: Stage): Promise<SiteOptions> => {
    const options = await prepare(stage, bind, frontend)
    return {
      ...options,
      config: {
        backends: {
          app: { servers: { a: echo() } },
          secure: { servers: { s: `127.0.0.1:${server.port}` }, retries: 0, passive: false },
        },
      },
    }
  }
}

const versions = ['TLSv1.2', 'TLSv1.3'] as const

tlsTest(
  'routed names go through, the others are terminated',
  withSecure({
    tls: { cert: own.pemFile },
    sniRoutes: { 'a.example': 'secure', '*.wild.example': 'secure' },
  }),
  async (stage) => {
    for (const maxVersion of versions) {
      for (const servername of ['a.example', 'A.EXAMPLE', 'x.wild.example']) {
        const client = await stage.dial({ servername, maxVersion })
        assert.equal(client.shown, 'the server')
        await client.send('end to end')
        const peer = await server.accept()
        await peer.expect('end to end')
        await peer.send('and back')
        await client.expect('and back')
        peer.fin()
        client.fin()
      }
      for (const servername of ['own.example', 'x.y.wild.example', 'wild.example']) {
        const client = await stage.dial({ servername, maxVersion })
        assert.equal(client.shown, 'the proxy', servername)
      }
    }
    assert.deepEqual(server.asked.slice(0, 3), ['a.example', 'A.EXAMPLE', 'x.wild.example'])
    const { records } = stage.site
    const done = () => records.filter((one) => one.backend === 'secure' && one.code === 'done')
    await stage.site.until(() => done().length === 6, 'routed sessions end')
  },
)

tlsTest(
  'without certificates of its own: names, a star for the rest, and what is no TLS',
  withSecure({ sniRoutes: { 'a.example': 'secure', '*': 'secure' } }),
  async (stage) => {
    for (const options of [{ servername: 'a.example' }, { servername: 'b.example' }, {}]) {
      const client = await stage.dial(options)
      assert.equal(client.shown, 'the server')
    }
    // The TLS server makes nothing of it, but it got it.
    const raw = await stage.dialRaw()
    await raw.send('this is no TLS\n')
    await stage.site.until(() => server.errors.length === 1, 'the server gets the clear text')
  },
)

tlsTest(
  'names that are not routed go to the default backend',
  async (stage) => {
    server = await stage.server(routed)
    const backend = { servers: { a: `127.0.0.1:${server.port}` } }
    const bind = { address: '127.0.0.1:0', sniRoutes: { 'nobody.example': 'app' } }
    return { frontend: { bind }, backend }
  },
  async (stage) => {
    const client = await stage.dial({ servername: 'a.example' })
    assert.equal(client.shown, 'the server')
  },
)

tlsTest(
  'a ClientHello that comes in pieces is routed, and arrives unchanged',
  withSecure({ sniRoutes: { 'a.example': 'secure' } }),
  async (stage) => {
    const plans = [
      { byteByByte: true },
      { firstUp: (hello: Buffer) => fragment(hello, 1) },
      { firstUp: (hello: Buffer) => fragment(hello, 50), byteByByte: true },
    ]
    for (const plan of plans) {
      const relay = await stage.relay(stage.site.port, plan)
      const client = await stage.dial({ servername: 'a.example' }, relay.port)
      await client.send('through')
      await (await server.accept()).expect('through')
    }
  },
)

tlsTest(
  'a PROXY header before a routed name',
  withSecure({ acceptProxy: true, sniRoutes: { 'a.example': 'secure' } }),
  async (stage) => {
    const before = 'PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n'
    const client = await stage.dial({ servername: 'a.example', before })
    await client.send('through')
    const peer = await server.accept()
    await peer.expect('through')
    client.fin()
    peer.fin()
    assert.equal((await stage.site.record(0)).src, '192.0.2.1')
  },
)

tlsTest(
  'a rule lets a connection through, and chooses its backend',
  withSecure(
    { tls: { cert: own.pemFile } },
    {
      rules: {
        clientHello: [
          function through(conn: Connection & { readonly hello: ClientHello }) {
            if (conn.hello.serverName !== 'a.example') return undefined
            return [{ kind: 'useBackend', backend: 'secure' }, { kind: 'passthrough' }]
          },
        ],
      },
    },
  ),
  async (stage) => {
    for (const maxVersion of versions) {
      const client = await stage.dial({ servername: 'a.example', maxVersion })
      assert.equal(client.shown, 'the server')
      await client.send('through')
      await (await server.accept()).expect('through')
      const other = await stage.dial({ servername: 'b.example', maxVersion })
      assert.equal(other.shown, 'the proxy')
    }
  },
)

const seen: string[] = []
tlsTest(
  'rules behind an unterminated handshake see its ClientHello, and no TLS',
  (stage) => {
    seen.length = 0
    const session = [
      (conn: Connection): void => {
        seen.push(`${conn.hello?.serverName} ${conn.tls === undefined}`)
      },
    ]
    return withSecure({ sniRoutes: { '*': 'secure' } }, { rules: { session } })(stage)
  },
  async (stage) => {
    const client = await stage.dial({ servername: 'a.example' })
    assert.equal(client.shown, 'the server')
    assert.deepEqual(seen, ['a.example true'])
  },
)

/** A ClientHello of TLS 1.2 that asks for this name, whatever it is: node:tls would refuse some. */
function helloFor(name: string): Buffer {
  const host = Buffer.from(name, 'latin1')
  const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
  const sized = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes])
  const entry = Buffer.concat([Buffer.from([0]), sized(host)])
  const extensions = sized(Buffer.concat([u16(0), sized(sized(entry))]))
  const random = Buffer.alloc(32, 7)
  const suites = sized(Buffer.from([0xc0, 0x2f]))
  const body = [u16(0x0303), random, Buffer.from([0]), suites, Buffer.from([1, 0]), extensions]
  const message = Buffer.concat(body)
  const handshake = Buffer.concat([Buffer.from([1, 0]), sized(message)])
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(handshake)])
}

const strangers = [
  '-x-.w.example',
  'name:443',
  `${'l'.repeat(64)}.example`,
  `${'n.'.repeat(150)}example`,
  '192.0.2.7',
  '2001:db8::7',
  '[2001:db8::7]',
  'a..example',
  'a b\xff\0.example',
  '*.example',
]

for (const { how, bind } of [
  { how: 'by routes', bind: { sniRoutes: { 'a.example': 'secure', '*': 'app' } } },
  {
    how: 'by routes before certificates',
    bind: { sniRoutes: { 'a.example': 'secure', '*': 'app' }, tls: { cert: own.pemFile } },
  },
]) {
  tlsTest(
    `names that are no host names go on to '*', byte for byte, ${how}`,
    withSecure(bind),
    async (stage) => {
      for (const name of strangers) {
        const hello = helloFor(name)
        const client = await stage.dialRaw()
        await client.send(hello)
        // The backend echoes.
        await client.expect(hello)
        client.fin()
      }
      assert.equal(server.all.length, 0)
    },
  )
}
