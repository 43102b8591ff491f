/** TLS of the js engine against its interface: node:tls and openssl as peers. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseClientHello } from '#sluice/codec/tls/client-hello.js'
import type { DownstreamTlsSpec, UpstreamTlsSpec } from '#sluice/engine/engine.js'
import {
  By,
  BytesFlag,
  CloseMode,
  Code,
  ConnectFlag,
  Handshake,
  HelloStatus,
  Phase,
  TlsFlag,
} from '#sluice/wire/wire.js'
import { type Issued, makeAuthority, selfSigned } from '../support/certificates.js'
import { Harness, reasonWord } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'
import { TlsPeer, TlsServer } from '../support/tls-peer.js'
import { downstreamSpec, upstreamSpec } from '../support/tls-specs.js'

const { ACCEPT_PROXY, ACCEPT_SESSION, TLS, TLS_OUT } = Handshake
const ca = makeAuthority()
const issued = ca.issue({ names: ['a.example', 'localhost', '127.0.0.1'] })
const other = ca.issue({ names: ['b.example'] })
const versions = ['TLSv1.2', 'TLSv1.3'] as const

function serverSpec(spec: Partial<DownstreamTlsSpec> = {}): DownstreamTlsSpec {
  return downstreamSpec([issued], { sessionGroup: 'g', ...spec })
}

function clientSpec(spec: Partial<UpstreamTlsSpec> = {}): UpstreamTlsSpec {
  return upstreamSpec({ ca: ca.cert, ...spec })
}

function jsTest(
  name: string,
  run: (h: Harness, keep: (peer: Ends) => void) => Promise<void>,
): void {
  test(name, { timeout: 60_000 }, async () => {
    const h = await Harness.start('js')
    const ends: Ends[] = []
    try {
      await run(h, (peer) => ends.push(peer))
      for (const peer of ends) peer.close?.() ?? peer.destroy?.()
      await h.settle()
    } finally {
      for (const peer of ends) peer.close?.() ?? peer.destroy?.()
      await h.stop()
    }
  })
}

interface Ends {
  close?(): void
  destroy?(): void
}

const asked = { handshakes: TLS | ACCEPT_SESSION, ask: TLS | ACCEPT_SESSION }

/** Terminates every connection with one context. */
function terminate(h: Harness, context: number): void {
  h.answers.handshake = (told) => {
    if (told.bit === TLS) h.engine.proceed(told.conn, told.generation, 0, 0, 0, context)
    else h.pass(told)
  }
}

async function terminating(
  h: Harness,
  spec: Partial<DownstreamTlsSpec> = {},
  listen = {},
): Promise<{ port: number; accept: () => Promise<Peer> }> {
  const upstream = await h.server()
  const { port } = await h.listenPort({ ...asked, ...listen })
  h.route(upstream.port)
  terminate(h, h.engine.downstreamTls(serverSpec(spec)))
  return { port, accept: () => upstream.accept() }
}

/** A listener without TLS whose route speaks TLS to `port`. */
async function originating(
  h: Harness,
  port: number,
  spec: Partial<UpstreamTlsSpec> = {},
  serverName = 'a.example',
  route = {},
): Promise<number> {
  const context = h.engine.upstreamTls(clientSpec(spec))
  const listening = await h.listenPort()
  h.route(port, { tls: { context, serverName }, ...route })
  return listening.port
}

for (const version of versions) {
  jsTest(`terminates ${version}: payload, counters, half-close, clean end`, async (h, keep) => {
    const { port, accept } = await terminating(h, { alpn: ['h2', 'http/1.1'] })
    const client = await TlsPeer.dial(port, {
      maxVersion: version,
      minVersion: version,
      servername: 'a.example',
      ALPNProtocols: ['http/1.1'],
    })
    keep(client)
    const [question] = h.all('handshake')
    assert.equal(question?.hello, HelloStatus.COMPLETE)
    assert.equal(parseClientHello(question?.bytes as Buffer)?.serverName, 'a.example')
    const secured = await h.next('secured')
    assert.equal(secured.version, version === 'TLSv1.3' ? 0x0304 : 0x0303)
    assert.ok(secured.cipher && secured.cipher > 0)
    assert.equal(secured.alpn, 'http/1.1')
    assert.equal(secured.flags, 0)
    assert.equal(client.tls.alpnProtocol, 'http/1.1')
    const server = await accept()
    await client.send('request')
    await server.expect('request')
    client.fin()
    assert.equal(await server.ending(), 'fin')
    await server.send('response')
    server.fin()
    assert.equal((await client.readToEnd()).toString(), 'response')
    const closed = await h.next('closed')
    assert.equal(closed.reason, 'client data done')
    assert.equal(closed.record.bytesIn, 7)
    assert.equal(closed.record.bytesOut, 8)
  })

  jsTest(`resumes ${version} across contexts of a group`, async (h, keep) => {
    const first = h.engine.downstreamTls(serverSpec({ sessionCache: 100 }))
    const second = h.engine.downstreamTls(serverSpec({ sessionCache: 100 }))
    const strange = h.engine.downstreamTls(serverSpec({ sessionGroup: 'h' }))
    const upstream = await h.server()
    const { port } = await h.listenPort(asked)
    h.route(upstream.port)
    terminate(h, first)
    const options = { minVersion: version, maxVersion: version }
    const one = await TlsPeer.dial(port, options)
    keep(one)
    const session = await one.session()
    one.fin()
    h.engine.tlsForget(first)
    terminate(h, second)
    const two = await TlsPeer.dial(port, { ...options, session })
    keep(two)
    two.fin()
    terminate(h, strange)
    const three = await TlsPeer.dial(port, { ...options, session })
    keep(three)
    three.fin()
    await h.until(() => h.all('secured').length === 3, 'three handshakes')
    assert.deepEqual(
      h.all('secured').map(({ flags }) => flags),
      [0, TlsFlag.RESUMED, 0],
    )
  })

  jsTest(`verifies clients in ${version}`, async (h, keep) => {
    const mine = ca.issue({ names: ['me'], client: true })
    const late = ca.issue({ names: ['late'], client: true, from: -10, days: -1 })
    const revoked = ca.issue({ names: ['gone'], client: true })
    ca.revoke(revoked)
    const wrong = ca.issue({ names: ['server'] })
    const stranger = makeAuthority('Other').issue({ names: ['x'], client: true })
    const crl = ca.crl()
    const { port } = await terminating(h, { clientCert: 'required', ca: ca.cert, crl })
    const dial = async (certificate: Issued | undefined) => {
      const shown = certificate ? { cert: certificate.chain, key: certificate.key } : {}
      const only = { minVersion: version, maxVersion: version }
      const attempt = await TlsPeer.attempt(port, { ...shown, ...only })
      if (attempt.peer) keep(attempt.peer)
    }
    await dial(mine)
    const secured = await h.next('secured')
    assert.equal(secured.flags, TlsFlag.VERIFIED)
    assert.ok(secured.bytes && secured.bytes.length > 100)
    for (const [certificate, code] of [
      [undefined, 'tls-cert-missing'],
      [late, 'tls-cert-expired'],
      [revoked, 'tls-cert-revoked'],
      [stranger, 'tls-cert-untrusted'],
      [wrong, 'tls-cert-invalid'],
      [selfSigned({ names: ['self'], client: true }), 'tls-cert-untrusted'],
    ] as const) {
      await dial(certificate)
      const closed = await h.next('closed')
      assert.equal(closed.reason, `client tls ${code}`)
    }
    assert.equal(h.all('secured').length, 1)
  })

  jsTest(`an optional certificate may be missing, not wrong, in ${version}`, async (h, keep) => {
    const { port } = await terminating(h, { clientCert: 'optional', ca: ca.cert })
    const only = { minVersion: version, maxVersion: version }
    keep(await TlsPeer.dial(port, only))
    assert.equal((await h.next('secured')).flags, 0)
    const { cert, key } = selfSigned({ names: ['self'], client: true })
    const { peer } = await TlsPeer.attempt(port, { cert, key, ...only })
    if (peer) keep(peer)
    assert.equal((await h.next('closed')).reason, 'client tls tls-cert-untrusted')
  })

  jsTest(`a server that verifies, in ${version}`, async (h, keep) => {
    const server = await TlsServer.listen({
      cert: issued.chain,
      key: issued.key,
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['x'],
    })
    keep(server)
    const port = await originating(h, server.port, { alpn: ['x'], sessionCache: 10 })
    for (const resumed of [false, true]) {
      const client = await h.dial({ port })
      await client.send('ping')
      const peer = await server.accept()
      await peer.expect('ping')
      await peer.send('pong')
      await client.expect('pong')
      client.fin()
      await peer.ending()
      peer.fin()
      await client.ending()
      const secured = await h.next('secured')
      assert.equal(secured.bit, TLS_OUT)
      assert.ok(secured.bytes && secured.bytes.length > 100)
      assert.equal(secured.alpn, 'x')
      assert.equal(secured.flags, TlsFlag.VERIFIED | (resumed ? TlsFlag.RESUMED : 0))
      assert.equal((await h.next('closed')).reason, 'client data done')
    }
    assert.equal(server.asked[0], 'a.example')
  })
}

jsTest('servers that do not verify', async (h, keep) => {
  const revoked = ca.issue({ names: ['a.example'] })
  ca.revoke(revoked)
  const crl = ca.crl()
  const cases: [string, Issued, Partial<UpstreamTlsSpec>, string][] = [
    ['server tls-out tls-cert-name', issued, {}, 'c.example'],
    ['server tls-out tls-cert-name', issued, {}, '127.0.0.2'],
    ['server tls-out tls-cert-name', issued, {}, ''],
    ['server tls-out tls-cert-untrusted', selfSigned({ names: ['a.example'] }), {}, 'a.example'],
    [
      'server tls-out tls-cert-expired',
      ca.issue({ names: ['a.example'], from: -10, days: -1 }),
      {},
      'a.example',
    ],
    [
      'server tls-out tls-cert-expired',
      ca.issue({ names: ['a.example'], from: 5 }),
      {},
      'a.example',
    ],
    ['server tls-out tls-cert-revoked', revoked, { crl }, 'a.example'],
    [
      'server tls-out tls-cert-invalid',
      ca.issue({ names: ['a.example'], client: true }),
      {},
      'a.example',
    ],
  ]
  for (const [reason, certificate, spec, name] of cases) {
    const server = await TlsServer.listen({ cert: certificate.chain, key: certificate.key })
    keep(server)
    const client = await h.dial({ port: await originating(h, server.port, spec, name) })
    assert.equal((await h.next('connectFailed')).reason, reason)
    await client.ending()
  }
})

jsTest('an address as the name; verification that is off', async (h, keep) => {
  const server = await TlsServer.listen({ cert: issued.chain, key: issued.key })
  keep(server)
  for (const [name, spec, flags] of [
    ['127.0.0.1', {}, TlsFlag.VERIFIED],
    ['c.example', { verify: false, ca: '' }, 0],
  ] as const) {
    const client = await h.dial({ port: await originating(h, server.port, spec, name) })
    await client.send('x')
    await (await server.accept()).expect('x')
    assert.equal((await h.next('secured')).flags, flags)
  }
  assert.deepEqual(server.asked, ['', 'c.example'])
})

jsTest('servers with nothing in common, and servers that are none', async (h, keep) => {
  const tls13 = await TlsServer.listen({ ...issued, cert: issued.chain, minVersion: 'TLSv1.3' })
  const upstream = await h.server()
  keep(tls13)
  const old = await h.dial({ port: await originating(h, tls13.port, { maxVersion: 'TLSv1.2' }) })
  const failed = await h.next('connectFailed')
  assert.equal(failed.reason, 'server tls-out tls-alert')
  assert.equal(failed.errno, 70)
  await old.ending()
  for (const [answer, reason] of [
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'server tls-out tls-malformed'],
    [undefined, 'server tls-out aborted'],
    ['reset', 'server tls-out reset'],
  ] as const) {
    const client = await h.dial({ port: await originating(h, upstream.port) })
    const server = await upstream.accept()
    await server.read(100)
    if (answer === 'reset') server.reset()
    else if (answer) await server.send(answer)
    else server.fin()
    assert.equal((await h.next('connectFailed')).reason, reason)
    await client.ending()
  }
  const port = await originating(h, upstream.port, {}, 'a.example', { connectTimeout: 150 })
  await h.dial({ port })
  assert.equal((await h.next('connectFailed')).reason, 'timeout tls-out connect-timeout')
})

jsTest('a PROXY header goes out before TLS', async (h, keep) => {
  const server = await TlsServer.listen({ cert: issued.chain, key: issued.key })
  const relay = await h.server()
  keep(server)
  const port = await originating(h, relay.port, {}, 'a.example', { sendProxy: 1 })
  const client = await h.dial({ port })
  const raw = await relay.accept()
  await raw.expect('PROXY TCP4 127.0.0.1 127.0.0.1 ')
  await raw.until(() => raw.received > 100)
  const text = raw.rest().toString('latin1')
  assert.match(text, /^\d+ \d+\r\n/)
  const hello = Buffer.from(text.slice(text.indexOf('\n') + 1), 'latin1')
  assert.ok(hello[0] === 0x16 && hello[1] === 3)
  raw.destroy()
  await client.ending()
  await h.next('closed')
})

jsTest('a PROXY header comes before TLS, in one segment with it and byte by byte', async (h) => {
  const { port, accept } = await terminating(
    h,
    {},
    {
      handshakes: ACCEPT_PROXY | TLS | ACCEPT_SESSION,
    },
  )
  for (const mode of ['whole', 'split'] as const) {
    const raw = await h.dial({ port })
    const header = 'PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n'
    if (mode === 'whole') raw.socket.write(header)
    else await raw.sendByteByByte(Buffer.from(header))
    const { peer, error } = await TlsPeer.over(raw.socket, {})
    assert.equal(error, undefined)
    await peer?.send('x')
    const server = await accept()
    await server.expect('x')
    const secured = await h.next('secured')
    assert.equal(secured.record.src, '192.0.2.1')
    peer?.destroy()
    server.destroy()
    await h.next('closed')
  }
})

jsTest(
  'certificates by server name; what policy passes through stays as it is',
  async (h, keep) => {
    const upstream = await h.server()
    const tlsUpstream = await TlsServer.listen({ cert: other.chain, key: other.key })
    keep(tlsUpstream)
    const clear = h.route(upstream.port)
    const through = h.route(tlsUpstream.port)
    const a = h.engine.downstreamTls(serverSpec())
    const { port } = await h.listenPort(asked)
    const passed = new Set<number>()
    h.answers.handshake = ({ conn, generation, bit, bytes }) => {
      if (bit === TLS) {
        const name = parseClientHello(bytes as Buffer)?.serverName
        if (name === 'b.example') passed.add(conn)
        if (name === 'b.example') h.engine.proceed(conn, generation, TLS, 0, 0)
        else h.engine.proceed(conn, generation, 0, 0, 0, a)
      } else {
        const route = passed.has(conn) ? through : clear
        h.engine.connect(conn, generation, route, ConnectFlag.WANT_CONNECTED, 0)
      }
    }
    const one = await TlsPeer.dial(port, { servername: 'a.example' })
    const two = await TlsPeer.dial(port, { servername: 'b.example' })
    keep(one)
    keep(two)
    assert.equal(one.shown, 'a.example')
    assert.equal(two.shown, 'b.example')
    await two.send('x')
    await (await tlsUpstream.accept()).expect('x')
    assert.equal(h.all('secured').length, 1)
  },
)

jsTest('what is no ClientHello is told with what came', async (h) => {
  const { port } = await h.listenPort(asked)
  const plain = reasonWord(By.CLIENT, Phase.TLS, Code.PLAIN_HTTP)
  const text = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
  h.answers.handshake = ({ conn, generation }) => h.engine.reply(conn, generation, text, plain)
  const client = await h.dial({ port })
  await client.send('GET / HTTP/1.1\r\n\r\n')
  assert.equal((await client.readToEnd()).toString(), text.toString())
  const told = await h.next('handshake')
  assert.equal(told.hello, HelloStatus.NOT_TLS)
  assert.match(told.bytes?.toString() ?? '', /^GET/)
  assert.equal((await h.next('closed')).reason, 'client tls plain-http')
})

jsTest('clients that stop, leave or talk nonsense in the handshake', async (h) => {
  const { port } = await terminating(h, {}, { handshakeTimeout: 400 })
  const hello = await helloBytes(h)
  const close = async (act: (peer: Peer) => unknown, reason: string) => {
    const client = await h.dial({ port })
    await act(client)
    assert.equal((await h.next('closed')).reason, reason)
    client.destroy()
  }
  await close(() => {}, 'timeout tls handshake-timeout')
  await close((peer) => peer.send(hello.subarray(0, 20)), 'timeout tls handshake-timeout')
  await close((peer) => peer.send(hello), 'timeout tls handshake-timeout')
  await close((peer) => peer.fin(), 'client tls aborted')
  await close(
    (peer) => peer.send(hello.subarray(0, 20)).then(() => peer.fin()),
    'client tls aborted',
  )
  await close((peer) => peer.send(hello).then(() => peer.fin()), 'client tls aborted')
  const answered = async (peer: Peer) => {
    await peer.send(hello)
    await peer.read(100)
  }
  await close((peer) => answered(peer).then(() => peer.reset()), 'client tls reset')
  const garbage = Buffer.concat([Buffer.from([0x17, 3, 3, 0, 40]), Buffer.alloc(40, 7)])
  await close((peer) => answered(peer).then(() => peer.send(garbage)), 'client tls tls-malformed')
  const alert = Buffer.from([0x15, 3, 3, 0, 2, 2, 48])
  await close((peer) => answered(peer).then(() => peer.send(alert)), 'client tls tls-alert')
  assert.equal(h.all('closed').at(-1)?.errno, 48)
})

jsTest('clients with nothing in common', async (h) => {
  const { port } = await terminating(h, {
    maxVersion: 'TLSv1.2',
    alpn: ['h2'],
    ciphers: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
    groups: ['secp384r1'],
  })
  for (const [options, reason] of [
    [{ minVersion: 'TLSv1.3' }, 'client tls tls-version'],
    [{ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }, 'client tls tls-cipher'],
    [{ ecdhCurve: 'X25519' }, 'client tls tls-cipher'],
    [{ ALPNProtocols: ['foo'] }, 'client tls tls-alpn'],
  ] as const) {
    const { error } = await TlsPeer.attempt(port, options as object)
    assert.match(error ?? '', /ALERT|alert/)
    assert.equal((await h.next('closed')).reason, reason)
  }
})

jsTest('truncation, reset and alerts behind the handshake', async (h, keep) => {
  const { port, accept } = await terminating(h)
  for (const version of versions) {
    for (const [end, reason] of [
      ['truncate', 'client data tls-truncated'],
      ['reset', 'client data reset'],
    ] as const) {
      const client = await TlsPeer.dial(port, { maxVersion: version })
      keep(client)
      await client.send('x')
      const server = await accept()
      await server.expect('x')
      client[end]()
      await server.ending()
      server.fin()
      assert.equal((await h.next('closed')).reason, reason)
    }
  }
  const raw = await h.dial({ port })
  const { peer } = await TlsPeer.over(raw.socket, {})
  assert.ok(peer)
  const server = await accept()
  // A record that does not decrypt.
  const write = Object.getPrototypeOf(raw.socket).write as typeof raw.socket.write
  write.call(raw.socket, Buffer.concat([Buffer.from([0x17, 3, 3, 0, 40]), Buffer.alloc(40, 7)]))
  await server.ending()
  assert.equal((await h.next('closed')).reason, 'client data tls-malformed')
  peer.destroy()
})

jsTest('a server that truncates', async (h, keep) => {
  const server = await TlsServer.listen({ cert: issued.chain, key: issued.key })
  keep(server)
  const client = await h.dial({ port: await originating(h, server.port) })
  await client.send('x')
  const peer = await server.accept()
  await peer.expect('x')
  const { _parent } = peer.tls as unknown as { _parent: { end(): void } }
  _parent.end()
  assert.equal(await client.ending(), 'reset')
  assert.equal((await h.next('closed')).reason, 'server data tls-truncated')
})

jsTest('back-pressure both ways, and every byte arrives', async (h, keep) => {
  const server = await TlsServer.listen({ cert: issued.chain, key: issued.key })
  keep(server)
  const context = h.engine.upstreamTls(clientSpec())
  const { port } = await h.listenPort(asked)
  h.route(server.port, { tls: { context, serverName: 'a.example' } })
  terminate(h, h.engine.downstreamTls(serverSpec()))
  const client = await TlsPeer.dial(port)
  keep(client)
  const peer = await server.accept()
  const big = Buffer.alloc(24 << 20, 'abcdefghijklmnopqrstuvwxyz')
  for (const [from, to] of [
    [client, peer],
    [peer, client],
  ] as const) {
    to.pause()
    const sent = from.send(big)
    let last = -1
    const { conn } = h.all('secured')[0] as { conn: number }
    const moved = () => h.record(conn).bytesIn + h.record(conn).bytesOut
    // What fits into buffers moves, then it stands still.
    for (let still = 0; still < 20; ) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      still = moved() === last ? still + 1 : 0
      last = moved()
    }
    assert.ok(h.engine.stats().buffersBorrowed > 0)
    assert.ok(process.memoryUsage().arrayBuffers < 400 << 20)
    to.resume()
    await sent
    assert.ok((await to.read(big.length)).equals(big))
  }
  client.fin()
  await peer.ending()
  peer.fin()
  await client.ending()
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'client data done')
  assert.equal(closed.record.bytesIn, big.length)
  assert.equal(closed.record.bytesOut, big.length)
})

jsTest('what waits for a slow reader behind the close is not lost', async (h, keep) => {
  const { port, accept } = await terminating(h)
  const client = await TlsPeer.dial(port)
  keep(client)
  const server = await accept()
  server.pause()
  const big = Buffer.alloc(12 << 20, 'xyz')
  server.fin()
  await client.ending()
  client.tls.end(big)
  await new Promise((resolve) => setTimeout(resolve, 300))
  server.resume()
  assert.ok((await server.readToEnd()).equals(big))
  assert.equal((await h.next('closed')).reason, 'server data done')
})

jsTest('inspect, applets, replies and closes work through TLS', async (h, keep) => {
  const { port } = await terminating(h)
  const context = h.engine.downstreamTls(serverSpec())
  const rejected = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REPLIED)
  let answer: (conn: number, generation: number) => void = () => {}
  h.answers.handshake = ({ conn, generation, bit }) => {
    if (bit === TLS) h.engine.proceed(conn, generation, 0, 0, 0, context)
    else answer(conn, generation)
  }
  answer = (conn, generation) => h.engine.inspect(conn, generation, 100, 0, 0)
  h.answers.bytes = ({ conn, generation }) =>
    h.engine.reply(conn, generation, Buffer.from('no'), rejected)
  const one = await TlsPeer.dial(port)
  keep(one)
  await one.send('GET')
  assert.equal((await one.readToEnd()).toString(), 'no')
  assert.equal((await h.next('bytes')).bytes?.toString(), 'GET')
  assert.equal((await h.next('closed')).reason, 'policy accept-session replied')

  answer = (conn, generation) => h.engine.applet(conn, generation, 65536, 0)
  h.answers.data = ({ conn, generation, bytes, flags }) => {
    h.engine.send(conn, generation, bytes, (flags & BytesFlag.EOF) !== 0)
    h.engine.credit(conn, generation, bytes.length)
  }
  const two = await TlsPeer.dial(port)
  keep(two)
  await two.send('echo')
  await two.expect('echo')
  two.fin()
  assert.equal((await two.readToEnd()).length, 0)
  assert.equal((await h.next('closed')).reason, 'client data done')

  const word = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REJECTED)
  for (const [mode, hold, ending] of [
    [CloseMode.CLOSE, 0, 'fin'],
    [CloseMode.RESET, 0, 'reset'],
    [CloseMode.TARPIT, 100, 'reset'],
  ] as const) {
    // A RST right behind unread bytes may look like a FIN: the client speaks first.
    answer = (conn, generation) => h.engine.inspect(conn, generation, 100, 0, 0)
    h.answers.bytes = ({ conn, generation }) => h.engine.close(conn, generation, word, mode, hold)
    const { peer } = await TlsPeer.attempt(port, { maxVersion: 'TLSv1.2' })
    if (peer) {
      keep(peer)
      await peer.send('x')
      if (mode !== CloseMode.TARPIT) assert.equal(await peer.ending(), ending)
    }
    assert.equal((await h.next('closed')).reason, 'policy accept-session rejected')
  }
})

jsTest('openssl s_client: handshake, staple, close', async (h) => {
  const ocsp = ca.ocsp(issued)
  const { port, accept } = await terminating(h, { certificates: [{ ...issued, ocsp }] })
  for (const version of ['-tls1_2', '-tls1_3']) {
    const connect = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', ca.certFile]
    const args = [...connect, version, '-status', '-verify_return_error', '-ign_eof']
    const cli = spawn('openssl', args)
    let out = ''
    cli.stdout.on('data', (chunk) => {
      out += chunk
    })
    cli.stdin.write('hello')
    const server = await accept()
    await server.expect('hello')
    await server.send('goodbye')
    server.fin()
    cli.stdin.end()
    await once(cli, 'close')
    assert.match(out, /OCSP Response Status: successful/)
    assert.match(out, /Verify return code: 0 \(ok\)/)
    assert.match(out, /goodbye/)
    await h.next('closed')
  }
})

jsTest('RSA and ECDSA side by side; ticket keys rotate', async (h, keep) => {
  const rsa = ca.issue({ names: ['rsa.example'], key: 'rsa' })
  const { port } = await terminating(h, { certificates: [issued, rsa], ticketRotation: 50 })
  const one = await TlsPeer.dial(port, { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' })
  const two = await TlsPeer.dial(port, { sigalgs: 'ECDSA+SHA256' })
  keep(one)
  keep(two)
  assert.equal(one.shown, 'rsa.example')
  assert.equal(two.shown, 'a.example')
  const session = await two.session()
  await new Promise((resolve) => setTimeout(resolve, 200))
  keep(await TlsPeer.dial(port, { session }))
  assert.equal(h.all('secured').at(-1)?.flags, 0)
})

jsTest('contexts that cannot be made say why', async (h) => {
  const fails = (spec: Partial<DownstreamTlsSpec>, message: RegExp) => {
    const make = () => h.engine.downstreamTls(serverSpec(spec))
    assert.throws(make, { code: 'ERR_SLUICE_TLS', message })
  }
  const { chain, key } = issued
  fails({ certificates: [] }, /no certificate/)
  fails({ certificates: [{ chain: 'x', key }] }, /no certificate in/)
  fails({ certificates: [{ chain: chain.replace(/MI../, 'AAAA'), key }] }, /Certificate 1/)
  fails({ certificates: [{ chain, key: 'x' }] }, /no private key/)
  fails({ certificates: [{ chain, key: other.key }] }, /does not belong/)
  fails({ ciphers: ['RC4'] }, /Unknown cipher suite 'RC4'/)
  fails({ groups: ['x'] }, /Unknown group 'x'/)
  fails({ groups: ['X25519MLKEM768'] }, /native engine/)
  fails({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, /above/)
  fails({ minVersion: 'TLSv1.3', ciphers: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'] }, /no suite/)
  fails({ clientCert: 'required' }, /no authority/)
  fails({ clientCert: 'required', ca: 'x' }, /no certificate in the authorities/)
  fails({ crl: 'x' }, /no revocation list/)
  fails({ alpn: [''] }, /ALPN/)
  const client = () => h.engine.upstreamTls(clientSpec({ ca: '' }))
  assert.throws(client, { code: 'ERR_SLUICE_TLS', message: /no authority/ })
})

/** The first flight of a TLS 1.3 client. */
async function helloBytes(h: Harness): Promise<Buffer> {
  const server = await h.server()
  const attempt = TlsPeer.attempt(server.port, { servername: 'a.example' })
  const peer = await server.accept()
  await peer.until(() => peer.received > 200)
  const bytes = peer.rest()
  peer.destroy()
  await attempt
  return bytes
}
