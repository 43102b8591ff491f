/** Inspection: the first bytes split at every boundary, limit, delay, FIN, and what is consumed. */

import assert from 'node:assert/strict'
import { BytesFlag, Handshake } from '#sluice/wire/wire.js'
import { engineTest, type Harness, type Told } from '../support/engine-harness.js'
import type { PeerServer } from '../support/peer.js'

const { CUSTOM, ACCEPT_SESSION } = Handshake
const LIMIT = 64

/** A custom handler that wants `need` bytes, consumes `consume` of them, and lets the rest through. */
async function gate(h: Harness, need: number, consume: number): Promise<[number, PeerServer]> {
  const upstream = await h.server()
  const ask = CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    if (told.bit === CUSTOM) h.engine.inspect(told.conn, told.generation, LIMIT, 0, 0)
    else h.pass(told)
  }
  h.answers.bytes = ({ conn, generation, bytes }) => {
    if (bytes.length >= need) h.engine.proceed(conn, generation, CUSTOM, 0, consume)
  }
  return [port, upstream]
}

engineTest('a preamble split at every boundary is seen and taken whole', async (h) => {
  const preamble = Buffer.from('preamble')
  const whole = Buffer.from('preamble and payload')
  const [port, upstream] = await gate(h, preamble.length, preamble.length)
  for (let cut = 0; cut < whole.length; cut++) {
    const client = await h.dial({ port })
    await client.sendSplit(whole, [cut])
    client.fin()
    const server = await upstream.accept()
    assert.equal((await server.readToEnd()).toString(), ' and payload', `split at ${cut}`)
    client.destroy()
    server.destroy()
  }
  for (const { bytes } of h.all('bytes')) {
    assert.ok(whole.subarray(0, bytes?.length).equals(bytes as Buffer))
  }
})

engineTest('one byte at a time, nothing consumed', async (h) => {
  const [port, upstream] = await gate(h, 5, 0)
  const client = await h.dial({ port })
  // An engine that does not get the processor sees them all at once: it has seen one before.
  await client.send('h')
  await h.next('bytes')
  await client.sendByteByByte(Buffer.from('ello world'))
  await (await upstream.accept()).expect('hello world')
  const lengths = h.all('bytes').map(({ bytes }) => bytes?.length)
  assert.deepEqual(
    lengths,
    [...lengths].sort((a, b) => (a as number) - (b as number)),
  )
  assert.ok(lengths.length >= 2)
})

engineTest('everything may be consumed', async (h) => {
  const [port, upstream] = await gate(h, 4, 4)
  const client = await h.dial({ port })
  await client.send('gone')
  const server = await upstream.accept()
  await client.send('kept')
  await server.expect('kept')
})

engineTest('the first bytes become others, before and behind them nothing changes', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, LIMIT, 0, 0)
  h.answers.bytes = ({ conn, generation, bytes }) => {
    const text = bytes?.toString() ?? ''
    if (text.startsWith('user:')) {
      h.engine.replace(conn, generation, Buffer.from('somebody else:'), 5)
      h.engine.inspect(conn, generation, LIMIT, 0, 0)
    } else if (text.endsWith('rest')) {
      h.engine.replace(conn, generation, Buffer.from('> '), 0)
      h.engine.connect(conn, generation, route, 0, 0)
    }
  }
  const client = await h.dial({ port })
  await client.send('user:')
  await h.next('bytes', ({ bytes }) => bytes?.toString() === 'somebody else:')
  await client.send('rest')
  const server = await upstream.accept()
  await server.expect('> somebody else:rest')
  await client.send(' and more')
  client.fin()
  assert.equal((await server.readToEnd()).toString(), ' and more')
})

engineTest('bytes of policy reach the server of a client that says nothing', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => {
    h.engine.replace(conn, generation, Buffer.from('hello'), 0)
    h.engine.connect(conn, generation, route, 0, 0)
  }
  const client = await h.dial({ port })
  const server = await upstream.accept()
  await server.expect('hello')
  await client.send('world')
  await server.expect('world')
})

engineTest('FULL comes at the limit, and the bytes behind it are not lost', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  const block = Buffer.alloc(5000, 'block ')
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 1000, 0, 0)
  h.answers.bytes = ({ conn, generation, flags }) => {
    if (flags & BytesFlag.FULL) h.engine.connect(conn, generation, route, 0, 10)
  }
  const client = await h.dial({ port })
  await client.send(block)
  client.fin()
  assert.ok((await (await upstream.accept()).readToEnd()).equals(block.subarray(10)))
  const full = h.all('bytes').find(({ flags }) => (flags as number) & BytesFlag.FULL)
  assert.equal(full?.bytes?.length, 1000)
})

engineTest('EXPIRED comes once, also to a silent client', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 20, 0)
  const client = await h.dial({ port })
  const expired = await h.next('bytes')
  assert.equal(expired.flags, BytesFlag.EXPIRED)
  assert.equal(expired.bytes?.length, 0)
  await client.send('late')
  const after = await h.next('bytes')
  assert.equal(after.flags, 0)
  assert.equal(after.bytes?.toString(), 'late')
  h.engine.connect(after.conn, after.generation, route, 0, 0)
  await (await upstream.accept()).expect('late')
})

engineTest('EOF comes with the client FIN, and is forwarded', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
  h.answers.bytes = ({ conn, generation, flags }) => {
    if (flags & BytesFlag.EOF) h.engine.connect(conn, generation, route, 0, 0)
  }
  const client = await h.dial({ port })
  await client.send('short')
  client.fin()
  assert.equal((await (await upstream.accept()).readToEnd()).toString(), 'short')
})

engineTest('a FIN is told of behind the last byte, whatever the limit', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
  const client = await h.dial({ port })
  await client.send('all of it')
  client.fin()
  const { conn, generation } = await h.next('bytes', ({ flags }) => flags === BytesFlag.EOF)
  h.answers.bytes = ({ bytes }) => {
    if (bytes.length < 9) h.engine.inspect(conn, generation, 100, 0, 0)
    else h.engine.connect(conn, generation, route, 0, 0)
  }
  h.engine.inspect(conn, generation, 4, 0, 0)
  assert.equal((await (await upstream.accept()).readToEnd()).toString(), 'all of it')
  for (const { bytes, flags } of h.all('bytes')) {
    if ((flags as number) & BytesFlag.EOF) assert.equal(bytes?.length, 9)
  }
})

engineTest('bytes are shown on when something was said to the client', async (h) => {
  const { port } = await h.listenPort()
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, LIMIT, 0, 0)
  h.answers.bytes = ({ conn, generation }) => {
    h.engine.send(conn, generation, Buffer.from('?'), false)
  }
  const client = await h.dial({ port })
  for (const _ of 'abc') {
    await client.send('.')
    await client.expect('?')
  }
  const { conn, generation, bytes } = h.all('bytes').at(-1) as Told
  assert.equal(bytes?.toString(), '...')
  h.engine.close(conn, generation, 0, 0, 0)
})

engineTest('bytes behind a PROXY header are inspected, split at every boundary', async (h) => {
  const upstream = await h.server()
  const handshakes = Handshake.ACCEPT_PROXY | CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes, ask: CUSTOM | ACCEPT_SESSION })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    if (told.bit === CUSTOM) h.engine.inspect(told.conn, told.generation, LIMIT, 0, 0)
    else h.pass(told)
  }
  h.answers.bytes = ({ conn, generation, bytes }) => {
    if (bytes.length >= 2) h.engine.proceed(conn, generation, CUSTOM, 0, 1)
  }
  const whole = Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 10 20\r\nabc')
  for (let cut = 0; cut < whole.length; cut++) {
    const client = await h.dial({ port })
    await client.sendSplit(whole, [cut])
    client.fin()
    const server = await upstream.accept()
    assert.equal((await server.readToEnd()).toString(), 'bc', `split at ${cut}`)
    client.destroy()
    server.destroy()
  }
})

engineTest('a verdict is due once nothing more will come', async (h) => {
  const { port } = await h.listenPort({ verdictTimeout: 1000 })
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 4, 0, 0)
  const client = await h.dial({ port })
  await client.send('full')
  assert.equal((await h.next('bytes')).flags, BytesFlag.FULL)
  assert.equal((await h.next('closed')).reason, 'timeout accept-session verdict-timeout')
})

engineTest('a client that sends nothing runs into its time-out', async (h) => {
  const { port } = await h.listenPort({ clientTimeout: 30 })
  h.answers.handshake = ({ conn, generation }) => h.engine.inspect(conn, generation, 100, 0, 0)
  await h.dial({ port })
  assert.equal((await h.next('closed')).reason, 'timeout accept-session client-timeout')
})

engineTest('bytes sent during the inspection come before those of the server', async (h) => {
  const upstream = await h.server()
  const ask = CUSTOM | ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  h.route(upstream.port)
  h.answers.handshake = (told) => {
    if (told.bit === CUSTOM) h.engine.inspect(told.conn, told.generation, LIMIT, 0, 0)
    else h.pass(told)
  }
  h.answers.bytes = ({ conn, generation, bytes }) => {
    const [first] = bytes as Buffer
    if (first === 0x3f) {
      h.engine.send(conn, generation, Buffer.from('no.'), false)
      h.engine.inspect(conn, generation, LIMIT, 0, 1)
    } else if (first !== undefined) {
      h.engine.proceed(conn, generation, CUSTOM, 0, 0)
    }
  }
  const client = await h.dial({ port })
  await client.send('?')
  await client.expect('no.')
  await client.send('?hello')
  const server = await upstream.accept()
  await server.expect('hello')
  await server.send('welcome')
  await client.expect('no.welcome')
  // Past the handshakes a connection has no business with it.
  const { conn, generation } = h.all('handshake')[0] as { conn: number; generation: number }
  h.engine.send(conn, generation, Buffer.from('late'), false)
  await server.send('!')
  await client.expect('!')
  client.fin()
  server.fin()
  await h.next('closed')
  assert.equal(client.received, 'no.no.welcome!'.length)
})
