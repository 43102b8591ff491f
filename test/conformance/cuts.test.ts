/**
 * An end in the midst of the payload never looks like a complete one: what was read is
 * delivered, then a raw peer sees a RST and a TLS peer a FIN without close_notify.
 */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { engineTest } from '../support/engine-harness.js'
import type { Peer } from '../support/peer.js'

const directions = ['client', 'server'] as const

/** The pair as who breaks off and who sees it. */
function roles(by: 'client' | 'server', pair: { client: Peer; server: Peer }) {
  const { client, server } = pair
  return by === 'client' ? { from: client, to: server } : { from: server, to: client }
}

for (const by of directions) {
  engineTest(`the ${by} resets an idle session`, async (h) => {
    const { from, to } = roles(by, await h.pair())
    from.reset()
    assert.equal(await to.ending(), 'reset')
    assert.equal((await h.next('closed')).reason, `${by} data reset`)
  })

  engineTest(`what the ${by} sent before its reset arrives, then the reset`, async (h) => {
    const { from, to } = roles(by, await h.pair())
    await from.send('last words')
    await to.expect('last words')
    from.reset()
    assert.equal(await to.ending(), 'reset')
    assert.equal((await h.next('closed')).reason, `${by} data reset`)
  })

  engineTest(`a reset of the ${by} right behind its bytes never looks like an end`, async (h) => {
    for (let i = 0; i < 30; i++) {
      const { from, to } = roles(by, await h.pair())
      const bytes = randomBytes(1 + i * 1000)
      from.socket.write(bytes)
      if (i % 2) await new Promise((resolve) => setImmediate(resolve))
      from.reset()
      assert.equal(await to.ending(), 'reset')
      const got = to.rest()
      assert.ok(got.equals(bytes.subarray(0, got.length)), 'other bytes came')
      assert.equal((await h.next('closed')).reason, `${by} data reset`)
    }
  })

  engineTest(`the ${by} resets in the middle of a transfer to a slow reader`, async (h) => {
    const pair = await h.pair()
    const { from, to } = roles(by, pair)
    to.pause()
    const block = randomBytes(1 << 20)
    for (let i = 0; i < 48; i++) from.socket.write(block)
    // Everybody's buffers are full.
    let before = -1
    await h.until(() => {
      const now = from.socket.bytesWritten - from.socket.writableLength
      const stalled = now === before && now > 0
      before = now
      return stalled
    }, 'the writer stalls')
    from.reset()
    to.resume()
    assert.equal(await to.ending(), 'reset')
    const got = to.rest()
    for (let at = 0; at < got.length; at += block.length) {
      const part = got.subarray(at, at + block.length)
      assert.ok(part.equals(block.subarray(0, part.length)), 'other bytes came')
    }
    assert.equal((await h.next('closed')).reason, `${by} data reset`)
  })

  engineTest(`the ${by} resets after the FIN of the other side`, async (h) => {
    const { from, to } = roles(by, await h.pair())
    to.fin()
    assert.equal(await from.ending(), 'fin')
    await from.send('answer')
    await to.expect('answer')
    from.reset()
    assert.equal(await to.ending(), 'reset')
    assert.equal((await h.next('closed')).reason, `${by} close reset`)
  })

  engineTest(`the ${by} resets after its own FIN`, async (h) => {
    const { from, to } = roles(by, await h.pair())
    from.fin()
    assert.equal(await to.ending(), 'fin')
    await to.send('answer')
    await from.expect('answer')
    const errors: string[] = []
    to.socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''))
    from.reset()
    // Behind a FIN Node hears of a reset by its next write, on either side of the proxy.
    await h.until(() => {
      if (!to.socket.destroyed) to.socket.write('?')
      return errors.length > 0
    }, 'the other side sees the reset')
    assert.match(errors[0] as string, /^(ECONNRESET|EPIPE)$/)
    assert.equal((await h.next('closed')).reason, `${by} close reset`)
  })
}

engineTest('what was read of a client in bulk arrives in front of its reset', async (h) => {
  const { client, server } = await h.pair()
  const block = randomBytes(1 << 20)
  for (let i = 0; i < 48; i++) client.socket.write(block)
  await h.until(() => server.socket.bytesRead > 4 * block.length, 'bulk is under way')
  // The kernel holds bytes for a reader that is slower when the reset comes.
  server.pause()
  await delay(20)
  client.reset()
  server.resume()
  assert.equal(await server.ending(), 'reset')
  const { reason, record } = await h.next('closed')
  assert.equal(reason, 'client data reset')
  assert.equal(server.socket.bytesRead, record.bytesIn)
})

engineTest('a complete end is a FIN, also when the other side resets behind it', async (h) => {
  const { client, server } = await h.pair()
  client.fin()
  server.fin()
  assert.equal(await client.ending(), 'fin')
  assert.equal(await server.ending(), 'fin')
  assert.match((await h.next('closed')).reason as string, /^(client|server) data done$/)
})
