/** A panic in an export is an exception; one in a worker is `fatal`, and the process can end. */

import { NativeEngine } from '#sluice/engine/native/engine.js'
import { loadBinding } from '#sluice/engine/native/load.js'
import { assembleProxy } from '#sluice/proxy/create.js'
import { Harness } from '../../support/engine-harness.js'
import { memoryLogger } from '../../support/harness.js'

const how = process.argv[2]

async function inExport(): Promise<void> {
  try {
    loadBinding().testPanic()
  } catch (error) {
    console.log(`exception: ${(error as Error).message}`)
  }
  // The addon is still usable.
  const h = await Harness.start('native')
  const { client, server } = await h.pair()
  await client.send('alive')
  await server.expect('alive')
  await h.settle()
  await h.stop()
  console.log('alive')
}

async function inWorker(): Promise<void> {
  const h = await Harness.start('native', { workers: 2 })
  const { client } = await h.pair()
  const { listener } = h.all('handshake')[0] as { listener: number }
  const engine = h.engine as NativeEngine
  engine.testPanic(0)
  engine.testPanic(1)
  await client.ending()
  await h.until(() => h.faults.length === 2, 'fatal is told for each')
  console.log(`fatal: ${String(h.faults[0])}`)
  // A worker that is dead answers nothing, and nobody waits for it.
  await h.engine.unlisten(listener)
  await h.stop()
  console.log('stopped')
}

/** Of a proxy: it stops, says so, and the process ends by itself. */
async function inProxy(): Promise<void> {
  const engine = new NativeEngine(2, 64)
  const { logger } = memoryLogger()
  const proxy = assembleProxy(
    {
      frontends: { web: { bind: '127.0.0.1:0', backend: 'app' } },
      backends: { app: { servers: { a: '127.0.0.1:9' } } },
    },
    { engine, logger },
  )
  proxy.on('error', (error) => console.log(`error: ${error.message}`))
  await proxy.start()
  engine.testPanic(1)
}

if (how === 'export') await inExport()
else if (how === 'worker') await inWorker()
else await inProxy()
