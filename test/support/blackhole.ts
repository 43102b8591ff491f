/** A port where connecting neither succeeds nor fails: its accept queue is full and nobody accepts. */

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { dialing } from './peer.js'

const listenAndBlock = `
  const { parentPort } = require('node:worker_threads')
  const server = require('node:net').createServer()
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    // The loop never turns again, so nothing is ever accepted.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })
`

/** Runs `use` with such a port. */
export async function withBlackhole(use: (port: number) => Promise<void>): Promise<void> {
  const worker = new Worker(listenAndBlock, { eval: true })
  const [port] = (await once(worker, 'message')) as [number]
  await delay(20)
  const fillers = Array.from({ length: 4 }, () => dialing({ port }))
  await delay(50)
  try {
    await use(port)
  } finally {
    for (const filler of fillers) filler.destroy()
    await worker.terminate()
  }
}
