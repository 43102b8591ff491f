/** Addresses that cannot be listened on: a clear error, and nothing is left behind. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { echo } from '#sluice/policy.js'
import { createProxy } from '#sluice/proxy/create.js'
import { openFds } from '../support/engine-harness.js'
import { engineKinds } from '../support/engines.js'
import { memoryLogger } from '../support/harness.js'
import { Peer, PeerServer } from '../support/peer.js'

for (const kind of engineKinds) {
  const listenOn = (...bind: string[]) =>
    createProxy(
      {
        frontends: { web: { bind, backend: 'app' } },
        backends: { app: { servers: { a: echo() } } },
      },
      { engine: kind, logger: memoryLogger().logger },
    )

  test(`${kind}: ports: one in use`, async () => {
    const occupant = await PeerServer.listen()
    const { port } = occupant
    const fds = openFds()
    const proxy = listenOn('127.0.0.1:0', `127.0.0.1:${port}`, '127.0.0.1:0')
    await assert.rejects(proxy.start(), {
      code: 'ERR_SLUICE_LISTEN',
      message: `frontends.web.bind[1]: cannot listen on 127.0.0.1:${port}: the address is in use (EADDRINUSE).`,
    })
    assert.equal(proxy.running, false)
    assert.ok(openFds() <= fds, 'descriptors are left')
    // The occupant is not disturbed.
    const client = await Peer.connect({ port })
    client.destroy()
    occupant.close()
    // The port is free again, and taken at the second try.
    const second = listenOn(`127.0.0.1:${port}`)
    await second.start()
    assert.equal(second.addresses.web?.[0]?.port, port)
    await second.stop()
  })

  test(`${kind}: ports: a unix socket in use, and a folder that does not exist`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    const path = join(folder, 'taken.sock')
    const occupant = await PeerServer.listen({ path })
    for (const taken of [path, join(folder, 'nowhere', 'x.sock')]) {
      await assert.rejects(
        listenOn(`unix:${taken}`).start(),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'ERR_SLUICE_LISTEN')
          assert.ok(error.message.includes(taken), error.message)
          return true
        },
      )
    }
    const client = await Peer.connect({ path })
    client.destroy()
    occupant.close()
    rmSync(folder, { recursive: true })
  })
}
