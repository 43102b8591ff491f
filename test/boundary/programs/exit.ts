/**
 * Ends the process in one of several ways while connections are open and
 * events wait. What should not happen is a signal, or a process that stays.
 */

import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { Handshake } from '#sluice/wire/wire.js'
import { Harness } from '../../support/engine-harness.js'
import { blockFor } from '../support.js'

const how = process.argv[2]
const h = await Harness.start('native')
const upstream = await h.server()
const { port, listener } = await h.listenPort({
  handshakes: Handshake.TCP_RULES,
  ask: Handshake.TCP_RULES,
})
h.route(upstream.port)
for (let i = 0; i < 20; i++) await h.dial({ port })
await h.until(() => h.all('connected').length === 20, 'sessions')

/** Connections that come while this thread is blocked, so that their events wait in the ring. */
async function queueEvents(): Promise<void> {
  const worker = new Worker(new URL('./clients.js', import.meta.url))
  await new Promise((resolve) => worker.once('message', resolve))
  worker.postMessage({ kind: 'churn', port, count: 500 })
  worker.unref()
  const { events } = h.engine.stats()
  while (h.engine.stats().events < events + 500) blockFor(10)
}

switch (how) {
  case 'exit':
    await queueEvents()
    process.exit(7)
    break
  case 'exit-in-handler':
    h.answers.handshake = () => process.exit(7)
    await queueEvents()
    break
  case 'throw':
    await queueEvents()
    setImmediate(() => {
      throw new Error('thrown by the program')
    })
    break
  case 'reject':
    await queueEvents()
    void Promise.reject(new Error('rejected by the program'))
    break
  case 'sigterm':
    await queueEvents()
    process.kill(process.pid, 'SIGTERM')
    break
  case 'last-listener':
    // Nothing keeps the process but the engine, and that has no listener any more.
    upstream.close()
    await h.settle()
    await h.engine.unlisten(listener)
    process.once('exit', () => console.log('by itself'))
    break
  case 'listening':
    // Stays until this connection tells it not to.
    upstream.close()
    await h.settle()
    h.answers.handshake = () => {
      console.log('still here')
      process.exit(0)
    }
    setTimeout(() => connect({ port, host: '127.0.0.1' }).on('error', () => {}), 300).unref()
    break
  case 'stop':
    await h.stop()
    console.log('stopped')
    break
  default:
    throw new Error(`no such way: ${how}`)
}
