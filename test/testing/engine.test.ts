/** The test engine keeps the contract of engine.ts. Policy here is a list of what it heard. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineEvents, ListenSpec, RouteSpec } from '#sluice/engine/engine.js'
import type { BytesEvent } from '#sluice/engine/event.js'
import { type TestClient, TestEngine } from '#sluice/testing/engine/engine.js'
import { buildClientHello, type TlsClientOptions, VirtualClock } from '#sluice/testing/index.js'
import { buildCertificate } from '#sluice/testing/tls/certificate.js'
import { recordsOf } from '#sluice/testing/tls/hello.js'
import { formatReason, packReason } from '#sluice/wire/reason.js'
import {
  By,
  BytesFlag,
  CloseMode,
  Code,
  ConnectFlag,
  Field,
  Handshake,
  Phase,
} from '#sluice/wire/wire.js'
import { downstreamSpec, upstreamSpec } from '../support/tls-specs.js'

const { HEALTH, MONITOR_IN, ACCEPT_PROXY, TCP_RULES, TLS, CUSTOM, ACCEPT_SESSION } = Handshake
const rejected = packReason(By.POLICY, Phase.TCP_RULES, Code.REJECTED)

const listenSpec: ListenSpec = {
  address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  backlog: 10,
  maxconn: 0,
  deferAccept: 0,
  fastOpen: 0,
  transparent: false,
  originalDst: false,
  handshakes: ACCEPT_SESSION,
  ask: ACCEPT_SESSION,
  handshakeTimeout: 5_000,
  verdictTimeout: 1_000,
  fallbackRoute: -1,
  clientTimeout: 30_000,
  clientFinTimeout: 0,
}

const routeSpec: RouteSpec = {
  address: { kind: 'tcp', ip: '127.0.0.1', port: 9001 },
  sendProxy: 0,
  proxyCrc: false,
  connectTimeout: 4_000,
  serverTimeout: 30_000,
  serverFinTimeout: 0,
  tunnelTimeout: 0,
}

const tlsSpec = downstreamSpec([], { sessionGroup: 'a', ticketRotation: 1000 })

interface Setup {
  engine: TestEngine
  clock: VirtualClock
  route: number
  heard: string[]
  /** What is heard from now on. */
  next(): string[]
}

async function setup(spec: Partial<ListenSpec> = {}): Promise<Setup> {
  const clock = new VirtualClock()
  const engine = new TestEngine(clock, 4)
  const heard: string[] = []
  const events: EngineEvents = {
    handshake: ({ bit }) => heard.push(`handshake ${bit}`),
    bytes: ({ bytes, flags }) => heard.push(`bytes ${Buffer.from(bytes)} ${flags}`),
    handshakeWaits: () => heard.push('waits'),
    secured: ({ bit, version, cipher, flags, alpn, bytes }) =>
      heard.push(`secured ${bit} ${version} ${cipher} ${flags} '${alpn}' ${bytes.length}`),
    connected: ({ elapsed }) => heard.push(`connected ${elapsed}`),
    connectFailed: ({ reason, errno, elapsed }) =>
      heard.push(`failed ${formatReason(reason)} ${errno} ${elapsed}`),
    closed: ({ reason, connectTime }) =>
      heard.push(`closed ${formatReason(reason)} ${connectTime}`),
    verdictTimeout: ({ bit, opened }) => heard.push(`late ${bit} ${opened}`),
    data: ({ bytes, flags }) => heard.push(`data ${Buffer.from(bytes)} ${flags}`),
    sent: ({ sent }) => heard.push(`sent ${sent}`),
    listenerPaused: () => heard.push('paused'),
    fatal: (error) => heard.push(`fatal ${error.message}`),
    fault: (error) => heard.push(`fault ${String(error)}`),
  }
  engine.start(events)
  const route = engine.route(routeSpec)
  await engine.listen({ ...listenSpec, ...spec })
  return { engine, clock, route, heard, next: () => heard.splice(0) }
}

const at = ({ slot, generation }: TestClient): [number, number] => [slot, generation]

test('bits are asked lowest first; those that are not asked never cross', async () => {
  const { engine, next } = await setup({
    handshakes: MONITOR_IN | ACCEPT_PROXY | TCP_RULES | CUSTOM | ACCEPT_SESSION,
    ask: ACCEPT_PROXY | CUSTOM | ACCEPT_SESSION,
  })
  const client = engine.accept()
  assert.deepEqual(next(), [`handshake ${ACCEPT_PROXY}`])
  client.send('PROXY TCP4 198.51.100.7 198.51.100.8 1 2\r\nrest')
  assert.deepEqual(next(), [])
  engine.proceed(...at(client), 0, 0, 0)
  assert.deepEqual(next(), [`handshake ${CUSTOM}`])
  assert.equal(engine.table.src(client.slot), '198.51.100.7')
  assert.equal(engine.table.get(client.slot, Field.HANDSHAKES), CUSTOM | ACCEPT_SESSION)
  engine.proceed(...at(client), CUSTOM, 0, 2)
  assert.deepEqual(next(), [`handshake ${ACCEPT_SESSION}`])
  assert.equal(Buffer.from(client.input).toString(), 'st')
})

test('clearing ACCEPT_PROXY leaves the header in the payload', async () => {
  const { engine, route } = await setup({
    handshakes: ACCEPT_PROXY | ACCEPT_SESSION,
    ask: ACCEPT_PROXY | ACCEPT_SESSION,
  })
  const client = engine.accept()
  client.send('PROXY UNKNOWN\r\n')
  engine.proceed(...at(client), ACCEPT_PROXY, 0, 0)
  engine.connect(...at(client), route, 0, 0)
  assert.equal(Buffer.from(client.serverReceived).toString(), 'PROXY UNKNOWN\r\n')
})

test('a rule may ask for a PROXY header and is asked again behind it', async () => {
  const ask = TCP_RULES | ACCEPT_SESSION
  const { engine, next } = await setup({ handshakes: ask, ask })
  const client = engine.accept()
  engine.proceed(...at(client), 0, ACCEPT_PROXY, 0)
  client.send('PROXY UNKNOWN\r\n')
  assert.deepEqual(next(), [`handshake ${TCP_RULES}`, `handshake ${TCP_RULES}`])
})

test('answers that nobody awaits are counted and change nothing', async () => {
  const ask = TCP_RULES | ACCEPT_SESSION
  const { engine, route, next } = await setup({ handshakes: ask, ask })
  const client = engine.accept()
  // Its own bit would only be asked again.
  engine.proceed(...at(client), 0, 0, 0)
  engine.credit(...at(client), 10)
  // A handshake may send, but not end what it has not begun.
  engine.send(...at(client), Uint8Array.of(1), true)
  engine.proceed(client.slot, client.generation + 1, TCP_RULES, 0, 0)
  engine.proceed(99, 1, TCP_RULES, 0, 0)
  assert.equal(engine.stats().staleHandles, 5)
  assert.deepEqual(next(), [`handshake ${TCP_RULES}`])
  engine.connect(...at(client), route, 0, 0)
  engine.proceed(...at(client), ACCEPT_SESSION, 0, 0)
  engine.inspect(...at(client), 10, 0, 0)
  assert.equal(engine.stats().staleHandles, 7)
  assert.equal(client.mode, 'forward')
})

test('health replies and dies, without policy', async () => {
  const { engine, next } = await setup({
    handshakes: HEALTH | ACCEPT_SESSION,
    healthReply: Buffer.from('OK\n'),
  })
  const client = engine.accept()
  assert.equal(client.text, 'OK\n')
  assert.deepEqual(client.end, { by: 'proxy', phase: 'health', code: 'health' })
  assert.deepEqual(next(), [])
})

test('inspection: arrivals, limit, delay, FIN, and the answer that is due then', async () => {
  const { engine, clock, next } = await setup()
  const client = engine.accept()
  engine.inspect(...at(client), 4, 500, 0)
  client.send('ab')
  clock.advance('500ms')
  client.send('cd')
  client.fin()
  assert.deepEqual(next(), [
    `handshake ${ACCEPT_SESSION}`,
    'bytes ab 0',
    `bytes ab ${BytesFlag.EXPIRED}`,
    `bytes abcd ${BytesFlag.FULL}`,
    `bytes abcd ${BytesFlag.FULL | BytesFlag.EOF}`,
  ])
  clock.advance('999ms')
  assert.equal(client.ended, false)
  clock.advance('1ms')
  assert.deepEqual(next(), [
    `late ${ACCEPT_SESSION} false`,
    'closed timeout/accept-session/verdict-timeout -1',
  ])
})

test('a client that is asked for bytes may not be silent for ever', async () => {
  const { engine, clock, next } = await setup({ handshakes: CUSTOM, ask: CUSTOM })
  const client = engine.accept()
  engine.inspect(...at(client), 100, 0, 0)
  clock.advance('29999ms')
  client.send('a')
  clock.advance('29999ms')
  assert.equal(client.ended, false)
  clock.advance('1ms')
  assert.deepEqual(next().at(-1), 'closed timeout/handshake/client-timeout -1')
})

test('a late verdict closes, or opens past every handler that policy would be asked about', async () => {
  const closing = await setup({ handshakes: TCP_RULES | CUSTOM, ask: TCP_RULES | CUSTOM })
  closing.engine.accept()
  closing.clock.advance('1s')
  assert.deepEqual(closing.next(), [
    `handshake ${TCP_RULES}`,
    `late ${TCP_RULES} false`,
    'closed timeout/tcp-rules/verdict-timeout -1',
  ])

  const ask = MONITOR_IN | TCP_RULES
  const opening = await setup({ handshakes: ask | ACCEPT_PROXY, ask, fallbackRoute: 0 })
  const client = opening.engine.accept()
  opening.clock.advance('1s')
  assert.deepEqual(opening.next(), [`handshake ${MONITOR_IN}`, `late ${MONITOR_IN} true`])
  // The PROXY header is the engine's, and still awaited.
  client.send('PROXY UNKNOWN\r\nhello')
  assert.equal(client.mode, 'forward')
  assert.equal(Buffer.from(client.serverReceived).toString(), 'hello')
  opening.engine.proceed(...at(client), MONITOR_IN, 0, 0)
  assert.equal(opening.engine.stats().staleHandles, 1)
  assert.equal(opening.engine.stats().lateVerdicts, 1)
})

test('without an answer to wait for there is no deadline: the queue', async () => {
  const { engine, clock, route, next } = await setup()
  const client = engine.accept()
  engine.proceed(...at(client), ACCEPT_SESSION, 0, 0)
  clock.advance('1000s')
  assert.equal(client.mode, 'session')
  engine.connect(...at(client), route, ConnectFlag.WANT_CONNECTED, 0)
  assert.deepEqual(next(), [`handshake ${ACCEPT_SESSION}`, 'connected 0'])
})

test('connects: pending, failing, timing out, and again', async () => {
  const { engine, clock, route, next } = await setup()
  engine.onConnect = () => 'pending'
  const client = engine.accept()
  engine.connect(...at(client), route, 0, 0)
  clock.advance('10ms')
  client.connectFail(Code.REFUSED, 111)
  engine.connect(...at(client), route, 0, 0)
  clock.advance('4s')
  engine.connect(...at(client), route, ConnectFlag.WANT_CONNECTED, 0)
  clock.advance('20ms')
  client.connectOk()
  client.reset()
  assert.deepEqual(next(), [
    `handshake ${ACCEPT_SESSION}`,
    'failed server/connect/refused 111 10',
    'failed timeout/connect/connect-timeout 0 4000',
    'connected 20',
    'closed client/data/reset 20',
  ])
})

test('an applet gets what it has credit for, and its own bytes are told when they left', async () => {
  const { engine, next } = await setup()
  const client = engine.accept()
  client.window = 3
  client.send('abcdef')
  engine.applet(...at(client), 2, 1)
  engine.credit(...at(client), 10)
  engine.send(...at(client), Buffer.from('xy'), false)
  engine.send(...at(client), Buffer.from('zzz'), false)
  client.fin()
  assert.deepEqual(next(), [
    `handshake ${ACCEPT_SESSION}`,
    'data bc 0',
    'data def 0',
    'sent 2',
    `data  ${BytesFlag.EOF}`,
  ])
  client.resume()
  engine.send(...at(client), new Uint8Array(0), true)
  assert.deepEqual(next(), ['sent 3', 'closed client/data/done -1'])
})

test('close, reset, tarpit and reply; the generation ends with the connection', async () => {
  const { engine, clock, next } = await setup()
  const closed = engine.accept()
  engine.close(...at(closed), rejected, CloseMode.CLOSE, 0)
  assert.deepEqual([closed.finReceived, closed.resetReceived], [true, false])
  const reset = engine.accept()
  assert.equal(reset.slot, closed.slot)
  assert.notEqual(reset.generation, closed.generation)
  engine.close(...at(reset), rejected, CloseMode.RESET, 0)
  assert.deepEqual([reset.finReceived, reset.resetReceived], [false, true])
  const held = engine.accept()
  engine.close(...at(held), rejected, CloseMode.TARPIT, 700)
  engine.reply(...at(held), Buffer.from('second thoughts'), rejected)
  assert.equal(engine.stats().staleHandles, 1)
  clock.advance('699ms')
  assert.equal(held.ended, false)
  clock.advance('1ms')
  assert.equal(held.ended, true)
  const replied = engine.accept()
  engine.reply(...at(replied), Buffer.from('bye'), rejected)
  assert.equal(replied.text, 'bye')
  assert.equal(next().filter((told) => told === 'closed policy/tcp-rules/rejected -1').length, 4)
  assert.equal(clock.pending, 0)
  assert.equal(engine.stats().connections, 0)
})

test('room: maxconn, pauses, a full table', async () => {
  const { engine } = await setup({ maxconn: 2 })
  let told = 0
  engine.onRoom = () => told++
  const clients = [engine.accept(), engine.accept()]
  assert.equal(engine.hasRoom(0), false)
  clients[0]?.reset()
  assert.equal(told, 1)
  assert.equal(engine.hasRoom(0), true)
  engine.pause(0, true)
  assert.equal(engine.hasRoom(0), false)
  engine.pause(0, false)
  assert.equal(told, 2)
  for (let i = 0; i < 3; i++) engine.accept()
  assert.throws(() => engine.accept(), { code: 'ERR_SLUICE_STATE' })
  await engine.unlisten(0)
  assert.equal(engine.hasRoom(0), false)
})

test('the event and its bytes are valid during the call only, and a handler that throws is a fault', async () => {
  const { engine, next } = await setup()
  let kept: Uint8Array | undefined
  let event: BytesEvent | undefined
  engine.events.bytes = (told) => {
    event = told
    kept = told.bytes
    throw new Error('boom')
  }
  const client = engine.accept()
  engine.inspect(...at(client), 10, 0, 0)
  client.send('abc')
  assert.deepEqual(next().at(-1), 'fault Error: boom')
  assert.equal(engine.faults.length, 1)
  assert.deepEqual([...(kept ?? [])], [0xee, 0xee, 0xee])
  assert.equal(event?.conn, -1)
  assert.equal(event?.bytes.length, 0)
})

test('a handshake is negotiated from the ClientHello and the context', async () => {
  const { engine, next } = await setup({
    handshakes: TLS | ACCEPT_SESSION,
    ask: TLS | ACCEPT_SESSION,
  })
  const context = engine.downstreamTls({
    ...tlsSpec,
    alpn: ['h2', 'http/1.1'],
    ciphers: ['TLS_AES_256_GCM_SHA384'],
    clientCert: 'required',
  })
  const attempt = (tls: TlsClientOptions) => {
    const client = engine.accept({ tls })
    engine.proceed(...at(client), 0, 0, 0, context)
    return next().slice(1)
  }
  const clientCert = { commonName: 'alice' }
  const length = buildCertificate(clientCert).length
  assert.deepEqual(attempt({ alpn: ['http/1.1', 'x'], clientCert }), [
    `secured 16 772 4866 2 'http/1.1' ${length}`,
    'handshake 64',
  ])
  assert.deepEqual(attempt({ clientCert, resumed: true }), [
    `secured 16 772 4866 3 '' ${length}`,
    'handshake 64',
  ])
  assert.deepEqual(attempt({ alpn: ['x'], clientCert }), ['closed client/tls/tls-alpn -1'])
  assert.deepEqual(attempt({ versions: ['TLSv1.2'], clientCert }), [
    'closed client/tls/tls-cipher -1',
  ])
  assert.deepEqual(attempt({}), ['closed client/tls/tls-cert-missing -1'])
  assert.deepEqual(attempt({ clientCert, untrusted: true }), [
    'closed client/tls/tls-cert-untrusted -1',
  ])
})

test('TLS is waited for until its deadline, cut anywhere, and goes on behind the handshake', async () => {
  const { engine, clock, next } = await setup({
    handshakes: TLS | ACCEPT_SESSION,
    ask: TLS | ACCEPT_SESSION,
    handshakeTimeout: 3000,
  })
  const context = engine.downstreamTls(tlsSpec)
  const records = recordsOf(buildClientHello({ serverName: 'a.example' }))
  const client = engine.accept()
  for (const byte of records.subarray(0, -1)) client.send(Uint8Array.of(byte))
  assert.deepEqual(next(), [])
  client.send(Buffer.concat([records.subarray(-1), Buffer.from('payload')]))
  assert.deepEqual(next(), ['handshake 16'])
  // TLS is not there without a context, and no context stands for another bit.
  engine.proceed(...at(client), 0, 0, 0)
  engine.proceed(...at(client), 0, 0, 0, 99)
  assert.equal(engine.staleHandles, 2)
  engine.onHandshake = () => 'pending'
  engine.proceed(...at(client), 0, 0, 0, context)
  assert.deepEqual(next(), [])
  client.handshakeOk()
  assert.deepEqual(next(), ["secured 16 772 4865 0 '' 0", 'handshake 64'])
  engine.inspect(...at(client), 100, 0, 0)
  assert.deepEqual(next(), ['bytes payload 0'])
  // Policy never heard of a client that says nothing.
  const silent = engine.accept()
  clock.advance('3s')
  assert.deepEqual(silent.end, { by: 'timeout', phase: 'tls', code: 'handshake-timeout' })
  assert.deepEqual(next(), [])
  const stops = engine.accept({ tls: {} })
  engine.proceed(...at(stops), 0, 0, 0, context)
  stops.fin()
  assert.deepEqual(next(), ['handshake 16', 'closed client/tls/aborted -1'])
})

test('a route with TLS is secured before it is connected', async () => {
  const { engine, next } = await setup()
  const context = engine.upstreamTls(upstreamSpec({ alpn: ['h2'] }))
  const route = engine.route({ ...routeSpec, tls: { context, serverName: 'up.example' } })
  const client = engine.accept()
  engine.connect(...at(client), route, ConnectFlag.WANT_CONNECTED, 0)
  assert.deepEqual(next(), ['handshake 64', "secured 1024 772 4865 2 'h2' 0", 'connected 0'])
  engine.onConnect = () => ({ code: Code.TLS_CERT_NAME })
  engine.connect(...at(engine.accept()), route, 0, 0)
  assert.deepEqual(next(), ['handshake 64', 'failed server/tls-out/tls-cert-name 0 0'])
})
