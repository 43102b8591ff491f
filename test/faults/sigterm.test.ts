/** SIGTERM while the program is busy: sessions end whole, or at the deadline. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { EngineKind } from '#sluice/engine/engine.js'
import { folder, start } from '../cli/spawn.js'
import { engineKinds } from '../support/engines.js'

const PIECE = Buffer.alloc(64 * 1024, 'piece ')
const PIECES = 24
const TOTAL = PIECE.length * PIECES

/** Answers the first bytes with TOTAL bytes, a piece at a time. */
function pieceServer(): Server {
  return createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', async () => {
      for (let n = 0; n < PIECES; n++) {
        socket.write(PIECE)
        await delay(10)
      }
      socket.end()
    })
  })
}

interface Download {
  received: number
  outcome: 'whole' | 'refused' | 'cut'
}

function download(port: number): Promise<Download> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let received = 0
    let error: NodeJS.ErrnoException | undefined
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    socket.on('error', (e) => {
      error = e
    })
    socket.on('connect', () => socket.write('ask'))
    socket.on('close', () => {
      if (received === TOTAL && error === undefined) resolve({ received, outcome: 'whole' })
      else if (error?.code === 'ECONNREFUSED') resolve({ received, outcome: 'refused' })
      else resolve({ received, outcome: 'cut' })
    })
  })
}

async function run(
  kind: EngineKind,
  drainTimeout: string,
  use: (port: number, program: ReturnType<typeof start>) => Promise<void>,
): Promise<void> {
  const upstream = pieceServer().listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const config = {
    global: { maxconn: 1000, drainTimeout, engine: kind },
    frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
    backends: { app: { servers: { a: `127.0.0.1:${(upstream.address() as AddressInfo).port}` } } },
  }
  const files = folder({ 'sluice.config.json': JSON.stringify(config) })
  const program = start(['run'], files.path)
  try {
    const [, port] = await program.sees(/127\.0\.0\.1:(\d+)/)
    await use(Number(port), program)
  } finally {
    program.child.kill('SIGKILL')
    await program.ended
    upstream.close()
    files.remove()
  }
}

for (const kind of engineKinds) {
  test(`${kind}: SIGTERM under load loses no byte`, { timeout: 60_000 }, async () => {
    await run(kind, '20s', async (port, program) => {
      const downloads: Promise<Download>[] = []
      // Sessions in every state: old ones, young ones, some that come too late.
      let refused = false
      const load = (async () => {
        while (!refused) {
          for (let n = 0; n < 3; n++) {
            const one = download(port)
            downloads.push(one)
            void one.then(({ outcome }) => {
              refused ||= outcome === 'refused'
            })
          }
          await delay(5)
        }
      })()
      await delay(200)
      program.child.kill('SIGTERM')
      await program.sees(/SIGTERM: stopping/)
      // Until nobody is accepted any more.
      await load
      const all = await Promise.all(downloads)
      const { code } = await program.ended
      assert.equal(code, 0)
      const of = (outcome: Download['outcome']) => all.filter((it) => it.outcome === outcome)
      // What the kernel had accepted and nobody had served may be reset; nothing that was begun.
      for (const { received } of of('cut')) assert.equal(received, 0, 'a session was cut')
      assert.ok(of('whole').length > 0, 'nothing was served')
      assert.ok(of('refused').length > 0, 'it still accepted')
      if (kind === 'native') assert.deepEqual(of('cut'), [], 'accepted by the kernel, and dropped')
    })
  })

  test(`${kind}: SIGTERM with a session that does not end: the deadline ends it`, {
    timeout: 60_000,
  }, async () => {
    await run(kind, '300ms', async (port, program) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      await once(socket, 'connect')
      // Never asks, never ends.
      await delay(100)
      const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
      socket.resume()
      program.child.kill('SIGTERM')
      await program.sees(/waiting at most 300ms for 1 open/)
      await closed
      const { code, stderr } = await program.ended
      assert.equal(code, 0)
      assert.match(stderr, /1 closed at the deadline/)
    })
  })
}
