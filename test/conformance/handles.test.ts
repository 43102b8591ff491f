/** Handles: stale generations, commands in the wrong place, slots that are used again. */

import assert from 'node:assert/strict'
import { CloseMode, Field, Handshake } from '#sluice/wire/wire.js'
import { engineTest, type Harness } from '../support/engine-harness.js'

const nothing = new Uint8Array(0)

/** Every command, for one handle. */
function commandAll(h: Harness, conn: number, generation: number): void {
  const { engine } = h
  engine.proceed(conn, generation, Handshake.ACCEPT_SESSION, 0, 0)
  engine.inspect(conn, generation, 10, 0, 0)
  engine.connect(conn, generation, 0, 0, 0)
  engine.applet(conn, generation, 10, 0)
  engine.credit(conn, generation, 10)
  engine.send(conn, generation, nothing, true)
  engine.reply(conn, generation, nothing, 0)
  engine.close(conn, generation, 0, CloseMode.RESET, 0)
}

engineTest('commands with a stale generation are counted and do nothing', async (h) => {
  const { client, server, conn, generation } = await h.pair()
  const before = h.engine.stats().staleHandles
  commandAll(h, conn, generation + 1)
  commandAll(h, conn, 0)
  await h.until(() => h.engine.stats().staleHandles === before + 16, 'all are counted')
  await client.send('unharmed')
  await server.expect('unharmed')
})

engineTest('commands after closed are counted and do nothing', async (h) => {
  const { client, server, conn, generation } = await h.pair()
  client.destroy()
  server.destroy()
  await h.next('closed')
  const before = h.engine.stats().staleHandles
  commandAll(h, conn, generation)
  await h.until(() => h.engine.stats().staleHandles === before + 8, 'all are counted')
})

engineTest('commands from within closed do nothing', async (h) => {
  h.answers.closed = ({ conn, generation }) => commandAll(h, conn, generation)
  const { client, server } = await h.pair()
  client.destroy()
  server.destroy()
  await h.next('closed')
  await h.idle()
  const again = await h.pair()
  await again.client.send('fine')
  await again.server.expect('fine')
})

engineTest('a double close ends the connection once', async (h) => {
  const { client, conn, generation } = await h.pair()
  h.engine.close(conn, generation, 0, CloseMode.CLOSE, 0)
  h.engine.close(conn, generation, 0, CloseMode.CLOSE, 0)
  h.engine.close(conn, generation, 0, CloseMode.RESET, 0)
  // Never from within the command that causes it.
  assert.equal(h.all('closed').length, 0)
  await client.ending()
  client.destroy()
  await h.next('closed')
  await h.idle()
  assert.equal(h.all('closed').length, 1)
})

engineTest(
  'a slot that is used again has another generation',
  async (h) => {
    const { port } = await h.listenPort()
    h.answers.handshake = ({ conn, generation }) => h.engine.close(conn, generation, 0, 0, 0)
    const seen = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const client = await h.dial({ port })
      await client.ending()
      client.destroy()
      const { conn, generation } = await h.next('closed')
      assert.notEqual(generation, 0)
      seen.add(`${conn}/${generation}`)
    }
    assert.equal(seen.size, 200)
    const slots = new Set([...seen].map((handle) => handle.split('/')[0]))
    assert.ok(slots.size < 200, 'no slot was used twice')
  },
  { slots: 64 },
)

engineTest('the record is still there while closed is told', async (h) => {
  const { client, conn, generation } = await h.pair()
  let during = 0
  h.answers.closed = () => {
    during = h.engine.table.get(conn, Field.GENERATION)
  }
  client.reset()
  await h.next('closed')
  assert.equal(during, generation)
})
