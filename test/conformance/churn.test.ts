/** Many short connections: nothing is lost, and everything is back where it was. */

import assert from 'node:assert/strict'
import { By, Code, Handshake, Phase } from '#sluice/wire/wire.js'
import { engineTest, openFds, reasonWord } from '../support/engine-harness.js'

const rejected = reasonWord(By.POLICY, Phase.ACCEPT_SESSION, Code.REJECTED)

engineTest('two thousand connections of every kind', async (h) => {
  const upstream = await h.server()
  const ask = Handshake.TCP_RULES | Handshake.ACCEPT_SESSION
  const { port } = await h.listenPort({ handshakes: ask, ask })
  const route = h.route(upstream.port)
  let turn = 0
  h.answers.handshake = (told) => {
    if (told.bit !== Handshake.ACCEPT_SESSION) return h.pass(told)
    const { conn, generation } = told
    turn++
    if (turn % 10 === 0) h.engine.close(conn, generation, rejected, turn % 20 === 0 ? 1 : 0, 0)
    else if (turn % 10 === 1) h.engine.reply(conn, generation, Buffer.from('reply'), rejected)
    else if (turn % 10 === 2) h.engine.applet(conn, generation, 1000, 0)
    else h.engine.connect(conn, generation, route, 0, 0)
  }
  h.answers.data = ({ conn, generation, bytes }) => h.engine.send(conn, generation, bytes, true)
  const serving = (async () => {
    for (;;) {
      const server = await upstream.accept().catch(() => undefined)
      if (!server) return
      server.socket.on('data', () => server.socket.end('answer'))
    }
  })()
  let dialled = 0
  const one = async (i: number) => {
    const client = await h.dial({ port }).catch((error: NodeJS.ErrnoException) => {
      // Rejected with a RST before Node saw the connect complete.
      assert.equal(error.code, 'ECONNRESET')
    })
    dialled++
    if (!client) return
    client.socket.write(`request ${i}`)
    if (i % 7 === 0) client.reset()
    else await client.ending()
    client.destroy()
  }
  await Promise.all(Array.from({ length: 20 }, (_, i) => one(i)))
  // Also those that reset before they were accepted.
  const ended = () => h.until(() => h.all('closed').length === dialled, 'every end is told')
  await ended()
  await h.idle()
  const fds = openFds()
  for (let round = 0; round < 40; round++) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => one(round * 50 + i)))
  }
  await ended()
  await h.idle()
  for (const server of upstream.all) server.destroy()
  await h.until(() => openFds() <= fds, 'every descriptor is given back')
  assert.equal(h.engine.stats().connections, 0)
  void serving
})
