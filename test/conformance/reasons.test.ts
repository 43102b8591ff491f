/** Why connections end: RST, FIN and silence of either side in each phase. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { By, CloseMode, Code, Handshake, Phase } from '#sluice/wire/wire.js'
import { withBlackhole } from '../support/blackhole.js'
import { engineTest, type Harness, reasonWord } from '../support/engine-harness.js'
import { closedPort } from '../support/peer.js'

const { CUSTOM, TCP_RULES, ACCEPT_SESSION } = Handshake
const { ECONNREFUSED, ECONNRESET } = constants.errno
const shutdown = reasonWord(By.PROXY, Phase.DATA, Code.SHUTDOWN)

for (const [bit, phase] of [
  [TCP_RULES, 'tcp-rules'],
  [CUSTOM, 'handshake'],
  [ACCEPT_SESSION, 'accept-session'],
] as const) {
  engineTest(`the client resets while ${phase} is decided`, async (h) => {
    const ask = bit | ACCEPT_SESSION
    const { port } = await h.listenPort({ handshakes: ask, ask })
    h.answers.handshake = () => {}
    const client = await h.dial({ port })
    await h.next('handshake')
    client.reset()
    const closed = await h.next('closed')
    assert.equal(closed.reason, `client ${phase} reset`)
    assert.equal(closed.errno, ECONNRESET)
    assert.equal(closed.connectTime, -1)
  })
}

for (const [bit, phase] of [
  [CUSTOM, 'handshake'],
  [ACCEPT_SESSION, 'accept-session'],
] as const) {
  engineTest(`the client resets while its ${phase} bytes are inspected`, async (h) => {
    const ask = bit | ACCEPT_SESSION
    const { port } = await h.listenPort({ handshakes: ask, ask })
    h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
    const client = await h.dial({ port })
    await client.send('some')
    await h.next('bytes')
    client.reset()
    assert.equal((await h.next('closed')).reason, `client ${phase} reset`)
  })
}

engineTest('the client resets in the queue', async (h) => {
  const { port } = await h.listenPort()
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.proceed(conn, generation, ACCEPT_SESSION, 0, 0)
  }
  const client = await h.dial({ port })
  await h.next('handshake')
  await delay(20)
  client.reset()
  assert.equal((await h.next('closed')).reason, 'client queue reset')
})

engineTest('the client resets during the connect, which is given up', async (h) => {
  await withBlackhole(async (hole) => {
    const { port } = await h.listenPort()
    h.route(hole)
    const client = await h.dial({ port })
    await h.until(() => h.engine.stats().connections === 2, 'the connect is on its way')
    await delay(20)
    client.reset()
    assert.equal((await h.next('closed')).reason, 'client connect reset')
    await h.idle()
    assert.equal(h.all('connectFailed').length, 0)
  })
})

engineTest('a connect that takes too long fails, and the client is still there', async (h) => {
  await withBlackhole(async (hole) => {
    const upstream = await h.server()
    const { port } = await h.listenPort()
    const good = h.route(upstream.port)
    h.route(hole, { connectTimeout: 50 })
    h.answers.connectFailed = ({ conn, generation }) => {
      h.engine.connect(conn, generation, good, 0, 0)
    }
    const client = await h.dial({ port })
    await client.send('second try')
    assert.equal((await h.next('connectFailed')).reason, 'timeout connect connect-timeout')
    await (await upstream.accept()).expect('second try')
  })
})

engineTest('policy closes during the connect, which is given up', async (h) => {
  await withBlackhole(async (hole) => {
    const { port } = await h.listenPort()
    h.route(hole)
    const client = await h.dial({ port })
    const { conn, generation } = await h.next('handshake')
    await h.until(() => h.engine.stats().connections === 2, 'the connect is on its way')
    h.engine.close(conn, generation, shutdown, CloseMode.CLOSE, 0)
    await client.ending()
    assert.equal((await h.next('closed')).reason, 'proxy data shutdown')
  })
})

engineTest('an upstream that refuses', async (h) => {
  const { port } = await h.listenPort()
  h.route(await closedPort())
  const client = await h.dial({ port })
  const failed = await h.next('connectFailed')
  assert.equal(failed.reason, 'server connect refused')
  assert.equal(failed.errno, ECONNREFUSED)
  await client.ending()
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'server connect refused')
  assert.equal(closed.connectTime, -1)
})

engineTest('a refused connect is tried again, and answered with a reply at last', async (h) => {
  const { port } = await h.listenPort()
  const route = h.route(await closedPort())
  let tries = 0
  h.answers.connectFailed = ({ conn, generation }) => {
    tries++
    if (tries < 3) h.engine.connect(conn, generation, route, 0, 0)
    else h.engine.reply(conn, generation, Buffer.from('503'), shutdown)
  }
  const client = await h.dial({ port })
  assert.equal((await client.readToEnd()).toString(), '503')
  assert.equal(tries, 3)
})

engineTest('a unix socket that is not there', async (h) => {
  const { port } = await h.listenPort()
  h.route('/nonexistent/sluice')
  await h.dial({ port })
  assert.equal((await h.next('connectFailed')).reason, 'server connect refused')
})

engineTest('a source address that is not local', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port, { source: { ip: '192.0.2.1' } })
  await h.dial({ port })
  assert.equal((await h.next('connectFailed')).reason, 'proxy connect bad-address')
})

engineTest('a source address is what the server sees', async (h) => {
  const { server } = await h.pair({}, { source: { ip: '127.0.0.2' } })
  assert.equal(server.socket.remoteAddress, '127.0.0.2')
})

engineTest('the server closes at once', async (h) => {
  const { client, server } = await h.pair()
  server.destroy()
  assert.equal(await client.ending(), 'fin')
  client.fin()
  assert.equal((await h.next('closed')).reason, 'server data done')
})

engineTest('the server resets', async (h) => {
  const { client, server } = await h.pair()
  await client.send('request')
  await server.expect('request')
  server.reset()
  await client.ending()
  client.destroy()
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'server data reset')
  assert.equal(closed.errno, ECONNRESET)
})

engineTest('what the server sent before its reset arrives', async (h) => {
  const { client, server } = await h.pair()
  await server.send('last words')
  await client.expect('last words')
  server.reset()
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'server data reset')
})

engineTest('the client resets', async (h) => {
  const { client, server } = await h.pair()
  await client.send('request')
  await server.expect('request')
  client.reset()
  await server.ending()
  assert.equal((await h.next('closed')).reason, 'client data reset')
})

engineTest('the server resets in the middle of a transfer', async (h) => {
  const { client, server } = await h.pair()
  server.socket.write(randomBytes(1 << 22))
  await client.until(() => client.received > 100_000)
  server.reset()
  await client.ending()
  client.destroy()
  assert.equal((await h.next('closed')).reason, 'server data reset')
})

engineTest('the client resets in the middle of a transfer', async (h) => {
  const { client, server } = await h.pair()
  server.socket.write(randomBytes(1 << 22))
  await client.until(() => client.received > 100_000)
  client.reset()
  await server.ending()
  assert.equal((await h.next('closed')).reason, 'client data reset')
})

engineTest('a reset after one FIN is the phase of closing', async (h) => {
  const { client, server } = await h.pair()
  client.fin()
  await server.ending()
  server.reset()
  await client.ending()
  assert.match((await h.next('closed')).reason as string, /^server (data|close) reset$/)
})

engineTest('both sides reset and write at the same time', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  // A write that follows a read error in one batch of events must not end a connection twice.
  for (let i = 0; i < 50; i++) {
    const client = await h.dial({ port })
    const server = await upstream.accept()
    client.socket.write(randomBytes(20_000))
    server.socket.write(randomBytes(20_000))
    if (i % 3 !== 0) server.reset()
    if (i % 3 !== 1) client.reset()
    await h.next('closed')
    client.destroy()
    server.destroy()
  }
  await h.idle()
  for (const { reason } of h.all('closed')) {
    assert.match(
      reason as string,
      /^(client|server) (connect|queue|data|close) (reset|io-error|done)$/,
    )
  }
})

engineTest(
  'policy closes an established session, and what was buffered still arrives',
  async (h) => {
    const { client, server, conn, generation } = await h.pair()
    await server.send('all of it')
    await h.until(() => h.record(conn).bytesOut === 9, 'the bytes went through')
    h.engine.close(conn, generation, shutdown, CloseMode.CLOSE, 0)
    assert.equal((await client.readToEnd()).toString(), 'all of it')
    await server.ending()
    client.fin()
    assert.equal((await h.next('closed')).reason, 'proxy data shutdown')
  },
)

engineTest('policy resets an established session', async (h) => {
  const { client, server, conn, generation } = await h.pair()
  h.engine.close(conn, generation, shutdown, CloseMode.RESET, 0)
  assert.equal(await client.ending(), 'reset')
  await server.ending()
  assert.equal((await h.next('closed')).reason, 'proxy data shutdown')
})

engineTest('a tarpit holds the connection, then ends it', async (h) => {
  const { port } = await h.listenPort()
  const word = reasonWord(By.POLICY, Phase.TCP_RULES, Code.TARPIT)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.close(conn, generation, word, CloseMode.TARPIT, 80)
  }
  const client = await h.dial({ port })
  await client.send('hello?')
  await delay(20)
  assert.equal(client.ended, undefined)
  assert.equal(h.all('closed').length, 0)
  await client.ending()
  assert.equal(client.received, 0)
  assert.equal((await h.next('closed')).reason, 'policy tcp-rules tarpit')
})

engineTest(
  'one that is in a tarpit, or has its last chunk, is closed at once when asked again',
  async (h) => {
    const { port } = await h.listenPort({ handshakes: TCP_RULES, ask: TCP_RULES })
    const word = reasonWord(By.POLICY, Phase.TCP_RULES, Code.TARPIT)
    const killed = reasonWord(By.PROXY, Phase.TCP_RULES, Code.KILLED)
    for (const first of ['tarpit', 'reply']) {
      h.answers.handshake = ({ conn, generation }) => {
        if (first === 'tarpit') h.engine.close(conn, generation, word, CloseMode.TARPIT, 60_000)
        else h.engine.reply(conn, generation, Buffer.from('bye'), word)
      }
      const client = await h.dial({ port })
      if (first === 'reply') await client.expect('bye')
      const { conn, generation } = await h.next('handshake')
      h.engine.close(conn, generation, killed, CloseMode.CLOSE, 0)
      assert.equal((await h.next('closed')).reason, 'proxy tcp-rules killed')
      await client.ending()
    }
  },
)

engineTest('a client that leaves the tarpit early', async (h) => {
  const { port } = await h.listenPort()
  const word = reasonWord(By.POLICY, Phase.TCP_RULES, Code.TARPIT)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.close(conn, generation, word, CloseMode.TARPIT, 60_000)
  }
  const client = await h.dial({ port })
  await h.next('handshake')
  await delay(20)
  client.reset()
  assert.equal((await h.next('closed')).reason, 'policy tcp-rules tarpit')
})

engineTest('stopping the engine ends everything', async (h: Harness) => {
  const { client, server } = await h.pair()
  await h.engine.stop()
  await client.ending()
  await server.ending()
  assert.equal(h.engine.stats().connections, 0)
  h.told.length = 0
})
