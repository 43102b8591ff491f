/** A unix socket whose accept queue is full until its server is let go. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

/** Echoes what it gets, once the loop turns again. */
const listenAndBlock = `
  const { parentPort, workerData } = require('node:worker_threads')
  const server = require('node:net').createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen({ path: workerData.path, backlog: 1 }, () => {
    parentPort.postMessage('listening')
    setImmediate(() => Atomics.wait(workerData.gate, 0, 0))
  })
`

export interface CrowdedSocket {
  /** The server accepts from here on. */
  letGo(): void
  close(): Promise<void>
}

export async function crowdedSocket(path: string): Promise<CrowdedSocket> {
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(listenAndBlock, { eval: true, workerData: { path, gate } })
  await once(worker, 'message')
  const fillers: Socket[] = []
  // Until the kernel says that there is no room: whoever was accepted before the block takes none.
  for (let full = false; !full; ) {
    const filler = connect({ path })
    full = await new Promise((resolve, reject) => {
      filler.once('connect', () => resolve(false))
      filler.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EAGAIN' ? resolve(true) : reject(error),
      )
    })
    fillers.push(filler)
  }
  return {
    letGo() {
      for (const filler of fillers) filler.destroy()
      Atomics.store(gate, 0, 1)
      Atomics.notify(gate, 0)
    },
    async close() {
      for (const filler of fillers) filler.destroy()
      await worker.terminate()
    },
  }
}
