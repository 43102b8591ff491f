/** No descriptors left (EMFILE): the engine keeps serving, says so, and recovers. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { engineTest } from '../support/engine-harness.js'
import { dialing, PATIENCE, Peer } from '../support/peer.js'

const script = fileURLToPath(new URL('../support/scarce-child.js', import.meta.url))

interface Seen {
  connections: number
  paused: number
  faults: number
}

engineTest('descriptors run out and come back', async (h) => {
  const limited = `ulimit -n 64; exec '${process.execPath}' '${script}' ${h.engine.kind}`
  const child = spawn('sh', ['-c', limited], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value as string)
  const ask = async (): Promise<Seen> => {
    child.stdin.write('\n')
    return next()
  }
  try {
    const { port } = await next()
    const early = await Peer.connect({ port })
    // More clients than there are descriptors; they stay and say nothing.
    const crowd = Array.from({ length: 120 }, () => dialing({ port }))
    const deadline = performance.now() + PATIENCE
    let before = -1
    let seen = await ask()
    while (seen.connections !== before || seen.connections < 10) {
      assert.ok(performance.now() < deadline, 'the crowd never settled')
      before = seen.connections
      await delay(100)
      seen = await ask()
    }
    assert.ok(seen.connections < 64)
    assert.equal(seen.faults, 0)
    if (h.engine.kind === 'native') assert.ok(seen.paused > 0, 'nobody was told')
    // Who is connected is served as before.
    await early.send('ping')
    assert.equal((await early.readToEnd()).toString(), 'pong')
    early.destroy()
    for (const socket of crowd) socket.destroy()
    while ((await ask()).connections > 0) {
      assert.ok(performance.now() < deadline + PATIENCE, 'connections are left')
      await delay(20)
    }
    const after = await Peer.connect({ port })
    await after.send('ping')
    assert.equal((await after.readToEnd()).toString(), 'pong')
    after.destroy()
  } finally {
    const ended = once(child, 'exit')
    child.stdin.end()
    await ended
  }
})
