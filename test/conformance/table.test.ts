/**
 * The connection table along the life of a session. What each record says is written here in
 * words and in full, and holds for both engines. Who writes what, and when: docs/table.md.
 */

import assert from 'node:assert/strict'
import {
  decodeCloseOps,
  decodeConnState,
  decodeFlags,
  decodeHandshakes,
} from '#sluice/wire/decode.js'
import {
  By,
  CloseMode,
  Code,
  ConnectFlag,
  ConnState,
  Family,
  Field,
  Handshake,
  Phase,
  ProceedFlag,
} from '#sluice/wire/wire.js'
import { withBlackhole } from '../support/blackhole.js'
import { makeAuthority } from '../support/certificates.js'
import { engineTest, type Harness, reasonWord } from '../support/engine-harness.js'
import { closedPort, type Peer } from '../support/peer.js'
import { SocksServer } from '../support/socks-server.js'
import { helloBytes, TlsPeer, TlsServer } from '../support/tls-peer.js'
import { Relay } from '../support/tls-relay.js'
import { downstreamSpec, upstreamSpec } from '../support/tls-specs.js'

const ca = makeAuthority()
const { chain, key } = ca.issue({ names: ['front.example'] })

const SERVER_TLS = downstreamSpec([{ chain, key }])
const CLIENT_TLS = upstreamSpec({ ca: ca.cert })

const DONE = reasonWord(By.POLICY, Phase.DATA, Code.DONE)

// What records say, piece by piece.
const BORN = 'FD_ALLOCATED CTRL_INIT'
const CLIENT = `${BORN} CTRL_CONNECTED DATA_INIT DATA_CONNECTED`
const FLOWS = `${BORN} CTRL_CONNECTED CTRL_HANDLERS_DONE DATA_INIT DATA_CONNECTED DATA_HANDLERS_DONE`
/** Connected, and its TLS is not. */
const HELLO = `${BORN} CTRL_CONNECTED DATA_INIT`
const ALL_DONE = '[DSHR:done DSHW:done CSHR:done CSHW:done]'
/** Flags of what is closed: `failed` as flags of the layers that did. */
const closed = (flows: boolean, layer: '' | 'CTRL' | 'DATA' = '', connected = true) =>
  [
    `SHR SHW${layer && ' ERR'} CTRL_INIT`,
    connected ? ' CTRL_CONNECTED' : '',
    flows ? ' CTRL_HANDLERS_DONE' : '',
    layer === 'CTRL' ? ' CTRL_FAILED' : '',
    ' CTRL_SHUTR CTRL_SHUTW DATA_INIT',
    flows || connected ? ' DATA_CONNECTED' : '',
    flows ? ' DATA_HANDLERS_DONE' : '',
    layer === 'DATA' ? ' DATA_FAILED' : '',
    ' DATA_SHUTR DATA_SHUTW',
  ].join('')

/** State, handshakes, flags and close word of a record. */
function said(h: Harness, slot: number): string {
  const { table } = h.engine
  const state = decodeConnState(table.get(slot, Field.STATE))
  const hh = decodeHandshakes(table.get(slot, Field.HANDSHAKES))
  const flags = decodeFlags(table.get(slot, Field.FLAGS))
  return `${state} hh=[${hh}] ${flags} [${decodeCloseOps(table.get(slot, Field.CLOSE_OPS))}]`
}

/** Waits until a record says this: the engine may be behind what a peer knows. */
async function says(h: Harness, slot: number, words: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (said(h, slot) !== words && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.equal(said(h, slot), words)
}

/** Takes down what both records of a session say while its end is told. */
function atTheEnd(h: Harness): { client: string; server: string; peer: number } {
  const end = { client: '', server: '', peer: Number.NaN }
  h.answers.closed = ({ conn }) => {
    end.client = said(h, conn)
    end.peer = h.engine.table.get(conn, Field.PEER)
    const server = serverOf(h, conn)
    end.server = server < 0 ? '' : said(h, server)
  }
  return end
}

/** Slot of the one record that is not this client's: of its server, also of one that is gone. */
function serverOf(h: Harness, client: number): number {
  const { table } = h.engine
  for (let slot = 0; slot < table.slots; slot++) {
    if (slot !== client && table.get(slot, Field.FAMILY) !== 0) return slot
  }
  return -1
}

/** A session whose records are both at hand. */
async function session(
  h: Harness,
  listen: Parameters<Harness['pair']>[0] = {},
  route: Parameters<Harness['pair']>[1] = {},
) {
  const pair = await h.pair(listen, route)
  return { ...pair, peer: h.engine.table.get(pair.conn, Field.PEER), end: atTheEnd(h) }
}

const STREAMS = `ESTABLISHED hh=[-] ${FLOWS} [-]`
const ENDED = `CLOSED hh=[-] ${closed(true)} ${ALL_DONE}`
const FAILED = `ERROR hh=[-] ${closed(true, 'CTRL')} ${ALL_DONE}`
const READ_SHUT = `ESTABLISHED hh=[-] SHR ${FLOWS.replace('DATA_INIT', 'CTRL_SHUTR DATA_INIT')} DATA_SHUTR [DSHR:done CSHR:done]`
const WRITE_SHUT = `ESTABLISHED hh=[-] SHW ${FLOWS.replace('DATA_INIT', 'CTRL_SHUTW DATA_INIT')} DATA_SHUTW [DSHW:done CSHW:done]`

engineTest('accept, connect, FIN in, FIN out', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  let asked = ''
  h.answers.handshake = (told) => {
    asked = said(h, told.conn)
    const { WANT_CONNECTED, WANT_SOURCE } = ConnectFlag
    const flags = WANT_CONNECTED | WANT_SOURCE
    h.engine.connect(told.conn, told.generation, h.defaultRoute, flags, 0)
  }
  const client = await h.dial({ port })
  const server = await upstream.accept()
  const { conn, generation } = await h.next('connected')
  const end = atTheEnd(h)
  const { table } = h.engine
  const peer = table.get(conn, Field.PEER)
  assert.equal(asked, `ACCEPTED hh=[ACCEPT_SESSION] ${CLIENT} [-]`)
  assert.deepEqual([said(h, conn), said(h, peer)], [STREAMS, STREAMS])
  assert.equal(table.get(peer, Field.PEER), conn)
  assert.equal(table.generation(conn), generation)
  assert.equal(table.get(peer, Field.LISTENER), -1)
  assert.deepEqual(h.record(conn), {
    ...h.record(conn),
    ...{ family: Family.INET, src: '127.0.0.1', dst: '127.0.0.1' },
    ...{ srcPort: client.socket.localPort, dstPort: port },
  })
  assert.deepEqual(h.record(peer), {
    ...h.record(peer),
    ...{ family: Family.INET, src: '127.0.0.1', dst: '127.0.0.1' },
    ...{ srcPort: server.socket.remotePort, dstPort: upstream.port },
  })
  client.fin()
  assert.equal(await server.ending(), 'fin')
  await says(h, conn, READ_SHUT)
  await says(h, peer, WRITE_SHUT)
  const { remotePort } = server.socket
  server.fin()
  const { reason, localPort } = await h.next('closed')
  assert.deepEqual([reason, localPort], ['client data done', remotePort])
  assert.deepEqual(end, { client: ENDED, server: ENDED, peer: -1 })
})

engineTest('the server ends first, and our own address was not asked for', async (h) => {
  const { client, server, conn, peer, end } = await session(h)
  const { src, srcPort, dst, family } = h.record(peer)
  assert.deepEqual([family, srcPort, dst], [Family.INET, 0, '127.0.0.1'])
  assert.equal(src, '0.0.0.0')
  server.fin()
  assert.equal(await client.ending(), 'fin')
  await says(h, peer, READ_SHUT)
  await says(h, conn, WRITE_SHUT)
  client.fin()
  const { reason, localPort } = await h.next('closed')
  assert.deepEqual([reason, localPort], ['server data done', 0])
  assert.deepEqual(end, { client: ENDED, server: ENDED, peer: -1 })
})

engineTest(
  'the records of two workers are linked by slots of the table',
  async (h) => {
    // Enough of them for both workers: the kernel deals them out.
    for (let i = 0; i < 12; i++) {
      const { conn, peer } = await session(h)
      assert.equal(h.engine.table.get(peer, Field.PEER), conn)
    }
  },
  { workers: 2 },
)

engineTest('the client resets', async (h) => {
  const { client, server, end } = await session(h)
  client.reset()
  assert.equal(await server.ending(), 'reset')
  assert.equal((await h.next('closed')).reason, 'client data reset')
  assert.deepEqual(end, { client: FAILED, server: ENDED, peer: -1 })
})

engineTest('the client resets behind its FIN', async (h) => {
  const { client, server, conn, end } = await session(h)
  client.fin()
  assert.equal(await server.ending(), 'fin')
  await says(h, conn, READ_SHUT)
  client.reset()
  // Nothing is read from it any more: a write tells.
  await server.send('late')
  assert.equal((await h.next('closed')).reason, 'client close reset')
  assert.deepEqual(end, { client: FAILED, server: ENDED, peer: -1 })
})

engineTest('the server resets', async (h) => {
  const { client, server, end } = await session(h)
  server.reset()
  assert.equal(await client.ending(), 'reset')
  assert.equal((await h.next('closed')).reason, 'server data reset')
  assert.deepEqual(end, { client: ENDED, server: FAILED, peer: -1 })
})

engineTest('a time-out is no failure', async (h) => {
  const { end } = await session(h, { clientTimeout: 40 })
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
  assert.deepEqual(end, { client: ENDED, server: ENDED, peer: -1 })
})

engineTest('policy closes, and resets', async (h) => {
  for (const mode of [CloseMode.CLOSE, CloseMode.RESET]) {
    const { conn, generation, end } = await session(h)
    h.engine.close(conn, generation, DONE, mode, 0)
    await h.next('closed')
    assert.deepEqual(end, { client: ENDED, server: ENDED, peer: -1 })
  }
})

engineTest('a side whose other side takes no more is held back', async (h) => {
  const { client, server, conn, peer } = await session(h)
  const held = `ESTABLISHED hh=[-] ${FLOWS} HELD_BACK [-]`
  server.pause()
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < 48; i++) client.socket.write(block)
  await says(h, conn, held)
  assert.equal(said(h, peer), STREAMS)
  server.resume()
  await server.until(() => server.received === 48 * block.length)
  await says(h, conn, STREAMS)
  client.pause()
  for (let i = 0; i < 48; i++) server.socket.write(block)
  await says(h, peer, held)
  assert.equal(said(h, conn), STREAMS)
})

engineTest('a PROXY header in', async (h) => {
  const upstream = await h.server()
  const { ACCEPT_PROXY, TCP_RULES, ACCEPT_SESSION } = Handshake
  const { port } = await h.listenPort({
    handshakes: ACCEPT_PROXY | TCP_RULES | ACCEPT_SESSION,
    ask: TCP_RULES | ACCEPT_SESSION,
  })
  h.route(upstream.port)
  const client = await h.dial({ port })
  await client.send('PROXY TCP4 192.0.2.1 ')
  const pending = 'ACCEPT_PROXY TCP_RULES ACCEPT_SESSION'
  const conn = 0
  await says(h, conn, `ACCEPTED hh=[${pending}] ${CLIENT} PROXY_IN=started [-]`)
  await client.send('192.0.2.2 1000 443\r\n')
  await h.next('handshake')
  await h.next('handshake')
  await h.next('connected')
  assert.equal(said(h, conn), `ESTABLISHED hh=[-] ${FLOWS} PROXY_IN=completed [-]`)
  const { src, srcPort, dst, dstPort } = h.record(conn)
  assert.deepEqual([src, srcPort, dst, dstPort], ['192.0.2.1', 1000, '192.0.2.2', 443])
})

engineTest('policy asks for a PROXY header', async (h) => {
  const { ACCEPT_PROXY, TCP_RULES, ACCEPT_SESSION } = Handshake
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.answers.handshake = ({ conn, generation, bit }) => {
    if (bit === TCP_RULES) h.engine.proceed(conn, generation, TCP_RULES, ACCEPT_PROXY, 0)
  }
  await h.dial({ port })
  const { conn } = await h.next('handshake')
  const pending = 'ACCEPT_PROXY ACCEPT_SESSION'
  await says(h, conn, `ACCEPTED hh=[${pending}] ${CLIENT} PROXY_IN=started [-]`)
})

engineTest('a server that does not answer yet, and the connect time-out', async (h) => {
  await withBlackhole(async (to) => {
    const context = h.engine.upstreamTls(CLIENT_TLS)
    const { port } = await h.listenPort()
    h.route(to, {
      connectTimeout: 300,
      sendProxy: 2,
      socks: { version: 5, host: '127.0.0.1', port: 1 },
      tls: { context, serverName: 'front.example' },
    })
    const end = atTheEnd(h)
    await h.dial({ port })
    const { conn } = await h.next('handshake')
    await says(h, conn, `ACCEPTED hh=[-] ${CLIENT} [-]`)
    const peer = h.engine.table.get(conn, Field.PEER)
    const pending = 'L4_CONNECT SOCKS SEND_PROXY TLS_OUT'
    const steps = 'PROXY_OUT=wanted DATA_OPEN=wanted SOCKS=wanted'
    assert.equal(said(h, peer), `CONNECTING hh=[${pending}] ${BORN} DATA_INIT ${steps} [-]`)
    const { dst, dstPort } = h.record(peer)
    assert.deepEqual([dst, dstPort], ['127.0.0.1', to])
    assert.equal((await h.next('connectFailed')).reason, 'timeout connect connect-timeout')
    await h.next('closed')
    const server = `${closed(false, '', false)} ${steps}`
    assert.equal(end.server, `CLOSED hh=[${pending}] ${server} ${ALL_DONE}`)
    assert.equal(end.client, `CLOSED hh=[-] ${closed(false)} ${ALL_DONE}`)
  })
})

engineTest('a server that refuses has failed, its client has not', async (h) => {
  const { port } = await h.listenPort()
  h.route(await closedPort())
  let server = ''
  let peer = 0
  h.answers.connectFailed = ({ conn, generation }) => {
    server = said(h, serverOf(h, conn))
    peer = h.engine.table.get(conn, Field.PEER)
    h.engine.close(conn, generation, DONE, CloseMode.CLOSE, 0)
  }
  const end = atTheEnd(h)
  await h.dial({ port })
  await h.next('closed')
  const failed = closed(false, 'CTRL', false)
  assert.equal(server, `ERROR hh=[L4_CONNECT] ${failed} ${ALL_DONE}`)
  assert.equal(peer, -1)
  assert.equal(end.client, `CLOSED hh=[-] ${closed(false)} ${ALL_DONE}`)
})

engineTest('SOCKS, then a PROXY header', async (h) => {
  const upstream = await h.server()
  const proxy = await SocksServer.listen()
  const { port } = await h.listenPort()
  h.route(proxy.port, {
    sendProxy: 1,
    socks: { version: 5, host: '127.0.0.1', port: upstream.port },
  })
  await h.dial({ port })
  const { conn } = await h.next('connected')
  const peer = h.engine.table.get(conn, Field.PEER)
  await says(h, peer, `ESTABLISHED hh=[-] ${FLOWS} PROXY_OUT=completed SOCKS=completed [-]`)
  assert.equal(said(h, conn), STREAMS)
  proxy.close()
})

engineTest('a server that connects and then stays silent', async (h) => {
  const silent = await h.server()
  const tls = { context: h.engine.upstreamTls(CLIENT_TLS), serverName: 'front.example' }
  const socks = { version: 5, host: '127.0.0.1', port: 1 } as const
  const waits = [
    {
      route: { sendProxy: 2, socks, tls },
      hh: 'SOCKS SEND_PROXY TLS_OUT',
      steps: 'PROXY_OUT=wanted DATA_OPEN=wanted SOCKS=started',
    },
    {
      route: { sendProxy: 2, tls },
      hh: 'TLS_OUT',
      steps: 'PROXY_OUT=completed DATA_OPEN=started',
    },
  ] as const
  for (const { route, hh, steps } of waits) {
    const { port } = await h.listenPort()
    h.route(silent.port, route)
    const client = await h.dial({ port })
    const server = await silent.accept()
    // It has our first message, and says nothing to it.
    await server.until(() => server.received > 0)
    const { conn, generation } = await h.next('handshake')
    await says(h, conn, `ACCEPTED hh=[-] ${CLIENT} [-]`)
    const peer = h.engine.table.get(conn, Field.PEER)
    await says(h, peer, `CONNECTING hh=[${hh}] ${HELLO} ${steps} [-]`)
    let end = ''
    h.answers.closed = () => {
      end = said(h, peer)
    }
    h.engine.close(conn, generation, DONE, CloseMode.CLOSE, 0)
    await h.next('closed')
    const flags = closed(false).replace(' DATA_CONNECTED', '')
    assert.equal(end, `CLOSED hh=[${hh}] ${flags} ${steps} ${ALL_DONE}`)
    client.destroy()
    server.destroy()
  }
})

/** A listener that terminates TLS with one context. */
async function terminating(h: Harness, tls: Partial<typeof SERVER_TLS> = {}) {
  const { TLS, ACCEPT_SESSION } = Handshake
  const context = h.engine.downstreamTls({ ...SERVER_TLS, ...tls })
  const { port } = await h.listenPort({
    handshakes: TLS | ACCEPT_SESSION,
    ask: TLS | ACCEPT_SESSION,
  })
  const answered: string[] = []
  h.answers.handshake = (told) => {
    answered.push(said(h, told.conn))
    if (told.bit !== TLS) return h.pass(told)
    h.engine.proceed(told.conn, told.generation, 0, 0, 0, context, ProceedFlag.TELL_WAITING)
  }
  return { port, answered }
}

engineTest('TLS in: each step, then close_notify and FIN apart', async (h) => {
  const upstream = await h.server()
  const { port, answered } = await terminating(h)
  h.route(upstream.port)
  // It passes close_notify on, and FINs only when it ends itself.
  const relay = await Relay.listen(port, { keepOpen: true })
  const client = await TlsPeer.dial(relay.port)
  const { conn } = await h.next('connected')
  const server = await upstream.accept()
  const end = atTheEnd(h)
  const waits = h.all('handshakeWaits')[0]?.record
  assert.equal(decodeFlags(waits?.flags ?? 0), `${HELLO} DATA_OPEN=started`)
  assert.deepEqual(answered, [
    `ACCEPTED hh=[TLS ACCEPT_SESSION] ${HELLO} DATA_OPEN=wanted [-]`,
    `ACCEPTED hh=[ACCEPT_SESSION] ${CLIENT} DATA_OPEN=completed [-]`,
  ])
  const tls = ' DATA_OPEN=completed'
  assert.equal(said(h, conn), `ESTABLISHED hh=[-] ${FLOWS}${tls} [-]`)
  // close_notify alone: the payload has ended, the socket has not.
  client.fin()
  assert.equal(await server.ending(), 'fin')
  const shut = 'DSHR:done CSHR:wanted'
  await says(h, conn, `ESTABLISHED hh=[-] SHR ${FLOWS} DATA_SHUTR${tls} [${shut}]`)
  relay.endPeers()
  const both = FLOWS.replace('DATA_INIT', 'CTRL_SHUTR DATA_INIT')
  await says(h, conn, `ESTABLISHED hh=[-] SHR ${both} DATA_SHUTR${tls} [DSHR:done CSHR:done]`)
  server.fin()
  assert.equal((await h.next('closed')).reason, 'client data done')
  assert.equal(end.client, `CLOSED hh=[-] ${closed(true)}${tls} ${ALL_DONE}`)
  client.destroy()
  relay.close()
})

engineTest('a client goes on without TLS', async (h) => {
  const upstream = await h.server()
  const { TLS, ACCEPT_SESSION } = Handshake
  const handshakes = TLS | ACCEPT_SESSION
  for (const ask of [TLS | ACCEPT_SESSION, ACCEPT_SESSION]) {
    const { port } = await h.listenPort({ handshakes, ask })
    h.route(upstream.port)
    const client = await h.dial({ port })
    await client.send(await helloBytes())
    const { conn } = await h.next('connected')
    assert.equal(said(h, conn), STREAMS)
  }
})

engineTest('a TLS handshake that fails has failed the data layer', async (h) => {
  const { port } = await terminating(h, { minVersion: 'TLSv1.3' })
  const end = atTheEnd(h)
  const { error } = await TlsPeer.attempt(port, { maxVersion: 'TLSv1.2' })
  assert.notEqual(error, undefined)
  const { reason } = await h.next('closed')
  assert.equal(reason, 'client tls tls-version')
  const flags = closed(false, 'DATA').replace(' DATA_CONNECTED', '')
  const steps = 'DATA_OPEN=started LAST_CHUNK=completed'
  assert.equal(end.client, `ERROR hh=[-] ${flags} ${steps} ${ALL_DONE}`)
})

for (const bytes of [0, 20]) {
  engineTest(`a client that resets behind ${bytes} bytes of its hello has failed`, async (h) => {
    const { TLS, ACCEPT_SESSION } = Handshake
    const handshakes = TLS | ACCEPT_SESSION
    const { port } = await h.listenPort({ handshakes, ask: handshakes })
    const end = atTheEnd(h)
    const client = await h.dial({ port })
    const asked = 'hh=[TLS ACCEPT_SESSION]'
    await says(h, 0, `ACCEPTED ${asked} ${HELLO} DATA_OPEN=wanted [-]`)
    if (bytes > 0) await client.send((await helloBytes()).subarray(0, bytes))
    client.reset()
    assert.equal((await h.next('closed')).reason, 'client tls reset')
    const flags = closed(false, 'CTRL').replace(' DATA_CONNECTED', '')
    assert.equal(end.client, `ERROR ${asked} ${flags} DATA_OPEN=wanted ${ALL_DONE}`)
  })
}

engineTest('records that cannot be trusted have failed the data layer', async (h) => {
  const upstream = await h.server()
  const { port } = await terminating(h)
  h.route(upstream.port)
  const raw = await h.dial({ port })
  const { peer: client } = await TlsPeer.over(raw.socket, {})
  await h.next('connected')
  const end = atTheEnd(h)
  raw.socket.write(Buffer.from('170303001400112233445566778899aabbccddeeff00112233', 'hex'))
  await h.next('closed')
  const tls = ' DATA_OPEN=completed'
  assert.equal(end.client, `ERROR hh=[-] ${closed(true, 'DATA')}${tls} ${ALL_DONE}`)
  client?.destroy()
})

engineTest('TLS out, and a server that is not trusted', async (h) => {
  const upstream = await TlsServer.listen({ cert: chain, key })
  const { port } = await h.listenPort()
  try {
    const tls = { context: h.engine.upstreamTls(CLIENT_TLS), serverName: 'front.example' }
    h.route(upstream.port, { tls })
    const client = await h.dial({ port })
    const { conn } = await h.next('connected')
    const peer = h.engine.table.get(conn, Field.PEER)
    assert.equal(said(h, peer), `ESTABLISHED hh=[-] ${FLOWS} DATA_OPEN=completed [-]`)
    client.fin()
    await says(h, peer, `${WRITE_SHUT.replace(' [', ' DATA_OPEN=completed [')}`)
    upstream.endPeers()
    await h.next('closed')
    const wrong = { context: h.engine.upstreamTls(CLIENT_TLS), serverName: 'other.example' }
    h.route(upstream.port, { tls: wrong })
    let server = ''
    h.answers.connectFailed = (told) => {
      server = said(h, serverOf(h, told.conn))
      h.engine.close(told.conn, told.generation, DONE, CloseMode.CLOSE, 0)
    }
    await h.dial({ port })
    await h.next('closed')
    const flags = closed(false, 'DATA').replace(' DATA_CONNECTED', '')
    assert.equal(server, `ERROR hh=[TLS_OUT] ${flags} DATA_OPEN=started ${ALL_DONE}`)
  } finally {
    upstream.close()
  }
})

/** A client about whom policy is asked, and who reads nothing. */
async function held(h: Harness): Promise<{ client: Peer; conn: number; generation: number }> {
  const { port } = await h.listenPort()
  h.answers.handshake = () => {}
  const client = await h.dial({ port })
  client.pause()
  const { conn, generation } = await h.next('handshake')
  return { client, conn, generation }
}

const LAST = 'LAST_CHUNK=completed'

engineTest('the last chunk of a REPLY', async (h) => {
  const { client, conn, generation } = await held(h)
  const end = atTheEnd(h)
  h.engine.reply(conn, generation, Buffer.from('bye'), DONE)
  const shut = CLIENT.replace('DATA_INIT', 'CTRL_SHUTW DATA_INIT')
  await says(h, conn, `ACCEPTED hh=[-] SHW ${shut} DATA_SHUTW ${LAST} [DSHW:done CSHW:done]`)
  client.resume()
  assert.equal((await client.readToEnd()).toString(), 'bye')
  client.fin()
  await h.next('closed')
  assert.equal(end.client, `CLOSED hh=[-] ${closed(false)} ${LAST} ${ALL_DONE}`)
})

engineTest('a CLOSE behind bytes of policy is retained until they have left', async (h) => {
  const { client, conn, generation } = await held(h)
  const end = atTheEnd(h)
  h.engine.applet(conn, generation, 1000, 0)
  await says(h, conn, STREAMS)
  const block = Buffer.alloc(60_000)
  for (let i = 0; i < 300; i++) h.engine.send(conn, generation, block, false)
  h.engine.close(conn, generation, DONE, CloseMode.CLOSE, 0)
  const wanted = '[DSHW:wanted CSHW:wanted]'
  const flags = `${FLOWS} LAST_CHUNK=started`
  await says(h, conn, `ESTABLISHED hh=[SEND_LAST_CHUNK] ${flags} ${wanted}`)
  client.resume()
  assert.equal((await client.readToEnd()).length, 300 * block.length)
  client.fin()
  const { record } = await h.next('closed')
  assert.equal(record.bytesOut, 300 * block.length)
  assert.equal(end.client, `CLOSED hh=[-] ${closed(true)} ${LAST} ${ALL_DONE}`)
})

engineTest('an applet, FIN out and FIN in', async (h) => {
  const { client, conn, generation } = await held(h)
  h.engine.applet(conn, generation, 1000, 0)
  h.engine.send(conn, generation, Buffer.from('over'), true)
  await says(h, conn, WRITE_SHUT)
  const end = atTheEnd(h)
  client.fin()
  client.resume()
  await h.next('closed')
  assert.equal(end.client, ENDED)
})

engineTest('a client that resets while policy is asked has failed', async (h) => {
  const { client, conn } = await held(h)
  const end = atTheEnd(h)
  client.reset()
  await h.next('closed', (told) => told.conn === conn)
  assert.equal(end.client, `ERROR hh=[ACCEPT_SESSION] ${closed(false, 'CTRL')} ${ALL_DONE}`)
})

engineTest('a FIN that is read while payload is inspected', async (h) => {
  const { client, conn, generation } = await held(h)
  h.engine.inspect(conn, generation, 100, 0, 0)
  client.fin()
  await h.next('bytes')
  const flags = `SHR ${CLIENT.replace('DATA_INIT', 'CTRL_SHUTR DATA_INIT')} DATA_SHUTR`
  assert.equal(said(h, conn), `ACCEPTED hh=[ACCEPT_SESSION] ${flags} [DSHR:done CSHR:done]`)
  assert.equal(h.record(conn).state, ConnState.ACCEPTED)
  h.engine.close(conn, generation, DONE, CloseMode.RESET, 0)
})
