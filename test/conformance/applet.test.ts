/** Applet mode: payload by credit, sending, half-close, ends. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { By, BytesFlag, CloseMode, Code, ConnState, Phase } from '#sluice/wire/wire.js'
import { engineTest, type Harness, reasonWord } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'

const done = reasonWord(By.POLICY, Phase.DATA, Code.DONE)

/** A client whose session is an applet with this first credit. */
async function appletClient(h: Harness, credit: number): Promise<Peer> {
  const { port } = await h.listenPort()
  h.answers.handshake = ({ conn, generation }) => h.engine.applet(conn, generation, credit, 0)
  return h.dial({ port })
}

/** An applet that does not end keeps its connection, whatever the client does: policy ends it. */
function endAll(h: Harness): void {
  for (const { conn, generation } of h.all('handshake')) {
    h.engine.close(conn, generation, done, CloseMode.RESET, 0)
  }
}

engineTest('echo', async (h) => {
  const bytes = randomBytes(300_000)
  h.answers.data = (told) => {
    h.engine.send(told.conn, told.generation, told.bytes, (told.flags & BytesFlag.EOF) !== 0)
    h.engine.credit(told.conn, told.generation, told.bytes.length)
  }
  const client = await appletClient(h, 16_384)
  void client.send(bytes).then(() => client.fin())
  assert.ok((await client.readToEnd()).equals(bytes))
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'client data done')
  assert.equal(closed.record.bytesIn, bytes.length)
  assert.equal(closed.record.bytesOut, bytes.length)
  const sent = h.all('sent').reduce((sum, { count }) => sum + (count as number), 0)
  assert.equal(sent, bytes.length)
})

engineTest('never more than the credit is in flight', async (h) => {
  const client = await appletClient(h, 1000)
  const bytes = randomBytes(10_000)
  await client.send(bytes)
  const received: Buffer[] = []
  let flying = 0
  while (received.reduce((sum, { length }) => sum + length, 0) < bytes.length) {
    const told = await h.next('data')
    received.push(told.bytes as Buffer)
    flying += told.bytes?.length ?? 0
    assert.ok(flying <= 1000, `${flying} bytes in flight`)
    if (flying < 1000 && received.reduce((sum, { length }) => sum + length, 0) < bytes.length) {
      continue
    }
    h.engine.credit(told.conn, told.generation, flying)
    flying = 0
  }
  assert.ok(Buffer.concat(received).equals(bytes))
  endAll(h)
})

engineTest('without credit the client is held back', async (h) => {
  const client = await appletClient(h, 10)
  let written = 0
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < 48; i++) client.socket.write(block, () => written++)
  await h.next('data')
  await delay(200)
  assert.equal(h.all('data').length, 1)
  assert.ok(written < 48)
  endAll(h)
})

engineTest('EOF comes after the last byte', async (h) => {
  const client = await appletClient(h, 4)
  await client.send('12345678')
  client.fin()
  const first = await h.next('data')
  assert.equal(first.bytes?.toString(), '1234')
  assert.equal(first.flags, 0)
  h.engine.credit(first.conn, first.generation, 4)
  const all = [first.bytes as Buffer]
  let flags = 0
  while ((flags & BytesFlag.EOF) === 0) {
    const told = await h.next('data')
    all.push(told.bytes as Buffer)
    flags = told.flags as number
    h.engine.credit(told.conn, told.generation, told.bytes?.length ?? 0)
  }
  assert.equal(Buffer.concat(all).toString(), '12345678')
  h.engine.send(first.conn, first.generation, Buffer.from('bye'), true)
  assert.equal((await client.readToEnd()).toString(), 'bye')
  assert.equal((await h.next('closed')).reason, 'client data done')
})

engineTest('the applet may end first and read on', async (h) => {
  const client = await appletClient(h, 1000)
  const { conn, generation } = await h.next('handshake')
  h.engine.send(conn, generation, Buffer.from('over'), true)
  assert.equal((await client.readToEnd()).toString(), 'over')
  await client.send('one more')
  assert.equal((await h.next('data')).bytes?.toString(), 'one more')
  client.fin()
  assert.equal((await h.next('closed')).reason, 'policy data done')
})

engineTest('what is sent is copied', async (h) => {
  const client = await appletClient(h, 1000)
  const { conn, generation } = await h.next('handshake')
  const bytes = Buffer.from('original')
  h.engine.send(conn, generation, bytes, false)
  bytes.fill(0)
  await client.expect('original')
  assert.equal(h.record(conn).state, ConnState.ESTABLISHED)
  endAll(h)
})

engineTest('sent tells when bytes have left, not before', async (h) => {
  const client = await appletClient(h, 1000)
  client.pause()
  const { conn, generation } = await h.next('handshake')
  const block = Buffer.alloc(60_000)
  const blocks = 800
  for (let i = 0; i < blocks; i++) h.engine.send(conn, generation, block, false)
  await delay(200)
  const sent = () => h.all('sent').reduce((sum, { count }) => sum + (count as number), 0)
  assert.ok(
    sent() < blocks * block.length,
    'everything was reported sent to a client that does not read',
  )
  client.resume()
  await client.until(() => client.received === blocks * block.length)
  await h.until(() => sent() === blocks * block.length, 'everything is reported sent')
  endAll(h)
})

engineTest('close sends what was given before', async (h) => {
  const client = await appletClient(h, 1000)
  const { conn, generation } = await h.next('handshake')
  const bytes = randomBytes(60_000)
  h.engine.send(conn, generation, bytes, false)
  h.engine.close(conn, generation, done, CloseMode.CLOSE, 0)
  assert.ok((await client.readToEnd()).equals(bytes))
  client.fin()
  assert.equal((await h.next('closed')).reason, 'policy data done')
})

engineTest('the client resets an applet', async (h) => {
  const client = await appletClient(h, 1000)
  await client.send('x')
  await h.next('data')
  client.reset()
  assert.equal((await h.next('closed')).reason, 'client data reset')
})

engineTest('an applet resets its client', async (h) => {
  const client = await appletClient(h, 1000)
  await client.send('x')
  const { conn, generation } = await h.next('data')
  const word = reasonWord(By.POLICY, Phase.DATA, Code.APPLET_ERROR)
  h.engine.close(conn, generation, word, CloseMode.RESET, 0)
  assert.equal(await client.ending(), 'reset')
  assert.equal((await h.next('closed')).reason, 'policy data applet-error')
})

engineTest('a silent client of an applet', async (h) => {
  const { port } = await h.listenPort({ clientTimeout: 40 })
  h.answers.handshake = ({ conn, generation }) => h.engine.applet(conn, generation, 1000, 0)
  await h.dial({ port })
  assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
})

for (const [what, bytes] of [
  ['more than it takes', 'more than four'],
  ['as much as it takes', 'four'],
] as const) {
  engineTest(`an applet is slow, and its client sent ${what}: nobody is silent`, async (h) => {
    const { port } = await h.listenPort({ clientTimeout: 500 })
    h.answers.handshake = ({ conn, generation }) => h.engine.applet(conn, generation, 4, 0)
    const client = await h.dial({ port })
    await client.send(bytes)
    const { conn, generation, bytes: first } = await h.next('data')
    assert.equal(first?.toString(), bytes.slice(0, 4))
    await delay(1200)
    assert.equal(h.all('closed').length, 0)
    h.engine.credit(conn, generation, 1000)
    if (bytes.length > 4) {
      assert.equal((await h.next('data')).bytes?.toString(), bytes.slice(4))
    }
    // From now on the client is the one that could say something.
    assert.equal((await h.next('closed')).reason, 'timeout data client-timeout')
  })
}

engineTest('a client that has sent its FIN and does not read the answer is silent', async (h) => {
  const { port } = await h.listenPort({ clientTimeout: 500, clientFinTimeout: 500 })
  h.answers.handshake = ({ conn, generation }) => h.engine.applet(conn, generation, 1000, 0)
  const client = await h.dial({ port })
  client.pause()
  await client.send('ask')
  client.fin()
  const { conn, generation } = await h.next('data')
  // Nobody is expected to act while the applet thinks.
  await delay(1200)
  assert.equal(h.all('closed').length, 0)
  const block = Buffer.alloc(60_000)
  for (let i = 0; i < 800; i++) h.engine.send(conn, generation, block, false)
  assert.equal((await h.next('closed')).reason, 'timeout close client-fin-timeout')
})

engineTest(
  'close sends what was given before, however much a slow client has to take',
  async (h) => {
    const client = await appletClient(h, 1000)
    client.pause()
    const { conn, generation } = await h.next('handshake')
    const block = randomBytes(60_000)
    const blocks = 300
    for (let i = 0; i < blocks; i++) h.engine.send(conn, generation, block, false)
    h.engine.close(conn, generation, done, CloseMode.CLOSE, 0)
    await delay(100)
    client.resume()
    const all = await client.readToEnd()
    assert.equal(all.length, blocks * block.length)
    for (let at = 0; at < all.length; at += block.length) {
      assert.ok(all.subarray(at, at + block.length).equals(block), `other bytes at ${at}`)
    }
    client.fin()
    assert.equal((await h.next('closed')).reason, 'policy data done')
  },
)

engineTest(
  'a client that does not take what close has still to send ends by its time-out',
  async (h) => {
    const { port } = await h.listenPort({ clientTimeout: 500, clientFinTimeout: 500 })
    h.answers.handshake = ({ conn, generation }) => h.engine.applet(conn, generation, 1000, 0)
    const client = await h.dial({ port })
    client.pause()
    const { conn, generation } = await h.next('handshake')
    const block = Buffer.alloc(60_000)
    for (let i = 0; i < 800; i++) h.engine.send(conn, generation, block, false)
    h.engine.close(conn, generation, done, CloseMode.CLOSE, 0)
    assert.equal((await h.next('closed')).reason, 'policy data done')
  },
)
