/**
 * Engines whose handle nobody holds any more. Below the wrapper of TypeScript, which
 * stays reachable while its engine runs: the memory must never go before the threads.
 */

import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createNativeEngine } from '#sluice/engine/native/engine.js'
import { loadBinding } from '#sluice/engine/native/load.js'
import { Layout, Region } from '#sluice/wire/wire.js'
import { defaultListen } from '../../support/engine-harness.js'

const doorbell = process.env.SLUICE_DOORBELL

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Threads of engines in this process. */
function threads(): number {
  const names = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/comm`, 'utf8'),
  )
  return names.filter((name) => name.startsWith('sluice-')).length
}

const gone: string[] = []
const registry = new FinalizationRegistry<string>((what) => gone.push(what))

/** Starts an engine that listens, and forgets it. */
function start(): number {
  const shared = (words: number) => new Int32Array(new SharedArrayBuffer(words * 4))
  const memory = shared(Region.WORKER_WORDS)
  const table = shared(4096 * Layout.CONNECTION_WORDS)
  const handle = new (loadBinding().NativeEngine)([memory], table, 2048, () => {}, {
    queue: doorbell === 'queue',
    busyPoll: doorbell === 'poll',
    lead: doorbell === 'lead',
  })
  const hung = handle.doorbell()
  if (hung !== (doorbell === 'queue' ? 'queue' : 'loop')) throw new Error(hung)
  registry.register(memory, 'memory')
  registry.register(table, 'table')
  registry.register(handle, 'handle')
  const { address: _, ...spec } = defaultListen()
  return handle.listen({ ...spec, kind: 'tcp', host: '127.0.0.1', port: 0 }).port
}

async function collected(): Promise<void> {
  const port = start()
  const end = performance.now() + 20_000
  // A thread gives itself its name.
  while (threads() === 0 && performance.now() < end) await delay(1)
  while (gone.length < 3 && performance.now() < end) {
    collect()
    await delay(10)
  }
  console.log(`collected: ${gone.sort().join(', ')}`)
  const socket = connect(port, '127.0.0.1')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  console.log(`threads ${threads()}, ${error.code === 'ECONNREFUSED' ? 'refused' : error.code}`)
}

async function many(): Promise<void> {
  const descriptors = () => readdirSync('/proc/self/fd').length
  const run = async () => {
    const engine = createNativeEngine({ workers: 1, slots: 16 })
    await engine.listen(defaultListen())
    await engine.stop()
  }
  await run()
  const before = descriptors()
  for (let i = 0; i < 100; i++) await run()
  console.log(`threads ${threads()}, descriptors ${descriptors() - before}`)
}

if (process.argv[2] === 'many') await many()
else await collected()
