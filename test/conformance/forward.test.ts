/** Forwarding in both directions: every byte, half-close on each side, back-pressure. */

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { CloseOp, ConnFlag, Field } from '#sluice/wire/wire.js'
import { engineTest } from '../support/engine-harness.js'

engineTest('bytes go both ways and a clean end names who ended first', async (h) => {
  const { client, server } = await h.pair()
  await client.send('ping')
  await server.expect('ping')
  await server.send('pong')
  await client.expect('pong')
  client.fin()
  assert.equal(await server.ending(), 'fin')
  server.fin()
  assert.equal(await client.ending(), 'fin')
  const closed = await h.next('closed')
  assert.equal(closed.reason, 'client data done')
  assert.equal(closed.errno, 0)
  assert.equal(closed.record.bytesIn, 4)
  assert.equal(closed.record.bytesOut, 4)
  assert.ok((closed.connectTime as number) >= 0)
})

engineTest('the server may end first', async (h) => {
  const { client, server } = await h.pair()
  await server.send('bye')
  server.fin()
  assert.equal((await client.readToEnd()).toString(), 'bye')
  client.fin()
  assert.equal((await h.next('closed')).reason, 'server data done')
})

engineTest('after the client FIN the server answers at length', async (h) => {
  const { client, server } = await h.pair()
  await client.send('request')
  client.fin()
  assert.equal((await server.readToEnd()).toString(), 'request')
  const answer = randomBytes(1 << 20)
  void server.send(answer).then(() => server.fin())
  assert.deepEqual(digest(await client.readToEnd()), digest(answer))
  assert.equal((await h.next('closed')).reason, 'client data done')
})

engineTest('after the server FIN the client sends on', async (h) => {
  const { client, server } = await h.pair()
  server.fin()
  assert.equal(await client.ending(), 'fin')
  const upload = randomBytes(1 << 20)
  void client.send(upload).then(() => client.fin())
  assert.deepEqual(digest(await server.readToEnd()), digest(upload))
  assert.equal((await h.next('closed')).reason, 'server data done')
})

engineTest('a megabyte both ways at once', async (h) => {
  const { client, server } = await h.pair()
  const up = randomBytes(1 << 20)
  const down = randomBytes((1 << 20) + 17)
  void client.send(up).then(() => client.fin())
  void server.send(down).then(() => server.fin())
  assert.deepEqual(digest(await server.readToEnd()), digest(up))
  assert.deepEqual(digest(await client.readToEnd()), digest(down))
  const { record } = await h.next('closed')
  assert.equal(record.bytesIn, up.length)
  assert.equal(record.bytesOut, down.length)
})

engineTest('a reader that stops holds the writer back, and loses nothing', async (h) => {
  const { client, server } = await h.pair()
  const block = randomBytes(1 << 20)
  client.pause()
  let sent = 0
  const total = 48
  const writing = (async () => {
    for (let i = 0; i < total; i++) {
      await server.send(block)
      sent++
    }
    server.fin()
  })()
  // What the kernel and the engine hold is far less than the 48 MB: the writer must stall.
  let before = -1
  await h.until(() => {
    const stalled = sent === before && sent > 0
    before = sent
    return stalled
  }, 'the writer stalls')
  await delay(50)
  assert.ok(sent < total, 'the engine took everything without a reader')
  client.resume()
  const all = await client.readToEnd()
  await writing
  assert.equal(all.length, total * block.length)
  const expected = createHash('sha256')
  for (let i = 0; i < total; i++) expected.update(block)
  assert.equal(digest(all), expected.digest('hex'))
})

engineTest('many connections at once keep their bytes apart', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  const clients = await Promise.all(Array.from({ length: 100 }, () => h.dial({ port })))
  await Promise.all(clients.map((client, i) => client.send(`number ${i};`)))
  const answered = clients.map(async () => {
    const server = await upstream.accept()
    await server.until(() => server.received >= 9)
    await server.send(server.rest())
    server.fin()
  })
  const echoes = clients.map(async (client, i) => {
    assert.equal((await client.readToEnd()).toString(), `number ${i};`)
    client.fin()
  })
  await Promise.all([...answered, ...echoes])
  await h.idle()
  assert.equal(h.all('closed').length, 100)
})

engineTest('bytes that are sent right behind the connect are not lost', async (h) => {
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  const client = await h.dial({ port })
  void client.send('early').then(() => client.fin())
  const server = await upstream.accept()
  assert.equal((await server.readToEnd()).toString(), 'early')
  server.fin()
  assert.equal(await client.ending(), 'fin')
})

engineTest('the record of a half-closed session says what is shut, wanted and done', async (h) => {
  const { DSHR, DSHW, CSHR, CSHW, DSHR_DONE, DSHW_DONE, CSHR_DONE, CSHW_DONE } = CloseOp
  const read = DSHR | CSHR | DSHR_DONE | CSHR_DONE
  const write = DSHW | CSHW | DSHW_DONE | CSHW_DONE
  const { SHR, SHW, ERR } = ConnFlag
  const { client, server, conn } = await h.pair()
  const { table } = h.engine
  const peer = table.get(conn, Field.PEER)
  const ops = (slot: number) => table.get(slot, Field.CLOSE_OPS)
  const shut = (slot: number) => table.get(slot, Field.FLAGS) & (SHR | SHW | ERR)
  assert.deepEqual([ops(conn), ops(peer), shut(conn), shut(peer)], [0, 0, 0, 0])
  client.fin()
  assert.equal(await server.ending(), 'fin')
  await h.until(() => shut(conn) === SHR && shut(peer) === SHW, 'the FIN is in the records')
  assert.deepEqual([ops(conn), ops(peer)], [read, write])
  await server.send('answer')
  await client.expect('answer')
  assert.deepEqual([ops(conn), ops(peer)], [read, write])
})

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
