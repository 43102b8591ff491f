/** Inactivity: which time-out ends a connection. Durations are never asserted. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { By, CloseMode, Code, Handshake, Phase, Timeout } from '#sluice/wire/wire.js'
import { withBlackhole } from '../support/blackhole.js'
import { engineTest, reasonWord } from '../support/engine-harness.js'

const shutdown = reasonWord(By.PROXY, Phase.DATA, Code.SHUTDOWN)

engineTest('a silent client', async (h) => {
  const { client, server } = await h.pair({ clientTimeout: 40 }, { serverTimeout: 0 })
  await client.ending()
  await server.ending()
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'timeout data client-timeout')
  assert.ok((closed.connectTime as number) >= 0)
})

engineTest('a silent server', async (h) => {
  const { client, server } = await h.pair({ clientTimeout: 0 }, { serverTimeout: 40 })
  await client.ending()
  await server.ending()
  client.fin()
  assert.equal((await h.next('closed')).reason, 'timeout data server-timeout')
})

engineTest('a client that is silent after the server FIN', async (h) => {
  const { client, server } = await h.pair({ clientTimeout: 60_000, clientFinTimeout: 40 })
  server.fin()
  assert.equal(await client.ending(), 'fin')
  assert.equal((await h.next('closed')).reason, 'timeout close client-fin-timeout')
})

engineTest('a server that is silent after the client FIN', async (h) => {
  const { client, server } = await h.pair({}, { serverTimeout: 60_000, serverFinTimeout: 40 })
  client.fin()
  assert.equal(await server.ending(), 'fin')
  assert.equal((await h.next('closed')).reason, 'timeout close server-fin-timeout')
})

engineTest('a tunnel that is silent once both sides have spoken', async (h) => {
  const { client, server } = await h.pair(
    { clientTimeout: 60_000 },
    { serverTimeout: 60_000, tunnelTimeout: 40 },
  )
  await client.send('hello')
  await server.expect('hello')
  await server.send('hi')
  await client.expect('hi')
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout data tunnel-timeout')
})

engineTest('the tunnel time-out replaces shorter ones of its sides', async (h) => {
  const { client, server } = await h.pair(
    { clientTimeout: 1000 },
    { serverTimeout: 1000, tunnelTimeout: 60_000 },
  )
  await client.send('hello')
  await server.expect('hello')
  await server.send('hi')
  await client.expect('hi')
  await delay(2200)
  await client.send('still there')
  await server.expect('still there')
})

engineTest('activity in one direction keeps a session alive', async (h) => {
  const { client, server } = await h.pair({ clientTimeout: 1500 }, { serverTimeout: 1500 })
  for (let i = 0; i < 8; i++) {
    await server.send(`event ${i}`)
    await client.expect(`event ${i}`)
    await delay(300)
  }
  assert.equal(h.all('closed').length, 0)
})

engineTest('a client that does not read is the one that is silent', async (h) => {
  const { client, server } = await h.pair({ clientTimeout: 200 }, { serverTimeout: 200 })
  client.pause()
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < 48; i++) server.socket.write(block)
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
})

engineTest('a client’s time-out of its own, shorter and longer', async (h) => {
  const { client, conn, generation } = await h.pair({ clientTimeout: 60_000 }, { serverTimeout: 0 })
  h.engine.setTimeout(conn, generation, Timeout.CLIENT, 40)
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
})

engineTest('a server’s, and one that is taken back', async (h) => {
  const { client, server, conn, generation } = await h.pair(
    { clientTimeout: 0 },
    { serverTimeout: 300 },
  )
  h.engine.setTimeout(conn, generation, Timeout.SERVER, 60_000)
  await delay(900)
  await client.send('still there')
  await server.expect('still there')
  h.engine.setTimeout(conn, generation, Timeout.SERVER, -1)
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout data server-timeout')
})

engineTest('those of a session that is half closed', async (h) => {
  for (const [which, half, reason] of [
    [Timeout.CLIENT_FIN, 'server', 'timeout close client-fin-timeout'],
    [Timeout.SERVER_FIN, 'client', 'timeout close server-fin-timeout'],
  ] as const) {
    const pair = await h.pair({ clientTimeout: 60_000 }, { serverTimeout: 60_000 })
    h.engine.setTimeout(pair.conn, pair.generation, which, 40)
    pair[half].fin()
    assert.equal((await h.next('closed')).reason, reason)
  }
})

engineTest('a tunnel’s, where none is configured', async (h) => {
  const { client, server, conn, generation } = await h.pair(
    { clientTimeout: 60_000 },
    { serverTimeout: 60_000 },
  )
  await client.send('hello')
  await server.expect('hello')
  await server.send('hi')
  await client.expect('hi')
  h.engine.setTimeout(conn, generation, Timeout.TUNNEL, 40)
  assert.equal((await h.next('closed')).reason, 'timeout data tunnel-timeout')
})

engineTest('time-outs that are given before the session hold in it, and in no other', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({ clientTimeout: 60_000 })
  h.route(upstream.port)
  let first = true
  h.answers.handshake = (told) => {
    if (first) h.engine.setTimeout(told.conn, told.generation, Timeout.CLIENT, 40)
    first = false
    h.pass(told)
  }
  const short = await h.dial({ port })
  await upstream.accept()
  await short.ending()
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
  // The slot is the same one's again.
  const long = await h.dial({ port })
  const server = await upstream.accept()
  await delay(300)
  await long.send('still there')
  await server.expect('still there')
})

engineTest('a connect’s', async (h) => {
  await withBlackhole(async (hole) => {
    const { port } = await h.listenPort()
    h.route(hole, { connectTimeout: 60_000 })
    h.answers.handshake = (told) => {
      h.engine.setTimeout(told.conn, told.generation, Timeout.CONNECT, 40)
      h.pass(told)
    }
    h.answers.connectFailed = ({ conn, generation }) => {
      h.engine.close(conn, generation, shutdown, CloseMode.CLOSE, 0)
    }
    await h.dial({ port })
    assert.equal((await h.next('connectFailed')).reason, 'timeout connect connect-timeout')
    await h.next('closed')
  })
})

engineTest('an applet’s client, and an inspected one', async (h) => {
  const ask = Handshake.CUSTOM | Handshake.ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask, clientTimeout: 60_000 })
  h.answers.handshake = ({ conn, generation, bit }) => {
    h.engine.setTimeout(conn, generation, Timeout.CLIENT, 40)
    if (applet) h.engine.applet(conn, generation, 1024, 0)
    else h.engine.inspect(conn, generation, 100, 0, 0)
    assert.equal(bit, Handshake.CUSTOM)
  }
  let applet = true
  await h.dial({ port })
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
  applet = false
  await h.dial({ port })
  assert.match((await h.next('closed')).reason ?? '', /^timeout handshake client-timeout$/)
})

engineTest('no time-out at all', async (h) => {
  const { client, server } = await h.pair(
    { clientTimeout: 0, clientFinTimeout: 0 },
    { serverTimeout: 0 },
  )
  await delay(100)
  await client.send('x')
  await server.expect('x')
  assert.equal(h.all('closed').length, 0)
})
