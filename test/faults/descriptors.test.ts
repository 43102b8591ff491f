/** No descriptor is left: the proxy serves on, says so once in a while, and recovers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { engineKinds } from '../support/engines.js'
import { Peer, PeerServer } from '../support/peer.js'
import { ProxyProcess } from './process.js'

// Runs alone: a crowd of 512 is made and ended by three processes in turn, within a time.
/** Enough for Node to load the program, and for some sessions. */
const FILE_LIMIT = 256

for (const kind of engineKinds) {
  test(`${kind}: without descriptors it serves on and recovers`, { timeout: 60_000 }, async () => {
    const upstream = await PeerServer.listen()
    const proxy = await ProxyProcess.start(kind, upstream.port, { fileLimit: FILE_LIMIT })
    const { port } = proxy
    const clients: Peer[] = []
    try {
      const client = await Peer.connect({ port })
      clients.push(client)
      await client.send('first')
      const server = await upstream.accept()
      await server.expect('first')
      const before = await proxy.report()

      const crowd = await Promise.all(
        Array.from({ length: 2 * FILE_LIMIT }, () => Peer.connect({ port })),
      )
      clients.push(...crowd)
      // A line in the log tells of a lack that is over when it is looked at. Without one, a last
      // descriptor, which the look itself takes, is a lack too: a session wants two.
      const lacks = (fds: number) => fds === -1 || (kind === 'js' && fds >= FILE_LIMIT)
      await proxy.until(({ fds, pauses }) => lacks(fds) || pauses > 0, 'descriptors run out')
      // Several pauses of the listener fit into this.
      await delay(500)
      await client.send('still served')
      await server.expect('still served')
      const { pauses } = await proxy.report()
      assert.ok(pauses <= 1, `${pauses} lines in the log`)
      if (kind === 'native') assert.equal(pauses, 1, 'nothing in the log')

      for (const one of crowd) one.destroy()
      await proxy.until(({ engine, fds }) => {
        // Also those that reached the upstream meanwhile.
        for (const one of upstream.all) if (one !== server) one.destroy()
        return engine.connections === 2 && fds >= 0 && fds <= before.fds
      }, 'descriptors are given back')
      // The server may be marked for failures of the crowd, for a moment.
      const served = () => upstream.all.some((one) => one.received === 'recovered'.length)
      while (!served()) {
        const newcomer = await Peer.connect({ port })
        clients.push(newcomer)
        await newcomer.send('recovered').catch(() => {})
        await newcomer.until(() => served() || newcomer.ended !== undefined)
        await delay(100)
      }
    } finally {
      for (const one of clients) one.destroy()
      upstream.close()
      await proxy.stop()
    }
  })
}
