/** Inactivity: which time-out ends a connection. Durations are never asserted. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { engineTest } from '../support/engine-harness.js'

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
