/** Keep-alive: who is probed, as the kernel lists it. Linux only, as /proc is. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { ConnectFlag } from '#sluice/wire/wire.js'
import { engineTest } from '../support/engine-harness.js'

const keepAlive = { idle: 300, interval: 10, count: 3 }

engineTest('both sides of a session are probed', async (h) => {
  const { server, client, port } = await h.pair({ keepAlive }, { keepAlive })
  await h.until(() => probed(port, client.socket.localPort), "the client's side is probed")
  // The native engine probes servers of sessions that last.
  const { remotePort, localPort } = server.socket
  await h.until(() => probed(remotePort, localPort), "the server's side is probed")
})

engineTest('a client is probed while policy thinks about it', async (h) => {
  h.answers.handshake = () => {}
  const { port } = await h.listenPort({ keepAlive })
  const client = await h.dial({ port })
  const { conn, generation } = await h.next('handshake')
  assert.ok(probed(port, client.socket.localPort))
  h.engine.close(conn, generation, 0, 0, 0)
})

engineTest('without keep-alive nobody is probed', async (h) => {
  const probing = await h.pair({}, { keepAlive })
  const upstream = await h.server()
  const route = h.route(upstream.port)
  h.answers.handshake = ({ conn, generation }) =>
    h.engine.connect(conn, generation, route, ConnectFlag.WANT_CONNECTED, 0)
  const client = await h.dial({ port: probing.port })
  const server = await upstream.accept()
  // By the time that a session which began earlier is probed, this one would be, too, or soon.
  const { remotePort, localPort } = probing.server.socket
  await h.until(() => probed(remotePort, localPort), 'the other session is probed')
  assert.equal(probed(probing.port, client.socket.localPort), false)
  assert.equal(probed(server.socket.remotePort, server.socket.localPort), false)
})

engineTest('what Node cannot set is refused by the js engine', async (h) => {
  if (h.engine.kind === 'js') {
    await assert.rejects(h.listen({ userTimeout: 1000 }), /the js engine has no 'userTimeout'/)
    assert.throws(() => h.route(1, { userTimeout: 1000 }), /cannot set 'userTimeout'/)
  } else {
    await h.pair({ userTimeout: 60_000 }, { userTimeout: 60_000 })
  }
})

/** Whether the socket from 127.0.0.1:`local` to 127.0.0.1:`remote` has a keep-alive timer (proc(5), net/tcp). */
function probed(local: number | undefined, remote: number | undefined): boolean {
  const name = (port: number | undefined) =>
    `0100007F:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  const ends = `${name(local)} ${name(remote)} 01 `
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((one) => one.includes(ends))
  assert.ok(line, `no socket ${ends}`)
  const timer = line.trim().split(/\s+/)[5] as string
  return timer.startsWith('02:')
}
