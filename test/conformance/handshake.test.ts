/** Handshakes: their order, every kind of answer, deadlines, answers that come too often. */

import assert from 'node:assert/strict'
import { By, BytesFlag, CloseMode, Code, Handshake, Phase } from '#sluice/wire/wire.js'
import { engineTest, reasonWord } from '../support/engine-harness.js'

const { HEALTH, MONITOR_IN, ACCEPT_PROXY, TCP_RULES, CUSTOM, ACCEPT_SESSION } = Handshake
const rejected = reasonWord(By.POLICY, Phase.TCP_RULES, Code.REJECTED)

engineTest('the bits that are asked come lowest first', async (h) => {
  const upstream = await h.server()
  const all = MONITOR_IN | ACCEPT_PROXY | TCP_RULES | CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: all, ask: all })
  h.route(upstream.port)
  const client = await h.dial({ port })
  await client.send('PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\npayload')
  const server = await upstream.accept()
  await server.expect('payload')
  assert.deepEqual(
    h.all('handshake').map(({ bit }) => bit),
    [MONITOR_IN, ACCEPT_PROXY, TCP_RULES, CUSTOM, ACCEPT_SESSION],
  )
  const sources = h.all('handshake').map(({ record }) => record.src)
  assert.deepEqual(sources, ['127.0.0.1', '127.0.0.1', '192.0.2.1', '192.0.2.1', '192.0.2.1'])
})

engineTest('bits that are not asked never cross', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({
    handshakes: MONITOR_IN | TCP_RULES | CUSTOM | ACCEPT_SESSION,
    ask: ACCEPT_SESSION,
  })
  h.route(upstream.port)
  await h.dial({ port })
  await upstream.accept()
  assert.deepEqual(
    h.all('handshake').map(({ bit }) => bit),
    [ACCEPT_SESSION],
  )
})

engineTest('clearing ACCEPT_PROXY leaves the header in the payload', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({
    handshakes: ACCEPT_PROXY | ACCEPT_SESSION,
    ask: ACCEPT_PROXY | ACCEPT_SESSION,
  })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    if (told.bit === ACCEPT_PROXY) {
      h.engine.proceed(told.conn, told.generation, ACCEPT_PROXY, 0, 0)
    } else h.pass(told)
  }
  const client = await h.dial({ port })
  await client.send('PROXY UNKNOWN\r\nx')
  await (await upstream.accept()).expect('PROXY UNKNOWN\r\nx')
})

engineTest('a rule may ask for a PROXY header and is asked again behind it', async (h) => {
  const upstream = await h.server()
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    const first = told.bit === TCP_RULES && told.record.src === '127.0.0.1'
    if (first) h.engine.proceed(told.conn, told.generation, 0, ACCEPT_PROXY, 0)
    else h.pass(told)
  }
  const client = await h.dial({ port })
  await client.send('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nbody')
  await (await upstream.accept()).expect('body')
  assert.deepEqual(
    h.all('handshake').map(({ bit, record }) => `${bit} ${record.src}`),
    [`${TCP_RULES} 127.0.0.1`, `${TCP_RULES} 192.0.2.7`, `${ACCEPT_SESSION} 192.0.2.7`],
  )
})

engineTest('a rule may ask for a PROXY header and be done itself', async (h) => {
  const upstream = await h.server()
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    if (told.bit === TCP_RULES) {
      h.engine.proceed(told.conn, told.generation, TCP_RULES, ACCEPT_PROXY, 0)
    } else h.pass(told)
  }
  const client = await h.dial({ port })
  await client.sendByteByByte(Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nbody'))
  await (await upstream.accept()).expect('body')
  assert.deepEqual(
    h.all('handshake').map(({ bit, record }) => `${bit} ${record.src}`),
    [`${TCP_RULES} 127.0.0.1`, `${ACCEPT_SESSION} 192.0.2.7`],
  )
})

engineTest('TCP_RULES may be answered by connecting, the session with it', async (h) => {
  const upstream = await h.server()
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.connect(conn, generation, route, 0, 0)
  }
  const client = await h.dial({ port })
  await client.send('x')
  await (await upstream.accept()).expect('x')
  assert.equal(h.all('handshake').length, 1)
})

for (const bit of [MONITOR_IN, TCP_RULES, CUSTOM, ACCEPT_SESSION]) {
  engineTest(`close answers bit ${bit}`, async (h) => {
    const ask = bit | ACCEPT_SESSION
    const { port } = await h.listenPort({ handshakes: ask, ask })
    h.answers.handshake = ({ conn, generation }) => h.engine.close(conn, generation, rejected, 0, 0)
    const client = await h.dial({ port })
    assert.equal(await client.ending(), 'fin')
    const closed = await h.next('closed')
    assert.equal(closed.reason, 'policy tcp-rules rejected')
    assert.equal(closed.connectTime, -1)
    assert.equal(h.all('handshake').length, 1)
  })
}

engineTest('a reset answers with RST', async (h) => {
  const { port } = await h.listenPort()
  h.answers.handshake = () => {}
  const client = await h.dial({ port })
  const { conn, generation } = await h.next('handshake')
  h.engine.close(conn, generation, rejected, CloseMode.RESET, 0)
  assert.equal(await client.ending(), 'reset')
  assert.equal((await h.next('closed')).reason, 'policy tcp-rules rejected')
})

engineTest('a reply arrives whole, also over bytes that nobody read', async (h) => {
  const { port } = await h.listenPort()
  const reply = Buffer.alloc(300_000, 'reply ')
  const word = reasonWord(By.POLICY, Phase.MONITOR_IN, Code.MONITOR)
  h.answers.handshake = ({ conn, generation }) => h.engine.reply(conn, generation, reply, word)
  const client = await h.dial({ port })
  client.socket.write(Buffer.alloc(200_000))
  const bytes = await client.readToEnd()
  assert.ok(bytes.equals(reply))
  client.fin()
  assert.equal((await h.next('closed')).reason, 'policy monitor-in monitor')
})

engineTest('a reply is at most a megabyte', async (h) => {
  const { port } = await h.listenPort()
  const word = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REPLIED)
  const most = Buffer.alloc(1 << 20, 'long ')
  h.answers.handshake = ({ conn, generation }) => {
    assert.throws(() => h.engine.reply(conn, generation, Buffer.alloc(most.length + 1), word), {
      code: 'ERR_SLUICE_ARGUMENT',
      message: /1048577 bytes is too long: at most 1048576/,
    })
    h.engine.reply(conn, generation, most, word)
  }
  const client = await h.dial({ port })
  assert.ok((await client.readToEnd()).equals(most))
})

engineTest('mode health sends its reply and dies, without policy', async (h) => {
  const { port } = await h.listenPort({
    handshakes: HEALTH | ACCEPT_PROXY | ACCEPT_SESSION,
    healthReply: Buffer.from('OK'),
  })
  const client = await h.dial({ port })
  assert.equal((await client.readToEnd()).toString(), 'OK')
  client.fin()
  await h.idle()
  assert.equal(h.all('handshake').length, 0)
})

engineTest('a verdict that never comes closes the connection', async (h) => {
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask, verdictTimeout: 20 })
  h.answers.handshake = () => {}
  const client = await h.dial({ port })
  await client.ending()
  const late = await h.next('verdictTimeout')
  assert.equal(late.bit, TCP_RULES)
  assert.equal(late.opened, false)
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'timeout tcp-rules verdict-timeout')
  assert.equal(h.engine.stats().lateVerdicts, 1)
  // The answer that comes after all finds nobody.
  const { staleHandles } = h.engine.stats()
  h.engine.proceed(closed.conn, closed.generation, TCP_RULES, 0, 0)
  await h.until(() => h.engine.stats().staleHandles > staleHandles, 'the answer is counted stale')
})

engineTest('a verdict that never comes takes the fallback route', async (h) => {
  const upstream = await h.server()
  const fallbackRoute = h.route(upstream.port)
  const handshakes = TCP_RULES | CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({
    handshakes,
    ask: handshakes,
    verdictTimeout: 20,
    fallbackRoute,
  })
  h.answers.handshake = () => {}
  const client = await h.dial({ port })
  await client.send('open')
  const server = await upstream.accept()
  await server.expect('open')
  assert.equal((await h.next('verdictTimeout')).opened, true)
  assert.equal(h.all('handshake').length, 1)
  client.fin()
  await server.ending()
  server.fin()
  assert.equal((await h.next('closed')).reason, 'client data done')
})

engineTest('a second answer changes nothing', async (h) => {
  const upstream = await h.server()
  const ask = TCP_RULES | CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    h.pass(told)
    h.pass(told)
  }
  const client = await h.dial({ port })
  await client.send('once')
  const server = await upstream.accept()
  await server.expect('once')
  assert.deepEqual(
    h.all('handshake').map(({ bit }) => bit),
    [TCP_RULES, CUSTOM, ACCEPT_SESSION],
  )
  client.fin()
  await server.ending()
  server.fin()
  await h.next('closed')
  assert.equal(upstream.all.length, 1)
})

engineTest('an answer may come later, and bytes that came meanwhile are kept', async (h) => {
  const upstream = await h.server()
  const ask = TCP_RULES | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = () => {}
  const client = await h.dial({ port })
  await client.send('patience')
  client.fin()
  const told = await h.next('handshake')
  h.pass({ ...told, bit: TCP_RULES })
  const session = await h.next('handshake')
  assert.equal(session.bit, ACCEPT_SESSION)
  h.pass({ ...session, bit: ACCEPT_SESSION })
  assert.equal((await (await upstream.accept()).readToEnd()).toString(), 'patience')
})

engineTest('clearing ACCEPT_SESSION lets the target come later, without a deadline', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({ verdictTimeout: 1000 })
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.proceed(conn, generation, ACCEPT_SESSION, 0, 0)
  }
  const client = await h.dial({ port })
  await client.send('queued')
  const { conn, generation } = await h.next('handshake')
  // Another connection runs into its deadline in the meantime; this one must not.
  const other = await h.listenPort({ verdictTimeout: 1500 })
  h.answers.handshake = () => {}
  await h.dial({ port: other.port })
  await h.next('verdictTimeout')
  assert.equal(h.all('verdictTimeout').length, 1)
  h.engine.connect(conn, generation, route, 0, 0)
  await (await upstream.accept()).expect('queued')
})

engineTest('a handler that throws is a fault, not the end', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort({ verdictTimeout: 1000 })
  h.route(upstream.port)
  h.answers.handshake = () => {
    throw new Error('policy')
  }
  const client = await h.dial({ port })
  await client.ending()
  assert.equal((await h.next('closed')).reason, 'timeout accept-session verdict-timeout')
  assert.equal(h.faults.length, 1)
  h.faults.length = 0
  delete h.answers.handshake
  const next = await h.dial({ port })
  await next.send('alive')
  await (await upstream.accept()).expect('alive')
})

engineTest('an inspected connection that the client leaves ends with its reason', async (h) => {
  const { port } = await h.listenPort()
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
  h.answers.bytes = ({ conn, generation, flags }) => {
    if (flags & BytesFlag.EOF) h.engine.close(conn, generation, rejected, 0, 0)
  }
  const client = await h.dial({ port })
  client.fin()
  assert.equal(await client.ending(), 'fin')
  assert.equal((await h.next('closed')).reason, 'policy tcp-rules rejected')
})
