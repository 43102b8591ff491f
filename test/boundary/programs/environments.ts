/**
 * Environments that go away under a running engine. The main thread does not
 * load the addon unless it is told to, so that a worker's end unloads it.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Harness } from '../../support/engine-harness.js'
import type { Peer } from '../../support/peer.js'

const self = new URL(import.meta.url)

/** An engine that echoes through itself, and clients that never stop. */
async function serve(): Promise<{ h: Harness; port: number }> {
  const h = await Harness.start('native', { workers: 2 })
  const upstream = await h.server()
  const { port } = await h.listenPort()
  h.route(upstream.port)
  void (async () => {
    for (;;) {
      const server = await upstream.accept().catch(() => undefined)
      if (!server) return
      server.socket.pipe(server.socket)
    }
  })()
  const clients: Peer[] = []
  for (let i = 0; i < 8; i++) clients.push(await h.dial({ port }))
  for (const { socket } of clients) {
    socket.on('data', (chunk) => socket.write(chunk))
    socket.write(Buffer.alloc(10_000))
  }
  await h.until(() => clients.every(({ received }) => received > 100_000), 'traffic')
  return { h, port }
}

async function inWorker(how: string): Promise<void> {
  const { port } = await serve()
  parentPort?.postMessage(port)
  if (how === 'exit') process.exit(3)
  if (how === 'throw') throw new Error('thrown in the worker')
  // 'terminate': the main thread ends this one.
}

async function refuses(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'ECONNREFUSED', 'the engine of the worker still listens')
}

async function endWorker(how: string): Promise<void> {
  const worker = new Worker(self, { workerData: { how }, stderr: true })
  // 'error' is what the 'throw' way is about. It may overtake the message that was sent
  // before it, and once() of node:events would reject then.
  worker.on('error', () => {})
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  if (how === 'terminate') await worker.terminate()
  await exited
  await refuses(port)
}

async function twoEnvironments(): Promise<void> {
  const { h } = await serve()
  const worker = new Worker(self, { workerData: { how: 'terminate' } })
  const [port] = (await once(worker, 'message')) as [number]
  const client = await h.dial({ port })
  await client.send('from one to the other')
  await client.expect('from one to the other')
  await worker.terminate()
  await refuses(port)
  // This one goes on.
  const { port: own } = await h.listenPort()
  const second = await h.dial({ port: own })
  await second.send('still here')
  await second.expect('still here')
  await h.stop()
}

if (!isMainThread) {
  await inWorker((workerData as { how: string }).how)
} else {
  const how = process.argv[2] as string
  if (how === 'two') await twoEnvironments()
  else for (let round = 0; round < 3; round++) await endWorker(how)
  // A thread that was left behind would run into memory that is gone.
  await delay(200)
  console.log('alive')
}
